//! The transactional ids of one partition of `__transaction_state`: which request goes where, and what replay does. Pure.
//!
//! Invariants:
//! - a transactional id changes by replay alone, so a decision sees what every decision before it has made true;
//! - every prepared transaction is in the work that was taken, or in the queue, and in `decisions`; of no other are there markers in the queue;
//! - what waits for the end of a transaction is decided with that end, or refused when its time is over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::add_partitions::Waiting;
use super::config::TransactionConfig;
use super::metadata::TransactionMetadata;
use super::record::Record;
use super::request::{TransactionRequest, TransactionResponse};
use super::state::TransactionState;
use super::work::{Finished, Markers, TimedOut, Work, WorkQueue};
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, ProducerId};
use crate::base::time::Mono;
use crate::coordinator::shard::{At, Effects, Position, RequestId, Shard, TransactionResult, Undecodable, Write};
use crate::coordinator::timers::Timers;

/// What a shard waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Timer {
    /// Open transactions have to be looked over for ones that have timed out.
    TimedOut,
    /// Transactional ids have to be looked over for ones that have expired.
    Expiry,
    /// A request has waited for the end of a transaction for long enough.
    Waiting(StrBytes),
}

#[derive(Debug)]
pub struct TransactionShard {
    pub(super) config: Arc<TransactionConfig>,
    /// Leader epoch of the partition, which markers carry.
    coordinator_epoch: LeaderEpoch,
    pub(super) transactions: BTreeMap<StrBytes, TransactionMetadata>,
    /// Where in the log prepared transactions were decided.
    pub(super) decisions: BTreeMap<StrBytes, Offset>,
    pub(super) waiting: HashMap<StrBytes, Vec<Waiting>>,
    pub(super) timers: Timers<Timer>,
    work: WorkQueue,
}

impl TransactionShard {
    pub fn new(config: Arc<TransactionConfig>, coordinator_epoch: LeaderEpoch) -> Self {
        Self {
            config,
            coordinator_epoch,
            transactions: BTreeMap::new(),
            decisions: BTreeMap::new(),
            waiting: HashMap::new(),
            timers: Timers::default(),
            work: WorkQueue::default(),
        }
    }

    /// Everything that survives a restart.
    pub fn durable(&self) -> BTreeMap<StrBytes, TransactionMetadata> {
        let forgotten = crate::base::ids::NO_PRODUCER_EPOCH;
        let durable = |it: &TransactionMetadata| TransactionMetadata { last_producer_epoch: forgotten, ..it.clone() };
        self.transactions.iter().map(|(id, it)| (id.clone(), durable(it))).collect()
    }

    /// The record that makes a step true. A step that decides how a transaction ends makes work, and is the first that is written.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR, as in Kafka, if the log cannot take the record: whoever asks for such a step is refused, and nobody else.
    pub(super) fn record(&mut self, at: &At, id: &StrBytes, next: TransactionMetadata) -> Result<Record, ErrorCode> {
        let record = Record::of(id, next, self.config.transaction_version);
        if !at.fits(std::iter::once(record.size_max())) {
            let partitions = record.value.map_or(0, |next| next.partitions.len());
            tracing::error!(transactional_id = %id, partitions, "a transaction does not fit into one batch of its log: raise its max.message.bytes");
            return Err(ErrorCode::UnknownServerError);
        }
        let next = record.value.as_ref();
        match next.map(|next| next.state) {
            Some(TransactionState::Ongoing) => self.look_for_timed_out_later(at),
            _ => self.look_for_expired_later(at),
        }
        self.work.push_markers(next.and_then(|next| Markers::of(id, next, at.next_offset, self.coordinator_epoch)));
        Ok(record)
    }

    fn look_for_timed_out_later(&mut self, at: &At) {
        self.timers.schedule_no_later(Timer::TimedOut, at.now + millis(self.config.abort_timed_out_interval_ms));
    }

    pub(super) fn look_for_expired_later(&mut self, at: &At) {
        self.timers.schedule_no_later(Timer::Expiry, at.now + millis(self.config.remove_expired_interval_ms));
    }

    /// Names the transactions that have been open for too long. They are aborted by a request each: it may need a fresh producer id.
    fn look_for_timed_out(&mut self, at: &At) {
        let timed_out = self.transactions.iter().filter(|(_, it)| it.is_timed_out(at.wall_ms));
        self.work.set_timed_out(timed_out.map(|(id, it)| TimedOut { id: id.clone(), producer: it.producer() }).collect());
        if self.transactions.values().any(|it| it.state == TransactionState::Ongoing) {
            self.look_for_timed_out_later(at);
        }
    }

    /// Queues the markers of all prepared transactions.
    fn queue_all(&mut self, at: &At) {
        self.work.clear();
        for (id, decision) in &self.decisions {
            self.work.push_markers(Markers::of(id, &self.transactions[id], *decision, self.coordinator_epoch));
        }
        self.look_for_timed_out(at);
    }

    fn take_work(&mut self, at: &At, id: RequestId, again: bool) -> Effects<Self> {
        if self.work.has_taker() {
            return Effects::reply(id, Work::default().into());
        }
        if again {
            self.queue_all(at);
        }
        self.work.take(id);
        Effects::default()
    }

    fn finish(&mut self, at: &At, id: RequestId, finished: &Finished) -> Effects<Self> {
        let mut effects = Effects::reply(id, TransactionResponse::Done(()));
        // It may be told twice, after a lost answer; the second time nothing is left to do.
        if self.decisions.get(&finished.id) != Some(&finished.decision) {
            return effects;
        }
        let complete = self.transactions[&finished.id].complete(at.wall_ms);
        self.work.drop_markers(finished);
        self.look_for_expired_later(at);
        let mut records = vec![Record::of(&finished.id, complete.clone(), self.config.transaction_version)];
        self.decide_waiting(at, &finished.id, complete, &mut records, &mut effects.replies);
        effects.write = Write::Records(records);
        effects
    }

    #[cfg(test)]
    pub(super) fn forget_taker(&mut self) {
        self.work.forget_taker();
    }

    /// Gives work to who waits for it.
    fn with_work(&mut self, mut effects: Effects<Self>) -> Effects<Self> {
        effects.replies.extend(self.work.answer().map(|(id, work)| (id, work.into())));
        effects
    }
}

pub(super) fn millis(ms: i32) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}

impl Shard for TransactionShard {
    type Record = Record;
    type Request = TransactionRequest;
    type Response = TransactionResponse;

    fn encode(record: &Record) -> (Bytes, Option<Bytes>) {
        record.encode()
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Record, Undecodable> {
        Record::decode(key, value)
    }

    fn replay(&mut self, position: Position, record: Record) {
        match &record.value {
            Some(value) if value.state.is_prepared() => self.decisions.insert(record.id.clone(), position.offset),
            _ => self.decisions.remove(&record.id),
        };
        match record.value {
            Some(value) => self.transactions.insert(record.id, value),
            None => self.transactions.remove(&record.id),
        };
    }

    /// There are no transactions in the log of transactions.
    fn replay_end_transaction(&mut self, _producer_id: ProducerId, _result: TransactionResult) {}

    fn loaded(&mut self, at: &At) -> Effects<Self> {
        self.queue_all(at);
        if !self.transactions.is_empty() {
            self.look_for_expired_later(at);
        }
        Effects::default()
    }

    fn handle(&mut self, at: &At, id: RequestId, request: TransactionRequest) -> Effects<Self> {
        let effects = match request {
            TransactionRequest::Init(request) => self.init_producer_id(at, id, &request),
            TransactionRequest::Add(request) => self.add_partitions(at, id, request),
            TransactionRequest::Verify(request) => Effects::reply(id, self.verify_partitions(&request).into()),
            TransactionRequest::End(request) => self.end_transaction(at, id, &request),
            TransactionRequest::FenceTimedOut { id: name, producer, fresh } => {
                self.fence_timed_out(at, id, &name, producer, fresh)
            }
            TransactionRequest::TakeWork { again } => self.take_work(at, id, again),
            TransactionRequest::Finished(finished) => self.finish(at, id, &finished),
            TransactionRequest::Describe(ids) => Effects::reply(id, self.describe(&ids).into()),
            TransactionRequest::List(filter) => Effects::reply(id, self.list(at, &filter).into()),
            TransactionRequest::Reconfigure(config) => {
                self.config = config;
                Effects::reply(id, TransactionResponse::Done(()))
            }
        };
        self.with_work(effects)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next_deadline()
    }

    fn on_time(&mut self, at: &At) -> Effects<Self> {
        let effects = match self.timers.pop_due(at.now) {
            None => Effects::default(),
            Some(Timer::TimedOut) => {
                self.look_for_timed_out(at);
                Effects::default()
            }
            Some(Timer::Expiry) => self.expire(at),
            Some(Timer::Waiting(id)) => self.give_up_waiting(at, &id),
        };
        self.with_work(effects)
    }
}
