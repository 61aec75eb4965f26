//! LeaveGroup: v0–5. Members leave, or are removed by an administrator.
//!
//! v3 several members, by id or static instance id (KIP-345) · v4 flexible · v5 reason (KIP-800).

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;

pub fn handle(cx: &Context, mut request: LeaveGroupRequest) -> Reply<LeaveGroupResponse> {
    let version = cx.version();
    if version < 3 {
        let member_id = std::mem::take(&mut request.member_id);
        request.members = vec![MemberIdentity::default().with_member_id(member_id)];
    }
    let answer = cx.broker().groups.leave(request);
    Reply::later(async move { shape(answer.await, version) })
}

/// Before version 3 the one member's error is that of the whole answer (`LeaveGroupResponse`).
fn shape(response: LeaveGroupResponse, version: i16) -> LeaveGroupResponse {
    if version >= 3 {
        return response;
    }
    let code = match (response.error_code, response.members.as_slice()) {
        (0, [member]) => member.error_code,
        (0, _) => ErrorCode::UnknownServerError.code(),
        (code, _) => code,
    };
    LeaveGroupResponse::default().with_error_code(code)
}
