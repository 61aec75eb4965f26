//! Why a node does not start, in words that say what to do.

use std::time::Duration;

use thiserror::Error;

use super::data_dirs::DirectoriesError;
use crate::controller::ApiError;
use crate::quorum::QuorumError;
use crate::storage::OpenError;

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{0}")]
    Directories(#[from] DirectoriesError),
    #[error("{error}{}", directory_hint(error))]
    Logs {
        #[from]
        error: OpenError,
    },
    #[error("cannot listen on {address} ({listener}): {source}{}", hint(source))]
    Bind { listener: String, address: String, source: std::io::Error },
    #[error("{0}")]
    Http(std::io::Error),
    #[error("the metadata log cannot be opened: {0}")]
    Quorum(#[from] QuorumError),
    #[error("the broker cannot join its cluster: {0}")]
    Join(String),
    #[error("the controller did not take the broker in within {0:?} (initial.broker.registration.timeout.ms)")]
    JoinTimeout(Duration),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl From<ApiError> for StartError {
    fn from(error: ApiError) -> Self {
        StartError::Join(format!("{:?}: {}", error.code, error.message.unwrap_or_default()))
    }
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another process uses that port: stop it, or choose another with --listen HOST:PORT",
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
        std::io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

fn directory_hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::NoDirectory(_) => "; choose a directory that this user may write to, with --data DIR",
        OpenError::FirstDirectory(_) => {
            "; the metadata of this node lie in it, so the node does not start before it is mended or restored"
        }
        _ => "",
    }
}
