//! DescribeProducers: v0. The producers that partitions remember (KIP-664).

use std::collections::HashSet;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::controller::validate_topic_name;
use crate::replica::manager::ReplicaManager;
use crate::storage::producer_state::ProducerStateEntry;

pub fn handle(cx: &Context, request: DescribeProducersRequest) -> Reply<DescribeProducersResponse> {
    let mut told = HashSet::new();
    let topics = request.topics.iter().map(|topic| describe_topic(&cx.broker().replicas, topic, &mut told));
    Reply::Now(DescribeProducersResponse::default().with_topics(topics.collect()))
}

/// `told` are the partitions that are answered already: few bytes could ask for many producers again and again.
fn describe_topic<'a>(replicas: &ReplicaManager, topic: &'a TopicRequest, told: &mut HashSet<(&'a str, i32)>) -> TopicResponse {
    let partitions = topic.partition_indexes.iter().filter(|index| told.insert((&**topic.name, **index))).map(|index| {
        let response = PartitionResponse::default().with_partition_index(*index);
        let producers = match validate_topic_name(&topic.name) {
            Err(error) => Err(error.code),
            Ok(()) => replicas.partition_or_error(&topic.name, *index).and_then(|partition| partition.producers()),
        };
        match producers {
            Ok(producers) => response.with_active_producers(producers.iter().map(|(id, entry)| state(*id, entry)).collect()),
            Err(code) => response.with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(code.to_string()))),
        }
    });
    TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
}

fn state(id: i64, entry: &ProducerStateEntry) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(i32::from(entry.epoch))
        .with_last_sequence(entry.last_sequence())
        .with_last_timestamp(entry.last_timestamp)
        .with_coordinator_epoch(entry.coordinator_epoch)
        .with_current_txn_start_offset(entry.txn_first_offset.unwrap_or(-1))
}
