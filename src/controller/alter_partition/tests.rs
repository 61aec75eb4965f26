//! Outcomes of AlterPartition: refusals in order, and the state after each change.

use kafka_protocol::messages::alter_partition_request::TopicData;

use super::*;
use crate::controller::testing::World;
use crate::metadata::PartitionChange;

/// Topic `t` with partition 0 on brokers 1, 2, 3, of which 4 is not one; 1 leads.
fn world() -> (World, uuid::Uuid) {
    let mut world = World::new(&[1, 2, 3, 4]);
    let id = world.create_on("t", &[&[1, 2, 3]]);
    (world, id)
}

fn data(leader_epoch: i32, partition_epoch: i32, isr: &[i32]) -> PartitionData {
    let members = isr.iter().map(|id| BrokerState::default().with_broker_id((*id).into()).with_broker_epoch(-1)).collect();
    PartitionData::default()
        .with_leader_epoch(leader_epoch)
        .with_partition_epoch(partition_epoch)
        .with_new_isr_with_epochs(members)
}

fn alter(world: &mut World, sender: i32, id: uuid::Uuid, data: PartitionData) -> PartitionResult {
    let topic = TopicData::default().with_topic_id(id).with_partitions(vec![data]);
    let request = AlterPartitionRequest::default()
        .with_broker_id(sender.into())
        .with_broker_epoch(world.epoch_of(sender))
        .with_topics(vec![topic]);
    let decision = world.controller.alter_partition(&world.image, &request, 3);
    world.take(decision).topics[0].partitions[0].clone()
}

#[test]
fn refusals_are_kafkas_in_kafkas_order() {
    let unknown = uuid::Uuid::from_u128(4_000);
    for (sender, topic, data, code) in [
        (1, Some(unknown), data(0, 0, &[1]), ErrorCode::UnknownTopicId),
        (1, None, data(0, 0, &[1]).with_partition_index(7), ErrorCode::UnknownTopicOrPartition),
        (1, None, data(1, 0, &[1]), ErrorCode::NotController),
        (1, None, data(0, 2, &[1]), ErrorCode::NotController),
        (1, None, data(-1, 1, &[1]), ErrorCode::FencedLeaderEpoch),
        (2, None, data(0, 1, &[2]), ErrorCode::InvalidRequest),
        (1, None, data(0, 0, &[1]), ErrorCode::InvalidUpdateVersion),
        (1, None, data(0, 1, &[1, 4]), ErrorCode::InvalidRequest),
        (1, None, data(0, 1, &[1, 2, 2]), ErrorCode::InvalidRequest),
        (1, None, data(0, 1, &[2, 3]), ErrorCode::InvalidRequest),
        (1, None, data(0, 1, &[1]).with_leader_recovery_state(1), ErrorCode::InvalidRequest),
        (1, None, data(0, 1, &[1]).with_leader_recovery_state(5), ErrorCode::InvalidRequest),
        (1, None, data(0, 1, &[1, 2, 3]), ErrorCode::IneligibleReplica),
    ] {
        let (mut world, id) = world();
        world.beat(3, true, false);
        assert_eq!(world.state("t", 0), "1@0 [1, 2] []/[] 1");
        let asked = format!("{sender}: {data:?}");
        let result = alter(&mut world, sender, topic.unwrap_or(id), data);
        assert_eq!(result.error_code, code.code(), "{asked}");
        assert_eq!(world.state("t", 0), "1@0 [1, 2] []/[] 1", "{asked}");
    }
}

#[test]
fn a_stale_broker_is_refused_whole() {
    let (mut world, _) = world();
    let request = AlterPartitionRequest::default().with_broker_id(1.into()).with_broker_epoch(99);
    let decision = world.controller.alter_partition(&world.image, &request, 3);
    assert_eq!(decision.response.error_code, ErrorCode::StaleBrokerEpoch.code());
}

#[test]
fn shrinking_and_growing_raise_the_partition_epoch_alone() {
    let (mut world, id) = world();
    let result = alter(&mut world, 1, id, data(0, 0, &[1, 3]));
    assert_eq!((result.error_code, result.leader_id.0, result.leader_epoch, result.partition_epoch), (0, 1, 0, 1));
    assert_eq!(result.isr.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 3]);
    let result = alter(&mut world, 1, id, data(0, 1, &[1, 3, 2]));
    assert_eq!((result.error_code, result.leader_epoch, result.partition_epoch), (0, 0, 2));
    assert_eq!(world.state("t", 0), "1@0 [1, 3, 2] []/[] 2");
}

#[test]
fn setting_what_is_so_already_writes_nothing() {
    let (mut world, id) = world();
    let result = alter(&mut world, 1, id, data(0, 0, &[1, 2, 3]));
    assert_eq!((result.error_code, result.partition_epoch), (0, 0));
    assert_eq!(world.state("t", 0), "1@0 [1, 2, 3] []/[] 0");
}

#[test]
fn a_member_of_another_incarnation_is_ineligible() {
    let (mut world, id) = world();
    alter(&mut world, 1, id, data(0, 0, &[1]));
    let mut data = data(0, 1, &[1, 2]);
    data.new_isr_with_epochs[1].broker_epoch = world.epoch_of(2) - 1;
    assert_eq!(alter(&mut world, 1, id, data.clone()).error_code, ErrorCode::IneligibleReplica.code());
    data.new_isr_with_epochs[1].broker_epoch = world.epoch_of(2);
    assert_eq!(alter(&mut world, 1, id, data).error_code, 0);
}

#[test]
fn version_2_names_members_without_epochs() {
    let (mut world, id) = world();
    let data = PartitionData::default().with_new_isr(vec![1.into()]);
    let topic = TopicData::default().with_topic_id(id).with_partitions(vec![data]);
    let request =
        AlterPartitionRequest::default().with_broker_id(1.into()).with_broker_epoch(world.epoch_of(1)).with_topics(vec![topic]);
    let decision = world.controller.alter_partition(&world.image, &request, 2);
    world.take(decision);
    assert_eq!(world.state("t", 0), "1@0 [1] []/[] 1");
}

#[test]
fn a_leader_that_has_recovered_says_so() {
    let (mut world, id) = world();
    let recovering = PartitionChange { topic_id: id, isr: Some([1][..].into()), recovering: Some(true), ..Default::default() };
    world.take(Decision::atomic(vec![MetadataRecord::PartitionChange(Box::new(recovering))], ()));
    let two = data(0, 1, &[1, 2]).with_leader_recovery_state(1);
    assert_eq!(alter(&mut world, 1, id, two).error_code, ErrorCode::InvalidRequest.code(), "alone until it has recovered");
    let result = alter(&mut world, 1, id, data(0, 1, &[1]));
    assert_eq!((result.error_code, result.leader_recovery_state), (0, 0));
    assert_eq!(world.state("t", 0), "1@0 [1] []/[] 2");
}

#[test]
fn ending_a_reassignment_that_takes_leadership_away_is_written_and_told_as_an_error() {
    let (mut world, id) = world();
    let moving = PartitionChange { topic_id: id, removing: Some([1][..].into()), ..Default::default() };
    world.take(Decision::atomic(vec![MetadataRecord::PartitionChange(Box::new(moving))], ()));
    let result = alter(&mut world, 1, id, data(0, 1, &[1, 2, 3]));
    assert_eq!(result.error_code, ErrorCode::NewLeaderElected.code());
    assert_eq!(world.state("t", 0), "2@1 [2, 3] []/[] 2");
    assert_eq!(world.image.topic("t").unwrap().partitions[0].replicas[..], [2, 3]);
}
