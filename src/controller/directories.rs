//! AssignReplicasToDirs: v0 (`ReplicationControlManager.handleAssignReplicasToDirs`, KIP-858). A broker tells in which log directory it has put
//! which replicas.

use kafka_protocol::messages::assign_replicas_to_dirs_request::DirectoryData;
use kafka_protocol::messages::assign_replicas_to_dirs_response::{
    DirectoryData as DirectoryResult, PartitionData as PartitionResult, TopicData as TopicResult,
};
use kafka_protocol::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use uuid::Uuid;

use super::Controller;
use super::decision::Decision;
use super::leader_and_isr::TopicScope;
use super::partition_change::Election;
use crate::base::ErrorCode;
use crate::metadata::{BrokerRegistration, MetadataImage, MetadataRecord};

impl Controller {
    pub fn assign_replicas_to_dirs(
        &mut self,
        draft: &MetadataImage,
        request: &AssignReplicasToDirsRequest,
    ) -> Decision<AssignReplicasToDirsResponse> {
        let broker = match Self::check_broker_epoch(draft, request.broker_id.0, request.broker_epoch) {
            Ok(broker) => broker,
            Err(error) => return Decision::reply(AssignReplicasToDirsResponse::default().with_error_code(error.code.code())),
        };
        let mut records = Vec::new();
        let directories =
            request.directories.iter().map(|data| self.assign_directory(draft, broker, data, &mut records)).collect();
        Decision::divisible(records, AssignReplicasToDirsResponse::default().with_directories(directories))
    }

    fn assign_directory(
        &self,
        draft: &MetadataImage,
        broker: &BrokerRegistration,
        data: &DirectoryData,
        records: &mut Vec<MetadataRecord>,
    ) -> DirectoryResult {
        let mut topics = Vec::new();
        for asked in &data.topics {
            let scope = draft.topic_by_id(asked.topic_id).map(|topic| self.scope(draft, topic));
            let partitions = asked.partitions.iter().map(|p| {
                let outcome = match &scope {
                    Some(scope) => assign(scope, broker, data.id, p.partition_index, records),
                    None => Err(ErrorCode::UnknownTopicId),
                };
                let code = outcome.err().map_or(0, |code| code.code());
                PartitionResult::default().with_partition_index(p.partition_index).with_error_code(code)
            });
            topics.push(TopicResult::default().with_partitions(partitions.collect()).with_topic_id(asked.topic_id));
        }
        DirectoryResult::default().with_id(data.id).with_topics(topics)
    }
}

fn assign(
    scope: &TopicScope<'_>,
    broker: &BrokerRegistration,
    directory: Uuid,
    index: i32,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ErrorCode> {
    let partition = scope.topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.replicas.contains(&broker.id) {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    // A replica in a directory that is offline is gone from the ISR.
    let offline = !broker.has_online_dir(directory);
    let active = |id| scope.draft.is_active(id) && !(offline && id == broker.id);
    let isr = partition.isr.iter().copied().filter(|id| !(offline && *id == broker.id)).collect();
    let election = if offline && scope.is_unclean_allowed() { Election::Unclean } else { Election::Online };
    records.extend(scope.change(index, partition, active, |b| b.election(election).directory(broker.id, directory).isr(isr)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::assign_replicas_to_dirs_request::{PartitionData, TopicData};

    use super::*;
    use crate::controller::testing::World;

    fn assign(world: &mut World, broker: i32, dir: u128, topic: Uuid, partition: i32) -> i16 {
        let partitions = vec![PartitionData::default().with_partition_index(partition)];
        let topics = vec![TopicData::default().with_topic_id(topic).with_partitions(partitions)];
        let directories = vec![DirectoryData::default().with_id(Uuid::from_u128(dir)).with_topics(topics)];
        let request = AssignReplicasToDirsRequest::default()
            .with_broker_id(broker.into())
            .with_broker_epoch(world.epoch_of(broker))
            .with_directories(directories);
        let decision = world.controller.assign_replicas_to_dirs(&world.image, &request);
        let response = world.take(decision);
        assert_eq!(response.error_code, 0);
        response.directories[0].topics[0].partitions[0].error_code
    }

    #[test]
    fn a_replica_moves_to_the_directory_its_broker_names() {
        let mut world = World::new(&[1, 2, 3]);
        let id = world.create_on("t", &[&[1, 2]]);
        let dirs = |world: &World| world.image.topic("t").unwrap().partitions[0].directories.to_vec();
        assert_eq!(dirs(&world), [501, 502].map(Uuid::from_u128));
        for (broker, topic, partition, code) in [
            (1, Uuid::from_u128(9), 0, ErrorCode::UnknownTopicId),
            (1, id, 7, ErrorCode::UnknownTopicOrPartition),
            (3, id, 0, ErrorCode::NotLeaderOrFollower),
        ] {
            assert_eq!(assign(&mut world, broker, 501, topic, partition), code.code());
        }
        assert_eq!(assign(&mut world, 1, 501, id, 0), 0);
        assert_eq!(world.state("t", 0), "1@0 [1, 2] []/[] 0", "where it is already");
        assert_eq!(assign(&mut world, 2, 700, id, 0), 0);
        assert_eq!(dirs(&world), [501, 700].map(Uuid::from_u128));
        assert_eq!(world.state("t", 0), "1@0 [1] []/[] 1", "a directory the broker did not register is offline");
    }

    #[test]
    fn a_stale_broker_is_refused() {
        let mut world = World::new(&[1]);
        let request = AssignReplicasToDirsRequest::default().with_broker_id(1.into()).with_broker_epoch(99);
        let decision = world.controller.assign_replicas_to_dirs(&world.image, &request);
        assert_eq!(decision.response.error_code, ErrorCode::StaleBrokerEpoch.code());
    }
}
