//! AddOffsetsToTxn: v0–4. Adds the offsets of a group to a transaction: the partition of `__consumer_offsets` that holds the group.
//!
//! v2 PRODUCER_FENCED · v3 flexible · v4 TRANSACTION_ABORTABLE (KIP-890).

use std::collections::BTreeSet;

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::fenced_since;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::TopicPartition;
use crate::broker::topics::CONSUMER_OFFSETS;
use crate::coordinator::shard::Producer;
use crate::coordinator::transaction::request::AddPartitions;

pub fn handle(cx: &Context, request: AddOffsetsToTxnRequest) -> Reply<AddOffsetsToTxnResponse> {
    let version = cx.version();
    let respond = move |added: Result<(), ErrorCode>| {
        let code = added.map_or_else(|code| fenced_since(2, version, code).code(), |()| 0);
        AddOffsetsToTxnResponse::default().with_error_code(code)
    };
    if request.transactional_id.is_empty() {
        return Reply::Now(respond(Err(ErrorCode::InvalidRequest)));
    }
    let broker = cx.broker();
    let partition = TopicPartition::new(CONSUMER_OFFSETS, broker.groups.partition_for(&request.group_id));
    let added = broker.transactions.add_partitions(AddPartitions {
        id: request.transactional_id.0,
        producer: Producer { id: request.producer_id.0, epoch: request.producer_epoch },
        partitions: BTreeSet::from([partition]),
        transaction_version: 0,
    });
    Reply::later(async move { respond(added.await) })
}
