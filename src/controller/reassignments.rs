//! ListPartitionReassignments: v0 (KIP-455). Tells which partitions are between two sets of replicas.

use kafka_protocol::messages::list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment};
use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Controller;
use super::decision::Decision;
use crate::metadata::{MetadataImage, PartitionRegistration, TopicImage};

impl Controller {
    pub fn list_partition_reassignments(
        &self,
        draft: &MetadataImage,
        request: &ListPartitionReassignmentsRequest,
    ) -> Decision<ListPartitionReassignmentsResponse> {
        let topics = match &request.topics {
            Some(asked) => asked
                .iter()
                .filter_map(|asked| ongoing(draft.topic(&asked.name.0)?, |index| asked.partition_indexes.contains(&index)))
                .collect(),
            None => draft.topics().iter().filter_map(|topic| ongoing(topic, |_| true)).collect(),
        };
        Decision::reply(ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics))
    }
}

fn ongoing(topic: &TopicImage, is_asked_for: impl Fn(i32) -> bool) -> Option<OngoingTopicReassignment> {
    let partitions: Vec<_> = topic
        .iter()
        .filter(|(index, p)| p.is_reassigning() && is_asked_for(*index))
        .map(|(index, p)| describe(index, p))
        .collect();
    let name = || TopicName(StrBytes::from_string(topic.name.to_string()));
    (!partitions.is_empty()).then(|| OngoingTopicReassignment::default().with_name(name()).with_partitions(partitions))
}

fn describe(index: i32, partition: &PartitionRegistration) -> OngoingPartitionReassignment {
    let ids = |ids: &[i32]| ids.iter().map(|id| (*id).into()).collect();
    OngoingPartitionReassignment::default()
        .with_partition_index(index)
        .with_replicas(ids(&partition.replicas))
        .with_adding_replicas(ids(partition.adding()))
        .with_removing_replicas(ids(partition.removing()))
}
