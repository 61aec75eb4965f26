//! Outcomes of ElectLeaders, and elections nobody asked for.

use super::*;
use crate::base::time::Mono;
use crate::controller::configs::UNCLEAN_LEADER_ELECTION;
use crate::controller::testing::{World, text, told};
use crate::metadata::ResourceType;

fn elect(world: &mut World, kind: i8, asked: Option<&[(&str, i32)]>) -> Vec<String> {
    let topics = asked.map(|asked| {
        let one =
            |(name, index): &(&str, i32)| TopicPartitions::default().with_topic(text(name).into()).with_partitions(vec![*index]);
        asked.iter().map(one).collect()
    });
    let request = ElectLeadersRequest::default().with_election_type(kind).with_topic_partitions(topics);
    let decision = world.controller.elect_leaders(&world.image, &request).unwrap();
    let results = world.take(decision).replica_election_results;
    let lines = results.iter().flat_map(|t| {
        t.partition_result.iter().map(|p| format!("{}-{} {}", &*t.topic.0, p.partition_id, told(p.error_code, &p.error_message)))
    });
    lines.collect()
}

/// Topic `t`: 0 led by its second replica, 1 by its first, 2 by nobody (its replica 3 is fenced, without ELR).
fn world() -> World {
    let mut world = World::new(&[1, 2, 3]);
    let off = MetadataRecord::FeatureLevel { name: "eligible.leader.replicas.version".into(), level: 0 };
    world.take(Decision::atomic(vec![off], ()));
    let id = world.create_on("t", &[&[1, 2], &[2, 1], &[3, 2]]);
    for partition in [0, 2] {
        let change = crate::metadata::PartitionChange {
            topic_id: id,
            partition,
            isr: (partition == 2).then(|| [3][..].into()),
            leader: (partition == 0).then_some(2),
            ..Default::default()
        };
        world.take(Decision::atomic(vec![MetadataRecord::PartitionChange(Box::new(change))], ()));
    }
    world.beat(3, true, false);
    assert_eq!(world.state("t", 2), "-1@1 [3] []/[] 2");
    world
}

#[test]
fn preferred_elections() {
    let mut world = world();
    let asked = [("t", 0), ("t", 1), ("t", 2), ("t", 9), ("nix", 0)];
    let expected = [
        "t-0 0",
        "t-1 84: Leader election not needed for topic partition.",
        "t-2 80: The preferred leader was not available.",
        "t-9 3: No such partition as t-9",
        "nix-0 3: No such topic as nix",
    ];
    assert_eq!(elect(&mut world, 0, Some(&asked)), expected);
    assert_eq!(world.state("t", 0), "1@2 [1, 2] []/[] 2");
}

#[test]
fn unclean_elections() {
    let mut world = world();
    let expected = ["t-0 84: Leader election not needed for topic partition.", "t-2 0"];
    assert_eq!(elect(&mut world, 1, Some(&[("t", 0), ("t", 2)])), expected);
    assert_eq!(world.state("t", 2), "2@2 [2] []/[] 3 recovering");
    world.beat(2, true, false);
    world.beat(1, true, false);
    assert_eq!(elect(&mut world, 1, Some(&[("t", 1)])), ["t-1 83: Eligible topic partition leaders are not available."]);
}

#[test]
fn all_partitions_are_told_only_if_something_happened_to_them() {
    let mut world = world();
    assert_eq!(elect(&mut world, 0, None), ["t-0 0", "t-2 80: The preferred leader was not available."]);
}

#[test]
fn unknown_types_are_refused() {
    let mut world = world();
    let error = world.controller.elect_leaders(&world.image, &ElectLeadersRequest::default().with_election_type(7)).unwrap_err();
    assert_eq!(error, ApiError::new(ErrorCode::InvalidRequest, "Unknown election type 7"));
}

#[test]
fn from_time_to_time_leadership_goes_back_to_where_it_is_preferred() {
    let mut world = world();
    world.now = Mono::ZERO + ELECTION_INTERVAL;
    for id in [1, 2] {
        world.beat(id, false, false);
    }
    let decision = world.controller.on_time(&world.image, world.now);
    world.take(decision);
    assert_eq!(world.state("t", 0), "1@2 [1, 2] []/[] 2");
    assert_eq!(world.state("t", 2), "-1@1 [3] []/[] 2", "nobody who could lead cleanly is there");
    assert!(world.controller.next_deadline() > world.now);
}

#[test]
fn allowing_unclean_elections_holds_them_at_once() {
    let mut world = world();
    world.set(ResourceType::Topic, "t", UNCLEAN_LEADER_ELECTION, "true");
    assert_eq!(world.controller.next_deadline(), world.now);
    let decision = world.controller.on_time(&world.image, world.now);
    world.take(decision);
    assert_eq!(world.state("t", 2), "2@2 [2] []/[] 3 recovering");
}
