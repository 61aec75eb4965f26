//! Appends, and waiting until they may be acknowledged.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use super::Partition;
use super::state::raise;
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, TimestampMs};
use crate::record::validate::Validated;
use crate::replica::waiters::{Signal, Ticket};
use crate::storage::AppendError;
use crate::storage::producer_state::{AppendOrigin, FirstOfTransaction, VerificationGuard};

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

impl Partition {
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

/// Acknowledging.
impl Partition {
    /// The flusher made more of the log durable, or its directory failed.
    pub(super) fn on_flushed(&self) {
        let mut state = self.state.lock();
        let mut signals = state.advance();
        let durable_end = state.reached(Acks::Leader);
        state.durable.reached(durable_end, &mut signals);
        if !state.is_online() {
            state.wake_all(&mut signals);
        }
        raise(state, signals);
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

    fn refused(&self, error: AppendError) -> ErrorCode {
        let code = error.code();
        if code == ErrorCode::KafkaStorageError {
            warn!(partition = %self.name, %error, "a write was refused");
        }
        code
    }
}
