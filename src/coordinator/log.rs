//! What a coordinator needs of its partition: the leader's log of one partition, as seen by its only writer.
//!
//! A trait because the world is really replaced here: a partition of the replica manager in a broker, a log in memory in tests and simulations.
//! Everything is asked as the leader of one epoch. Once this broker leads in another epoch, or not at all, what lies below the high
//! watermark may no longer be what that leader appended, so there is nothing but `NotLeaderOrFollower` to say.
//! Invariants of every implementation: `log_start ≤ high_watermark ≤ log_end`, none of them steps back while the leader epoch stands.

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;

use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, TimestampMs, TopicPartition};
use crate::storage::producer_state::VerificationGuard;

/// By what right a batch of a transaction is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Records; `guard` proves that their transaction includes the partition, if they have one that is not open there yet.
    Records { guard: Option<VerificationGuard> },
    /// The end of a transaction, decided under this level of `transaction.version`.
    Marker { transaction_version: i16 },
}

pub trait CoordinatorLog: Send + Sync + 'static {
    fn topic_partition(&self) -> &TopicPartition;

    /// Bytes one batch may have: the topic's `max.message.bytes`.
    fn max_batch_bytes(&self) -> usize;

    /// Appends one built batch, and returns the log end after it.
    ///
    /// Errors: `NotLeaderOrFollower`; `NotEnoughReplicas`, `KafkaStorageError`, `MessageTooLarge` as for a producer; `InvalidProducerEpoch`
    /// and its like for a batch of a transaction. Nothing was appended, or what was is unknown: either way the state machine has to be
    /// rebuilt from the log.
    fn append_batch(
        &self,
        batch: Bytes,
        authority: Authority,
        leader_epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Offset, ErrorCode>;

    /// Everything below this is committed: the high watermark.
    fn committed(&self, leader_epoch: LeaderEpoch) -> Result<Offset, ErrorCode>;

    /// Resolves once everything below `end` is committed, or with an error when this broker stops leading in `leader_epoch` first.
    /// Dropping it is cancellation.
    fn wait_committed(
        &self,
        leader_epoch: LeaderEpoch,
        end: Offset,
    ) -> impl Future<Output = Result<(), ErrorCode>> + Send + 'static;

    /// From the log start to the log end.
    fn extent(&self) -> Result<Range<Offset>, ErrorCode>;

    /// Whole batches from the one that contains `from` up to the log end (not the high watermark), at least one and otherwise no more
    /// than `max_bytes`; empty at the log end. Blocks on the disk.
    fn read_log(&self, from: Offset, max_bytes: usize) -> Result<Bytes, ErrorCode>;
}
