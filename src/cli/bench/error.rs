//! What can end a measurement. A figure taken from refused requests would flatter the broker, so the first error stops the run.

use std::io;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{address}: {operation}: {source}")]
    Io { address: String, operation: &'static str, source: io::Error },
    #[error("{address}: the broker closed the connection ({operation})")]
    Closed { address: String, operation: &'static str },
    #[error("{api:?} was refused with {} ({code}){}", error_name(*code), detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default())]
    Refused { api: ApiKey, code: i16, detail: Option<String> },
    #[error("the answer to {api:?} is not what Kafka's protocol says: {what}")]
    Malformed { api: ApiKey, what: String },
    #[error("{address}: {what}")]
    Frame { address: String, what: String },
    #[error("{address} serves {api:?} {served}; the generator needs one of {needed}")]
    Version { address: String, api: ApiKey, served: String, needed: String },
    #[error("{what} did not happen within {} s", waited.as_secs())]
    Timeout { what: String, waited: Duration },
    #[error("{0}")]
    Usage(String),
    #[error("{path}: {operation}: {source}")]
    File { path: String, operation: &'static str, source: io::Error },
}

/// Kafka's name of an error code, e.g. `NotLeaderOrFollower`.
pub fn error_name(code: i16) -> String {
    ResponseError::try_from_code(code).map_or_else(|| "no error".to_owned(), |e| format!("{e:?}"))
}

pub type Result<T, E = BenchError> = std::result::Result<T, E>;
