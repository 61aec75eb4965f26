//! InitProducerId: v0–5. Gives an idempotent producer its id (KIP-98).
//!
//! v2 flexible · v3 existing id and epoch (KIP-360) · v4 PRODUCER_FENCED · v5 KIP-890. Without a transactional id a producer always gets a
//! fresh id at epoch 0. Transactional ids are refused: this broker has no transaction coordinator.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

pub fn handle(cx: &Context, request: InitProducerIdRequest) -> Reply<InitProducerIdResponse> {
    if let Some(code) = refusal(&request) {
        return Reply::Now(refuse(code));
    }
    let broker = cx.broker().clone();
    Reply::later(async move {
        match broker.next_producer_id().await {
            Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
            Err(code) => refuse(code),
        }
    })
}

fn refusal(request: &InitProducerIdRequest) -> Option<ErrorCode> {
    let has_id = request.producer_id.0 != NO_PRODUCER_ID;
    let has_epoch = request.producer_epoch != NO_PRODUCER_EPOCH;
    // One without the other names no producer (`KafkaApis.handleInitProducerIdRequest`).
    if has_id != has_epoch {
        return Some(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_ref().map(|id| id.as_str()) {
        None => None,
        Some("") => Some(ErrorCode::InvalidRequest),
        Some(_) => Some(ErrorCode::TransactionalIdAuthorizationFailed),
    }
}

fn refuse(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(code.code())
        .with_producer_id(ProducerId(NO_PRODUCER_ID))
        .with_producer_epoch(NO_PRODUCER_EPOCH)
}
