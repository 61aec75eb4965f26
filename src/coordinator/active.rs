//! A loaded shard at work: decides, replays, appends, parks, releases. The steps of [`super::runtime`], without its waiting.
//!
//! Invariants:
//! - `next_offset = log end`; records in the open batch are replayed already, and nothing is answered before they are appended;
//! - a request is held by the shard, decided (behind the open batch) or parked (behind a commit), and never forgotten: what is left
//!   when it ends is answered by [`Active::end`];
//! - an error from any step means that shard and log may differ: the shard is of no use any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::time::{Clock, Mono};
use crate::record::builder::{self, BatchBuilder};
use crate::record::compression::Codec;
use crate::record::control::EndTransactionMarker;

use super::loader::Loaded;
use super::log::{Authority, CoordinatorLog};
use super::mailbox::Reply;
use super::parked::ParkedReplies;
use super::shard::{At, Effects, EndOfTransaction, Position, Producer, RequestId, Shard, Write};
use crate::storage::producer_state::VerificationGuard;

/// Timers that are handled before something else gets its turn.
const TIMERS_AT_ONCE: usize = 128;

type Answered<R> = (Reply<R>, Result<R, ErrorCode>);

/// Where a shard works: a log, as the leader of an epoch.
pub struct Place<L> {
    pub log: Arc<L>,
    pub leader_epoch: LeaderEpoch,
    pub clock: Clock,
    /// How long an answer waits for its commit (`offsets.commit.timeout.ms`).
    pub write_timeout: Duration,
}

impl<L> Clone for Place<L> {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            leader_epoch: self.leader_epoch,
            clock: self.clock.clone(),
            write_timeout: self.write_timeout,
        }
    }
}

/// A loaded shard and everything that ends with it.
pub(super) struct Active<S: Shard, L> {
    place: Place<L>,
    shard: S,
    /// Requests that the shard has not answered yet; nobody waits for the answers to notices.
    held: HashMap<RequestId, Option<Reply<S::Response>>, foldhash::fast::RandomState>,
    last_id: u64,
    next_offset: Offset,
    /// Records already replayed, but not appended yet.
    open: BatchBuilder,
    /// Answers that belong behind the open batch.
    decided: Vec<Answered<S::Response>>,
    parked: ParkedReplies<Answered<S::Response>>,
}

impl<S: Shard, L: CoordinatorLog> Active<S, L> {
    pub fn new(place: Place<L>, shard: S, loaded: Loaded) -> Self {
        Self {
            place,
            shard,
            held: HashMap::default(),
            last_id: 0,
            next_offset: loaded.next_offset,
            open: BatchBuilder::new(Codec::None),
            decided: Vec::new(),
            parked: ParkedReplies::default(),
        }
    }

    /// The whole log has been replayed.
    pub fn loaded(&mut self) -> Result<(), ErrorCode> {
        let at = self.at();
        let effects = self.shard.loaded(&at);
        self.take(&at, effects)?;
        self.flush()
    }

    /// The log end whose commit is waited for.
    pub fn awaits(&self) -> Option<Offset> {
        self.parked.next_end()
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        let deadlines = [self.shard.next_deadline(), self.parked.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Answers everybody who still waits: with what was decided where that is committed, otherwise with `error`.
    pub fn end(mut self, error: ErrorCode) {
        let _ = self.release();
        let undecided = self.held.into_values().flatten();
        let uncommitted = self.parked.drain().chain(self.decided).map(|(reply, _)| reply);
        for reply in undecided.chain(uncommitted) {
            let _ = reply.send(Err(error));
        }
    }

    pub fn at(&self) -> At {
        At {
            now: self.place.clock.mono(),
            wall_ms: self.place.clock.wall_ms(),
            max_batch_bytes: self.place.log.max_batch_bytes(),
            next_offset: self.next_offset,
        }
    }

    /// The same moment, behind what was decided at it so far.
    fn behind(&self, at: &At) -> At {
        At { next_offset: self.next_offset + self.open.len() as Offset, ..*at }
    }

    pub fn decide(&mut self, at: &At, request: S::Request, reply: Option<Reply<S::Response>>) -> Result<(), ErrorCode> {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.held.insert(id, reply);
        let at = &self.behind(at);
        let effects = self.shard.handle(at, id, request);
        self.take(at, effects)
    }

    pub fn on_time(&mut self) -> Result<(), ErrorCode> {
        let at = self.at();
        for (reply, _) in self.parked.expire(at.now) {
            let _ = reply.send(Err(ErrorCode::RequestTimedOut));
        }
        for _ in 0..TIMERS_AT_ONCE {
            if self.shard.next_deadline().is_none_or(|deadline| deadline > at.now) {
                break;
            }
            let at = self.behind(&at);
            let effects = self.shard.on_time(&at);
            self.take(&at, effects)?;
        }
        self.flush()
    }

    /// Takes the outcome of one decision: replays what it writes into the open batch, and keeps its answers for the batch's end.
    fn take(&mut self, at: &At, effects: Effects<S>) -> Result<(), ErrorCode> {
        match effects.write {
            Write::Records(records) => {
                let encoded: Vec<_> = records.into_iter().map(|record| (S::encode(&record), record)).collect();
                let size: usize = encoded.iter().map(|(bytes, _)| record_size(bytes)).sum();
                if self.open.uncompressed_size() + size > at.max_batch_bytes {
                    self.append_open()?;
                }
                for (bytes, record) in encoded {
                    if self.open.uncompressed_size() + record_size(&bytes) > at.max_batch_bytes {
                        self.append_open()?;
                    }
                    let (key, value) = bytes;
                    self.open.push_plain(at.wall_ms, Some(&key), value.as_deref());
                    let offset = self.next_offset + self.open.len() as Offset - 1;
                    self.shard.replay(Position { offset, transaction: None }, record);
                }
                self.keep(effects.replies.into_iter().map(|(id, response)| (id, Ok(response))));
            }
            Write::Transactional { producer, records, guard } => {
                self.flush()?;
                let appended = self.append_transactional(at, producer, records, guard)?;
                self.keep(effects.replies.into_iter().map(|(id, response)| (id, appended.map(|()| response))));
                self.flush()?;
            }
            Write::Marker(EndOfTransaction { producer, coordinator_epoch, transaction_version, result }) => {
                self.flush()?;
                let batch = EndTransactionMarker { result, coordinator_epoch }.batch(at.wall_ms, producer.id, producer.epoch);
                let appended = refused(self.append(batch, 1, Authority::Marker { transaction_version }))?;
                if appended.is_ok() {
                    self.shard.replay_end_transaction(producer.id, result);
                }
                self.keep(effects.replies.into_iter().map(|(id, response)| (id, appended.map(|_| response))));
                self.flush()?;
            }
        }
        Ok(())
    }

    fn append_transactional(
        &mut self,
        at: &At,
        producer: Producer,
        records: Vec<S::Record>,
        guard: Option<VerificationGuard>,
    ) -> Result<Result<(), ErrorCode>, ErrorCode> {
        if records.is_empty() {
            return Ok(Ok(()));
        }
        let mut batch = BatchBuilder::new(Codec::None);
        batch.transactional = true;
        // Coordinators do not count; Kafka's write 0, and logs do not check it.
        batch.producer = builder::Producer { id: producer.id, epoch: producer.epoch, base_sequence: 0 };
        for record in &records {
            let (key, value) = S::encode(record);
            batch.push_plain(at.wall_ms, Some(&key), value.as_deref());
        }
        let appended = refused(self.append(batch.build(), records.len(), Authority::Records { guard }))?;
        if let Ok(first) = appended {
            for (offset, record) in (first..).zip(records) {
                self.shard.replay(Position { offset, transaction: Some(producer.id) }, record);
            }
        }
        Ok(appended.map(drop))
    }

    /// Appends a built batch and returns the offset of its first record.
    fn append(&mut self, batch: Bytes, records: usize, authority: Authority) -> Result<Offset, ErrorCode> {
        let first = self.next_offset;
        let expected = first + records as Offset;
        let end = self.place.log.append_batch(batch, authority, self.place.leader_epoch, self.place.clock.wall_ms())?;
        if end != expected {
            tracing::error!(partition = %self.place.log.topic_partition(), expected, end, "the coordinator is out of step with its log");
            return Err(ErrorCode::NotCoordinator);
        }
        self.next_offset = end;
        Ok(first)
    }

    fn append_open(&mut self) -> Result<(), ErrorCode> {
        if self.open.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.open, BatchBuilder::new(Codec::None));
        let records = batch.len();
        self.append(batch.build(), records, Authority::Records { guard: None }).map(drop)
    }

    /// Appends the open batch and parks the answers decided so far behind the log end.
    pub fn flush(&mut self) -> Result<(), ErrorCode> {
        self.append_open()?;
        let deadline = self.place.clock.mono() + self.place.write_timeout;
        self.parked.park(self.next_offset, deadline, std::mem::take(&mut self.decided));
        Ok(())
    }

    /// Lets go of what is committed.
    pub fn release(&mut self) -> Result<(), ErrorCode> {
        if self.awaits().is_none() {
            return Ok(());
        }
        let committed = self.place.log.committed(self.place.leader_epoch)?;
        for (reply, answer) in self.parked.release(committed) {
            let _ = reply.send(answer);
        }
        Ok(())
    }

    fn keep(&mut self, answers: impl Iterator<Item = (RequestId, Result<S::Response, ErrorCode>)>) {
        for (id, answer) in answers {
            if let Some(reply) = self.held.remove(&id).expect("a shard answers each request once") {
                self.decided.push((reply, answer));
            }
        }
    }
}

/// Tells a log that refuses a producer's batch (the inner error: an answer) from one that fails (the outer error: the end of the shard).
fn refused<T>(appended: Result<T, ErrorCode>) -> Result<Result<T, ErrorCode>, ErrorCode> {
    use ErrorCode::{KafkaStorageError, NotCoordinator, NotLeaderOrFollower};
    match appended {
        Err(error @ (NotLeaderOrFollower | KafkaStorageError | NotCoordinator)) => Err(error),
        other => Ok(other),
    }
}

fn record_size((key, value): &(Bytes, Option<Bytes>)) -> usize {
    // length, attributes, timestamp delta, offset delta, key length, value length, header count: at most 5 bytes where they vary
    5 + 1 + 1 + 5 + 5 + key.len() + 5 + value.as_ref().map_or(0, Bytes::len) + 1
}
