//! SyncGroup: v0–5. The leader hands in the assignments, the others wait for theirs.
//!
//! v3 static members (KIP-345) · v4 flexible · v5 protocol type and name (KIP-559).

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, request: SyncGroupRequest) -> Reply<SyncGroupResponse> {
    let version = cx.version();
    let answer = cx.broker().groups.sync(request);
    Reply::later(async move {
        let response = answer.await;
        if version < 5 { response.with_protocol_type(None).with_protocol_name(None) } else { response }
    })
}
