//! What a replicated state machine is: the trait its runtime drives, and the values that pass between the two. Pure.
//!
//! Invariants:
//! - after any history, `live shard's durable state = state replayed from its records`;
//! - every [`RequestId`] given to [`Shard::handle`] is answered exactly once, in some [`Effects`], unless the shard is dropped first;
//! - offsets given to [`Shard::replay`] increase.

use bytes::Bytes;

use crate::base::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::base::time::Mono;
use crate::storage::producer_state::VerificationGuard;

/// Names a request between its arrival and its answer; unique within the life of one runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The moment of a decision.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// For timeouts and sessions.
    pub now: Mono,
    /// For what is written down: commit and state timestamps, retention.
    pub wall_ms: TimestampMs,
    /// Bytes that one appended batch may have (`max.message.bytes` of the topic). A write that must not be torn has to fit.
    pub max_batch_bytes: usize,
    /// The offset of the first record that this decision writes, if it writes any.
    pub next_offset: Offset,
}

/// Bytes of a batch's header and of the framing of one record, rounded up.
const BATCH_OVERHEAD: usize = 64;
const RECORD_OVERHEAD: usize = 32;

impl At {
    /// Whether records of these sizes, key and value together, fit into one batch: a crash leaves all of them or none, and the log takes them.
    pub fn fits(&self, sizes: impl Iterator<Item = usize>) -> bool {
        BATCH_OVERHEAD + sizes.map(|size| RECORD_OVERHEAD + size).sum::<usize>() <= self.max_batch_bytes
    }
}

/// The producer on whose behalf a transactional write is made (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// How a transaction ended.
pub use crate::record::control::TransactionResult;

/// The end of a producer's transaction, as its marker says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOfTransaction {
    pub producer: Producer,
    /// Of the transaction coordinator that decided it, which fences older ones.
    pub coordinator_epoch: i32,
    /// Level of `transaction.version` under which it was decided: from 2 on, `producer.epoch` is larger than that of the records (KIP-890).
    pub transaction_version: i16,
    pub result: TransactionResult,
}

/// What a decision appends to the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Write<R> {
    /// Ordinary records; none is a decision that only answers. Replayed at once, before the next decision. If the append fails, the
    /// shard is dropped and loaded again, so a shard that writes more than [`At::max_batch_bytes`] must be content with a torn write.
    Records(Vec<R>),
    /// Records of a transaction, in a batch of their own. The log may refuse the producer, so the decision must not have changed
    /// anything: these records are replayed only once they are appended, and a refusal is simply the answer.
    /// `guard` proves that the transaction includes this partition, unless it has records here already.
    Transactional { producer: Producer, records: Vec<R>, guard: Option<VerificationGuard> },
    /// The end of a transaction. Changes nothing until it is appended, either.
    Marker(EndOfTransaction),
}

impl<R> Default for Write<R> {
    fn default() -> Self {
        Write::Records(Vec::new())
    }
}

/// The outcome of one decision: what to append, and whom to answer once that (and all before it) is committed.
#[derive(Debug)]
pub struct Effects<S: Shard + ?Sized> {
    pub write: Write<S::Record>,
    pub replies: Vec<(RequestId, S::Response)>,
}

impl<S: Shard + ?Sized> Default for Effects<S> {
    fn default() -> Self {
        Self { write: Write::default(), replies: Vec::new() }
    }
}

impl<S: Shard + ?Sized> Effects<S> {
    /// Answers `id` without writing anything.
    pub fn reply(id: RequestId, response: S::Response) -> Self {
        Self { write: Write::default(), replies: vec![(id, response)] }
    }
}

/// Where a replayed record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: Offset,
    /// The producer whose transaction the record belongs to; it counts only once a marker commits it.
    pub transaction: Option<ProducerId>,
}

/// Why bytes in the log could not be read as a record of this shard. The loader warns and goes on: a record nobody understands must not
/// keep a whole partition of groups from being served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("record type {0} is not known here")]
    UnknownType(i16),
    #[error("version {version} of {record} is not known here")]
    UnknownVersion { record: &'static str, version: i16 },
    #[error("{0} is cut short or malformed")]
    Malformed(&'static str),
}

/// A replicated state machine whose log is one partition.
pub trait Shard: Send + 'static {
    type Record: Send + 'static;
    type Request: Send + 'static;
    type Response: Send + 'static;

    /// Key and value of a record as they are written; no value is a tombstone.
    fn encode(record: &Self::Record) -> (Bytes, Option<Bytes>);
    /// The reverse of [`Shard::encode`], for any bytes.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self::Record, Undecodable>;

    /// Takes a record of the log. Together with [`Shard::replay_end_transaction`] the only method that changes what survives a restart.
    fn replay(&mut self, position: Position, record: Self::Record);
    /// Takes a transaction's end marker.
    fn replay_end_transaction(&mut self, producer_id: ProducerId, result: TransactionResult);
    /// The whole log has been replayed: derive what is volatile (sessions, timers).
    fn loaded(&mut self, at: &At) -> Effects<Self>;

    /// Decides one request. Sees state and time; touches nothing else. May keep volatile notes (who is waiting, until when).
    fn handle(&mut self, at: &At, id: RequestId, request: Self::Request) -> Effects<Self>;
    /// The next moment at which [`Shard::on_time`] has something to do; `None` costs nothing.
    fn next_deadline(&self) -> Option<Mono>;
    /// Does what is due. Called again while [`Shard::next_deadline`] is not in the future.
    fn on_time(&mut self, at: &At) -> Effects<Self>;
}
