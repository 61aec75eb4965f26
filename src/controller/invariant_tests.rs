//! Requests by chance, and what must hold after each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterPartitionRequest, CreatePartitionsRequest, DeleteTopicsRequest, ElectLeadersRequest,
    UnregisterBrokerRequest, UpdateFeaturesRequest,
};
use proptest::prelude::*;

use super::broker_registration::Origin;
use super::testing::{World, registration, text, topic};
use super::*;
use crate::metadata::snapshot::{SnapshotHeader, SnapshotLoader, encode_some, records};
use crate::metadata::testing::replay_all;
use crate::metadata::{ELIGIBLE_LEADER_REPLICAS_VERSION, RecordBatch, unify};

#[derive(Clone, Debug)]
enum Step {
    CreateTopic { name: usize, partitions: i32, factor: i16 },
    DeleteTopic { name: usize },
    Grow { name: usize, by: i32 },
    Configure { name: usize, min_isr: i32, unclean: bool },
    Restart { broker: i32, clean: bool },
    Beat { broker: i32, fence: bool, shut_down: bool },
    Silence { seconds: u64 },
    AlterIsr { name: usize, members: u8 },
    Elect { unclean: bool },
    Elr { on: bool },
    Unregister { broker: i32 },
    ProducerIds { broker: i32 },
}

const NAMES: [&str; 5] = ["a.b", "a_b", "c", "d-e", "f"];

fn any_step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let broker = 1..5i32;
    prop_oneof![
        4 => (name.clone(), 1..4i32, 1..4i16).prop_map(|(name, partitions, factor)| Step::CreateTopic { name, partitions, factor }),
        1 => name.clone().prop_map(|name| Step::DeleteTopic { name }),
        1 => (name.clone(), 1..3i32).prop_map(|(name, by)| Step::Grow { name, by }),
        2 => (name.clone(), 1..4i32, any::<bool>()).prop_map(|(name, min_isr, unclean)| Step::Configure { name, min_isr, unclean }),
        4 => (broker.clone(), any::<bool>()).prop_map(|(broker, clean)| Step::Restart { broker, clean }),
        6 => (broker.clone(), prop::bool::weighted(0.2), prop::bool::weighted(0.3))
            .prop_map(|(broker, fence, shut_down)| Step::Beat { broker, fence, shut_down }),
        2 => (1..12u64).prop_map(|seconds| Step::Silence { seconds }),
        5 => (name, any::<u8>()).prop_map(|(name, members)| Step::AlterIsr { name, members }),
        2 => any::<bool>().prop_map(|unclean| Step::Elect { unclean }),
        1 => any::<bool>().prop_map(|on| Step::Elr { on }),
        1 => broker.clone().prop_map(|broker| Step::Unregister { broker }),
        1 => broker.prop_map(|broker| Step::ProducerIds { broker }),
    ]
}

fn run(world: &mut World, step: &Step) {
    match step.clone() {
        Step::CreateTopic { name, partitions, factor } => {
            let topic = topic(NAMES[name]).with_num_partitions(partitions).with_replication_factor(factor);
            world.create(topic);
        }
        Step::DeleteTopic { name } => {
            let request = DeleteTopicsRequest::default().with_topic_names(vec![text(NAMES[name]).into()]);
            let decision = world.controller.delete_topics(&world.image, &request, 5).unwrap();
            world.take(decision);
        }
        Step::Grow { name, by } => {
            let count = world.image.topic(NAMES[name]).map_or(0, |t| t.partitions.len()) as i32 + by;
            let topic =
                CreatePartitionsTopic::default().with_name(text(NAMES[name]).into()).with_count(count).with_assignments(None);
            let decision = world
                .controller
                .create_partitions(&world.image, &CreatePartitionsRequest::default().with_topics(vec![topic]))
                .unwrap();
            world.take(decision);
        }
        Step::Configure { name, min_isr, unclean } => {
            if world.image.topic(NAMES[name]).is_some() {
                world.set(ResourceType::Topic, NAMES[name], MIN_INSYNC_REPLICAS, &min_isr.to_string());
                world.set(ResourceType::Topic, NAMES[name], UNCLEAN_LEADER_ELECTION, &unclean.to_string());
            }
        }
        Step::Restart { broker, clean } => {
            let previous = world.image.broker(broker).map_or(-1, |b| b.epoch).wrapping_sub(i64::from(!clean));
            let incarnation = world.image.next_broker_epoch() as u128;
            let request = registration(broker, &world.cluster_id(), incarnation).with_previous_broker_epoch(previous);
            let decision = world.controller.register_broker(&world.image, world.now, &request, Origin::SameProcess);
            world.take(decision);
        }
        Step::Beat { broker, fence, shut_down } => {
            if world.image.broker(broker).is_some() {
                world.beat(broker, fence, shut_down);
            }
        }
        Step::Silence { seconds } => {
            world.now = world.now + Duration::from_secs(seconds);
            while world.controller.next_deadline() <= world.now {
                let decision = world.controller.on_time(&world.image, world.now);
                world.take(decision);
            }
        }
        Step::AlterIsr { name, members } => alter_isr(world, NAMES[name], members),
        Step::Elect { unclean } => {
            let request = ElectLeadersRequest::default().with_election_type(i8::from(unclean)).with_topic_partitions(None);
            let decision = world.controller.elect_leaders(&world.image, &request).unwrap();
            world.take(decision);
        }
        Step::Elr { on } => {
            let update = kafka_protocol::messages::update_features_request::FeatureUpdateKey::default()
                .with_feature(text(ELIGIBLE_LEADER_REPLICAS_VERSION))
                .with_max_version_level(i16::from(on))
                .with_upgrade_type(if on { 1 } else { 2 });
            let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]);
            let decision = world.controller.update_features(&world.image, &request, 1);
            world.take(decision);
        }
        Step::Unregister { broker } => {
            let request = UnregisterBrokerRequest::default().with_broker_id(broker.into());
            let decision = world.controller.unregister_broker(&world.image, &request);
            world.take(decision);
        }
        Step::ProducerIds { broker } => {
            let epoch = world.image.broker(broker).map_or(-1, |b| b.epoch);
            let request = AllocateProducerIdsRequest::default().with_broker_id(broker.into()).with_broker_epoch(epoch);
            let decision = world.controller.allocate_producer_ids(&world.image, &request);
            world.take(decision);
        }
    }
}

/// The leader of partition 0 asks for an ISR that `members` picks among all brokers, sense or not.
fn alter_isr(world: &mut World, name: &str, members: u8) {
    let Some(topic) = world.image.topic(name).cloned() else { return };
    let partition = topic.partitions[0].clone();
    let Some(leader) = world.image.broker(partition.leader) else { return };
    let isr = (1..5).filter(|id| members & (1 << id) != 0 || *id == partition.leader);
    let isr = isr.map(|id| BrokerState::default().with_broker_id(id.into()).with_broker_epoch(-1)).collect();
    let data = PartitionData::default()
        .with_leader_epoch(partition.leader_epoch)
        .with_partition_epoch(partition.partition_epoch)
        .with_new_isr_with_epochs(isr);
    let request = AlterPartitionRequest::default()
        .with_broker_id(leader.id.into())
        .with_broker_epoch(leader.epoch)
        .with_topics(vec![TopicData::default().with_topic_id(topic.id).with_partitions(vec![data])]);
    let decision = world.controller.alter_partition(&world.image, &request, 3);
    world.take(decision);
}

fn check(before: &MetadataImage, after: &MetadataImage, elr_was_never_on: bool) {
    let mut names = BTreeSet::new();
    let mut unified = BTreeSet::new();
    for topic in after.topics().iter() {
        assert_eq!(after.topics().id_of(&topic.name), Some(topic.id), "names and ids are a bijection");
        assert!(names.insert(&topic.name) && unified.insert(unify(&topic.name)), "no two names collide");
        for (index, p) in topic.iter() {
            assert_eq!(p.broken_invariant(), None);
            assert!(p.leader == -1 || after.is_active(p.leader), "{}-{index} is led by a broker that is not there", topic.name);
            assert!(!p.isr.is_empty() || !elr_was_never_on, "without ELR an ISR is never empty");
            assert_eq!(p.replicas.iter().collect::<BTreeSet<_>>().len(), p.replicas.len(), "a broker holds one replica");
            let Some(old) = before.topic_by_id(topic.id).and_then(|t| t.partition(index)) else { continue };
            assert!(p.leader_epoch >= old.leader_epoch && p.partition_epoch >= old.partition_epoch, "epochs never step back");
            assert!(p == old || p.partition_epoch > old.partition_epoch, "a change has a new partition epoch");
            assert!(p.leader == old.leader || p.leader_epoch > old.leader_epoch, "a new leader has a new epoch");
            let had_everything = |id: &BrokerId| old.isr.contains(id) || old.elr().contains(id);
            assert!(
                p.leader == -1 || p.leader == old.leader || p.recovering || had_everything(&p.leader),
                "who leads cleanly had every record"
            );
        }
    }
    assert_eq!(after.topics().len(), names.len());
    assert_eq!(after.topics().partition_count(), after.topics().iter().map(|t| t.partitions.len()).sum::<usize>());
    assert!(after.next_producer_id() >= before.next_producer_id() && after.next_broker_epoch() >= before.next_broker_epoch());
    let mut dirs = BTreeMap::new();
    for broker in after.brokers().values() {
        for dir in &broker.log_dirs {
            assert_eq!(dirs.insert(dir, broker.id), None, "a directory belongs to one broker");
        }
    }
}

/// The image that another node would have: from the bytes of the log, and from a snapshot in the middle of it.
fn check_replay(world: &World) {
    let log: Vec<RecordBatch> = world
        .log
        .iter()
        .map(|batch| {
            let mut bytes = Vec::new();
            batch.encode(&mut bytes);
            RecordBatch::decode(&bytes).unwrap()
        })
        .collect();
    assert_eq!(replay_all(MetadataImage::default(), &log), world.image);
    let (head, tail) = log.split_at(log.len() / 2);
    let half = replay_all(MetadataImage::default(), head);
    let mut bytes = Vec::new();
    encode_some(&mut records(&half), usize::MAX, &mut bytes);
    let mut loader = SnapshotLoader::new(SnapshotHeader::of(&half));
    loader.load(&bytes).unwrap();
    assert_eq!(replay_all(loader.finish(), tail), world.image);
}

proptest! {
    #[test]
    fn whatever_is_asked_for_the_invariants_hold(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut world = World::new(&[1, 2, 3]);
        for step in &steps {
            let before = world.image.clone();
            run(&mut world, step);
            check(&before, &world.image, false);
        }
        check_replay(&world);
    }

    #[test]
    fn without_elr_no_isr_becomes_empty(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut world = World::new(&[1, 2, 3]);
        run(&mut world, &Step::Elr { on: false });
        for step in steps.iter().filter(|step| !matches!(step, Step::Elr { .. })) {
            let before = world.image.clone();
            run(&mut world, step);
            check(&before, &world.image, true);
        }
        check_replay(&world);
    }
}
