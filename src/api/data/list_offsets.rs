//! ListOffsets: v1–11. Offsets by time: earliest, latest, the first at or after a timestamp.
//!
//! v2 isolation level · v4 leader epoch (KIP-320) · v5 OFFSET_NOT_AVAILABLE · v6 flexible · v7 max timestamp (KIP-734) · v8 earliest local
//! (KIP-405) · v9 last tiered (KIP-1005) · v10 timeout (KIP-1075) · v11 earliest pending upload (KIP-1023).
//! klamm keeps all of a log locally: earliest local is earliest, and nothing is ever tiered or pending.
//! What is not found is offset −1 and timestamp −1 without an error.

use std::collections::HashSet;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::TimestampMs;
use crate::replica::fetch::Isolation;
use crate::replica::manager::ReplicaManager;
use crate::replica::partition::{Found, ListOffset, OffsetQuestion};

const LATEST: TimestampMs = -1;
const EARLIEST: TimestampMs = -2;
const MAX_TIMESTAMP: TimestampMs = -3;
const EARLIEST_LOCAL: TimestampMs = -4;
const LATEST_TIERED: TimestampMs = -5;
const EARLIEST_PENDING_UPLOAD: TimestampMs = -6;

pub fn handle(cx: &Context, request: ListOffsetsRequest) -> Reply<ListOffsetsResponse> {
    let version = cx.version();
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let duplicates = duplicates(&request);
    let searches = |p: &ListOffsetsPartition| p.timestamp >= 0 || p.timestamp == MAX_TIMESTAMP;
    let blocks = request.topics.iter().flat_map(|t| &t.partitions).any(searches);
    let answer = move |replicas: &ReplicaManager| {
        let topics = request.topics.iter().map(|topic| answer_topic(replicas, topic, version, isolation, &duplicates));
        ListOffsetsResponse::default().with_topics(topics.collect())
    };
    if !blocks {
        return Reply::Now(answer(&cx.broker().replicas));
    }
    // A search by time reads records wherever they lie in the log.
    let broker = cx.broker().clone();
    Reply::later(async move {
        match tokio::task::spawn_blocking(move || answer(&broker.replicas)).await {
            Ok(response) => response,
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    })
}

/// Partitions named twice get an error, as nobody can tell which answer is whose (`ListOffsetsRequest.duplicatePartitions`).
fn duplicates(request: &ListOffsetsRequest) -> HashSet<(String, i32)> {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if !seen.insert((topic.name.as_str(), partition.partition_index)) {
                twice.insert((topic.name.to_string(), partition.partition_index));
            }
        }
    }
    twice
}

fn answer_topic(
    replicas: &ReplicaManager,
    topic: &ListOffsetsTopic,
    version: i16,
    isolation: Isolation,
    duplicates: &HashSet<(String, i32)>,
) -> ListOffsetsTopicResponse {
    let partitions = topic.partitions.iter().map(|asked| {
        let duplicate = !duplicates.is_empty() && duplicates.contains(&(topic.name.to_string(), asked.partition_index));
        let found = match question(asked.timestamp, version) {
            _ if duplicate => Err(ErrorCode::InvalidRequest),
            None => Err(ErrorCode::UnsupportedVersion),
            Some(question) => replicas.partition_or_error(&topic.name, asked.partition_index).and_then(|p| {
                p.list_offset(&ListOffset { question, isolation, current_leader_epoch: asked.current_leader_epoch })
            }),
        };
        respond(asked.partition_index, found, version)
    });
    ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
}

/// What a timestamp asks for; `None` if it is not a question of this version.
fn question(timestamp: TimestampMs, version: i16) -> Option<OffsetQuestion> {
    match (timestamp, version) {
        (LATEST, _) => Some(OffsetQuestion::Latest),
        (EARLIEST, _) | (EARLIEST_LOCAL, 8..) => Some(OffsetQuestion::Earliest),
        (MAX_TIMESTAMP, 7..) => Some(OffsetQuestion::MaxTimestamp),
        (LATEST_TIERED, 9..) | (EARLIEST_PENDING_UPLOAD, 11..) => Some(OffsetQuestion::Nowhere),
        (0.., _) => Some(OffsetQuestion::AtOrAfter(timestamp)),
        _ => None,
    }
}

fn respond(index: i32, found: Result<Option<Found>, ErrorCode>, version: i16) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index).with_offset(-1).with_timestamp(-1);
    match found {
        Ok(Some(found)) => {
            let response = response.with_offset(found.offset).with_timestamp(found.timestamp);
            if version >= 4 { response.with_leader_epoch(found.leader_epoch) } else { response }
        }
        Ok(None) => response,
        Err(code) => response.with_error_code(code.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_begin_with_their_versions() {
        let first_version = |timestamp| (1..=11).find(|version| question(timestamp, *version).is_some());
        let firsts: Vec<_> = (-7..=1).rev().map(first_version).collect();
        assert_eq!(firsts, [Some(1), Some(1), Some(1), Some(1), Some(7), Some(8), Some(9), Some(11), None]);
    }
}
