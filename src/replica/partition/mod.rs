//! One partition hosted by this broker: the lock around its log and its role, and those who wait for it.
//!
//! Invariants: `log_start ≤ high_watermark ≤ log_end`; the high watermark never steps back within a leader epoch; with `flush = on-ack`
//! it never passes what is on the disk; wake-ups happen after the lock is released, so no waiter ever runs under it; the lock is never
//! held across an await.

mod append;
mod offsets;
mod read;
mod role;
mod state;

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub use self::append::{Acks, Appended};
pub use self::offsets::{Found, ListOffset, OffsetQuestion};
pub use self::read::{PartitionRead, ReadRequest};
use self::role::{Leadership, Role};
use self::state::{Signals, State, raise};
use crate::base::ids::{BrokerId, NO_LEADER_EPOCH, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::{Flush, TopicConfig};
use crate::metadata::PartitionRegistration;
use crate::metrics::TopicMetrics;
use crate::metrics::partitions::{LeaderGauges, LogGauges, PartitionGauges};
use crate::storage::Log;
use crate::storage::cleaner::LogOwner;

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
    pub fn gauges(&self, now: TimestampMs, max_transaction_timeout_ms: i64) -> Option<PartitionGauges<'_>> {
        let state = self.state.lock();
        let log = state.log.as_ref().map(|log| log.shared());
        if log.is_none() && !matches!(state.role, Role::Offline) {
            return None;
        }
        let is_late = |log: &Log| log.producers().has_late_transaction(now, max_transaction_timeout_ms);
        let leader = state.role.leadership().ok().map(|leadership| LeaderGauges {
            replicas: leadership.replicas,
            in_sync: leadership.isr.len(),
            min_in_sync: state.min_insync_replicas().min(leadership.replicas),
            late_transaction: state.log.as_ref().is_some_and(is_late),
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
}

impl LogOwner for Partition {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        self.with_log(visit).is_some()
    }
}
