//! What can go wrong with a log, in its own words.

use std::io;
use std::path::PathBuf;

use super::checkpoint::FileError;
use super::directory::{DirectoryOffline, is_disk_failure};
use super::producer_state::ProducerStateError;
use super::room::NoRoom;
use super::segment::{LookupError, Segment};
use crate::base::ErrorCode;
use crate::base::ids::Offset;
use crate::record::batches::{ChecksumMismatch, MalformedBatch};
use crate::record::control::MalformedControlRecord;

/// Why a log does not take a batch. Nothing of it is in the log, except after [`AppendError::Offline`], where nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Space or descriptors are used up: the log stays as it was and goes on once there is some.
    #[error("cannot write {}: {source}", path.display())]
    Shortage { path: PathBuf, source: io::Error },
    /// What is left is not for clients; see [`super::room`].
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    Offline(#[from] DirectoryOffline),
    #[error("the log was deleted or closed")]
    Closed,
    #[error(transparent)]
    Producer(#[from] ProducerStateError),
    /// A follower was sent what it has already, or what cannot follow (`UnexpectedAppendOffsetException`).
    #[error("offsets {first_offset} to {last_offset} do not follow the end of the log at {log_end_offset}")]
    UnexpectedOffset { first_offset: Offset, last_offset: Offset, log_end_offset: Offset },
    /// `OffsetsOutOfOrderException`.
    #[error("offsets in one append go back: {next} after {last}")]
    OffsetsOutOfOrder { last: Offset, next: Offset },
    #[error(transparent)]
    Malformed(#[from] MalformedBatch),
    #[error(transparent)]
    Checksum(#[from] ChecksumMismatch),
    #[error(transparent)]
    Marker(#[from] MalformedControlRecord),
    /// `RecordBatchTooLargeException`.
    #[error("a batch of {size} bytes exceeds the segment size of {segment_bytes}")]
    LargerThanSegment { size: usize, segment_bytes: i32 },
}

impl AppendError {
    /// The code for a client. For want of space it is the retriable one that says nothing was appended.
    pub fn code(&self) -> ErrorCode {
        match self {
            AppendError::Shortage { .. } | AppendError::NoRoom(_) | AppendError::Offline(_) => ErrorCode::KafkaStorageError,
            AppendError::Closed => ErrorCode::NotLeaderOrFollower,
            AppendError::Producer(error) => error.code(),
            AppendError::UnexpectedOffset { .. } | AppendError::OffsetsOutOfOrder { .. } => ErrorCode::InvalidRecord,
            AppendError::Malformed(_) | AppendError::Checksum(_) | AppendError::Marker(_) => ErrorCode::CorruptMessage,
            AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        }
    }
}

/// Why a read gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {offset} is out of range: the log holds {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange { offset: Offset, log_start_offset: Offset, log_end_offset: Offset },
    #[error(transparent)]
    Offline(#[from] DirectoryOffline),
    /// The file could not be used just now, which does not condemn its directory.
    #[error(transparent)]
    File(FileError),
    #[error("{} is damaged: no record batch at position {position}", path.display())]
    Corrupt { path: PathBuf, position: u64 },
    /// The log was truncated or deleted between plan and read; ask again.
    #[error("the log was truncated while it was being read")]
    Truncated,
}

impl ReadError {
    /// Judges an error of a look-up: a file that is gone was deleted meanwhile; a broken disk takes its directory offline.
    pub(super) fn of_lookup(error: LookupError, segment: &Segment) -> Self {
        match error {
            LookupError::File(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => ReadError::Truncated,
            LookupError::File(error) => match &error {
                FileError::Io { source, .. } if !is_disk_failure(source) => ReadError::File(error),
                _ => ReadError::Offline(segment.home().directory.fail(&error)),
            },
            LookupError::Corrupt { position } => ReadError::Corrupt { path: segment.path(), position },
            LookupError::DamagedIndex => ReadError::Corrupt { path: segment.path(), position: 0 },
            LookupError::Truncated => ReadError::Truncated,
        }
    }

    pub fn code(&self) -> ErrorCode {
        match self {
            ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Offline(_) | ReadError::File(_) => ErrorCode::KafkaStorageError,
            ReadError::Corrupt { .. } => ErrorCode::CorruptMessage,
            ReadError::Truncated => ErrorCode::NotLeaderOrFollower,
        }
    }
}

/// Why a change other than an append was not made.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(transparent)]
    Offline(#[from] DirectoryOffline),
    /// Space or descriptors for what has to be written are used up; the log stays as it was.
    #[error("cannot write {}: {source}", path.display())]
    Shortage { path: PathBuf, source: io::Error },
    /// `OffsetOutOfRangeException` of `maybeIncrementLogStartOffset`.
    #[error("log start offset {offset} would lie above the high watermark {high_watermark}")]
    AboveHighWatermark { offset: Offset, high_watermark: Offset },
    #[error("{} is damaged: no record batch at position {position}", path.display())]
    Corrupt { path: PathBuf, position: u64 },
    /// A log was not made where another may lie.
    #[error(
        "{} is of a log that is not open; it is left as it is, and no other log is made in its place: move its directory away, or restart the \
         broker, which opens it",
        path.display()
    )]
    Occupied { path: PathBuf },
}

impl LogError {
    pub fn code(&self) -> ErrorCode {
        match self {
            LogError::Offline(_) | LogError::Shortage { .. } | LogError::Corrupt { .. } | LogError::Occupied { .. } => {
                ErrorCode::KafkaStorageError
            }
            LogError::AboveHighWatermark { .. } => ErrorCode::OffsetOutOfRange,
        }
    }
}
