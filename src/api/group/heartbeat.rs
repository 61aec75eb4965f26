//! Heartbeat: v0–4. Keeps a member of a classic group alive, and tells it of a rebalance.
//!
//! v3 static members (KIP-345) · v4 flexible.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, request: HeartbeatRequest) -> Reply<HeartbeatResponse> {
    Reply::Later(cx.broker().groups.heartbeat(request))
}
