//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup: finding the group, and what is said if there is none. Pure.

use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use uuid::Uuid;

use crate::base::ErrorCode;
use crate::coordinator::shard::{At, Effects, RequestId};

use super::classic::join::Join;
use super::classic::leave::left;
use super::request::Client;
use super::shard::GroupShard;

impl GroupShard {
    pub(super) fn join(
        &mut self,
        at: &At,
        id: RequestId,
        version: i16,
        client: Client,
        member_uuid: Uuid,
        request: JoinGroupRequest,
    ) -> Effects<Self> {
        let group_id = request.group_id.0.clone();
        let is_new_group = !self.groups.contains_key(&group_id);
        if is_new_group && !request.member_id.is_empty() {
            let unknown = JoinGroupResponse::default().with_member_id(request.member_id);
            return Effects::reply(id, unknown.with_error_code(ErrorCode::UnknownMemberId.code()).into());
        }
        self.classic_or_new(at, &group_id);
        let decided = self.with_classic(at, &group_id, |group, step| {
            group.join(step, Join::new(id, version, client, member_uuid, request));
            if is_new_group {
                // The group exists from now on, with or without members.
                step.records.push(group.new_record());
                step.schedule_expiry_check();
            }
        });
        decided.expect("the group is there or was just made").0
    }

    pub(super) fn sync(&mut self, at: &At, id: RequestId, request: SyncGroupRequest) -> Effects<Self> {
        let group_id = request.group_id.0.clone();
        match self.with_classic(at, &group_id, |group, step| group.sync(step, id, request)) {
            Some((effects, ())) => effects,
            None => Effects::reply(id, SyncGroupResponse::default().with_error_code(ErrorCode::UnknownMemberId.code()).into()),
        }
    }

    pub(super) fn heartbeat(&mut self, at: &At, id: RequestId, request: &HeartbeatRequest) -> Effects<Self> {
        let decided = self.with_classic(at, &request.group_id.0, |group, step| {
            let response = group.heartbeat(step, request);
            step.reply(id, response);
        });
        match decided {
            Some((effects, ())) => effects,
            None => Effects::reply(id, HeartbeatResponse::default().with_error_code(ErrorCode::UnknownMemberId.code()).into()),
        }
    }

    pub(super) fn leave(&mut self, at: &At, id: RequestId, request: &LeaveGroupRequest) -> Effects<Self> {
        let decided = self.with_classic(at, &request.group_id.0, |group, step| {
            let response = group.leave(step, request);
            step.reply(id, response);
        });
        match decided {
            Some((effects, ())) => effects,
            None => {
                let members = request.members.iter().map(|member| left(member, Some(ErrorCode::UnknownMemberId)));
                Effects::reply(id, LeaveGroupResponse::default().with_members(members.collect()).into())
            }
        }
    }
}
