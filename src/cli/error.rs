//! How a command ends: what happened, to what, what to do about it, and the exit code that scripts rely on.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | everything was done, or the reader of the output went away |
//! | 1 | nothing was done, or what was asked about is not in order |
//! | 2 | the command line is wrong |
//! | 3 | part was done: some of the topics, groups or records were refused |
//! | 130 | interrupted by Ctrl-C before the end |

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::base::ErrorCode;
use crate::client::ClientError;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0}")]
    Usage(String),
    /// What was asked about is not there, or not in order; the second text says what to do.
    #[error("{message}")]
    Failed { message: String, tip: Option<String> },
    #[error("topic {name:?} does not exist")]
    NoTopic { name: String, nearest: Option<String> },
    #[error("{failed} of {all} {what} failed")]
    Partly { failed: usize, all: usize, what: &'static str },
    /// Something failed in the middle of a stream; what went before it was done.
    #[error("stopped after {}", done_of(*done, what))]
    Stopped { done: u64, what: &'static str },
    #[error("cannot {operation} {}: {source}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write to the standard output: {0}")]
    Output(io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Bench(#[from] super::bench::BenchError),
}

fn done_of(done: u64, what: &str) -> String {
    match done {
        1 => format!("1 {}, which was done", what.trim_end_matches('s')),
        _ => format!("{done} {what}, which were done"),
    }
}

pub type Result<T = (), E = CliError> = std::result::Result<T, E>;

impl CliError {
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), tip: None }
    }

    pub fn failed_with_tip(message: impl Into<String>, tip: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), tip: Some(tip.into()) }
    }

    pub fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }

    /// Whether the reader of the output went away, as `head` does: no error.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == ErrorKind::BrokenPipe)
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            _ if self.is_broken_pipe() => 0,
            Self::Usage(_) => 2,
            Self::Partly { .. } | Self::Stopped { .. } => 3,
            Self::Interrupted => 130,
            _ => 1,
        })
    }

    /// What to do about it, where that can be told.
    pub fn tip(&self) -> Option<String> {
        match self {
            Self::Client(error) => client_tip(error),
            Self::Failed { tip, .. } => tip.clone(),
            Self::NoTopic { name, nearest: None } => {
                Some(format!("make it with 'klamm topic create {name}', or see those there are with 'klamm topic list'"))
            }
            Self::NoTopic { name, nearest: Some(nearest) } => {
                Some(format!("there is a topic {nearest:?}; or make this one with 'klamm topic create {name}'"))
            }
            Self::Partly { .. } => Some("the lines above say which ones and why; the others were done".into()),
            Self::Stopped { .. } | Self::Bench(_) | Self::Usage(_) | Self::File { .. } | Self::Output(_) | Self::Interrupted => {
                None
            }
        }
    }
}

const OTHER_BROKER: &str = "start a broker with 'klamm serve', or name another one with --bootstrap-server HOST:PORT \
                            (or the variable KLAMM_BOOTSTRAP_SERVER)";

fn client_tip(error: &ClientError) -> Option<String> {
    let tip = match error {
        ClientError::Connect { source, .. } if source.kind() == ErrorKind::ConnectionRefused => {
            return Some(format!("nothing listens there; {OTHER_BROKER}"));
        }
        ClientError::Connect { source, .. } if source.to_string().contains("lookup") => "check how the host name is spelled",
        ClientError::Connect { .. } | ClientError::ConnectTimeout { .. } | ClientError::NoBroker(_) => OTHER_BROKER,
        ClientError::Lost(error) => return client_tip(error),
        ClientError::Advertised { .. } => {
            "set advertised.listeners of that broker to an address that reaches it from here, and restart it"
        }
        ClientError::NotKafka { .. } => "check the port: brokers usually listen on 9092",
        ClientError::Closed { api: Some(_), .. } => {
            "a listener that wants TLS or SASL does this; this command line speaks to plaintext listeners"
        }
        ClientError::Timeout { .. } => "try again, or allow more time with --timeout",
        ClientError::Refused { code, .. } => return refusal_tip(*code).map(str::to_owned),
        _ => return None,
    };
    Some(tip.to_owned())
}

fn refusal_tip(code: ErrorCode) -> Option<&'static str> {
    use ErrorCode::*;
    Some(match code {
        TopicAlreadyExists => "look at it with 'klamm topic describe', or pass --if-not-exists",
        InvalidReplicationFactor => "'klamm cluster brokers' shows how many brokers there are",
        NotEnoughReplicas | NotEnoughReplicasAfterAppend => {
            "fewer replicas are in sync than min.insync.replicas asks for; 'klamm topic describe' shows them"
        }
        LeaderNotAvailable => "'klamm topic describe' shows which replicas are offline; the log of their broker says why",
        GroupIdNotFound => "'klamm group list' shows the groups there are",
        NonEmptyGroup => "stop the members of the group first; 'klamm group describe --members' shows them",
        UnknownMemberId => "the group has members; stop them first, 'klamm group describe --members' shows them",
        GroupSubscribedToTopic => "stop the members of the group that read the topic first",
        CoordinatorNotAvailable => "the cluster could not make its internal topic; see the log of the brokers",
        TopicDeletionDisabled => "set delete.topic.enable=true on the brokers",
        PolicyViolation => "the broker forbids this for this topic; 'klamm config describe --topic' shows its configuration",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::Address;

    #[test]
    fn the_first_mistakes_get_a_tip() {
        let connect = |kind: ErrorKind, text: &str| {
            let source = Arc::new(io::Error::new(kind, text));
            CliError::from(ClientError::Connect { address: Address::new("localhost", 9), source })
        };
        for (error, word) in [
            (connect(ErrorKind::ConnectionRefused, "Connection refused"), "klamm serve"),
            (connect(ErrorKind::Other, "failed to lookup address information"), "spelled"),
            (CliError::NoTopic { name: "ordres".into(), nearest: Some("orders".into()) }, "\"orders\""),
            (CliError::NoTopic { name: "orders".into(), nearest: None }, "klamm topic create orders"),
            (ClientError::refused("t", ErrorCode::TopicAlreadyExists).into(), "--if-not-exists"),
        ] {
            assert!(error.tip().is_some_and(|tip| tip.contains(word)), "{error}: {:?}", error.tip());
        }
    }

    #[test]
    fn one_is_no_plural() {
        let stopped = |done| CliError::Stopped { done, what: "records" }.to_string();
        assert_eq!(stopped(1), "stopped after 1 record, which was done");
        assert_eq!(stopped(2), "stopped after 2 records, which were done");
    }

    #[test]
    fn exit_codes_are_those_documented() {
        let broken = CliError::Output(io::Error::from(ErrorKind::BrokenPipe));
        for (error, code) in [
            (broken, 0),
            (CliError::failed("no"), 1),
            (CliError::Usage("no".into()), 2),
            (CliError::Partly { failed: 1, all: 2, what: "topics" }, 3),
            (CliError::Interrupted, 130),
        ] {
            assert_eq!(format!("{:?}", error.exit_code()), format!("{:?}", ExitCode::from(code)), "{error}");
        }
    }
}
