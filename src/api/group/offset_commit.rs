//! OffsetCommit: v2–10. Writes down how far a group has come.
//!
//! v5 no retention time any more (KIP-211) · v6 leader epochs (KIP-320) · v7 static members (KIP-345) · v8 flexible · v9 member epochs
//! (KIP-848) · v10 topic ids (KIP-516). Partitions that do not exist are refused one by one; the others are committed, with the id of their
//! topic whatever the version, so that a commit does not outlive its topic in another one of the same name.

use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::TopicId;
use crate::metadata::MetadataImage;

const TOPIC_IDS_SINCE: i16 = 10;

pub fn handle(cx: &Context, mut request: OffsetCommitRequest) -> Reply<OffsetCommitResponse> {
    let version = cx.version();
    let image = cx.broker().metadata.image();
    let mut refused = Vec::new();
    let topics = std::mem::take(&mut request.topics);
    request.topics = topics.into_iter().filter_map(|topic| known(&image, topic, version, &mut refused)).collect();
    if request.topics.is_empty() {
        return Reply::Now(OffsetCommitResponse::default().with_topics(refused));
    }
    let answer = cx.broker().groups.commit_offsets(version, request);
    Reply::later(async move {
        let mut response = answer.await;
        response.topics.iter_mut().for_each(|topic| name_as_asked(topic, version));
        response.topics.extend(refused);
        response
    })
}

/// Answers name topics as requests do.
fn name_as_asked(topic: &mut OffsetCommitResponseTopic, version: i16) {
    if version >= TOPIC_IDS_SINCE {
        topic.name = TopicName::default();
    } else {
        topic.topic_id = TopicId::nil();
    }
}

/// The part of a topic that exists, by name and id; the rest is refused.
fn known(
    image: &MetadataImage,
    mut topic: OffsetCommitRequestTopic,
    version: i16,
    refused: &mut Vec<OffsetCommitResponseTopic>,
) -> Option<OffsetCommitRequestTopic> {
    let (found, code) = match version {
        TOPIC_IDS_SINCE.. => (image.topic_by_id(topic.topic_id), ErrorCode::UnknownTopicId),
        _ => (image.topic(&topic.name), ErrorCode::UnknownTopicOrPartition),
    };
    let response = OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_topic_id(topic.topic_id);
    let refuse = |indexes: Vec<i32>, code: ErrorCode| {
        let partitions = indexes
            .into_iter()
            .map(|index| OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code.code()));
        response.clone().with_partitions(partitions.collect())
    };
    let Some(found) = found else {
        refused.push(refuse(topic.partitions.iter().map(|p| p.partition_index).collect(), code));
        return None;
    };
    let (there, absent): (Vec<_>, Vec<_>) =
        topic.partitions.into_iter().partition(|p| found.partition(p.partition_index).is_some());
    if !absent.is_empty() {
        refused.push(refuse(absent.iter().map(|p| p.partition_index).collect(), ErrorCode::UnknownTopicOrPartition));
    }
    topic.partitions = there;
    topic.topic_id = found.id;
    topic.name = TopicName(StrBytes::from_string(found.name.to_string()));
    (!topic.partitions.is_empty()).then_some(topic)
}
