//! Why a log was not cleaned.

use std::io;
use std::path::PathBuf;

use super::filter::BadBatch;
use crate::base::ids::Offset;
use crate::storage::checkpoint::FileError;
use crate::storage::directory::{DirectoryOffline, LogDirectory, is_disk_failure, is_shortage};
use crate::storage::error::LogError;
use crate::storage::scan;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The log is not what it was when the cleaning began (`LogCleaningAbortedException`); it is looked at again.
    #[error("the log was truncated, deleted or closed, or its policy changed, while it was being cleaned")]
    Aborted,
    /// The cleaner was told to stop.
    #[error("the cleaner stops")]
    Stopped,
    #[error(transparent)]
    Offline(#[from] DirectoryOffline),
    /// There is no room for the cleaned segments now.
    #[error("cannot write {}: {source}", path.display())]
    Shortage { path: PathBuf, source: io::Error },
    /// What follows is of the log itself, and would come again.
    #[error("{} cannot be cleaned, position {position}: {reason}", path.display())]
    Bad { path: PathBuf, position: u64, reason: BadReason },
    #[error("more keys stand in one batch, at offset {0}, than log.cleaner.dedupe.buffer.size has room for in one thread")]
    TooManyKeys(Offset),
    #[error(transparent)]
    File(FileError),
}

#[derive(Debug, thiserror::Error)]
pub enum BadReason {
    #[error(transparent)]
    Batch(#[from] BadBatch),
    #[error(transparent)]
    Scan(#[from] scan::BadBatchReason),
    #[error("offset {0} lies too far from the first one of its segment")]
    OffsetOverflow(Offset),
    #[error("the segment would become larger than 2 GiB")]
    TooLarge,
}

impl CleanError {
    /// Whether the log is better left alone from now on: the error is not one that passes.
    pub fn makes_uncleanable(&self) -> bool {
        matches!(self, CleanError::Bad { .. } | CleanError::TooManyKeys(_) | CleanError::File(_))
    }

    /// Judges an error of a read: a file that is gone was replaced or deleted since; a broken disk takes its directory offline.
    pub(super) fn of_read(error: FileError, directory: &LogDirectory) -> Self {
        match error {
            FileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => CleanError::Aborted,
            FileError::Io { source, path, .. } if is_shortage(&source) => CleanError::Shortage { path, source },
            FileError::Io { ref source, .. } if is_disk_failure(source) => CleanError::Offline(directory.fail(&error)),
            error => CleanError::File(error),
        }
    }

    /// Judges an error of a write: want of room passes, anything else takes the directory offline.
    pub(super) fn of_write(error: FileError, directory: &LogDirectory) -> Self {
        match error {
            FileError::Io { source, path, .. } if is_shortage(&source) => CleanError::Shortage { path, source },
            error => CleanError::Offline(directory.fail(&error)),
        }
    }
}

impl From<LogError> for CleanError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Offline(offline) => CleanError::Offline(offline),
            LogError::Shortage { path, source } => CleanError::Shortage { path, source },
            LogError::AboveHighWatermark { .. } | LogError::Corrupt { .. } | LogError::Occupied { .. } => {
                unreachable!("replacing segments neither moves the log's start, nor reads records, nor makes a log")
            }
        }
    }
}
