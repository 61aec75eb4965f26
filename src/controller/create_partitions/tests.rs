//! Outcomes of CreatePartitions.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;

use super::*;
use crate::controller::testing::{World, text, told};

fn topic(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsTopic {
    let assignment =
        |ids: &&[i32]| CreatePartitionsAssignment::default().with_broker_ids(ids.iter().map(|id| (*id).into()).collect());
    CreatePartitionsTopic::default()
        .with_name(text(name).into())
        .with_count(count)
        .with_assignments(assignments.map(|a| a.iter().map(assignment).collect()))
}

fn world() -> World {
    let mut world = World::new(&[1, 2, 3]);
    world.create_on("t", &[&[1, 2], &[2, 1]]);
    world.beat(3, true, false);
    world
}

#[test]
fn outcomes_are_kafkas() {
    let manual = "39: The manual partition assignment includes";
    for (topic, expected) in [
        (topic("t", 3, None), "0".to_owned()),
        (topic("t", 4, Some(&[&[1, 2], &[3, 1]])), "0".into()),
        (topic("nix", 3, None), "3".into()),
        (topic("t", 2, None), "37: Topic already has 2 partition(s).".into()),
        (topic("t", 1, None), "37: The topic t currently has 2 partition(s); 1 would not be an increase.".into()),
        (topic("t", -1, None), "37: The topic t currently has 2 partition(s); -1 would not be an increase.".into()),
        (
            topic("t", 4, Some(&[&[1, 2]])),
            "39: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.".into(),
        ),
        (topic("t", 3, Some(&[&[1, 9]])), format!("{manual} broker 9, but no such broker is registered.")),
        (topic("t", 3, Some(&[&[1, 1]])), format!("{manual} the broker 1 more than once.")),
        (
            topic("t", 3, Some(&[&[1]])),
            format!(
                "{manual} a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s)."
            ),
        ),
    ] {
        let mut world = world();
        let request = CreatePartitionsRequest::default().with_topics(vec![topic.clone()]);
        let decision = world.controller.create_partitions(&world.image, &request).unwrap();
        let result = world.take(decision).results.remove(0);
        assert_eq!(told(result.error_code, &result.error_message), expected, "{topic:?}");
        let partitions = world.image.topic("t").unwrap().partitions.len() as i32;
        assert_eq!(partitions, if result.error_code == 0 { topic.count } else { 2 });
    }
}

#[test]
fn nobody_active_means_nothing_new() {
    let mut world = world();
    world.beat(1, true, false);
    world.beat(2, true, false);
    for (topic, expected) in [
        (topic("t", 3, None), "38: All brokers are currently fenced."),
        (
            topic("t", 3, Some(&[&[1, 2]])),
            "39: All brokers specified in the manual partition assignment for partition 2 are fenced or in controlled shutdown.",
        ),
    ] {
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        let result = world.controller.create_partitions(&world.image, &request).unwrap().response.results.remove(0);
        assert_eq!(told(result.error_code, &result.error_message), expected);
    }
}

#[test]
fn a_topic_named_twice_is_told_once() {
    let mut world = world();
    let request = CreatePartitionsRequest::default().with_topics(vec![topic("t", 3, None), topic("t", 4, None)]);
    let decision = world.controller.create_partitions(&world.image, &request).unwrap();
    assert!(decision.records.is_empty());
    let results = decision.response.results;
    assert_eq!((results.len(), told(results[0].error_code, &results[0].error_message)), (1, "42: Duplicate topic name.".into()));
}

#[test]
fn validate_only_writes_nothing_and_a_count_beyond_reason_is_refused_at_once() {
    let mut world = world();
    let request = CreatePartitionsRequest::default().with_topics(vec![topic("t", 3, None)]).with_validate_only(true);
    let decision = world.controller.create_partitions(&world.image, &request).unwrap();
    assert!(decision.records.is_empty() && decision.response.results[0].error_code == 0);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic("t", i32::MAX, None)]);
    assert_eq!(world.controller.create_partitions(&world.image, &request), Err(ApiError::too_many_records()));
}
