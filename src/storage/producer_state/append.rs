//! May this producer append this batch, and what does that make of it? (Kafka's `ProducerAppendInfo`.) Pure.
//!
//! The rules, for a batch of a producer with a known state:
//! - its epoch is not smaller: else INVALID_PRODUCER_EPOCH (never PRODUCER_FENCED, so that the client may abort and go on);
//! - a larger epoch begins with sequence 0, the same epoch goes on where it stopped: else OUT_OF_ORDER_SEQUENCE_NUMBER;
//! - while a transaction is open, every batch belongs to it: else INVALID_TXN_STATE;
//! - a marker comes from no older coordinator than the last one: else TRANSACTION_COORDINATOR_FENCED.
//!
//! Batches that come by replication are recorded, not judged: the leader has judged them.

use smallvec::SmallVec;

use super::entry::{BatchMetadata, ProducerStateEntry};
use super::verification::VerificationState;
use crate::base::ErrorCode;
use crate::base::ids::*;
use crate::record::batch::BatchHeader;
use crate::record::control::{EndTransactionMarker, TransactionResult};

/// Who wrote what is being appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// It was read from another replica, or from this log.
    Replication,
    /// A coordinator of this cluster: offset commits and transaction markers, which have no sequence numbers. `transaction_version` is the
    /// feature level under which a marker is written: from 2 on, every marker bumps the epoch (KIP-890).
    Coordinator {
        transaction_version: i16,
    },
    Client,
}

/// Why a producer may not append.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerStateError {
    #[error("Epoch of producer {producer_id} at offset {offset} is {epoch}, but the last seen epoch is {current}")]
    InvalidProducerEpoch { producer_id: ProducerId, offset: Offset, epoch: ProducerEpoch, current: ProducerEpoch },
    #[error("Out of order sequence number for producer {producer_id} at offset {offset}: {sequence} (incoming), {reason}")]
    OutOfOrderSequence { producer_id: ProducerId, offset: Offset, sequence: i32, reason: SequenceReason },
    #[error("Expected transactional write from producer {producer_id} at offset {offset}")]
    NotTransactional { producer_id: ProducerId, offset: Offset },
    #[error("Record of producer {producer_id} was not part of an ongoing transaction")]
    NotVerified { producer_id: ProducerId },
    #[error("Invalid coordinator epoch for producer {producer_id} at offset {offset}: {epoch} (zombie), {current} (current)")]
    TransactionCoordinatorFenced { producer_id: ProducerId, offset: Offset, epoch: i32, current: i32 },
}

/// What a sequence number was measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceReason {
    #[error("{0} (current end sequence number)")]
    NotNext(i32),
    #[error("expected 0 for the new epoch {epoch} after {current}")]
    NewEpoch { epoch: ProducerEpoch, current: ProducerEpoch },
    #[error("{0} (earliest seen sequence)")]
    AboveLowestSeen(i32),
    #[error("expected 0 for a transactional producer with no existing state")]
    NoState,
}

impl ProducerStateError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::NotTransactional { .. } | Self::NotVerified { .. } => ErrorCode::InvalidTxnState,
            Self::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        }
    }
}

/// A transaction of a producer in this partition, open or just completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnMetadata {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Offset of the marker, once there is one.
    pub last_offset: Option<Offset>,
}

/// A transaction whose marker has been appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Offset of the marker.
    pub last_offset: Offset,
    pub aborted: bool,
}

/// The state of one producer as it will be after the batches appended here.
#[derive(Clone, Debug)]
pub(super) struct ProducerAppendInfo {
    pub producer_id: ProducerId,
    origin: AppendOrigin,
    verification: Option<VerificationState>,
    /// Epoch and last sequence before this append.
    before: (ProducerEpoch, i32),
    pub updated: ProducerStateEntry,
    pub started: SmallVec<[TxnMetadata; 1]>,
    /// Whether a transactional batch was among them, which uses up the verification.
    pub transactional: bool,
}

impl ProducerAppendInfo {
    pub fn new(
        producer_id: ProducerId,
        origin: AppendOrigin,
        current: Option<&ProducerStateEntry>,
        verification: Option<VerificationState>,
    ) -> Self {
        let (before, updated) = match current {
            Some(entry) => ((entry.epoch, entry.last_sequence()), entry.without_batches()),
            None => ((NO_PRODUCER_EPOCH, NO_SEQUENCE), ProducerStateEntry::default()),
        };
        Self { producer_id, origin, verification, before, updated, started: SmallVec::new(), transactional: false }
    }

    /// A batch of records; `header.base_offset` is where it will lie in the log.
    pub fn append_data(&mut self, header: &BatchHeader) -> Result<(), ProducerStateError> {
        let (producer_id, offset) = (self.producer_id, header.base_offset);
        self.check_epoch(header.producer_epoch, offset, false)?;
        if self.origin == AppendOrigin::Client {
            self.check_sequence(header.producer_epoch, header.base_sequence, offset)?;
        }
        if self.updated.txn_first_offset.is_some() && !header.is_transactional() {
            return Err(ProducerStateError::NotTransactional { producer_id, offset });
        }
        self.updated.push(header.producer_epoch, BatchMetadata::of(header));
        if header.is_transactional() {
            self.transactional = true;
            if self.updated.txn_first_offset.is_none() {
                self.updated.txn_first_offset = Some(offset);
                self.started.push(TxnMetadata { producer_id, first_offset: offset, last_offset: None });
            }
        }
        Ok(())
    }

    /// A marker. Only a transaction that has records here is completed by it: one without leaves no trace in the transaction index.
    pub fn append_marker(
        &mut self,
        marker: &EndTransactionMarker,
        epoch: ProducerEpoch,
        offset: Offset,
        timestamp: TimestampMs,
    ) -> Result<Option<CompletedTxn>, ProducerStateError> {
        let producer_id = self.producer_id;
        self.check_epoch(epoch, offset, true)?;
        let current = self.updated.coordinator_epoch;
        if marker.coordinator_epoch < current {
            if self.origin != AppendOrigin::Replication {
                let epoch = marker.coordinator_epoch;
                return Err(ProducerStateError::TransactionCoordinatorFenced { producer_id, offset, epoch, current });
            }
            tracing::info!(
                producer_id,
                offset,
                epoch = marker.coordinator_epoch,
                current,
                "replicated marker of an older coordinator"
            );
        }
        let aborted = marker.result == TransactionResult::Abort;
        let completed = self.updated.txn_first_offset.take();
        self.updated.set_epoch(epoch);
        self.updated.coordinator_epoch = marker.coordinator_epoch;
        self.updated.last_timestamp = timestamp;
        self.transactional = true;
        Ok(completed.map(|first_offset| CompletedTxn { producer_id, first_offset, last_offset: offset, aborted }))
    }

    fn check_epoch(&self, epoch: ProducerEpoch, offset: Offset, marker: bool) -> Result<(), ProducerStateError> {
        let current = self.updated.epoch;
        let bumped = marker && matches!(self.origin, AppendOrigin::Coordinator { transaction_version: 2.. });
        // A marker that bumps is larger than all before it, unless it is written a second time, or there is no larger epoch.
        let again = epoch == current && (self.updated.txn_first_offset.is_none() || epoch == ProducerEpoch::MAX);
        if epoch > current || (epoch == current && (!bumped || again)) {
            return Ok(());
        }
        let producer_id = self.producer_id;
        if self.origin == AppendOrigin::Replication {
            tracing::warn!(producer_id, offset, epoch, current, "replicated batch of an older producer epoch");
            return Ok(());
        }
        Err(ProducerStateError::InvalidProducerEpoch { producer_id, offset, epoch, current })
    }

    fn check_sequence(&self, epoch: ProducerEpoch, sequence: i32, offset: Offset) -> Result<(), ProducerStateError> {
        let out_of_order =
            |reason| Err(ProducerStateError::OutOfOrderSequence { producer_id: self.producer_id, offset, sequence, reason });
        let (epoch_before, sequence_before) = self.before;
        if let Some(verification) = &self.verification {
            if verification.supports_epoch_bump && sequence != 0 && sequence_before == NO_SEQUENCE {
                return out_of_order(SequenceReason::NoState);
            }
            if sequence > verification.lowest_sequence {
                return out_of_order(SequenceReason::AboveLowestSeen(verification.lowest_sequence));
            }
        }
        let current = self.updated.epoch;
        if epoch != current {
            // Without any epoch the state has expired or was never here, and any sequence is as good as another.
            let fresh = sequence == 0 || current == NO_PRODUCER_EPOCH;
            return if fresh { Ok(()) } else { out_of_order(SequenceReason::NewEpoch { epoch, current }) };
        }
        let last = match self.updated.last_batch() {
            Some(batch) => batch.last_sequence,
            None if epoch == epoch_before => sequence_before,
            None => NO_SEQUENCE,
        };
        let next = if last == i32::MAX { 0 } else { last + 1 };
        if epoch_before == NO_PRODUCER_EPOCH || sequence == next { Ok(()) } else { out_of_order(SequenceReason::NotNext(last)) }
    }
}
