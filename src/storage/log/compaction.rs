//! The cleaner's side of a log: what it is told, and the moment in which its segments take their place (`LocalLog.replaceSegments`).
//!
//! Files are renamed in an order from which the loader can tell, after a stop at any point, whether to finish or to undo:
//! 1. the new segment is whole and durable as `.cleaned`: undone;
//! 2. its files become `.swap`: undone while one of them is still `.cleaned`, finished from then on;
//! 3. the files of the old segments become `.deleted`, from the oldest on, so that a tombstone never goes before what it is for;
//! 4. `.swap` goes from the names of the new one.
//!
//! The names of 2 are durable before 3, and those of 3 before 4: else a loss of power could leave neither old nor new, or both.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use crate::base::ids::{Offset, TimestampMs};
use crate::config::topic::TopicConfig;
use crate::storage::checkpoint::FileError;
use crate::storage::cleaner::filter::{LastRecord, LastRecords};
use crate::storage::error::LogError;
use crate::storage::flusher::patiently;
use crate::storage::names::FileState;
use crate::storage::segment::Segment;
use crate::storage::shared::LogShared;

/// What the cleaner has to know of a log, as it was at one moment.
pub(in crate::storage) struct CleanerView {
    pub shared: Arc<LogShared>,
    pub config: Arc<TopicConfig>,
    pub segments: Arc<Vec<Arc<Segment>>>,
    pub log_start: Offset,
    pub log_end: Offset,
    pub last_stable_offset: Offset,
    pub durable_end: Offset,
    pub truncations: u64,
}

impl CleanerView {
    /// Whether what was seen may not be the log any more: it was truncated, closed or deleted.
    pub fn is_outdated(&self) -> bool {
        let gone = self.shared.is_deleted() || self.shared.closed.load(Ordering::Acquire);
        gone || self.shared.truncations() != self.truncations
    }
}

impl Log {
    pub(in crate::storage) fn cleaner_view(&self) -> CleanerView {
        CleanerView {
            shared: self.shared.clone(),
            config: self.config.clone(),
            segments: self.segments.clone(),
            log_start: self.log_start_offset(),
            log_end: self.log_end_offset(),
            last_stable_offset: self.last_stable_offset(),
            durable_end: self.durable_end(),
            truncations: self.shared.truncations(),
        }
    }

    /// The batches that must stay for the state of producers (`UnifiedLog.lastRecordsOfActiveProducers`).
    pub(in crate::storage) fn last_records_of_active_producers(&self) -> LastRecords {
        let last = self.producers.producers().map(|(id, entry)| {
            let last_data_offset = entry.last_batch().map(|batch| batch.last_offset);
            (id, LastRecord { last_data_offset, producer_epoch: entry.epoch })
        });
        last.collect()
    }

    /// Puts `new`, which is whole, durable and `.cleaned`, in the place of `old`, neighbours that `view` showed. Their files go after
    /// `file.delete.delay.ms`; readers who hold them go on. False, and nothing is done, if the log is not as it was any more,
    /// or not to be compacted.
    ///
    /// After an error `new` may be all that is left of the records: the directory is offline then, and what becomes of its files is for the loader.
    pub(in crate::storage) fn replace_segments(
        &mut self,
        new: &Arc<Segment>,
        old: &[Arc<Segment>],
        view: &CleanerView,
        now: TimestampMs,
    ) -> Result<bool, LogError> {
        self.directory().check_online()?;
        let at = self.segments.iter().position(|segment| Arc::ptr_eq(segment, &old[0]));
        let present = at.and_then(|at| self.segments.get(at..at + old.len()));
        let same = present.is_some_and(|present| present.iter().zip(old).all(|(a, b)| Arc::ptr_eq(a, b)));
        let Some(at) = at.filter(|at| same && at + old.len() < self.segments.len()) else { return Ok(false) };
        if view.is_outdated() || !self.config.cleanup_compact {
            return Ok(false);
        }
        tracing::debug!(partition = %self.partition(), ?new, ?old, "replacing segments");
        new.rename_to(FileState::Swap).map_err(|error| self.must_not_fail(error))?;
        self.sync_renamed()?;
        let due = now.saturating_add(self.config.file_delete_delay_ms);
        for segment in old {
            let is_namesake = segment.base_offset() == new.base_offset();
            if !is_namesake {
                self.producers.release_snapshot(segment.base_offset());
            }
            let renamed = if is_namesake { segment.mark_replaced() } else { segment.mark_deleted() };
            for path in renamed.map_err(|error| self.must_not_fail(error))? {
                self.directory().deletions.schedule_file(path, due);
            }
        }
        self.sync_renamed()?;
        new.rename_to(FileState::Live).map_err(|error| self.must_not_fail(error))?;
        self.change_segments(|segments| drop(segments.splice(at..at + old.len(), [new.clone()])));
        Ok(true)
    }

    /// Makes the names durable, from which there is no way back: without a descriptor to do it with, it waits for one.
    fn sync_renamed(&self) -> Result<(), LogError> {
        let dir = self.dir();
        let synced = patiently(|| self.home().disk().sync_dir(&dir).map_err(FileError::io("sync", &dir)));
        synced.map_err(|error| self.must_not_fail(error))
    }
}
