//! What a log says of itself: its offsets, the epochs of its leaders, its producers.

use std::sync::atomic::Ordering;

use super::Log;
use crate::base::ids::{LeaderEpoch, Offset, TimestampMs};
use crate::storage::error::LogError;
use crate::storage::leader_epochs::{EpochEnd, EpochEntry};
use crate::storage::producer_state::{FirstOfTransaction, ProducerStateError, ProducerStateManager, VerificationGuard};
use crate::storage::unsynced::Unsynced;

impl Log {
    // ---- Offsets ----

    pub fn log_start_offset(&self) -> Offset {
        self.shared.log_start_offset()
    }

    /// Offset of the next record.
    pub fn log_end_offset(&self) -> Offset {
        self.shared.log_end_offset()
    }

    pub fn high_watermark(&self) -> Offset {
        self.shared.high_watermark()
    }

    /// Everything below is on the disk.
    pub fn durable_end(&self) -> Offset {
        self.shared.durable_end()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.shared.size()
    }

    /// Everything below is decided: the first offset of the oldest open transaction, or the high watermark if that is lower.
    pub fn last_stable_offset(&self) -> Offset {
        let high_watermark = self.high_watermark();
        match self.producers.first_unstable_offset() {
            Some(unstable) => unstable.max(self.log_start_offset()).min(high_watermark),
            None => high_watermark,
        }
    }

    /// Sets the high watermark, within the log; what it is then. For leaders that begin, and followers (`updateHighWatermark`).
    pub fn set_high_watermark(&mut self, offset: Offset) -> Offset {
        let offset = offset.clamp(self.log_start_offset(), self.log_end_offset());
        self.shared.high_watermark.store(offset, Ordering::Release);
        self.producers.on_high_watermark_updated(offset);
        self.assert_offsets();
        offset
    }

    /// Raises the high watermark; true if it moved (`maybeIncrementHighWatermark`).
    ///
    /// # Panics
    /// If `offset` lies behind the end of the log.
    pub fn maybe_increment_high_watermark(&mut self, offset: Offset) -> bool {
        assert!(offset <= self.log_end_offset(), "high watermark {offset} behind the log's end {}", self.log_end_offset());
        let moved = offset > self.high_watermark();
        if moved {
            self.set_high_watermark(offset);
        }
        moved
    }

    pub(super) fn assert_offsets(&self) {
        let (start, high_watermark, end) = (self.log_start_offset(), self.high_watermark(), self.log_end_offset());
        assert!(start <= high_watermark && high_watermark <= end, "{}: {start} ≤ {high_watermark} ≤ {end}", self.partition());
    }

    // ---- Epochs ----

    /// Says that `epoch` begins at `start_offset`. Its file follows with the first record of the epoch: an epoch without records may be
    /// forgotten, and a broker that is elected for thousands of partitions need not touch thousands of files.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch, start_offset: Offset) {
        self.epochs.assign(epoch, start_offset);
    }

    /// Whether the file lacks an epoch that has records.
    pub(super) fn lacks_epochs(&self) -> bool {
        self.epochs.is_dirty() && self.epochs.latest().is_some_and(|entry| entry.start_offset < self.log_end_offset())
    }

    /// The epochs of the log's leaders, oldest first.
    pub fn epochs(&self) -> &[EpochEntry] {
        self.epochs.entries()
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest_epoch()
    }

    /// The largest known epoch up to `epoch`, and where it ends (OffsetForLeaderEpoch, divergence in Fetch).
    pub fn last_offset_for_leader_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_offset_for(epoch, self.log_end_offset())
    }

    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_for_offset(offset)
    }

    /// The file is a cache of what stands in the log: where there is no room for it, it is written with the next change.
    pub(super) fn write_epochs(&mut self) -> Result<(), LogError> {
        let dir = self.dir();
        let disk = Unsynced(self.home().disk().clone());
        let written = self.epochs.flush(&disk, &dir);
        self.shared.files_are_new.store(true, Ordering::Release);
        match written.map_err(|error| self.error(error)) {
            Err(LogError::Shortage { .. }) => Ok(()),
            written => written,
        }
    }

    // ---- Producers ----

    /// The producers of this partition, for DescribeProducers and sequence checks.
    pub fn producers(&self) -> &ProducerStateManager {
        &self.producers
    }

    /// A transactional batch wants to be appended; see [`ProducerStateManager::start_verification`].
    pub fn start_verification(
        &mut self,
        batch: &FirstOfTransaction,
        now: TimestampMs,
    ) -> Result<Option<VerificationGuard>, ProducerStateError> {
        self.producers.start_verification(batch, now)
    }

    /// Forgets producers that were idle for too long.
    pub fn remove_expired_producers(&mut self, now: TimestampMs) {
        self.producers.remove_expired(now, self.settings.producer_id_expiration_ms());
    }
}
