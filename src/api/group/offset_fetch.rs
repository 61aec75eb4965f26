//! OffsetFetch: v1–10. What groups have committed.
//!
//! v2 null topics mean all, top-level error · v5 leader epochs (KIP-320) · v6 flexible · v7 require stable (KIP-447) · v8 several groups
//! (KIP-709) · v9 member epochs (KIP-848) · v10 topic ids (KIP-516). What was never committed is offset −1 without an error.

use futures_util::future::join_all;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::metadata::MetadataImage;

const GROUPS_SINCE: i16 = 8;
const TOPIC_IDS_SINCE: i16 = 10;

pub fn handle(cx: &Context, request: OffsetFetchRequest) -> Reply<OffsetFetchResponse> {
    let version = cx.version();
    let broker = cx.broker();
    let require_stable = request.require_stable;
    let groups = if version >= GROUPS_SINCE { request.groups } else { vec![single_group(request)] };
    let image = broker.metadata.image();
    let mut refused = Vec::with_capacity(groups.len());
    let mut answers = Vec::with_capacity(groups.len());
    for mut group in groups {
        refused.push(if version >= TOPIC_IDS_SINCE { name_topics(&image, &mut group) } else { Vec::new() });
        answers.push(broker.groups.fetch_offsets(version, group, require_stable));
    }
    let session = cx.session.clone();
    Reply::later(async move {
        let mut groups = join_all(answers).await;
        if version < GROUPS_SINCE {
            return single_response(groups.remove(0), version);
        }
        if version >= TOPIC_IDS_SINCE {
            let image = session.broker.metadata.image();
            for (group, refused) in groups.iter_mut().zip(refused).filter(|(group, _)| group.error_code == 0) {
                group.topics.iter_mut().for_each(|topic| {
                    topic.topic_id = image.topics().id_of(&topic.name).unwrap_or_default();
                    topic.name = TopicName::default();
                });
                // A committed offset of a topic that is gone has no id to be told by.
                group.topics.retain(|topic| !topic.topic_id.is_nil());
                group.topics.extend(refused);
            }
        }
        OffsetFetchResponse::default().with_groups(groups)
    })
}

/// Gives topics that are named by id their names; those that are unknown are taken out, and answered with an error.
fn name_topics(image: &MetadataImage, group: &mut OffsetFetchRequestGroup) -> Vec<OffsetFetchResponseTopics> {
    let mut refused = Vec::new();
    let Some(topics) = &mut group.topics else { return refused };
    topics.retain_mut(|topic| match image.topic_by_id(topic.topic_id) {
        Some(found) => {
            topic.name = TopicName(StrBytes::from_string(found.name.to_string()));
            true
        }
        None => {
            let partitions = topic.partition_indexes.iter().map(|index| {
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(*index)
                    .with_committed_offset(-1)
                    .with_error_code(ErrorCode::UnknownTopicId.code())
            });
            let response = OffsetFetchResponseTopics::default().with_topic_id(topic.topic_id);
            refused.push(response.with_partitions(partitions.collect()));
            false
        }
    });
    refused
}

fn single_group(request: OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| {
            OffsetFetchRequestTopics::default().with_name(topic.name).with_partition_indexes(topic.partition_indexes)
        });
        topics.collect()
    });
    OffsetFetchRequestGroup::default().with_group_id(request.group_id).with_topics(topics)
}

/// `OffsetFetchResponse` before version 8: one group, its error at the top since version 2, on every partition before.
fn single_response(group: OffsetFetchResponseGroup, version: i16) -> OffsetFetchResponse {
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|p| {
            let partition = OffsetFetchResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_committed_offset(p.committed_offset)
                .with_metadata(p.metadata)
                .with_error_code(if version < 2 && group.error_code != 0 { group.error_code } else { p.error_code });
            if version >= 5 { partition.with_committed_leader_epoch(p.committed_leader_epoch) } else { partition }
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    let response = OffsetFetchResponse::default().with_topics(topics.collect());
    if version >= 2 { response.with_error_code(group.error_code) } else { response }
}
