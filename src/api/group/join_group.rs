//! JoinGroup: v0–9. Enters a group, or enters it again; answered when the rebalance it takes part in is over.
//!
//! v1 rebalance timeout · v4 MEMBER_ID_REQUIRED (KIP-394) · v5 static members (KIP-345) · v6 flexible · v7 protocol type, nullable protocol
//! name (KIP-559) · v8 reason (KIP-800) · v9 skip assignment (KIP-814).

use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::coordinator::group::request::Client;

pub fn handle(cx: &Context, request: JoinGroupRequest) -> Reply<JoinGroupResponse> {
    let version = cx.version();
    let client = Client {
        id: StrBytes::from_string(cx.client_id().to_owned()),
        host: StrBytes::from_string(format!("/{}", cx.session.peer.ip().to_canonical())),
    };
    let answer = cx.broker().groups.join(client, version, request);
    Reply::later(async move { shape(answer.await, version) })
}

/// Fields that a version does not have are left out, and a missing protocol name is empty before it could be null.
fn shape(mut response: JoinGroupResponse, version: i16) -> JoinGroupResponse {
    if version < 9 {
        response.skip_assignment = false;
    }
    if version < 7 {
        response.protocol_type = None;
        response.protocol_name = Some(response.protocol_name.unwrap_or_default());
    }
    if version < 5 {
        response.members.iter_mut().for_each(|member| member.group_instance_id = None);
    }
    response
}
