//! ListPartitionReassignments: v0 (KIP-455). Tells which partitions are between two sets of replicas.

use std::collections::{BTreeMap, HashSet};

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
            Some(asked) => {
                // A topic is looked through once, however often it is named.
                let mut named: BTreeMap<&str, HashSet<i32>> = BTreeMap::new();
                for topic in asked {
                    named.entry(&topic.name.0).or_default().extend(&topic.partition_indexes);
                }
                let topics = named.into_iter();
                topics.filter_map(|(name, asked)| ongoing(draft.topic(name)?, |index| asked.contains(&index))).collect()
            }
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

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

    use super::*;
    use crate::controller::testing::{World, text};
    use crate::metadata::{MetadataRecord, PartitionChange};

    #[test]
    fn only_what_is_under_way_is_told() {
        let mut world = World::new(&[1, 2, 3]);
        let id = world.create_on("t", &[&[1, 2], &[1, 2]]);
        world.create_on("u", &[&[1]]);
        let ask = |topics| ListPartitionReassignmentsRequest::default().with_topics(topics);
        let list = |world: &World, topics| world.controller.list_partition_reassignments(&world.image, &ask(topics)).response;
        assert!(list(&world, None).topics.is_empty());

        let change = PartitionChange {
            topic_id: id,
            partition: 1,
            replicas: Some([1, 2, 3][..].into()),
            directories: Some([501, 502, 503].map(uuid::Uuid::from_u128)[..].into()),
            adding: Some([3][..].into()),
            removing: Some([2][..].into()),
            ..Default::default()
        };
        world.take(Decision::atomic(vec![MetadataRecord::PartitionChange(Box::new(change))], ()));
        let all = list(&world, None);
        assert_eq!((all.error_code, all.topics.len(), all.topics[0].partitions.len()), (0, 1, 1));
        let ongoing = &all.topics[0].partitions[0];
        let ids = |list: &[kafka_protocol::messages::BrokerId]| list.iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(ongoing.partition_index, 1);
        assert_eq!(
            (ids(&ongoing.replicas), ids(&ongoing.adding_replicas), ids(&ongoing.removing_replicas)),
            (vec![1, 2, 3], vec![3], vec![2])
        );

        let named = |name: &str, index| {
            ListPartitionReassignmentsTopics::default().with_name(text(name).into()).with_partition_indexes(vec![index])
        };
        for (asked, count) in [(named("t", 1), 1), (named("t", 0), 0), (named("u", 0), 0), (named("nix", 0), 0)] {
            assert_eq!(list(&world, Some(vec![asked])).topics.len(), count);
        }
        let again = list(&world, Some(vec![named("t", 1), named("t", 0), named("t", 1)]));
        assert_eq!((again.topics.len(), again.topics[0].partitions.len()), (1, 1), "once, however often it is named");
    }
}
