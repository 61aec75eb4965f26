//! Cutting the end of a log, for followers whose log diverged from their leader's.
//!
//! Nothing is shown that is going: the end is lowered first, and the checkpoints with it. Then segments behind are removed, the last first, and the one
//! that holds the new end is cut. Every step is durable before the next: whenever the machine stops, what is left is a shorter log, and
//! nothing that was cut off comes back behind newer records.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use crate::base::ids::{Offset, TimestampMs};
use crate::storage::checkpoint::{FileError, offsets};
use crate::storage::error::LogError;
use crate::storage::recovery;
use crate::storage::segment::Segment;

impl Log {
    /// Cuts the log so that it ends at `target` or below, at a batch border. True if anything went. A target below the first segment empties the
    /// log and has it start there.
    ///
    /// # Panics
    /// If `target` is negative.
    pub fn truncate_to(&mut self, target: Offset, now: TimestampMs) -> Result<bool, LogError> {
        assert!(target >= 0, "{} cannot be truncated to {target}", self.partition());
        self.directory().check_online()?;
        if target >= self.log_end_offset() {
            // An epoch that began here without a record may conflict with the leader's.
            self.epochs.truncate_from_end(self.log_end_offset());
            self.write_epochs_if_dirty()?;
            return Ok(false);
        }
        tracing::info!(partition = %self.partition(), from = self.log_end_offset(), target, "truncating");
        if self.segments[0].base_offset() > target {
            self.truncate_fully_and_start_at(target, now)?;
            return Ok(true);
        }
        self.cut_to(target, now).map_err(|error| self.no_way_back(error))?;
        Ok(true)
    }

    fn cut_to(&mut self, target: Offset, now: TimestampMs) -> Result<(), LogError> {
        let at = self.floor_segment(target);
        let removed: Vec<Arc<Segment>> = self.segments[at + 1..].to_vec();
        let segment = self.segments[at].clone();
        self.lower_end(target, self.log_start_offset().min(target))?;
        self.remove_segments(removed.iter().rev(), now)?;
        let cut = segment.truncate_to(target, now).map_err(|error| self.lookup_error(error, &segment))?;
        segment.mark_active(self.map_len());
        // A batch that straddles the target went as a whole. Kafka leaves a hole then; readers would pass over it without a word.
        self.after_truncation(cut.map_or(target, |batch| batch.header.base_offset.min(target)), now)?;
        self.shared.mark_dirty(&segment);
        Ok(())
    }

    /// Empties the log and has it start at `offset`.
    ///
    /// # Panics
    /// If `offset` is negative.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset, now: TimestampMs) -> Result<(), LogError> {
        assert!(offset >= 0, "{} cannot start at {offset}", self.partition());
        self.directory().check_online()?;
        tracing::info!(partition = %self.partition(), offset, "truncating fully");
        self.begin_anew_at(offset, now).map_err(|error| self.no_way_back(error))
    }

    fn begin_anew_at(&mut self, offset: Offset, now: TimestampMs) -> Result<(), LogError> {
        self.lower_end(offset.min(self.log_end_offset()), offset)?;
        let least = offset.min(self.segments[0].base_offset());
        let lowered = self.directory().lower_checkpoint(offsets::RECOVERY_POINT, self.partition(), least);
        lowered.map_err(|error| self.error(error))?;
        let mut removed: Vec<Arc<Segment>> = self.segments.to_vec();
        // The first goes last, and not out of the list: there is always an active segment.
        let first = removed.remove(0);
        self.remove_segments(removed.iter().rev(), now)?;
        self.producers.release_snapshot(first.base_offset());
        let due = now.saturating_add(self.config.file_delete_delay_ms);
        for path in first.mark_deleted().map_err(|error| self.error(error))? {
            self.directory().deletions.schedule_file(path, due);
        }
        // Else the new segment could be found beside it, in the middle of what it holds.
        self.sync_names()?;
        let new = Segment::create(self.home(), offset, self.map_len(), now).map_err(|error| self.error(error))?;
        self.change_segments(|segments| *segments = vec![new]);
        self.epochs.clear();
        let (disk, dir) = (self.home().disk().clone(), self.dir());
        self.producers.truncate_fully_and_start_at(&*disk, &dir, offset).map_err(|error| self.error(error))?;
        self.shared.log_start.store(offset, Ordering::Release);
        self.shared.log_end.store(offset, Ordering::Release);
        self.shared.high_watermark.store(offset, Ordering::Release);
        self.shared.durable_end.store(offset, Ordering::Release);
        self.sync_names()?;
        self.write_epochs_if_dirty()?;
        self.assert_offsets();
        Ok(())
    }

    /// Lowers what everybody sees, and what a restart would believe, before anything is cut.
    fn lower_end(&mut self, end: Offset, log_start: Offset) -> Result<(), LogError> {
        self.shared.log_end.fetch_min(end, Ordering::AcqRel);
        self.shared.high_watermark.fetch_min(end, Ordering::AcqRel);
        self.shared.log_start.fetch_min(end, Ordering::AcqRel);
        self.shared.truncated_to(end);
        let claims = [
            (offsets::RECOVERY_POINT, end),
            (offsets::HIGH_WATERMARK, end),
            (offsets::LOG_START, log_start),
            (offsets::CLEANER, end),
        ];
        for (name, offset) in claims {
            self.directory().lower_checkpoint(name, self.partition(), offset).map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    /// Brings everything about the records down to `end`.
    fn after_truncation(&mut self, end: Offset, now: TimestampMs) -> Result<(), LogError> {
        self.lower_end(end, self.log_start_offset().min(end))?;
        self.publish_sizes();
        self.epochs.truncate_from_end(end);
        self.rebuild_producers(end, now)?;
        self.sync_names()?;
        self.write_epochs_if_dirty()?;
        self.assert_offsets();
        Ok(())
    }

    fn rebuild_producers(&mut self, end: Offset, now: TimestampMs) -> Result<(), LogError> {
        let (disk, dir) = (self.home().disk().clone(), self.dir());
        let start = self.log_start_offset();
        let expiration = self.settings.producer_id_expiration_ms();
        let reloaded = self.producers.truncate_and_reload(&*disk, &dir, (start, end), now, expiration);
        reloaded.map_err(|error| self.error(error))?;
        let replayed = recovery::replay_producers(&mut self.producers, &self.segments, start, end);
        replayed.map_err(|error| self.error(error))?;
        let high_watermark = self.high_watermark();
        self.producers.on_high_watermark_updated(high_watermark);
        Ok(())
    }

    fn write_epochs_if_dirty(&mut self) -> Result<(), LogError> {
        if self.epochs.is_dirty() { self.write_epochs() } else { Ok(()) }
    }

    /// Once the end is lowered, want of space leaves a log that is neither cut nor whole: what was appended then would lie in front of what should have
    /// gone, and another attempt would find nothing to do.
    fn no_way_back(&self, error: LogError) -> LogError {
        match error {
            LogError::Shortage { path, source } => self.must_not_fail(FileError::io("write", &path)(source)),
            error => error,
        }
    }

    /// In the middle of a change there is no way back, for want of space either.
    pub(super) fn must_not_fail(&self, error: FileError) -> LogError {
        LogError::Offline(self.directory().fail(&error))
    }
}
