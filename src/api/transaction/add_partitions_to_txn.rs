//! AddPartitionsToTxn: v0–5. Adds partitions to a transaction before the producer writes to them.
//!
//! v2 PRODUCER_FENCED · v3 flexible · v4 for brokers: several transactions, and asking without adding (KIP-890) · v5 TRANSACTION_ABORTABLE.
//! All partitions of a transaction are added or none: if one does not exist, the others are OPERATION_NOT_ATTEMPTED.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::fenced_since;
use crate::api::distinct::distinct;
use crate::api::reply::{Pending, Reply};
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::crash_point::crash_point;
use crate::base::ids::TopicPartition;
use crate::broker::Broker;
use crate::coordinator::shard::Producer;
use crate::coordinator::transaction::config::EPOCH_BUMP_SINCE;
use crate::coordinator::transaction::request::{AddPartitions, Verified};

const BATCHES_SINCE: i16 = 4;

pub fn handle(cx: &Context, request: AddPartitionsToTxnRequest) -> Reply<AddPartitionsToTxnResponse> {
    let version = cx.version();
    let transactions = match version {
        BATCHES_SINCE.. => distinct(request.transactions, |transaction| transaction.transactional_id.clone()),
        _ => vec![
            AddPartitionsToTxnTransaction::default()
                .with_transactional_id(request.v3_and_below_transactional_id)
                .with_producer_id(request.v3_and_below_producer_id)
                .with_producer_epoch(request.v3_and_below_producer_epoch)
                .with_topics(request.v3_and_below_topics),
        ],
    };
    let answers: Vec<_> = transactions.into_iter().map(|transaction| answer(cx.broker(), transaction, version)).collect();
    Reply::later(async move {
        let results = join_all(answers).await;
        let response = AddPartitionsToTxnResponse::default();
        if version >= BATCHES_SINCE {
            return response.with_results_by_transaction(results);
        }
        let topics = results.into_iter().next().map(|result| result.topic_results);
        response.with_results_by_topic_v3_and_below(topics.unwrap_or_default())
    })
}

fn answer(broker: &Broker, transaction: AddPartitionsToTxnTransaction, version: i16) -> Pending<AddPartitionsToTxnResult> {
    let id = transaction.transactional_id.clone();
    let partitions = partitions(&transaction.topics);
    let told = move |verified: Verified| {
        let results = verified.into_iter().map(|(partition, code)| (partition, code.map(|code| fenced_since(2, version, code))));
        AddPartitionsToTxnResult::default().with_transactional_id(id).with_topic_results(by_topic(results.collect()))
    };
    let all = |code| partitions.iter().map(|partition| (partition.clone(), code)).collect::<Verified>();
    if transaction.transactional_id.is_empty() {
        return Box::pin(std::future::ready(told(all(Some(ErrorCode::InvalidRequest)))));
    }
    let image = broker.metadata.image();
    let exists = |it: &TopicPartition| image.topic(&it.topic).is_some_and(|topic| topic.partition(it.partition).is_some());
    if !partitions.iter().all(exists) {
        let code = |it: &TopicPartition| match exists(it) {
            true => ErrorCode::OperationNotAttempted,
            false => ErrorCode::UnknownTopicOrPartition,
        };
        let verified = partitions.iter().map(|partition| (partition.clone(), Some(code(partition))));
        return Box::pin(std::future::ready(told(verified.collect())));
    }
    let request = AddPartitions {
        id: transaction.transactional_id.0.clone(),
        producer: Producer { id: transaction.producer_id.0, epoch: transaction.producer_epoch },
        partitions: partitions.clone(),
        transaction_version: if version >= BATCHES_SINCE { EPOCH_BUMP_SINCE } else { 0 },
    };
    let refused = all(None);
    let spread = move |code: ErrorCode| refused.into_iter().map(|(partition, _)| (partition, Some(code))).collect::<Verified>();
    if transaction.verify_only {
        let verified = broker.transactions.verify_partitions(request);
        return Box::pin(async move { told(verified.await.unwrap_or_else(spread)) });
    }
    let added = broker.transactions.add_partitions(request);
    let done = all(None);
    Box::pin(async move {
        let added = added.await;
        crash_point("transaction-partitions-added");
        told(added.map(|()| done).unwrap_or_else(spread))
    })
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> BTreeSet<TopicPartition> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        let named = move |partition: &i32| TopicPartition { topic: name.clone(), partition: *partition };
        topic.partitions.iter().map(named).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn by_topic(results: Verified) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut topics: BTreeMap<std::sync::Arc<str>, Vec<AddPartitionsToTxnPartitionResult>> = BTreeMap::new();
    for (TopicPartition { topic, partition }, code) in results {
        let result = AddPartitionsToTxnPartitionResult::default()
            .with_partition_index(partition)
            .with_partition_error_code(code.map_or(0, |code| code.code()));
        topics.entry(topic).or_default().push(result);
    }
    let topic = |(name, partitions): (std::sync::Arc<str>, Vec<_>)| {
        let name = TopicName(StrBytes::from_string(name.to_string()));
        AddPartitionsToTxnTopicResult::default().with_name(name).with_results_by_partition(partitions)
    };
    topics.into_iter().map(topic).collect()
}
