//! What is known of one transactional id, and the steps it takes (Kafka's `TransactionMetadata`). Pure: a step takes the state as it stands
//! and gives the next, which becomes true when its record is replayed.
//!
//! Invariants:
//! - `state.may_become(next.state)` for every step;
//! - `producer_epoch` never falls while `producer_id` stays, and starts at 0 with a new id;
//! - `partitions` is empty unless a transaction is open or ending;
//! - an epoch is *exhausted* at 32766: clients never get 32767, so that a producer can always be fenced.

use std::collections::BTreeSet;

use super::config::EPOCH_BUMP_SINCE;
use super::state::TransactionState::{self, *};
use crate::base::ErrorCode;
use crate::base::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_TIMESTAMP, ProducerEpoch, ProducerId, TimestampMs, TopicPartition};
use crate::coordinator::shard::{Producer, TransactionResult};

/// Whether an epoch is the last that a client may have.
pub fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch >= ProducerEpoch::MAX - 1
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionMetadata {
    pub producer_id: ProducerId,
    /// The id before the last change of ids; a retry may still name it.
    pub previous_producer_id: ProducerId,
    /// The id that takes over when the markers are written, if the epochs of this one are used up.
    pub next_producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// The epoch before the last bump that the producer itself asked for: it tells a retry from a producer that was fenced. Not in the log.
    pub last_producer_epoch: ProducerEpoch,
    pub timeout_ms: i32,
    pub state: TransactionState,
    pub partitions: BTreeSet<TopicPartition>,
    /// When the transaction began; −1 if there is none.
    pub start_timestamp: TimestampMs,
    pub last_update_timestamp: TimestampMs,
    /// Level of `transaction.version` that the client spoke at the last step.
    pub client_transaction_version: i16,
}

impl TransactionMetadata {
    /// A transactional id that nobody has used yet. Its first step is [`Self::increment_epoch`], which gives epoch 0.
    pub fn new(producer_id: ProducerId, timeout_ms: i32, now: TimestampMs) -> Self {
        Self {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: Empty,
            partitions: BTreeSet::new(),
            start_timestamp: NO_TIMESTAMP,
            last_update_timestamp: now,
            client_transaction_version: 0,
        }
    }

    pub fn producer(&self) -> Producer {
        Producer { id: self.producer_id, epoch: self.producer_epoch }
    }

    pub fn is_epoch_exhausted(&self) -> bool {
        is_exhausted(self.producer_epoch)
    }

    /// Whether the transaction has been open for longer than its producer wanted.
    pub fn is_timed_out(&self, now: TimestampMs) -> bool {
        self.state == Ongoing && self.start_timestamp.saturating_add(i64::from(self.timeout_ms)) < now
    }

    fn step(&self, state: TransactionState, now: TimestampMs) -> Self {
        assert!(self.state.may_become(state), "{:?} does not become {state:?}", self.state);
        Self { state, last_update_timestamp: now, ..self.clone() }
    }

    /// A producer takes the id, or goes on after an error (KIP-360): `expected` is the epoch it believes to have.
    ///
    /// # Errors
    /// PRODUCER_FENCED if another producer has taken the id since.
    pub fn increment_epoch(&self, timeout_ms: i32, expected: Option<ProducerEpoch>, now: TimestampMs) -> Result<Self, ErrorCode> {
        let (epoch, last) = match expected {
            None => (self.bumped(), NO_PRODUCER_EPOCH),
            Some(epoch) if self.producer_epoch == NO_PRODUCER_EPOCH || epoch == self.producer_epoch => {
                (self.bumped(), self.producer_epoch)
            }
            // The answer to an earlier request was lost. Nobody else can have come in between, or the last epoch would be unknown.
            Some(epoch) if epoch == self.last_producer_epoch => (self.producer_epoch, self.last_producer_epoch),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        Ok(self.initialized(self.producer_id, epoch, last, timeout_ms, now))
    }

    fn bumped(&self) -> ProducerEpoch {
        self.producer_epoch.checked_add(1).expect("an exhausted epoch gives way to a new producer id")
    }

    /// The epochs of the producer id are used up: the producer gets a new id. `keep_last` if it said which epoch it had.
    pub fn rotate_producer_id(&self, producer_id: ProducerId, timeout_ms: i32, keep_last: bool, now: TimestampMs) -> Self {
        let last = if keep_last { self.producer_epoch } else { NO_PRODUCER_EPOCH };
        self.initialized(producer_id, 0, last, timeout_ms, now)
    }

    fn initialized(&self, producer_id: ProducerId, epoch: ProducerEpoch, last: ProducerEpoch, timeout_ms: i32, now: i64) -> Self {
        Self {
            producer_id,
            previous_producer_id: self.producer_id,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: epoch,
            last_producer_epoch: last,
            timeout_ms,
            partitions: BTreeSet::new(),
            start_timestamp: NO_TIMESTAMP,
            ..self.step(Empty, now)
        }
    }

    /// The transaction begins, or goes on, with these partitions.
    pub fn add_partitions(&self, added: &BTreeSet<TopicPartition>, transaction_version: i16, now: TimestampMs) -> Self {
        let start_timestamp = if self.state == Ongoing { self.start_timestamp } else { now };
        let mut next = Self { start_timestamp, client_transaction_version: transaction_version, ..self.step(Ongoing, now) };
        next.partitions.extend(added.iter().cloned());
        next
    }

    /// The outcome is decided. From version 2 on the epoch is bumped, so that nothing the producer sent before can join a later transaction;
    /// `next_producer_id` is then needed if the epoch is exhausted.
    pub fn prepare(
        &self,
        result: TransactionResult,
        transaction_version: i16,
        next_producer_id: ProducerId,
        now: TimestampMs,
    ) -> Self {
        let state = match result {
            TransactionResult::Commit => PrepareCommit,
            TransactionResult::Abort => PrepareAbort,
        };
        // An abort of nothing begins when it ends.
        let start_timestamp = if self.state == Ongoing { self.start_timestamp } else { now };
        let (producer_epoch, last_producer_epoch) = match transaction_version >= EPOCH_BUMP_SINCE {
            true => (self.producer_epoch.saturating_add(1), self.producer_epoch),
            false => (self.producer_epoch, self.last_producer_epoch),
        };
        Self {
            producer_epoch,
            last_producer_epoch,
            next_producer_id,
            start_timestamp,
            client_transaction_version: transaction_version,
            ..self.step(state, now)
        }
    }

    /// The broker itself aborts the open transaction: its time is over, or another producer wants the id. The epoch is bumped whatever the
    /// version; the producer that had the one before is not told of the bumped one, and fenced with its next request.
    pub fn fence(&self, transaction_version: i16, next_producer_id: ProducerId, now: TimestampMs) -> Self {
        let prepared = self.prepare(TransactionResult::Abort, transaction_version, next_producer_id, now);
        Self { producer_epoch: self.producer_epoch.saturating_add(1), last_producer_epoch: NO_PRODUCER_EPOCH, ..prepared }
    }

    /// All markers are written.
    pub fn complete(&self, now: TimestampMs) -> Self {
        let state = if self.state == PrepareCommit { CompleteCommit } else { CompleteAbort };
        let mut next = Self { partitions: BTreeSet::new(), next_producer_id: NO_PRODUCER_ID, ..self.step(state, now) };
        if self.client_transaction_version >= EPOCH_BUMP_SINCE {
            next.previous_producer_id = self.producer_id;
            if self.next_producer_id != NO_PRODUCER_ID {
                next.producer_id = self.next_producer_id;
                next.producer_epoch = 0;
            }
        }
        next
    }

    /// How the transaction ends, while its markers are written.
    pub fn result(&self) -> Option<TransactionResult> {
        match self.state {
            PrepareCommit => Some(TransactionResult::Commit),
            PrepareAbort => Some(TransactionResult::Abort),
            _ => None,
        }
    }
}
