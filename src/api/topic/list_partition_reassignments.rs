//! ListPartitionReassignments: v0. Which partitions are between two sets of replicas (KIP-455).

use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment};
use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::api::forward::ask;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::controller::ApiError;

pub fn handle(cx: &Context, request: ListPartitionReassignmentsRequest) -> Reply<ListPartitionReassignmentsResponse> {
    let asked = request.topics.clone().unwrap_or_default();
    ask(
        cx,
        |controller| async move { controller.list_partition_reassignments(request).await },
        |answer| answer.unwrap_or_else(|error| refused(asked, &error)),
    )
}

/// `ListPartitionReassignmentsRequest.getErrorResponse`.
fn refused(asked: Vec<ListPartitionReassignmentsTopics>, error: &ApiError) -> ListPartitionReassignmentsResponse {
    let topics = asked.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.into_iter();
        let partitions = partitions.map(|index| OngoingPartitionReassignment::default().with_partition_index(index));
        OngoingTopicReassignment::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    ListPartitionReassignmentsResponse::default()
        .with_error_code(error.code.code())
        .with_error_message(error.text())
        .with_topics(topics.collect())
}
