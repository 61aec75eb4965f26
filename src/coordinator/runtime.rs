//! The task that runs one shard: mailbox, load, decide, append, replay, release.
//!
//! One task a led partition, from election to resignation. It sleeps unless a request, a commit or a deadline of the shard wakes it.
//! Invariants:
//! - requests are decided in the order of the mailbox; those that are waiting together share one appended batch;
//! - an answer leaves when the log is committed up to the end at which it was decided, and errors leave at once;
//! - `next_offset = log end`: nobody else writes this partition. If the log disagrees, or refuses an append, the shard is dropped and
//!   loaded again, and who waited in it is told to come back;
//! - whoever is waiting is answered, whatever happens: requests are either in the mailbox, held by the shard, in the open batch or parked.
//!
//! Errors that leave here are those that Kafka's CoordinatorRuntime throws; [`super::mailbox::client_error`] turns them into what clients
//! are told.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::base::time::{Clock, Mono};
use crate::record::builder::{self, BatchBuilder};
use crate::record::compression::Codec;
use crate::record::control::EndTransactionMarker;

use super::loader::{self, Loaded};
use super::log::CoordinatorLog;
use super::mailbox::{self, Envelope, Inbox, Mailbox, Reply};
use super::parked::ParkedReplies;
use super::rewrite::{LiveState, Rewriter};
use super::shard::{At, Effects, Position, Producer, RequestId, Shard, Write};

/// Requests decided before the batch is appended.
const DECIDED_AT_ONCE: usize = 128;
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Starts the task that runs a shard of `log` as the leader of `leader_epoch`, until `stop` is called.
pub fn spawn<S: LiveState, L: CoordinatorLog>(
    log: Arc<L>,
    leader_epoch: LeaderEpoch,
    new_shard: impl Fn() -> S + Send + 'static,
    write_timeout: Duration,
    clock: Clock,
    stop: CancellationToken,
) -> Mailbox<S> {
    let (mailbox, inbox) = mailbox::new();
    let runtime = Runtime { log, leader_epoch, clock, write_timeout, stop, inbox };
    tokio::spawn(runtime.run(new_shard));
    mailbox
}

/// Why a shard is no longer served.
enum Ended {
    Stopped,
    /// The log refused; the shard has to be loaded again.
    Failed(ErrorCode),
}

struct Runtime<S: Shard, L> {
    log: Arc<L>,
    leader_epoch: LeaderEpoch,
    clock: Clock,
    /// How long an answer waits for its commit (`offsets.commit.timeout.ms`).
    write_timeout: Duration,
    stop: CancellationToken,
    /// Notices wait in it while there is no shard.
    inbox: Inbox<S>,
}

impl<S: LiveState, L: CoordinatorLog> Runtime<S, L> {
    async fn run(mut self, new_shard: impl Fn() -> S) {
        let mut retry = RETRY_MIN;
        loop {
            let ended = match self.load(new_shard()).await {
                Ok((shard, loaded)) => {
                    let served_from = self.clock.mono();
                    let ended = self.serve(shard, loaded).await;
                    if self.clock.mono().since(served_from) > RETRY_MAX {
                        retry = RETRY_MIN;
                    }
                    ended
                }
                Err(ended) => ended,
            };
            let refusal = match ended {
                Ended::Stopped => break,
                // Who leads now is not decided here: wait to be stopped, or replaced by the task of a later epoch.
                Ended::Failed(ErrorCode::NotLeaderOrFollower) => {
                    let _ = self.refuse(ErrorCode::NotLeaderOrFollower, None).await;
                    break;
                }
                Ended::Failed(error) => error,
            };
            tracing::warn!(partition = %self.log.topic_partition(), error = ?refusal, "the coordinator is loaded again in {retry:?}");
            if self.refuse(refusal, Some(retry)).await.is_err() {
                break;
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
        self.inbox.requests.close();
        while let Some(envelope) = self.inbox.requests.recv().await {
            let _ = envelope.reply.send(Err(ErrorCode::NotCoordinator));
        }
    }

    /// Answers every request with `error` for some time, or until stopped (`Err`).
    async fn refuse(&mut self, error: ErrorCode, time: Option<Duration>) -> Result<(), ()> {
        let until = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(()),
                () = &mut until => return Ok(()),
                envelope = self.inbox.requests.recv() => match envelope {
                    Some(envelope) => drop(envelope.reply.send(Err(error))),
                    None => return Err(()),
                },
            }
        }
    }

    /// Loads a shard on the blocking pool, and tells whoever asks meanwhile that it is loading.
    async fn load(&mut self, mut shard: S) -> Result<(S, Loaded), Ended> {
        let (log, stop, started) = (self.log.clone(), self.stop.clone(), self.clock.mono());
        let mut loading =
            tokio::task::spawn_blocking(move || loader::load(&*log, &mut shard, &stop).map(|loaded| (shard, loaded)));
        let loaded = loop {
            tokio::select! {
                biased;
                loaded = &mut loading => break loaded,
                envelope = self.inbox.requests.recv() => match envelope {
                    Some(envelope) => drop(envelope.reply.send(Err(ErrorCode::CoordinatorLoadInProgress))),
                    None => return Err(Ended::Stopped),
                },
            }
        };
        match loaded {
            Ok(Ok((shard, Some(loaded)))) => {
                tracing::info!(
                    partition = %self.log.topic_partition(),
                    leader_epoch = self.leader_epoch,
                    records = loaded.records,
                    bytes = loaded.bytes,
                    "coordinator loaded in {:?}",
                    self.clock.mono().since(started)
                );
                Ok((shard, loaded))
            }
            Ok(Ok((_, None))) => Err(Ended::Stopped),
            Ok(Err(error)) => Err(Ended::Failed(error)),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Serves requests until stopped or until the log fails.
    async fn serve(&mut self, shard: S, loaded: Loaded) -> Ended {
        let mut active = Active {
            shard,
            held: HashMap::default(),
            last_id: 0,
            next_offset: loaded.next_offset,
            open: BatchBuilder::new(Codec::None),
            decided: Vec::new(),
            parked: ParkedReplies::default(),
            rewriter: Rewriter::new(loaded.bytes),
        };
        let ended = match self.serve_active(&mut active).await {
            Ok(()) => Ended::Stopped,
            Err(error) => Ended::Failed(error),
        };
        // What is committed was decided, whatever happened since.
        let _ = self.release(&mut active);
        let error = match ended {
            Ended::Stopped => ErrorCode::NotCoordinator,
            Ended::Failed(error) => error,
        };
        let undecided = active.held.into_values().flatten();
        let uncommitted = active.parked.drain().chain(active.decided).map(|(reply, _)| reply);
        for reply in undecided.chain(uncommitted) {
            let _ = reply.send(Err(error));
        }
        ended
    }

    async fn serve_active(&mut self, active: &mut Active<S>) -> Result<(), ErrorCode> {
        let effects = active.shard.loaded(&self.at());
        self.take(active, effects)?;
        self.flush(active)?;
        let mut requests = Vec::with_capacity(DECIDED_AT_ONCE);
        let mut committed = Committed::nothing();
        loop {
            self.release(active)?;
            let awaited = active.parked.next_end().or(active.rewriter.awaits());
            if let Some(end) = awaited.filter(|end| *end != committed.end) {
                committed = Committed { end, future: Box::pin(self.log.wait_committed(self.leader_epoch, end)) };
            }
            let deadline = earliest(active.shard.next_deadline(), active.parked.next_deadline());
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                outcome = &mut committed.future => {
                    outcome?;
                    committed = Committed::nothing();
                }
                () = sleep_until(&self.clock, deadline) => self.on_time(active)?,
                Some(notice) = self.inbox.notices.recv() => {
                    self.decide(active, notice, None)?;
                    self.flush(active)?;
                }
                received = self.inbox.requests.recv_many(&mut requests, DECIDED_AT_ONCE) => {
                    if received == 0 {
                        return Ok(());
                    }
                    for Envelope { request, reply } in requests.drain(..) {
                        self.decide(active, request, Some(reply))?;
                    }
                    self.flush(active)?;
                    self.rewrite_if_due(active)?;
                }
            }
        }
    }

    fn at(&self) -> At {
        At { now: self.clock.mono(), wall_ms: self.clock.wall_ms(), max_batch_bytes: self.log.max_batch_bytes() }
    }

    fn decide(
        &mut self,
        active: &mut Active<S>,
        request: S::Request,
        reply: Option<Reply<S::Response>>,
    ) -> Result<(), ErrorCode> {
        active.last_id += 1;
        let id = RequestId(active.last_id);
        active.held.insert(id, reply);
        let effects = active.shard.handle(&self.at(), id, request);
        self.take(active, effects)
    }

    fn on_time(&mut self, active: &mut Active<S>) -> Result<(), ErrorCode> {
        let at = self.at();
        for (reply, _) in active.parked.expire(at.now) {
            let _ = reply.send(Err(ErrorCode::RequestTimedOut));
        }
        while active.shard.next_deadline().is_some_and(|deadline| deadline <= at.now) {
            let effects = active.shard.on_time(&at);
            self.take(active, effects)?;
        }
        self.flush(active)
    }

    /// Takes the outcome of one decision: replays what it writes into the open batch, and keeps its answers for the batch's end.
    fn take(&mut self, active: &mut Active<S>, effects: Effects<S>) -> Result<(), ErrorCode> {
        match effects.write {
            Write::Records(records) => {
                let encoded: Vec<_> = records.into_iter().map(|record| (S::encode(&record), record)).collect();
                let size: usize = encoded.iter().map(|(bytes, _)| record_size(bytes)).sum();
                if active.open.uncompressed_size() + size > self.log.max_batch_bytes() {
                    self.append_open(active)?;
                }
                for (bytes, record) in encoded {
                    if active.open.uncompressed_size() + record_size(&bytes) > self.log.max_batch_bytes() {
                        self.append_open(active)?;
                    }
                    let (key, value) = bytes;
                    active.open.push_plain(self.clock.wall_ms(), Some(&key), value.as_deref());
                    let offset = active.next_offset + active.open.len() as Offset - 1;
                    active.shard.replay(Position { offset, transaction: None }, record);
                }
                active.keep(effects.replies.into_iter().map(|(id, response)| (id, Ok(response))));
            }
            Write::Transactional { producer, records } => {
                self.flush(active)?;
                let appended = self.append_transactional(active, producer, records)?;
                active.keep(effects.replies.into_iter().map(|(id, response)| (id, appended.map(|()| response))));
                self.flush(active)?;
            }
            Write::Marker { producer, coordinator_epoch, result } => {
                self.flush(active)?;
                let batch =
                    EndTransactionMarker { result, coordinator_epoch }.batch(self.clock.wall_ms(), producer.id, producer.epoch);
                let appended = refused(self.append(active, batch, 1))?;
                if appended.is_ok() {
                    active.shard.replay_end_transaction(producer.id, result);
                }
                active.keep(effects.replies.into_iter().map(|(id, response)| (id, appended.map(|_| response))));
                self.flush(active)?;
            }
        }
        Ok(())
    }

    fn append_transactional(
        &mut self,
        active: &mut Active<S>,
        producer: Producer,
        records: Vec<S::Record>,
    ) -> Result<Result<(), ErrorCode>, ErrorCode> {
        if records.is_empty() {
            return Ok(Ok(()));
        }
        let now = self.clock.wall_ms();
        let mut batch = BatchBuilder::new(Codec::None);
        batch.transactional = true;
        // Coordinators do not count; Kafka's write 0, and logs do not check it.
        batch.producer = builder::Producer { id: producer.id, epoch: producer.epoch, base_sequence: 0 };
        for record in &records {
            let (key, value) = S::encode(record);
            batch.push_plain(now, Some(&key), value.as_deref());
        }
        let appended = refused(self.append(active, batch.build(), records.len()))?;
        if let Ok(first) = appended {
            for (offset, record) in (first..).zip(records) {
                active.shard.replay(Position { offset, transaction: Some(producer.id) }, record);
            }
        }
        Ok(appended.map(drop))
    }

    /// Appends a built batch and returns the offset of its first record.
    fn append(&mut self, active: &mut Active<S>, batch: Bytes, records: usize) -> Result<Offset, ErrorCode> {
        let first = active.next_offset;
        let expected = first + records as Offset;
        let size = batch.len();
        let end = self.log.append_batch(batch, self.leader_epoch, self.clock.wall_ms())?;
        if end != expected {
            tracing::error!(partition = %self.log.topic_partition(), expected, end, "the coordinator is out of step with its log");
            return Err(ErrorCode::NotCoordinator);
        }
        active.next_offset = end;
        active.rewriter.on_append(size);
        Ok(first)
    }

    fn append_open(&mut self, active: &mut Active<S>) -> Result<(), ErrorCode> {
        if active.open.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut active.open, BatchBuilder::new(Codec::None));
        let records = batch.len();
        self.append(active, batch.build(), records).map(drop)
    }

    /// Appends the open batch and parks the answers decided so far behind the log end.
    fn flush(&mut self, active: &mut Active<S>) -> Result<(), ErrorCode> {
        self.append_open(active)?;
        let deadline = self.clock.mono() + self.write_timeout;
        active.parked.park(active.next_offset, deadline, std::mem::take(&mut active.decided));
        Ok(())
    }

    /// Lets go of what is committed.
    fn release(&self, active: &mut Active<S>) -> Result<(), ErrorCode> {
        if active.parked.next_end().or(active.rewriter.awaits()).is_none() {
            return Ok(());
        }
        let committed = self.log.committed(self.leader_epoch)?;
        for (reply, answer) in active.parked.release(committed) {
            let _ = reply.send(answer);
        }
        if let Some(offset) = active.rewriter.deletion_due(committed)
            && let Err(error) = self.log.delete_records_before(offset)
        {
            tracing::warn!(partition = %self.log.topic_partition(), offset, ?error, "what was rewritten stays in the log for now");
        }
        Ok(())
    }

    /// See [`super::rewrite`].
    fn rewrite_if_due(&mut self, active: &mut Active<S>) -> Result<(), ErrorCode> {
        if !active.rewriter.is_check_due() {
            return Ok(());
        }
        let live = active.shard.live();
        let live_bytes = live.records.iter().map(|record| record_size(&S::encode(record)) as u64).sum();
        if !active.rewriter.decide(live_bytes) {
            return Ok(());
        }
        let start = active.next_offset;
        self.take(active, Effects { write: Write::Records(live.records), replies: Vec::new() })?;
        self.flush(active)?;
        active.rewriter.on_rewritten(start, active.next_offset, live.keep_from, live_bytes);
        Ok(())
    }
}

type Answered<R> = (Reply<R>, Result<R, ErrorCode>);

/// A loaded shard and everything that ends with it.
struct Active<S: Shard> {
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
    rewriter: Rewriter,
}

impl<S: Shard> Active<S> {
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

/// A wait for one commit, kept while other things happen.
struct Committed {
    end: Offset,
    future: Pin<Box<dyn Future<Output = Result<(), ErrorCode>> + Send>>,
}

impl Committed {
    fn nothing() -> Self {
        Self { end: Offset::MIN, future: Box::pin(std::future::pending()) }
    }
}

fn earliest(a: Option<Mono>, b: Option<Mono>) -> Option<Mono> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

async fn sleep_until(clock: &Clock, deadline: Option<Mono>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(clock.instant_of(deadline).into()).await,
        None => std::future::pending().await,
    }
}

fn record_size((key, value): &(Bytes, Option<Bytes>)) -> usize {
    // length, attributes, timestamp delta, offset delta, key length, value length, header count: at most 5 bytes where they vary
    5 + 1 + 1 + 5 + 5 + key.len() + 5 + value.as_ref().map_or(0, Bytes::len) + 1
}

#[cfg(test)]
pub(super) mod tests;
