//! What a partition remembers of one producer: its epoch and its last batches (Kafka's `ProducerStateEntry`, `BatchMetadata`).
//!
//! Invariants: `batches.len() ≤ WINDOW`, all of `epoch`, oldest first, contiguous in sequence where clients wrote them;
//! `txn_first_offset` is set from a transaction's first batch to its marker.

use smallvec::SmallVec;

use crate::base::ids::*;
use crate::record::batch::BatchHeader;

/// Batches kept to recognise retries: a client has at most this many requests in flight when it is idempotent.
pub const WINDOW: usize = 5;

/// One batch that a producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: Offset,
    /// Last offset less first offset; also last sequence less first, round the wrap.
    pub offset_delta: i32,
    pub timestamp: TimestampMs,
}

impl BatchMetadata {
    /// The batch of `header`, whose base offset is where it lies in the log.
    pub fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    pub fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }

    pub fn first_sequence(&self) -> i32 {
        decrement_sequence(self.last_sequence, self.offset_delta)
    }
}

/// `sequence − decrement`, going from 0 to 2³¹−1 (`DefaultRecordBatch.decrementSequence`).
fn decrement_sequence(sequence: i32, decrement: i32) -> i32 {
    if sequence < decrement { i32::MAX - (decrement - sequence) + 1 } else { sequence - decrement }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerStateEntry {
    pub epoch: ProducerEpoch,
    /// Of the coordinator that wrote the last marker; −1 before the first.
    pub coordinator_epoch: i32,
    pub last_timestamp: TimestampMs,
    /// First offset of the open transaction.
    pub txn_first_offset: Option<Offset>,
    batches: SmallVec<[BatchMetadata; WINDOW]>,
}

impl Default for ProducerStateEntry {
    /// A producer nothing is known of.
    fn default() -> Self {
        Self {
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: NO_TIMESTAMP,
            txn_first_offset: None,
            batches: SmallVec::new(),
        }
    }
}

impl ProducerStateEntry {
    /// An entry as a snapshot holds it.
    pub(super) fn restored(
        epoch: ProducerEpoch,
        coordinator_epoch: i32,
        last_timestamp: TimestampMs,
        txn_first_offset: Option<Offset>,
        last_batch: Option<BatchMetadata>,
    ) -> Self {
        Self { epoch, coordinator_epoch, last_timestamp, txn_first_offset, batches: last_batch.into_iter().collect() }
    }

    /// The batches remembered, oldest first.
    pub fn batches(&self) -> &[BatchMetadata] {
        &self.batches
    }

    pub fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches.last()
    }

    /// −1 if no batch is remembered.
    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// −1 if no batch is remembered.
    pub fn last_offset(&self) -> Offset {
        self.last_batch().map_or(-1, |batch| batch.last_offset)
    }

    /// The remembered batch that `header` repeats, if it does.
    pub fn find_duplicate(&self, header: &BatchHeader) -> Option<&BatchMetadata> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        let sequences = (header.base_sequence, header.last_sequence());
        self.batches.iter().find(|batch| (batch.first_sequence(), batch.last_sequence) == sequences)
    }

    /// Takes on a new epoch, which makes all earlier batches strangers.
    pub(super) fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    pub(super) fn push(&mut self, epoch: ProducerEpoch, batch: BatchMetadata) {
        self.set_epoch(epoch);
        if self.batches.len() == WINDOW {
            self.batches.remove(0);
        }
        self.batches.push(batch);
        self.last_timestamp = batch.timestamp;
    }

    /// Takes over what an append added: its batches come behind those here.
    pub(super) fn merge(&mut self, appended: &Self) {
        self.set_epoch(appended.epoch);
        for batch in &appended.batches {
            self.push(appended.epoch, *batch);
        }
        self.coordinator_epoch = appended.coordinator_epoch;
        self.txn_first_offset = appended.txn_first_offset;
        self.last_timestamp = appended.last_timestamp;
    }

    /// The same producer without its batches.
    pub(super) fn without_batches(&self) -> Self {
        Self { batches: SmallVec::new(), ..*self }
    }
}
