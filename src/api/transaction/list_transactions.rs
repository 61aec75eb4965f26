//! ListTransactions: v0–2. The transactions this broker coordinates.
//!
//! v1 how long they have been open (KIP-994) · v2 a pattern of transactional ids (KIP-1152), which the whole id has to match.

use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::coordinator::transaction::describe::TransactionFilter;

pub fn handle(cx: &Context, request: ListTransactionsRequest) -> Reply<ListTransactionsResponse> {
    let response = ListTransactionsResponse::default();
    let (filter, unknown) = match TransactionFilter::of(&request) {
        Ok(filter) => filter,
        Err(code) => return Reply::Now(response.with_error_code(code.code())),
    };
    let listed = cx.broker().transactions.list(filter);
    let response = response.with_unknown_state_filters(unknown);
    Reply::later(async move {
        match listed.await {
            Ok(states) => response.with_transaction_states(states),
            Err(code) => response.with_error_code(code.code()),
        }
    })
}
