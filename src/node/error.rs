//! Why a node does not start, in words that say what to do.

use std::io::{self, ErrorKind};
use std::time::Duration;

use thiserror::Error;

use super::data_dirs::DirectoriesError;
use crate::controller::ApiError;
use crate::quorum::QuorumError;
use crate::storage::OpenError;
use crate::storage::checkpoint::FileError;

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
    Bind { listener: String, address: String, source: io::Error },
    #[error("{0}")]
    Http(io::Error),
    #[error("the metadata log cannot be opened: {0}")]
    Quorum(#[from] QuorumError),
    #[error("the broker cannot join its cluster: {0}")]
    Join(String),
    #[error("the controller did not take the broker in within {0:?} (initial.broker.registration.timeout.ms)")]
    JoinTimeout(Duration),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl From<ApiError> for StartError {
    fn from(error: ApiError) -> Self {
        StartError::Join(format!("{:?}: {}", error.code, error.message.unwrap_or_default()))
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "; that port is in use: stop what uses it, or choose another with --listen HOST:PORT",
        ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
        ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

fn may_not_write(reason: &FileError) -> bool {
    let FileError::Io { source, .. } = reason else { return false };
    matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

fn directory_hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::NoDirectory(dirs) if dirs.iter().any(|dir| may_not_write(&dir.reason)) => {
            "; choose a directory that this user may write to, with --data DIR"
        }
        OpenError::NoDirectory(dirs) if dirs.iter().any(|dir| matches!(dir.reason, FileError::Io { .. })) => {
            "; choose another directory with --data DIR"
        }
        OpenError::FirstDirectory(_) => {
            "; the metadata of this node lie in it, so the node does not start before it is mended or restored"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::UnusableDirectory;

    #[test]
    fn the_tip_fits_what_is_wrong_with_a_directory() {
        let told = |reason| {
            let error = OpenError::NoDirectory(vec![UnusableDirectory { path: "d".into(), reason }]);
            StartError::from(error).to_string()
        };
        let io = |kind: ErrorKind| FileError::io("use", "d".as_ref())(kind.into());
        assert!(
            told(io(ErrorKind::PermissionDenied)).ends_with("; choose a directory that this user may write to, with --data DIR")
        );
        assert!(told(io(ErrorKind::NotADirectory)).ends_with("not a directory; choose another directory with --data DIR"));
        let unsupported =
            FileError::Unsupported { path: "d/meta.properties".into(), reason: "version 2 is not supported".into() };
        assert!(told(unsupported).ends_with("version 2 is not supported"));
        assert!(told(FileError::damaged("d/meta.properties".as_ref(), "no node.id")).ends_with("is damaged: no node.id"));
    }
}
