//! InitProducerId: v0–5. Gives an idempotent producer its id (KIP-98), or lets a transactional one take its transactional id.
//!
//! v2 flexible · v3 existing id and epoch (KIP-360) · v4 PRODUCER_FENCED · v5 KIP-890. Without a transactional id a producer always gets a
//! fresh id at epoch 0. Two-phase commit (`keepPreparedTxn`, KIP-939) belongs to version 6, which Kafka 4.3 does not offer either.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::fenced_since;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::crash_point::crash_point;
use crate::base::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use crate::coordinator::shard::Producer;
use crate::coordinator::transaction::request::InitProducerId;

pub fn handle(cx: &Context, request: InitProducerIdRequest) -> Reply<InitProducerIdResponse> {
    let version = cx.version();
    let has_id = request.producer_id.0 != NO_PRODUCER_ID;
    let has_epoch = request.producer_epoch != NO_PRODUCER_EPOCH;
    // One without the other names no producer (`KafkaApis.handleInitProducerIdRequest`).
    if has_id != has_epoch {
        return Reply::Now(respond(Err(ErrorCode::InvalidRequest)));
    }
    let expected = has_id.then_some(Producer { id: request.producer_id.0, epoch: request.producer_epoch });
    let broker = cx.broker().clone();
    let Some(id) = request.transactional_id else {
        return Reply::later(async move { respond(broker.next_producer_id().await.map(|id| Producer { id, epoch: 0 })) });
    };
    let (id, timeout_ms) = (id.0, request.transaction_timeout_ms);
    if id.is_empty() {
        return Reply::Now(respond(Err(ErrorCode::InvalidRequest)));
    }
    if !broker.transactions.is_valid_timeout(timeout_ms) {
        return Reply::Now(respond(Err(ErrorCode::InvalidTransactionTimeout)));
    }
    let ask = move |fresh| broker.transactions.init_producer_id(InitProducerId { id: id.clone(), timeout_ms, expected, fresh });
    let held = cx.broker().with_producer_id(ask);
    Reply::later(async move {
        let held = held.await.inspect(|_| crash_point("transaction-id-taken"));
        respond(held.map_err(|code| fenced_since(4, version, code)))
    })
}

fn respond(producer: Result<Producer, ErrorCode>) -> InitProducerIdResponse {
    let response = InitProducerIdResponse::default();
    match producer {
        Ok(Producer { id, epoch }) => response.with_producer_id(ProducerId(id)).with_producer_epoch(epoch),
        Err(code) => response
            .with_error_code(code.code())
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(NO_PRODUCER_EPOCH),
    }
}
