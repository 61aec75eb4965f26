//! DescribeQuorum: v0–2. The metadata quorum in the form of its one partition, `__cluster_metadata-0` (KIP-595).
//!
//! v1 times of the last fetch (KIP-836) · v2 error messages, directories, endpoints of the voters (KIP-853).

use kafka_protocol::messages::describe_quorum_response::{PartitionData, TopicData};
use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::forward::ask;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::controller::CLUSTER_METADATA_TOPIC;

pub fn handle(cx: &Context, request: DescribeQuorumRequest) -> Reply<DescribeQuorumResponse> {
    let version = cx.version();
    if !asks_for_the_quorum(&request) {
        return Reply::Now(unknown(&request));
    }
    ask(
        cx,
        |controller| async move { controller.describe_quorum(request).await },
        move |answer| {
            let response = answer.unwrap_or_else(|error| {
                DescribeQuorumResponse::default().with_error_code(error.code.code()).with_error_message(error.text())
            });
            if version >= 2 { response } else { without_directories(response) }
        },
    )
}

/// Exactly the quorum's partition and no other (`DescribeQuorumRequest`, `RaftUtil.hasValidTopicPartition`).
fn asks_for_the_quorum(request: &DescribeQuorumRequest) -> bool {
    matches!(&request.topics[..], [topic] if **topic.topic_name == *CLUSTER_METADATA_TOPIC
        && matches!(&topic.partitions[..], [partition] if partition.partition_index == 0))
}

fn unknown(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
                .with_error_message(Some(StrBytes::from_static_str("This server does not host this topic-partition.")))
        });
        TopicData::default().with_topic_name(topic.topic_name.clone()).with_partitions(partitions.collect())
    });
    DescribeQuorumResponse::default().with_error_message(None).with_topics(topics.collect())
}

/// Takes out what only version 2 can say.
fn without_directories(mut response: DescribeQuorumResponse) -> DescribeQuorumResponse {
    response.nodes.clear();
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        for replica in partition.current_voters.iter_mut().chain(&mut partition.observers) {
            replica.replica_directory_id = Uuid::nil();
        }
    }
    response
}
