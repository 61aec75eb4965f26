//! OffsetForLeaderEpoch: v2–4. Where a leader epoch ends in the leader's log, for clients and followers that look for divergence (KIP-101,
//! KIP-279, KIP-320).
//!
//! v3 replica id · v4 flexible. Answers the largest epoch that is not larger than the one asked for; of an epoch older than all that are
//! known, −1 and −1 without an error.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::replica::manager::ReplicaManager;

pub fn handle(cx: &Context, request: OffsetForLeaderEpochRequest) -> Reply<OffsetForLeaderEpochResponse> {
    let topics = request.topics.iter().map(|topic| answer_topic(&cx.broker().replicas, topic));
    Reply::Now(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}

fn answer_topic(replicas: &ReplicaManager, topic: &OffsetForLeaderTopic) -> OffsetForLeaderTopicResult {
    let partitions = topic.partitions.iter().map(|asked| {
        let found = replicas
            .partition_or_error(&topic.topic, asked.partition)
            .and_then(|p| p.end_of_epoch(asked.current_leader_epoch, asked.leader_epoch));
        let response = EpochEndOffset::default().with_partition(asked.partition).with_leader_epoch(-1).with_end_offset(-1);
        match found {
            Ok(Some(end)) => response.with_leader_epoch(end.epoch).with_end_offset(end.end_offset),
            Ok(None) => response,
            Err(code) => response.with_error_code(code.code()),
        }
    });
    OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions.collect())
}
