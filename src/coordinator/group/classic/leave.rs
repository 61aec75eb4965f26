//! LeaveGroup: members that go, or are sent away by their instance id (KIP-345). Pure.

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::coordinator::group::shard::{Step, Timer};

use super::group::{ClassicGroup, State};

/// The answer about one leaving member.
pub fn left(member: &MemberIdentity, error: Option<ErrorCode>) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(member.member_id.clone())
        .with_group_instance_id(member.group_instance_id.clone())
        .with_error_code(error.map_or(0, |error| error.code()))
}

impl ClassicGroup {
    pub fn leave(&mut self, step: &mut Step<'_>, request: &LeaveGroupRequest) -> LeaveGroupResponse {
        let outcomes: Vec<_> = request.members.iter().map(|member| (member, self.leave_one(step, member))).collect();
        if outcomes.iter().any(|(_, outcome)| outcome.is_ok()) {
            match self.state() {
                State::Stable | State::CompletingRebalance => self.prepare_rebalance(step, "members left"),
                State::PreparingRebalance => self.complete_join_if_ready(step),
                State::Empty => {}
            }
        }
        LeaveGroupResponse::default()
            .with_members(outcomes.into_iter().map(|(member, outcome)| left(member, outcome.err())).collect())
    }

    fn leave_one(&mut self, step: &mut Step<'_>, member: &MemberIdentity) -> Result<(), ErrorCode> {
        let id = if member.member_id.is_empty() {
            // Sent away by somebody who knows only the instance.
            let instance_id = member.group_instance_id.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
            self.static_member(instance_id).cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else {
            if !self.is_pending(&member.member_id) {
                self.validate_member(&member.member_id, member.group_instance_id.as_ref())?;
            }
            member.member_id.clone()
        };
        let reason = member.reason.as_deref().unwrap_or("not provided");
        tracing::info!(group = %self.id, member = %id, reason, "left");
        step.timers.cancel(&Timer::Session { group: self.id.clone(), member: id.clone() });
        if let Some(removed) = self.remove(&id) {
            // A JoinGroup may still wait: should the client live after all, it starts again.
            Self::dismiss(step, &removed, &StrBytes::new(), ErrorCode::UnknownMemberId);
        }
        Ok(())
    }
}
