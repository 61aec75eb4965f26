//! Outcomes of CreateTopics, with Kafka's codes and messages.

use super::*;
use crate::controller::testing::{World, assignment, config, told, topic};
use crate::metadata::ResourceType;

/// What becomes of one topic in a cluster of brokers 1 to 3, of which 3 is fenced, where `there.is` exists.
fn outcome(topic: CreatableTopic) -> String {
    let mut world = World::new(&[1, 2, 3]);
    world.create_on("there.is", &[&[1]]);
    world.beat(3, true, false);
    let before = world.image.topics().clone();
    let result = world.create(topic);
    if result.error_code != 0 {
        assert_eq!(*world.image.topics(), before, "a refused topic leaves no trace");
        assert_eq!((result.num_partitions, result.replication_factor, result.configs), (-1, -1, Some(vec![])));
    }
    told(result.error_code, &result.error_message)
}

fn manual(assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(index, ids)| assignment(*index, ids)).collect();
    topic("t").with_num_partitions(-1).with_replication_factor(-1).with_assignments(assignments)
}

#[test]
fn outcomes_are_kafkas() {
    let unable = "Unable to replicate the partition";
    for (topic, expected) in [
        (topic("t"), "0".into()),
        (topic("t").with_num_partitions(-1).with_replication_factor(-1), "0".into()),
        (topic(""), "17: Topic name is invalid: the empty string is not allowed".into()),
        (topic("there.is"), "36: Topic 'there.is' already exists.".into()),
        (topic("there_is"), "17: Topic 'there_is' collides with existing topic: there.is".into()),
        (topic("__cluster_metadata"), "42: Creation of internal topic __cluster_metadata is prohibited.".into()),
        (topic("t").with_num_partitions(0), "37: Number of partitions was set to an invalid non-positive value.".into()),
        (topic("t").with_num_partitions(-2), "37: Number of partitions was set to an invalid non-positive value.".into()),
        (topic("t").with_replication_factor(0), "38: Replication factor must be larger than 0, or -1 to use the default value.".into()),
        (topic("t").with_replication_factor(3), "0".into()),
        (
            topic("t").with_replication_factor(4),
            format!("38: {unable} 4 time(s): The target replication factor of 4 cannot be reached because only 3 broker(s) are registered or some brokers have all their log directories cordoned."),
        ),
        (topic("t").with_configs(vec![config("retention.ms", Some("5"))]), "0".into()),
        (topic("t").with_configs(vec![config("cleanup.policy", None)]), "40: Null value not supported for topic configs: cleanup.policy".into()),
        (
            topic("t").with_configs(vec![config("retention.ms", Some("x"))]),
            "40: Invalid value x for configuration retention.ms: Not a number of type LONG".into(),
        ),
        (manual(&[(0, &[1, 2]), (1, &[2, 1])]), "0".into()),
        (manual(&[(0, &[3, 1])]), "0".into()),
        (
            manual(&[(0, &[1])]).with_replication_factor(1),
            "42: A manual partition assignment was specified, but replication factor was not set to -1.".into(),
        ),
        (
            manual(&[(0, &[1])]).with_num_partitions(1),
            "42: A manual partition assignment was specified, but numPartitions was not set to -1.".into(),
        ),
        (manual(&[(0, &[1]), (0, &[2])]), "39: Found multiple manual partition assignments for partition 0".into()),
        (manual(&[(0, &[1]), (2, &[2])]), "39: partitions should be a consecutive 0-based integer sequence".into()),
        (manual(&[(0, &[])]), "39: The manual partition assignment includes an empty replica list.".into()),
        (manual(&[(0, &[1, 9])]), "39: The manual partition assignment includes broker 9, but no such broker is registered.".into()),
        (manual(&[(0, &[1, 1])]), "39: The manual partition assignment includes the broker 1 more than once.".into()),
        (
            manual(&[(0, &[1, 2]), (1, &[1])]),
            "39: The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous \
             partitions, which have 2 replica(s)."
                .into(),
        ),
        (
            manual(&[(0, &[3])]),
            "39: All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.".into(),
        ),
    ] {
        let asked = format!("{topic:?}");
        assert_eq!(outcome(topic), expected, "{asked}");
    }
}

#[test]
fn without_an_active_broker_nothing_is_created() {
    let mut world = World::new(&[1]);
    world.beat(1, true, false);
    let result = world.create(topic("t"));
    let message = "38: Unable to replicate the partition 1 time(s): All brokers are currently fenced.";
    assert_eq!(told(result.error_code, &result.error_message), message);
}

#[test]
fn a_created_topic_is_told_with_its_id_and_configuration() {
    let mut world = World::with_settings(&[1], "log.retention.hours = 2\n");
    let result = world.create(topic("t").with_num_partitions(-1).with_configs(vec![config("retention.bytes", Some("77"))]));
    assert_eq!((result.num_partitions, result.replication_factor, result.topic_config_error_code), (1, 1, 0));
    assert_eq!(world.image.topics().id_of("t"), Some(result.topic_id));
    let configs = result.configs.unwrap();
    let of = |name: &str| configs.iter().find(|c| *c.name == *name).map(|c| (c.value.as_deref(), c.config_source));
    assert_eq!(of("retention.bytes"), Some((Some("77"), 1)), "set on the topic");
    assert_eq!(of("retention.ms"), Some((Some("7200000"), 4)), "follows the broker's file");
    assert_eq!(of("cleanup.policy"), Some((Some("delete"), 5)), "default");
    assert_eq!(of("min.insync.replicas"), Some((Some("1"), 3)), "the cluster's, which ELR needs");
    assert!(configs.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(world.image.configs().get(ResourceType::Topic, "t").get("retention.bytes"), Some("77"));
}

#[test]
fn partitions_start_with_the_active_replicas_as_isr_and_the_brokers_directory() {
    let mut world = World::new(&[1, 2, 3]);
    world.beat(3, true, false);
    world.create_on("t", &[&[3, 1], &[2, 1]]);
    let image = &world.image;
    let partition = |index| image.topic("t").unwrap().partition(index).unwrap().clone();
    assert_eq!((partition(0).leader, &partition(0).isr[..]), (1, &[1][..]));
    assert_eq!((partition(1).leader, &partition(1).isr[..]), (2, &[2, 1][..]));
    assert_eq!(partition(0).directories[..], [uuid::Uuid::from_u128(503), uuid::Uuid::from_u128(501)]);
}

#[test]
fn validate_only_tells_all_and_writes_nothing() {
    let mut world = World::new(&[1]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic("t"), topic("")]).with_validate_only(true);
    let decision = world.controller.create_topics(&world.image, &request).unwrap();
    assert!(decision.records.is_empty());
    let results = decision.response.topics;
    assert_eq!(results.iter().map(|t| t.error_code).collect::<Vec<_>>(), [0, 17]);
    assert!(results[0].num_partitions == 1 && !results[0].configs.as_ref().unwrap().is_empty());
}

#[test]
fn a_name_given_twice_or_colliding_within_the_request_is_refused() {
    let mut world = World::new(&[1]);
    let topics = ["twice", "twice", "a.b", "a_b"].map(topic).to_vec();
    let decision = world.controller.create_topics(&world.image, &CreateTopicsRequest::default().with_topics(topics)).unwrap();
    let results = world.take(decision).topics;
    let told: Vec<String> = results.iter().map(|t| format!("{} {}", &*t.name.0, told(t.error_code, &t.error_message))).collect();
    assert_eq!(told, ["a.b 0", "a_b 17: Topic 'a_b' collides with existing topic: a.b", "twice 42: Duplicate topic name."]);
    assert_eq!(world.image.topics().len(), 1);
}

#[test]
fn a_request_too_large_is_refused_before_anything_is_made() {
    let mut world = World::new(&[1]);
    for topics in [
        vec![topic("t").with_num_partitions(10_001)],
        vec![topic("t").with_num_partitions(i32::MAX), topic("u").with_num_partitions(i32::MAX)],
        vec![topic("t").with_num_partitions(9_999), topic("u").with_num_partitions(2)],
    ] {
        let request = CreateTopicsRequest::default().with_topics(topics);
        let error = world.controller.create_topics(&world.image, &request).unwrap_err();
        assert_eq!(error, ApiError::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request."));
    }
    let request = CreateTopicsRequest::default().with_topics(vec![topic("t").with_num_partitions(10_000)]);
    let error = world.controller.create_topics(&world.image, &request).unwrap_err();
    assert_eq!(error, ApiError::too_many_records(), "10,000 partitions and the topic itself");
}
