//! OffsetDelete: v0. Forgets committed offsets of partitions that the group does not consume (KIP-496). Never flexible.

use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::metadata::MetadataImage;

pub fn handle(cx: &Context, mut request: OffsetDeleteRequest) -> Reply<OffsetDeleteResponse> {
    let image = cx.broker().metadata.image();
    let mut refused = Vec::new();
    let topics = std::mem::take(&mut request.topics);
    request.topics = topics.into_iter().filter_map(|topic| known(&image, topic, &mut refused)).collect();
    let answer = cx.broker().groups.delete_offsets(request);
    Reply::later(async move {
        let mut response = answer.await;
        if response.error_code == 0 {
            response.topics.extend(refused);
        }
        response
    })
}

/// The partitions of a topic that exist; the others are refused.
fn known(
    image: &MetadataImage,
    mut topic: OffsetDeleteRequestTopic,
    refused: &mut Vec<OffsetDeleteResponseTopic>,
) -> Option<OffsetDeleteRequestTopic> {
    let found = image.topic(&topic.name);
    let exists = |index: i32| found.is_some_and(|t| t.partition(index).is_some());
    let (there, absent): (Vec<_>, Vec<_>) = topic.partitions.into_iter().partition(|p| exists(p.partition_index));
    if !absent.is_empty() {
        let partitions = absent.iter().map(|p| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
        });
        let response = OffsetDeleteResponseTopic::default().with_name(topic.name.clone());
        refused.push(response.with_partitions(partitions.collect()));
    }
    topic.partitions = there;
    (!topic.partitions.is_empty()).then_some(topic)
}
