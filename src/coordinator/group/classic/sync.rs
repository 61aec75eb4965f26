//! SyncGroup: the leader brings the assignment, everybody gets a part; and Heartbeat. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse, SyncGroupRequest};
use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::coordinator::group::shard::{Step, Timer};
use crate::coordinator::shard::RequestId;

use super::group::{ClassicGroup, State, sync_error};

impl ClassicGroup {
    pub fn sync(&mut self, step: &mut Step<'_>, id: RequestId, request: SyncGroupRequest) {
        if let Err(error) = self.validate_sync(&request) {
            return step.reply(id, sync_error(error));
        }
        match self.state() {
            State::PreparingRebalance => step.reply(id, sync_error(ErrorCode::RebalanceInProgress)),
            State::Empty => step.reply(id, sync_error(ErrorCode::UnknownMemberId)),
            State::Stable => {
                self.has_synced(step, &request.member_id);
                let assignment = self.member(&request.member_id).map(|member| member.assignment.clone()).unwrap_or_default();
                step.reply(id, self.synced(assignment));
            }
            State::CompletingRebalance => {
                self.has_synced(step, &request.member_id);
                let member = self.member_mut(&request.member_id).expect("the member is valid");
                if let Some(superseded) = member.awaiting_sync.replace(id) {
                    step.reply(superseded, sync_error(ErrorCode::RebalanceInProgress));
                }
                if self.is_leader(&request.member_id) {
                    self.assign(step, request);
                }
            }
        }
    }

    fn validate_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        if self.state() == State::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let disagree = |asked: &Option<StrBytes>, ours: Option<&StrBytes>| asked.as_ref().zip(ours).is_some_and(|(a, b)| a != b);
        if disagree(&request.protocol_type, self.protocol_type()) || disagree(&request.protocol_name, self.protocol_name()) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn has_synced(&mut self, step: &mut Step<'_>, member: &StrBytes) {
        self.pending_sync.remove(member);
        if self.pending_sync.is_empty() {
            step.timers.cancel(&Timer::Sync(self.id.clone()));
        }
    }

    /// The leader has spoken. Members that it forgot get an empty assignment; nobody hears of any before it is committed.
    fn assign(&mut self, step: &mut Step<'_>, request: SyncGroupRequest) {
        let assigned: BTreeMap<_, _> = request.assignments.iter().map(|it| (&it.member_id, &it.assignment)).collect();
        for member in self.members_mut() {
            // Copied, so that a member does not pin the request with the assignments of all.
            member.assignment = assigned.get(&member.id).map(|it| Bytes::copy_from_slice(it)).unwrap_or_default();
            if member.assignment.is_empty() {
                tracing::debug!(member = %member.id, "gets an empty assignment");
            }
        }
        if !step.fits(&self.to_record()) {
            tracing::error!(group = %self.id, "the assignment does not fit into one batch of the offsets topic: raise its max.message.bytes");
            self.reset_assignment(step, ErrorCode::UnknownServerError);
            return self.prepare_rebalance(step, "the assignment is too large to be stored");
        }
        self.transition_to(State::Stable, step.at.wall_ms);
        step.records.push(self.to_record());
        step.schedule_expiry_check();
        for id in self.member_ids() {
            let member = self.member_mut(&id).expect("its id was just listed");
            if let Some(waiting) = member.awaiting_sync.take() {
                let assignment = member.assignment.clone();
                step.reply(waiting, self.synced(assignment));
                // Its session may have ended while it waited, which did not count.
                self.renew_session(step, &id);
            }
        }
    }

    pub fn heartbeat(&mut self, step: &mut Step<'_>, request: &HeartbeatRequest) -> HeartbeatResponse {
        let outcome = self.validate_member(&request.member_id, request.group_instance_id.as_ref()).and_then(|()| {
            if request.generation_id != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
            self.renew_session(step, &request.member_id);
            match self.state() {
                State::Empty => Err(ErrorCode::UnknownMemberId),
                State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
                // A member may heartbeat as soon as it has joined.
                State::CompletingRebalance | State::Stable => Ok(()),
            }
        });
        HeartbeatResponse::default().with_error_code(outcome.err().map_or(0, |error| error.code()))
    }
}
