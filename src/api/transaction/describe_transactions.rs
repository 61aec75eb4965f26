//! DescribeTransactions: v0. How transactions stand, by transactional id (KIP-664).

use kafka_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use crate::api::distinct::distinct;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::coordinator::transaction::describe::describe_error;

pub fn handle(cx: &Context, request: DescribeTransactionsRequest) -> Reply<DescribeTransactionsResponse> {
    let ids = distinct(request.transactional_ids, Clone::clone).into_iter().map(|id| id.0);
    let (empty, ids): (Vec<_>, Vec<_>) = ids.partition(|id| id.is_empty());
    let described = cx.broker().transactions.describe(ids);
    let refused = empty.into_iter().map(|id| describe_error(&id, ErrorCode::InvalidRequest));
    let refused: Vec<_> = refused.collect();
    Reply::later(async move {
        let mut states = described.await;
        states.extend(refused);
        DescribeTransactionsResponse::default().with_transaction_states(states)
    })
}
