//! SyncGroup: v0–5. The leader hands in the assignments, the others wait for theirs.
//!
//! v3 static members (KIP-345) · v4 flexible · v5 protocol type and name, which are then mandatory (KIP-559).

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;

const PROTOCOL_SINCE: i16 = 5;

pub fn handle(cx: &Context, request: SyncGroupRequest) -> Reply<SyncGroupResponse> {
    let version = cx.version();
    if version >= PROTOCOL_SINCE && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return Reply::Now(SyncGroupResponse::default().with_error_code(ErrorCode::InconsistentGroupProtocol.code()));
    }
    let answer = cx.broker().groups.sync(request);
    Reply::later(async move {
        let response = answer.await;
        if version < PROTOCOL_SINCE { response.with_protocol_type(None).with_protocol_name(None) } else { response }
    })
}
