//! One partition hosted by this broker: the lock around its log and its role, and those who wait for it.
//!
//! Invariants: `log_start ≤ high_watermark ≤ log_end`; the high watermark never steps back within a leader epoch; with `flush = on-ack`
//! it never passes what is on the disk; wake-ups happen after the lock is released, so no waiter ever runs under it; the lock is never
//! held across an await.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tracing::warn;

use super::fetch::Isolation;
use super::waiters::{OffsetWaiters, Signal, Ticket};
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, LeaderEpoch, NO_LEADER_EPOCH, Offset, ProducerId, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::{Flush, TopicConfig};
use crate::metadata::PartitionRegistration;
use crate::metrics::TopicMetrics;
use crate::metrics::partitions::{LeaderGauges, LogGauges, PartitionGauges};
use crate::record::validate::Validated;
pub use crate::storage::TimestampAndOffset as Found;
use crate::storage::cleaner::LogOwner;
use crate::storage::leader_epochs::EpochEnd;
use crate::storage::producer_state::{AppendOrigin, FirstOfTransaction, ProducerStateEntry, VerificationGuard};
use crate::storage::transaction_index::AbortedTxn;
use crate::storage::{AppendError, Log, ReadError, ReadPlan};

/// Which acknowledgement a producer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: none.
    None,
    /// 1: of the leader.
    Leader,
    /// −1: of all in-sync replicas.
    All,
}

/// An append, as the producer is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    pub first_offset: Offset,
    pub log_append_time: TimestampMs,
    pub log_start_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// Where the acknowledgement has to wait: until the high watermark (acks=all) or the durable end (acks=1) has reached this offset.
    /// `None` if there is nothing to wait for.
    pub commits_at: Option<Offset>,
}

/// What ListOffsets asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ListOffset {
    pub question: OffsetQuestion,
    pub isolation: Isolation,
    /// −1: not checked (KIP-320).
    pub current_leader_epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuestion {
    /// The end of what the reader may see.
    Latest,
    Earliest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record with this timestamp or a later one.
    AtOrAfter(TimestampMs),
    /// What only tiered storage has.
    Nowhere,
}

/// What a fetch asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub offset: Offset,
    pub max_bytes: usize,
    /// Give a whole batch even if it is larger than `max_bytes`.
    pub at_least_one_batch: bool,
    /// −1: not checked (KIP-320).
    pub current_leader_epoch: LeaderEpoch,
    /// −1: not checked (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
    pub isolation: Isolation,
}

/// What a fetch gets of one partition.
pub struct PartitionRead {
    pub partition: Arc<Partition>,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// The fetcher's log differs from here on: the largest epoch they have in common and where it ends.
    pub diverging: Option<EpochEnd>,
    /// Aborted transactions in what was read, by rising first offset; for readers at read_committed.
    pub aborted: Vec<AbortedTxn>,
    pub records: Bytes,
    /// What is not in memory, and has to be loaded where blocking is allowed.
    pub plan: Option<ReadPlan>,
    /// Bytes of records, or as many as were asked for while they are not in memory.
    pub len: usize,
}

impl PartitionRead {
    /// Takes the records of a plan whose bytes are in memory. Of a first batch that does not fit nothing is given: a client takes a part of one
    /// for a log that it will never get on with (KIP-74, `ReplicaManager.readFromLog`).
    pub(super) fn take(&mut self, mut plan: ReadPlan, isolation: Isolation) -> Result<(), ReadError> {
        let fetched = plan.finish()?;
        self.records = if fetched.first_entry_incomplete { Bytes::new() } else { fetched.records };
        self.len = self.records.len();
        if isolation == Isolation::ReadCommitted {
            self.aborted = plan.aborted_transactions()?;
        }
        Ok(())
    }
}

/// What [`Partition::apply`] made of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// This broker leads it, in a new epoch.
    Elected,
    /// This broker leads it no longer.
    Resigned,
    None,
}

pub struct Partition {
    name: TopicPartition,
    topic_id: TopicId,
    metrics: Arc<TopicMetrics>,
    state: Mutex<State>,
}

struct State {
    /// `None` once it was deleted or closed, or where it cannot be had; then this broker does not lead either.
    log: Option<Log>,
    role: Role,
    /// Producers, by the high watermark they wait for.
    committed: OffsetWaiters,
    /// Producers that asked for this broker's disk alone (acks=1 with `flush = on-ack`), by the durable end they wait for.
    durable: OffsetWaiters,
    /// Fetches, by the bound they wait for: high watermark and last stable offset.
    readable: OffsetWaiters,
    stable: OffsetWaiters,
}

#[derive(Clone, Debug)]
enum Role {
    /// Not told yet, or led by nobody or another broker.
    NotLeader {
        leader_epoch: LeaderEpoch,
    },
    Leader(Leadership),
    /// The log cannot be had until the broker starts anew: it was not opened, or may lie in a directory that is missing. Whoever leads by the metadata,
    /// clients are told KAFKA_STORAGE_ERROR (Kafka's `HostedPartition.Offline`).
    Offline,
}

#[derive(Clone, Debug)]
struct Leadership {
    leader_epoch: LeaderEpoch,
    isr: SmallVec<[BrokerId; 4]>,
    replicas: usize,
}

type Signals = Vec<Arc<Signal>>;

impl Partition {
    /// `metrics` are those of its topic.
    pub fn new(name: TopicPartition, topic_id: TopicId, log: Log, metrics: Arc<TopicMetrics>) -> Arc<Self> {
        Arc::new_cyclic(|partition: &Weak<Partition>| {
            let partition = partition.clone();
            log.set_flush_listener(Arc::new(move |_| {
                if let Some(partition) = partition.upgrade() {
                    partition.on_flushed();
                }
            }));
            let state = State::new(Some(log), Role::NotLeader { leader_epoch: NO_LEADER_EPOCH });
            Self { name, topic_id, metrics, state: Mutex::new(state) }
        })
    }

    /// A partition that cannot be served because its log cannot be had.
    pub fn offline(name: TopicPartition, topic_id: TopicId, metrics: Arc<TopicMetrics>) -> Arc<Self> {
        Arc::new(Self { name, topic_id, metrics, state: Mutex::new(State::new(None, Role::Offline)) })
    }

    /// Whether it was hosted without its log.
    pub fn is_offline(&self) -> bool {
        matches!(self.state.lock().role, Role::Offline)
    }

    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// Counts of its topic.
    pub fn metrics(&self) -> &TopicMetrics {
        &self.metrics
    }

    /// How it stands, for the metrics; `None` if it has no log any more.
    pub fn gauges(&self) -> Option<PartitionGauges<'_>> {
        let state = self.state.lock();
        let log = state.log.as_ref().map(|log| log.shared());
        if log.is_none() && !matches!(state.role, Role::Offline) {
            return None;
        }
        let leader = state.role.leadership().ok().map(|leadership| LeaderGauges {
            replicas: leadership.replicas,
            in_sync: leadership.isr.len(),
            min_in_sync: state.min_insync_replicas().min(leadership.replicas),
        });
        Some(PartitionGauges {
            topic: &self.name.topic,
            partition: self.name.partition,
            offline: !state.is_online(),
            leader,
            log: log.map(|log| LogGauges {
                size: log.size(),
                segments: log.segment_count(),
                start_offset: log.log_start_offset(),
                end_offset: log.log_end_offset(),
            }),
            waiting_produces: state.committed.len() + state.durable.len(),
            waiting_fetches: state.readable.len() + state.stable.len(),
        })
    }

    /// Takes the role that the metadata gives. Waiters whose question can no longer be answered here are woken.
    pub fn apply(&self, broker_id: BrokerId, registration: &PartitionRegistration, config: &Arc<TopicConfig>) -> RoleChange {
        let mut state = self.state.lock();
        let leader_epoch = registration.leader_epoch;
        let flush_on_ack = match config.flush {
            Flush::OnAck => true,
            Flush::Background => false,
            Flush::Auto => registration.replicas.len() == 1,
        };
        let (before, led) = (state.role.leader_epoch(), state.role.is_leader());
        let Some(log) = &mut state.log else { return RoleChange::None };
        log.set_config(config.clone());
        log.set_flush_on_ack(flush_on_ack);
        if registration.leader != broker_id {
            state.role = Role::NotLeader { leader_epoch };
        } else {
            // A leader says where its epoch begins before it serves (KIP-101): that is how followers find out where they differ.
            if !led || before != leader_epoch {
                let end = log.log_end_offset();
                log.assign_epoch(leader_epoch, end);
            }
            state.role =
                Role::Leader(Leadership { leader_epoch, isr: registration.isr.clone(), replicas: registration.replicas.len() });
        }
        let mut signals = state.advance();
        let leads = state.role.is_leader();
        if before != leader_epoch || !leads {
            state.wake_all(&mut signals);
        }
        raise(state, signals);
        match (led, leads) {
            (_, true) if !led || before != leader_epoch => RoleChange::Elected,
            (true, false) => RoleChange::Resigned,
            _ => RoleChange::None,
        }
    }

    /// Takes the log away to close or delete it; whoever still asks is told that this broker does not lead.
    pub fn take_log(&self) -> Option<Log> {
        let mut state = self.state.lock();
        state.role = Role::NotLeader { leader_epoch: state.role.leader_epoch() };
        let mut signals = Signals::new();
        state.wake_all(&mut signals);
        let log = state.log.take();
        raise(state, signals);
        log
    }

    /// Does something to the log that has to be done under its lock; `None` if there is no log any more.
    pub fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.state.lock().log.as_mut().map(work)
    }

    /// A batch of a transaction wants to be appended. `None` if it may be; otherwise the transaction coordinator has to be asked first, and
    /// what this gives presented with the batch.
    pub fn start_verification(
        &self,
        batch: &FirstOfTransaction,
        now: TimestampMs,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        let mut state = self.state.lock();
        state.role.leadership()?;
        let log = state.log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
        log.start_verification(batch, now).map_err(|error| error.code())
    }

    /// Appends a producer's batch; `guard` as [`Partition::start_verification`] gave it. What this gives says whether the acknowledgement has
    /// to wait.
    pub fn append_as_leader(
        &self,
        batch: &Validated,
        guard: Option<VerificationGuard>,
        acks: Acks,
        now: TimestampMs,
    ) -> Result<Appended, ErrorCode> {
        let mut state = self.state.lock();
        let leadership = state.role.leadership()?;
        if acks == Acks::All && leadership.is_under_min_isr(state.min_insync_replicas()) {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let leader_epoch = leadership.leader_epoch;
        let log = state.log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let appended = log.append_as_leader(batch, leader_epoch, AppendOrigin::Client, guard, now);
        let appended = appended.map_err(|e| self.refused(e))?;
        let commits_at = appended.last_offset + 1;
        let flush_on_ack = log.flush_on_ack();
        let signals = state.advance();
        let acknowledged = match acks {
            Acks::None => true,
            Acks::Leader => !flush_on_ack || state.reached(Acks::Leader) >= commits_at,
            Acks::All => state.reached(Acks::All) >= commits_at,
        };
        raise(state, signals);
        Ok(Appended {
            first_offset: appended.first_offset,
            log_append_time: appended.log_append_time,
            log_start_offset: appended.log_start_offset,
            leader_epoch,
            commits_at: (!acknowledged).then_some(commits_at),
        })
    }
}

/// For coordinators, whose log this is.
impl Partition {
    /// The epoch in which this broker leads.
    pub fn leader_epoch(&self) -> Result<LeaderEpoch, ErrorCode> {
        Ok(self.state.lock().role.leadership()?.leader_epoch)
    }

    /// Appends a batch that a coordinator of this broker has built, as the leader of `leader_epoch`; the log end after it.
    ///
    /// `transaction_version` is that of a marker; `guard` lets records of a transaction in.
    pub fn append_built(
        &self,
        batch: &Bytes,
        transaction_version: i16,
        guard: Option<VerificationGuard>,
        leader_epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Offset, ErrorCode> {
        let mut state = self.state.lock();
        let leadership = state.role.leadership()?;
        if leadership.leader_epoch != leader_epoch {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if leadership.is_under_min_isr(state.min_insync_replicas()) {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let log = state.log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
        if batch.len() > log.config().max_message_bytes.max(0) as usize {
            return Err(ErrorCode::MessageTooLarge);
        }
        let origin = AppendOrigin::Coordinator { transaction_version };
        let appended = log.append_built(batch, leader_epoch, origin, guard, now).map_err(|e| self.refused(e))?;
        let signals = state.advance();
        raise(state, signals);
        Ok(appended.last_offset + 1)
    }
}

/// Reading and waiting.
impl Partition {
    /// The code for a client whose read failed; what is not the client's doing is logged.
    pub(super) fn read_failed(&self, error: &ReadError) -> ErrorCode {
        if !matches!(error, ReadError::OffsetOutOfRange { .. } | ReadError::Truncated) {
            warn!(partition = %self.name, %error, "reading failed");
        }
        error.code()
    }

    fn refused(&self, error: AppendError) -> ErrorCode {
        let code = error.code();
        if code == ErrorCode::KafkaStorageError {
            warn!(partition = %self.name, %error, "a write was refused");
        }
        code
    }

    /// The flusher made more of the log durable, or its directory failed.
    fn on_flushed(&self) {
        let mut state = self.state.lock();
        let mut signals = state.advance();
        let durable_end = state.reached(Acks::Leader);
        state.durable.reached(durable_end, &mut signals);
        if !state.is_online() {
            state.wake_all(&mut signals);
        }
        raise(state, signals);
    }

    /// Decides what a fetch may read. Touches no records: that is the plan's work, outside of the lock.
    pub fn read(self: &Arc<Self>, request: &ReadRequest) -> Result<PartitionRead, ErrorCode> {
        let state = self.state.lock();
        state.role.check_epoch(request.current_leader_epoch)?;
        let log = state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let (high_watermark, last_stable_offset) = (log.high_watermark(), log.last_stable_offset());
        let log_start_offset = log.log_start_offset();
        let mut read = PartitionRead {
            partition: self.clone(),
            high_watermark,
            last_stable_offset,
            log_start_offset,
            diverging: None,
            aborted: Vec::new(),
            records: Bytes::new(),
            plan: None,
            len: 0,
        };
        if request.offset < log_start_offset || request.offset > log.log_end_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if request.last_fetched_epoch >= 0 {
            // An epoch older than all that are known here: nothing can be said to be common.
            let end = log.last_offset_for_leader_epoch(request.last_fetched_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
            if end.epoch < request.last_fetched_epoch || end.end_offset < request.offset {
                read.diverging = Some(end);
                return Ok(read);
            }
        }
        let bound = match request.isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable_offset,
        };
        if request.offset >= bound || (request.max_bytes == 0 && !request.at_least_one_batch) {
            return Ok(read);
        }
        let plan = log.read(request.offset, request.max_bytes, request.at_least_one_batch, bound);
        drop(state);
        let mut plan = plan.map_err(|e| self.read_failed(&e))?;
        if plan.is_resident() {
            read.take(plan, request.isolation).map_err(|e| self.read_failed(&e))?;
        } else {
            read.len = plan.len().unwrap_or(request.max_bytes);
            read.plan = Some(plan);
        }
        Ok(read)
    }

    pub fn watch_readable(&self, isolation: Isolation, signal: Arc<Signal>) -> Ticket {
        let mut state = self.state.lock();
        let (high_watermark, last_stable_offset) =
            state.log.as_ref().map_or((0, 0), |l| (l.high_watermark(), l.last_stable_offset()));
        match isolation {
            Isolation::ReadUncommitted => state.readable.add(high_watermark + 1, signal),
            Isolation::ReadCommitted => state.stable.add(last_stable_offset + 1, signal),
        }
    }

    pub fn unwatch_readable(&self, isolation: Isolation, ticket: Ticket) {
        let mut state = self.state.lock();
        match isolation {
            Isolation::ReadUncommitted => state.readable.remove(ticket),
            Isolation::ReadCommitted => state.stable.remove(ticket),
        }
    }

    pub fn watch_acknowledged(&self, acks: Acks, offset: Offset, signal: Arc<Signal>) -> Ticket {
        self.state.lock().acknowledgements(acks).add(offset, signal)
    }

    pub fn unwatch_acknowledged(&self, acks: Acks, ticket: Ticket) {
        self.state.lock().acknowledgements(acks).remove(ticket);
    }

    /// Whether everything below `offset` may be acknowledged, as the leader of `leader_epoch` may say. A registered waiter that looks
    /// here cannot miss a change.
    pub fn is_acknowledged(&self, acks: Acks, leader_epoch: LeaderEpoch, offset: Offset) -> Result<bool, ErrorCode> {
        let state = self.state.lock();
        let leadership = state.role.leadership()?;
        if leadership.leader_epoch != leader_epoch {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if state.reached(acks) < offset {
            return if state.is_online() { Ok(false) } else { Err(ErrorCode::KafkaStorageError) };
        }
        match acks == Acks::All && leadership.is_under_min_isr(state.min_insync_replicas()) {
            true => Err(ErrorCode::NotEnoughReplicasAfterAppend),
            false => Ok(true),
        }
    }
}

/// Asking and changing offsets.
impl Partition {
    /// Answers ListOffsets for this partition; `None` if there is no such record. A search by time may wait for the disk.
    pub fn list_offset(&self, asked: &ListOffset) -> Result<Option<Found>, ErrorCode> {
        let state = self.state.lock();
        let leader_epoch = state.role.check_epoch(asked.current_leader_epoch)?.leader_epoch;
        let log = state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let bound = match asked.isolation {
            Isolation::ReadUncommitted => log.high_watermark(),
            Isolation::ReadCommitted => log.last_stable_offset(),
        };
        match asked.question {
            OffsetQuestion::Latest => Ok(Some(Found { leader_epoch, ..log.latest_offset(bound) })),
            OffsetQuestion::Earliest => Ok(Some(log.earliest_offset())),
            OffsetQuestion::Nowhere => Ok(None),
            OffsetQuestion::AtOrAfter(_) | OffsetQuestion::MaxTimestamp => {
                let search = log.search_timestamps();
                drop(state);
                let found = search.and_then(|search| match asked.question {
                    OffsetQuestion::AtOrAfter(target) => search.first_at_or_after(target, bound),
                    _ => search.max_timestamp().map(|found| found.filter(|f| f.offset < bound)),
                });
                found.map_err(|e| self.read_failed(&e))
            }
        }
    }

    /// The largest known epoch up to `epoch`, and where it ends; `None` if all known are newer.
    pub fn end_of_epoch(&self, current: LeaderEpoch, epoch: LeaderEpoch) -> Result<Option<EpochEnd>, ErrorCode> {
        let state = self.state.lock();
        state.role.check_epoch(current)?;
        Ok(state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?.last_offset_for_leader_epoch(epoch))
    }

    /// Gives up everything before `offset`, −1 being the high watermark; the log's start afterwards (`deleteRecordsOnLeader`).
    pub fn delete_records(&self, offset: Offset) -> Result<Offset, ErrorCode> {
        let mut state = self.state.lock();
        state.role.leadership()?;
        let log = state.log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
        if !log.config().cleanup_delete {
            return Err(ErrorCode::PolicyViolation);
        }
        let offset = if offset == -1 { log.high_watermark() } else { offset };
        if offset < 0 {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        log.maybe_increment_log_start_offset(offset).map_err(|e| e.code())?;
        Ok(log.log_start_offset())
    }

    /// The producers this partition remembers, in the order of their ids (DescribeProducers).
    pub fn producers(&self) -> Result<Vec<(ProducerId, ProducerStateEntry)>, ErrorCode> {
        let state = self.state.lock();
        state.role.leadership()?;
        let log = state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let mut producers: Vec<_> = log.producers().producers().map(|(id, entry)| (id, entry.clone())).collect();
        producers.sort_unstable_by_key(|(id, _)| *id);
        Ok(producers)
    }
}

impl LogOwner for Partition {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        self.with_log(visit).is_some()
    }
}

impl State {
    fn new(log: Option<Log>, role: Role) -> Self {
        Self {
            log,
            role,
            committed: OffsetWaiters::default(),
            durable: OffsetWaiters::default(),
            readable: OffsetWaiters::default(),
            stable: OffsetWaiters::default(),
        }
    }

    fn acknowledgements(&mut self, acks: Acks) -> &mut OffsetWaiters {
        if acks == Acks::All { &mut self.committed } else { &mut self.durable }
    }

    fn min_insync_replicas(&self) -> usize {
        self.log.as_ref().map_or(1, |log| log.config().min_insync_replicas.max(1) as usize)
    }

    /// Up to where this acknowledgement may be given: the high watermark, or what is on this broker's disk.
    fn reached(&self, acks: Acks) -> Offset {
        let Some(log) = &self.log else { return 0 };
        if acks == Acks::All { log.high_watermark() } else { log.durable_end() }
    }

    fn is_online(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.directory().check_online().is_ok())
    }

    /// Lets the high watermark follow what the in-sync replicas have, and takes the signals of those who waited for it.
    fn advance(&mut self) -> Signals {
        let mut signals = Signals::new();
        let (Role::Leader(_), Some(log)) = (&self.role, &mut self.log) else { return signals };
        // The leader is the only in-sync replica as long as no follower fetches here: its own progress is the high watermark.
        let progress = if log.flush_on_ack() { log.durable_end() } else { log.log_end_offset() };
        if !log.maybe_increment_high_watermark(progress) {
            return signals;
        }
        let (high_watermark, last_stable_offset) = (log.high_watermark(), log.last_stable_offset());
        self.committed.reached(high_watermark, &mut signals);
        self.readable.reached(high_watermark, &mut signals);
        self.stable.reached(last_stable_offset, &mut signals);
        signals
    }

    /// Everybody looks again, and finds that this broker does not lead.
    fn wake_all(&mut self, signals: &mut Signals) {
        self.committed.all(signals);
        self.durable.all(signals);
        self.readable.all(signals);
        self.stable.all(signals);
    }
}

impl Role {
    fn leader_epoch(&self) -> LeaderEpoch {
        match self {
            Role::NotLeader { leader_epoch } => *leader_epoch,
            Role::Leader(leadership) => leadership.leader_epoch,
            Role::Offline => NO_LEADER_EPOCH,
        }
    }

    fn is_leader(&self) -> bool {
        matches!(self, Role::Leader(_))
    }

    fn leadership(&self) -> Result<&Leadership, ErrorCode> {
        match self {
            Role::Leader(leadership) => Ok(leadership),
            Role::NotLeader { .. } => Err(ErrorCode::NotLeaderOrFollower),
            Role::Offline => Err(ErrorCode::KafkaStorageError),
        }
    }

    /// `Partition.checkCurrentLeaderEpoch`, then leadership: an old epoch is fenced, a newer one not known here yet; −1 is not checked.
    fn check_epoch(&self, requested: LeaderEpoch) -> Result<&Leadership, ErrorCode> {
        if let Role::Offline = self {
            return self.leadership();
        }
        let current = self.leader_epoch();
        if requested >= 0 && requested < current {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if requested > current {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        self.leadership()
    }
}

impl Leadership {
    /// `min.insync.replicas` asks for no more than there are replicas (`Partition.effectiveMinIsr`).
    fn is_under_min_isr(&self, min_insync_replicas: usize) -> bool {
        self.isr.len() < min_insync_replicas.min(self.replicas)
    }
}

/// Releases the lock, then wakes.
fn raise(state: MutexGuard<'_, State>, signals: Signals) {
    drop(state);
    for signal in signals {
        signal.raise();
    }
}
