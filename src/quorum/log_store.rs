//! openraft's view of the log, the vote and the committed hint. Calls block on the disk and return when it is done.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;

use super::error::QuorumError;
use super::files::Files;
use super::log::MetadataLog;
use super::raft::{Entry, LogId, Meta, StorageError, StorageIOError, Vote};

#[derive(Clone)]
pub struct LogStore {
    inner: Arc<Mutex<Inner>>,
    /// Bytes of the log that no snapshot covers yet.
    unsnapshotted: Arc<AtomicU64>,
}

struct Inner {
    log: MetadataLog,
    files: Files,
}

impl LogStore {
    pub fn new(log: MetadataLog, files: Files, unsnapshotted: Arc<AtomicU64>) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { log, files })), unsnapshotted }
    }

    /// Bytes of all entries behind `snapshot`.
    pub fn bytes_behind(&self, snapshot: Option<LogId>) -> u64 {
        self.inner.lock().log.bytes_from(snapshot.map_or(0, |id| id.index + 1))
    }
}

fn write_error(error: QuorumError) -> StorageError {
    StorageIOError::write_logs(error.any()).into()
}

impl RaftLogReader<Meta> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.inner.lock().log.read(start..end).map_err(|e| StorageIOError::read_logs(e.any()).into())
    }
}

impl RaftLogStorage<Meta> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Meta>, StorageError> {
        let inner = self.inner.lock();
        Ok(LogState { last_purged_log_id: inner.log.purged(), last_log_id: inner.log.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.inner.lock().files.save_vote(vote).map_err(|e| StorageIOError::write_vote(e.any()).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(Some(self.inner.lock().files.vote()))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        match committed {
            Some(committed) => self.inner.lock().files.save_committed(&committed).map_err(write_error),
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let inner = self.inner.lock();
        let hint = inner.files.read_committed().map_err(|e| StorageIOError::read_logs(e.any()))?;
        // The hint is not synced: after a crash it may even be ahead of a log that lost its unacknowledged tail.
        Ok(hint.filter(|hint| Some(*hint) <= inner.log.last()))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Meta>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let written = self.inner.lock().log.append(entries.into_iter().collect()).map_err(write_error)?;
        self.unsnapshotted.fetch_add(written, Ordering::Relaxed);
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.inner.lock().log.truncate(log_id.index).map_err(write_error)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.inner.lock().log.purge(log_id).map_err(write_error)
    }
}
