//! Proof that a producer's transaction includes this partition, asked of the transaction coordinator before the first record (KIP-890;
//! Kafka's `VerificationGuard`, `VerificationStateEntry`).
//!
//! A guard is made, the coordinator is asked, and the append presents the guard. The marker of the transaction in between removes it, so an
//! answer about an earlier transaction is worth nothing: guards are never equal to one another.

use std::num::NonZeroU64;

use super::append::AppendOrigin;
use super::entry::ProducerStateEntry;
use crate::base::ids::{ProducerEpoch, ProducerId, TimestampMs};

/// Names one verification; unique within its partition's life in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationGuard(NonZeroU64);

impl VerificationGuard {
    pub(super) fn nth(count: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(count))
    }
}

/// A batch that may be the first of its transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstOfTransaction {
    pub producer_id: ProducerId,
    pub epoch: ProducerEpoch,
    /// −1 for coordinators, who do not count.
    pub sequence: i32,
    /// Whether the producer speaks transactions of version 2, whose epochs all begin with sequence 0.
    pub supports_epoch_bump: bool,
}

/// A verification under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationState {
    pub guard: VerificationGuard,
    pub started: TimestampMs,
    /// The lowest sequence that asked to be verified. A higher one that overtakes it may not be written first, because then the lower one
    /// could never be.
    pub lowest_sequence: i32,
    pub epoch: ProducerEpoch,
    /// Whether the producer speaks transactions of version 2, whose epochs all begin with sequence 0.
    pub supports_epoch_bump: bool,
}

impl VerificationState {
    /// Whether the guard still proves something after an append from `origin` that left the producer as `entry`. It does not once the
    /// transaction has its first offset here, or is over. A marker of version 2 has a larger epoch than the transaction it ends; one whose
    /// epoch is not larger than the guard's ended a transaction before it, whose successor only waited for that with its first batch. An older
    /// marker has the epoch of its transaction, and ends the one that was proven as well as any.
    pub(super) fn outlives(&self, entry: &ProducerStateEntry, origin: AppendOrigin) -> bool {
        let bumps = matches!(origin, AppendOrigin::Coordinator { transaction_version: 2.. });
        self.supports_epoch_bump && bumps && entry.txn_first_offset.is_none() && entry.epoch <= self.epoch
    }

    /// Another batch asks while the verification is under way.
    pub(super) fn also_for(&mut self, sequence: i32, epoch: ProducerEpoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.lowest_sequence = sequence;
        } else if epoch == self.epoch {
            self.lowest_sequence = self.lowest_sequence.min(sequence);
        }
    }
}
