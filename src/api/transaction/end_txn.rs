//! EndTxn: v0–5. Commits or aborts a transaction.
//!
//! v2 PRODUCER_FENCED · v3 flexible · v4 TRANSACTION_ABORTABLE · v5 transaction version 2: every end bumps the epoch, and the answer has the
//! producer id and epoch to go on with (KIP-890). The answer leaves once the outcome is durable; the markers follow.

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use super::fenced_since;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::crash_point::crash_point;
use crate::coordinator::shard::{Producer, TransactionResult};
use crate::coordinator::transaction::config::EPOCH_BUMP_SINCE;
use crate::coordinator::transaction::request::EndTransaction;

const EPOCH_BUMP: i16 = 5;

pub fn handle(cx: &Context, request: EndTxnRequest) -> Reply<EndTxnResponse> {
    let version = cx.version();
    let id = request.transactional_id.0;
    if id.is_empty() {
        return Reply::Now(respond(Err(ErrorCode::InvalidRequest), version));
    }
    let broker = cx.broker().clone();
    let asked = EndTransaction {
        id,
        producer: Producer { id: request.producer_id.0, epoch: request.producer_epoch },
        result: if request.committed { TransactionResult::Commit } else { TransactionResult::Abort },
        transaction_version: if version >= EPOCH_BUMP { EPOCH_BUMP_SINCE } else { 0 },
        fresh: None,
    };
    crash_point("transaction-ending");
    let ask = move |fresh| broker.transactions.end_transaction(EndTransaction { fresh, ..asked.clone() });
    let ended = cx.broker().with_producer_id(ask);
    Reply::later(async move { respond(ended.await, version) })
}

fn respond(ended: Result<Producer, ErrorCode>, version: i16) -> EndTxnResponse {
    let response = EndTxnResponse::default();
    match ended {
        Ok(next) if version >= EPOCH_BUMP => response.with_producer_id(ProducerId(next.id)).with_producer_epoch(next.epoch),
        Ok(_) => response,
        Err(code) => response.with_error_code(fenced_since(2, version, code).code()),
    }
}
