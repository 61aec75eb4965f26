//! DescribeQuorum: v0–2 (KIP-595, KIP-836, KIP-853). The state of the metadata quorum, in the form of its partition `__cluster_metadata-0`.
//! v1 times of the last fetch · v2 error messages, directory ids, endpoints of the voters

use kafka_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;

use super::topic_name::CLUSTER_METADATA_TOPIC;
use crate::base::ErrorCode;
use crate::base::ids::TimestampMs;
use crate::metadata::MetadataImage;
use crate::quorum::QuorumDescription;

/// The answer of the leader; `quorum` is its own view.
pub(super) fn describe_quorum(
    request: &DescribeQuorumRequest,
    image: &MetadataImage,
    quorum: &QuorumDescription,
    now: TimestampMs,
) -> DescribeQuorumResponse {
    let is_metadata = |topic: &str, partition: i32| topic == CLUSTER_METADATA_TOPIC && partition == 0;
    let topics: Vec<TopicData> = request
        .topics
        .iter()
        .map(|asked| {
            let partitions = asked.partitions.iter().map(|p| match is_metadata(&asked.topic_name.0, p.partition_index) {
                true => describe(image, quorum, now),
                false => {
                    let code = ErrorCode::UnknownTopicOrPartition;
                    let text = StrBytes::from_static_str("This server does not host this topic-partition.");
                    PartitionData::default()
                        .with_partition_index(p.partition_index)
                        .with_error_code(code.code())
                        .with_error_message(Some(text))
                }
            });
            TopicData::default().with_topic_name(asked.topic_name.clone()).with_partitions(partitions.collect())
        })
        .collect();
    let found = topics.iter().flat_map(|t| &t.partitions).any(|p| p.error_code == 0);
    let nodes = quorum.voters.iter().filter(|_| found).map(|(key, node)| {
        let listeners = node.endpoints.iter().map(|e| {
            Listener::default()
                .with_name(StrBytes::from_string(e.name.to_string()))
                .with_host(StrBytes::from_string(e.host.to_string()))
                .with_port(e.port)
        });
        Node::default().with_node_id(key.id.into()).with_listeners(listeners.collect())
    });
    DescribeQuorumResponse::default().with_error_message(None).with_nodes(nodes.collect()).with_topics(topics)
}

fn describe(image: &MetadataImage, quorum: &QuorumDescription, now: TimestampMs) -> PartitionData {
    let voters = quorum.voters.iter().map(|(key, _)| {
        let state = ReplicaState::default().with_replica_id(key.id.into()).with_replica_directory_id(key.dir);
        match quorum.leader == Some(*key) {
            // The leader is caught up with itself at any time.
            true => state.with_log_end_offset(quorum.log_end).with_last_fetch_timestamp(now).with_last_caught_up_timestamp(now),
            false => state.with_log_end_offset(-1).with_last_fetch_timestamp(-1).with_last_caught_up_timestamp(-1),
        }
    });
    PartitionData::default()
        .with_error_message(None)
        .with_leader_id(quorum.leader.map_or(-1, |key| key.id).into())
        .with_leader_epoch(image.claim_epoch())
        .with_high_watermark(quorum.high_watermark)
        .with_current_voters(voters.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_quorum_request;
    use uuid::Uuid;

    use super::*;
    use crate::controller::testing::{World, text};
    use crate::metadata::Endpoint;
    use crate::quorum::{VoterKey, VoterNode};

    fn ask(topic: &str, partition: i32) -> DescribeQuorumResponse {
        let partitions = vec![describe_quorum_request::PartitionData::default().with_partition_index(partition)];
        let topics =
            vec![describe_quorum_request::TopicData::default().with_topic_name(text(topic).into()).with_partitions(partitions)];
        let key = VoterKey { id: 1, dir: Uuid::from_u128(500) };
        let endpoint = Endpoint { name: "CONTROLLER".into(), host: "h".into(), port: 9093, security_protocol: 0 };
        let voters = vec![(key, VoterNode { endpoints: vec![endpoint] })];
        let quorum = QuorumDescription { leader: Some(key), high_watermark: 41, log_end: 42, voters };
        describe_quorum(&DescribeQuorumRequest::default().with_topics(topics), &World::new(&[1]).image, &quorum, 1234)
    }

    #[test]
    fn the_leader_is_caught_up_with_itself() {
        let response = ask("__cluster_metadata", 0);
        let partition = &response.topics[0].partitions[0];
        assert_eq!(
            (partition.error_code, partition.leader_id.0, partition.leader_epoch, partition.high_watermark),
            (0, 1, 1, 41)
        );
        let [voter] = &partition.current_voters[..] else { panic!("one voter") };
        assert_eq!((voter.replica_id.0, voter.log_end_offset, voter.last_caught_up_timestamp), (1, 42, 1234));
        assert_eq!(voter.replica_directory_id, Uuid::from_u128(500));
        assert!(partition.observers.is_empty());
        assert_eq!((response.nodes[0].node_id.0, response.nodes[0].listeners[0].port), (1, 9093));
    }

    #[test]
    fn no_other_partition_has_a_quorum() {
        for (topic, partition) in [("t", 0), ("__cluster_metadata", 1)] {
            let response = ask(topic, partition);
            assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
            assert!(response.nodes.is_empty());
        }
    }
}
