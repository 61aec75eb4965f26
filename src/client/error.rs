//! What can go wrong between a client and a cluster, in sentences that name the broker and the request.
//!
//! An error is cloned to everybody who waits on a connection when it breaks, hence the `Arc`s.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use super::address::Address;
use super::meaning::meaning;
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, TopicPartition};

#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to {address}: {}", io_reason(source))]
    Connect { address: Address, source: Arc<io::Error> },
    #[error("cannot connect to {address}: no answer within {} s", waited.as_secs_f64())]
    ConnectTimeout { address: Address, waited: Duration },
    /// A broker that was reached before cannot be reached now: it may be starting again.
    #[error("{0}")]
    Lost(Box<ClientError>),
    /// Every bootstrap server was tried.
    #[error("no broker can be reached: {}", list(.0))]
    NoBroker(Vec<ClientError>),
    /// The cluster answered, but an address it gave out leads nowhere.
    #[error("broker {id} calls itself {address} (advertised.listeners), where nothing can be reached: {source}")]
    Advertised { id: BrokerId, address: Address, source: Box<ClientError> },
    #[error("{address} closed the connection{}", api.map(|api| format!(" on {api:?}")).unwrap_or_default())]
    Closed { address: Address, api: Option<ApiKey> },
    #[error("connection to {address} failed: {operation}: {}", io_reason(source))]
    Io { address: Address, operation: &'static str, source: Arc<io::Error> },
    #[error("{address} did not answer {api:?} within {} s", waited.as_secs_f64())]
    Timeout { address: Address, api: ApiKey, waited: Duration },
    /// What came is not a frame of Kafka's protocol.
    #[error("{address} does not speak Kafka's protocol: {reason}")]
    NotKafka { address: Address, reason: String },
    #[error("{address} does not know {api:?} in a version from {} to {}; it has {theirs}", ours.0, ours.1)]
    Version { address: Address, api: ApiKey, ours: (i16, i16), theirs: String },
    #[error("the answer of {address} to {api:?} version {version} cannot be read: {reason}")]
    Malformed { address: Address, api: ApiKey, version: i16, reason: String },
    /// The request itself cannot be written in the version that both know.
    #[error("{api:?} version {version} of {address} cannot say what was asked for: {reason}")]
    Inexpressible { address: Address, api: ApiKey, version: i16, reason: String },
    #[error("{subject}: {}{}", kafka_name(*code), detail(*code, message.as_deref()))]
    Refused { subject: String, code: ErrorCode, message: Option<String> },
    #[error("broker {0} is not part of the cluster")]
    UnknownBroker(BrokerId),
    /// Records came that are damaged, or not of a format that can be read.
    #[error("records of {partition} cannot be read: {reason}")]
    Records { partition: TopicPartition, reason: String },
    /// Members of a group told each other what is none of the consumer protocol.
    #[error("group {group}: {reason}")]
    GroupProtocol { group: String, reason: String },
    #[error("the answer to {api:?} leaves out {missing}")]
    Incomplete { api: ApiKey, missing: String },
}

impl ClientError {
    /// A broker's refusal of something, which `subject` names.
    pub fn refused(subject: impl Into<String>, code: ErrorCode) -> Self {
        Self::Refused { subject: subject.into(), code, message: None }
    }

    /// The same, with the broker's own words if it sent any.
    pub fn refused_with(subject: impl Into<String>, code: ErrorCode, message: Option<&str>) -> Self {
        let message = message.filter(|m| !m.is_empty()).map(str::to_owned);
        Self::Refused { subject: subject.into(), code, message }
    }

    /// Whether the same request may succeed later, or elsewhere once metadata is fresh.
    pub fn is_retriable(&self) -> bool {
        match self {
            // In Kafka's table it may pass, in the crate's it may not: the transaction before is still being ended.
            Self::Refused { code, .. } => code.is_retriable() || *code == ErrorCode::ConcurrentTransactions,
            Self::Closed { .. } | Self::Io { .. } | Self::Lost(_) => true,
            Self::NoBroker(tried) => tried.iter().any(Self::is_retriable),
            _ => false,
        }
    }

    /// The broker's error code, if it was a broker that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// An error code as Kafka names it: `UNKNOWN_TOPIC_OR_PARTITION`.
pub fn kafka_name(code: ErrorCode) -> String {
    if let ErrorCode::Unknown(code) = code {
        return format!("error {code}");
    }
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn detail(code: ErrorCode, message: Option<&str>) -> String {
    message.or_else(|| meaning(code)).map(|text| format!(": {text}")).unwrap_or_default()
}

/// The system's words without its number.
fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

fn list(errors: &[ClientError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_that_kafka_gave_them() {
        for (code, name) in [
            (ErrorCode::UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION"),
            (ErrorCode::InvalidTopicException, "INVALID_TOPIC_EXCEPTION"),
            (ErrorCode::NotLeaderOrFollower, "NOT_LEADER_OR_FOLLOWER"),
            (ErrorCode::Unknown(999), "error 999"),
        ] {
            assert_eq!(kafka_name(code), name);
        }
    }

    #[test]
    fn a_refusal_says_who_what_and_why() {
        let error =
            ClientError::refused_with("topic orders", ErrorCode::TopicAlreadyExists, Some("Topic 'orders' already exists."));
        assert_eq!(error.to_string(), "topic orders: TOPIC_ALREADY_EXISTS: Topic 'orders' already exists.");
        let error = ClientError::refused_with("group g", ErrorCode::NonEmptyGroup, Some(""));
        assert!(error.to_string().starts_with("group g: NON_EMPTY_GROUP: the group still has members"), "{error}");
        let refused = io::Error::from_raw_os_error(111);
        let error = ClientError::Connect { address: Address::new("localhost", 9), source: Arc::new(refused) };
        assert_eq!(error.to_string(), "cannot connect to localhost:9: Connection refused");
    }
}
