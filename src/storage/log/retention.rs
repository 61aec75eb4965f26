//! What makes segments go: age, size, and the start of the log (`UnifiedLog.deleteOldSegments`), and DeleteRecords.
//!
//! Invariants: the log's start never passes the high watermark; only a prefix of the segments goes; the last segment is replaced by an empty one
//! when it goes, and never goes while it is empty.

use std::sync::atomic::Ordering;

use super::Log;
use crate::base::ids::{Offset, TimestampMs};
use crate::storage::error::LogError;
use crate::storage::segment::Segment;

impl Log {
    /// Deletes the oldest segment if it begins in front of `before` and retention does not keep it; false if it stays. Its files go after
    /// `file.delete.delay.ms`.
    ///
    /// One at a time: each waits for the disk, and whoever has more of them to delete lets others have the log in between. `before` is where the
    /// log ended when he began: he would not come to an end if he went on with what is appended meanwhile, and too old already.
    pub fn delete_oldest_segment(&mut self, before: Offset, now: TimestampMs) -> Result<bool, LogError> {
        self.directory().check_online()?;
        let (oldest, next) = (self.segments[0].clone(), self.segments.get(1));
        if oldest.base_offset() >= before {
            return Ok(false);
        }
        let end = next.map_or(self.log_end_offset(), |next| next.base_offset());
        let is_last_and_empty = next.is_none() && oldest.size() == 0;
        if is_last_and_empty || self.high_watermark() < end {
            return Ok(false);
        }
        let is_below_start = next.is_some_and(|next| next.base_offset() <= self.log_start_offset());
        if !is_below_start
            && !(self.config.cleanup_delete && (self.is_too_large_with(&oldest) || self.is_too_old(&oldest, now)?))
        {
            return Ok(false);
        }
        if next.is_none() {
            self.begin_segment(end, now)?;
        }
        if self.segments[1].size() == 0 {
            // Its name is all that tells where the log has come to, once what it follows is gone.
            self.sync_names()?;
        }
        self.maybe_increment_log_start_offset(end)?;
        self.remove_segments([oldest].iter(), now)?;
        Ok(true)
    }

    /// Moves the log's start up to `offset`; records below are gone for readers at once, for the disk with their segments. True if it moved.
    pub fn maybe_increment_log_start_offset(&mut self, offset: Offset) -> Result<bool, LogError> {
        let high_watermark = self.high_watermark();
        if offset > high_watermark {
            return Err(LogError::AboveHighWatermark { offset, high_watermark });
        }
        if offset <= self.log_start_offset() {
            return Ok(false);
        }
        self.shared.log_start.store(offset, Ordering::Release);
        self.epochs.truncate_from_start(offset);
        if self.epochs.is_dirty() {
            self.write_epochs()?;
        }
        self.producers.on_log_start_offset_incremented(offset);
        self.assert_offsets();
        tracing::debug!(partition = %self.partition(), offset, "moved the start of the log");
        Ok(true)
    }

    /// Whether the log is at least as large as `retention.bytes` without a segment.
    fn is_too_large_with(&self, segment: &Segment) -> bool {
        let (limit, size) = (self.config.retention_bytes, self.size());
        limit >= 0 && size.checked_sub(limit as u64).is_some_and(|over| over >= segment.size())
    }

    fn is_too_old(&self, segment: &Segment, now: TimestampMs) -> Result<bool, LogError> {
        let limit = self.config.retention_ms;
        if limit < 0 {
            return Ok(false);
        }
        let newest = segment.largest_timestamp().map_err(|error| self.error(error))?;
        Ok(now.saturating_sub(newest) > limit)
    }
}
