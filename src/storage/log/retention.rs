//! What makes segments go: age, size, and the start of the log (`UnifiedLog.deleteOldSegments`), and DeleteRecords.
//!
//! Invariants: the log's start never passes the high watermark; only a prefix of the segments goes; the last segment is replaced by an empty one
//! when it goes, and never goes while it is empty.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use crate::base::ids::{Offset, TimestampMs};
use crate::storage::error::LogError;
use crate::storage::segment::Segment;

impl Log {
    /// Deletes the segments that retention does not keep; how many those were. Their files go after `file.delete.delay.ms`.
    pub fn delete_old_segments(&mut self, now: TimestampMs) -> Result<usize, LogError> {
        self.directory().check_online()?;
        let mut deleted = self.delete_below_log_start(now)?;
        if self.config.cleanup_delete {
            deleted += self.delete_for_size(now)?;
            deleted += self.delete_for_age(now)?;
        }
        Ok(deleted)
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
        self.shared.durable_end.fetch_max(offset, Ordering::AcqRel);
        self.epochs.truncate_from_start(offset);
        if self.epochs.is_dirty() {
            self.write_epochs()?;
        }
        self.producers.on_log_start_offset_incremented(offset);
        self.assert_offsets();
        tracing::info!(partition = %self.partition(), offset, "moved the start of the log");
        Ok(true)
    }

    fn delete_below_log_start(&mut self, now: TimestampMs) -> Result<usize, LogError> {
        let start = self.log_start_offset();
        self.delete_while(now, |_, _, next| Ok(next.is_some_and(|next| next.base_offset() <= start)))
    }

    fn delete_for_size(&mut self, now: TimestampMs) -> Result<usize, LogError> {
        let (limit, size) = (self.config.retention_bytes, self.size());
        if limit < 0 || size < limit as u64 {
            return Ok(0);
        }
        let mut over = size - limit as u64;
        self.delete_while(now, |_, segment, _| {
            let goes = over >= segment.size();
            over -= if goes { segment.size() } else { 0 };
            Ok(goes)
        })
    }

    fn delete_for_age(&mut self, now: TimestampMs) -> Result<usize, LogError> {
        let limit = self.config.retention_ms;
        if limit < 0 {
            return Ok(0);
        }
        self.delete_while(now, |log, segment, _| {
            let newest = segment.largest_timestamp().map_err(|error| log.error(error))?;
            Ok(now.saturating_sub(newest) > limit)
        })
    }

    /// Deletes segments from the oldest on, as long as `goes` says so and the high watermark has passed them.
    fn delete_while(
        &mut self,
        now: TimestampMs,
        mut goes: impl FnMut(&Self, &Arc<Segment>, Option<&Arc<Segment>>) -> Result<bool, LogError>,
    ) -> Result<usize, LogError> {
        let mut count = 0;
        while let Some(segment) = self.segments.get(count) {
            let next = self.segments.get(count + 1);
            let end = next.map_or(self.log_end_offset(), |next| next.base_offset());
            let is_last_and_empty = next.is_none() && segment.size() == 0;
            if is_last_and_empty || self.high_watermark() < end || !goes(self, segment, next)? {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        let deleted: Vec<Arc<Segment>> = self.segments[..count].to_vec();
        if count == self.segments.len() {
            self.roll(now)?;
        }
        let start = self.segments[count].base_offset();
        self.maybe_increment_log_start_offset(start)?;
        self.remove_segments(deleted.iter(), now)?;
        Ok(count)
    }
}
