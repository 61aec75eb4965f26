//! Topics: created, grown, deleted and described; every change is seen by the next request.

use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, ElectLeadersRequest, ListPartitionReassignmentsRequest, MetadataRequest,
};
use uuid::Uuid;

use crate::support::everyday::{text, topic_name};
use crate::support::{Client, TestNode};
use crate::told::{code, outcome};

const TIMEOUT_MS: i32 = 30_000;

fn topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(partitions).with_replication_factor(1)
}

fn assigned(partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = partitions.iter().map(|(index, brokers)| {
        let brokers = brokers.iter().map(|id| BrokerId(*id)).collect();
        CreatableReplicaAssignment::default().with_partition_index(*index).with_broker_ids(brokers)
    });
    topic("n", -1).with_replication_factor(-1).with_assignments(assignments.collect())
}

fn configured(name: &str, value: Option<&str>) -> CreatableTopic {
    let config = CreatableTopicConfig::default().with_name(text(name)).with_value(value.map(text));
    topic("n", 1).with_configs(vec![config])
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(TIMEOUT_MS)
}

fn delete_by_name(name: &str, version: i16) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
    match version {
        ..6 => request.with_topic_names(vec![topic_name(name)]),
        _ => request.with_topics(vec![DeleteTopicState::default().with_name(Some(topic_name(name)))]),
    }
}

/// Partitions of a topic as Metadata tells them; `None` if there is no such topic.
fn partitions(client: &mut Client, name: &str) -> Option<usize> {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
    let response = client.call(12, &request);
    let topic = &response.topics[0];
    (topic.error_code == 0).then(|| {
        assert!(topic.partitions.iter().all(|p| p.error_code == 0 && p.leader_id == 1), "{topic:?}");
        topic.partitions.len()
    })
}

fn assert_created(client: &mut Client, topics: Vec<CreatableTopic>) {
    for topic in client.call(7, &create(topics)).topics {
        assert_eq!(outcome(topic.error_code, &topic.error_message), "ok", "{}", &**topic.name);
    }
}

#[test]
fn the_next_request_sees_a_topic_created_grown_and_deleted_in_every_version() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    for version in 2..=7 {
        let name = format!("t{version}");
        let response = client.call(version, &create(vec![topic(&name, 2)]));
        let created = &response.topics[0];
        assert_eq!(outcome(created.error_code, &created.error_message), "ok", "version {version}");
        assert_eq!(version >= 7, !created.topic_id.is_nil(), "version {version}");
        if version >= 5 {
            assert_eq!((created.num_partitions, created.replication_factor), (2, 1));
            let configs = created.configs.as_ref().unwrap();
            assert!(configs.iter().any(|c| &*c.name == "retention.ms" && c.value.as_deref() == Some("604800000")));
        }
        assert_eq!(partitions(&mut client, &name), Some(2), "version {version}");
    }
    for version in 0..=3 {
        let grown = CreatePartitionsTopic::default().with_name(topic_name("t2")).with_count(3 + i32::from(version));
        let request =
            CreatePartitionsRequest::default().with_topics(vec![grown.with_assignments(None)]).with_timeout_ms(TIMEOUT_MS);
        let response = client.call(version, &request);
        assert_eq!(outcome(response.results[0].error_code, &response.results[0].error_message), "ok", "version {version}");
        assert_eq!(partitions(&mut client, "t2"), Some(3 + version as usize), "version {version}");
    }
    for version in 1..=6 {
        let name = format!("t{}", version + 1);
        let response = client.call(version, &delete_by_name(&name, version));
        assert_eq!(code(response.responses[0].error_code), "ok", "version {version}");
        assert_eq!(partitions(&mut client, &name), None, "version {version}");
    }
}

#[test]
fn a_topic_that_cannot_be_created_is_refused_as_kafka_does() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    assert_created(&mut client, vec![topic("there.is", 1)]);
    let cases: Vec<(CreatableTopic, &str)> = vec![
        (topic("", 1), "InvalidTopicException: Topic name is invalid: the empty string is not allowed"),
        (topic("..", 1), "InvalidTopicException: Topic name is invalid: '..' is not allowed"),
        (
            topic("a b", 1),
            "InvalidTopicException: Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (topic("there.is", 1), "TopicAlreadyExists: Topic 'there.is' already exists."),
        (topic("there_is", 1), "InvalidTopicException: Topic 'there_is' collides with existing topic: there.is"),
        (topic("__cluster_metadata", 1), "InvalidRequest: Creation of internal topic __cluster_metadata is prohibited."),
        (topic("n", 0), "InvalidPartitions: Number of partitions was set to an invalid non-positive value."),
        (topic("n", -2), "InvalidPartitions: Number of partitions was set to an invalid non-positive value."),
        (
            topic("n", 1).with_replication_factor(0),
            "InvalidReplicationFactor: Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic("n", 1).with_replication_factor(3),
            "InvalidReplicationFactor: Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (topic("n", 20_000), "PolicyViolation: Excessively large number of partitions per request."),
        (
            assigned(&[(0, &[1])]).with_num_partitions(1),
            "InvalidRequest: A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            assigned(&[(0, &[1])]).with_replication_factor(1),
            "InvalidRequest: A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (assigned(&[(1, &[1])]), "InvalidReplicaAssignment: partitions should be a consecutive 0-based integer sequence"),
        (assigned(&[(0, &[])]), "InvalidReplicaAssignment: The manual partition assignment includes an empty replica list."),
        (
            assigned(&[(0, &[1, 1])]),
            "InvalidReplicaAssignment: The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            assigned(&[(0, &[9])]),
            "InvalidReplicaAssignment: The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (configured("retention.ms", None), "InvalidConfig: Null value not supported for topic configs: retention.ms"),
        (
            configured("retention.ms", Some("x")),
            "InvalidConfig: Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (configured("nope", Some("1")), "InvalidConfig: Unknown topic config name: nope"),
    ];
    for (asked, expected) in cases {
        let response = client.call(7, &create(vec![asked.clone()]));
        let [refused] = &response.topics[..] else { panic!("{asked:?}: {response:?}") };
        assert_eq!(outcome(refused.error_code, &refused.error_message), expected, "{asked:?}");
        assert_eq!((refused.num_partitions, refused.replication_factor), (-1, -1), "{asked:?}");
        assert!(refused.topic_id.is_nil(), "{asked:?}");
    }
    let twice = client.call(7, &create(vec![topic("n", 1), topic("n", 1), topic("m", 1)]));
    let told: Vec<_> =
        twice.topics.iter().map(|t| format!("{} {}", &**t.name, outcome(t.error_code, &t.error_message))).collect();
    assert_eq!(told, ["m ok", "n InvalidRequest: Duplicate topic name."]);
    assert_eq!(partitions(&mut client, "n"), None);
}

#[test]
fn what_is_only_validated_is_not_done() {
    let node = TestNode::start(&["num.partitions=4"]);
    let mut client = node.connect();
    let response = client.call(7, &create(vec![topic("t", -1)]).with_validate_only(true));
    assert_eq!((response.topics[0].error_code, response.topics[0].num_partitions), (0, 4));
    assert_eq!(partitions(&mut client, "t"), None);
    assert_created(&mut client, vec![topic("t", -1)]);
    let grown = CreatePartitionsTopic::default().with_name(topic_name("t")).with_count(9).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![grown]).with_timeout_ms(TIMEOUT_MS);
    assert_eq!(client.call(3, &request.with_validate_only(true)).results[0].error_code, 0);
    assert_eq!(partitions(&mut client, "t"), Some(4));
}

/// Kafka's controller gives up requests whose time is over before it looks at them.
#[test]
fn a_request_without_time_is_refused_and_nothing_is_done() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    assert_created(&mut client, vec![topic("t", 1)]);
    for timeout_ms in [0, -1] {
        let created = client.call(7, &create(vec![topic("n", 1)]).with_timeout_ms(timeout_ms));
        assert_eq!(outcome(created.topics[0].error_code, &created.topics[0].error_message), "RequestTimedOut");
        let deleted = client.call(6, &delete_by_name("t", 6).with_timeout_ms(timeout_ms));
        assert_eq!(code(deleted.responses[0].error_code), "RequestTimedOut");
        let grown = CreatePartitionsTopic::default().with_name(topic_name("t")).with_count(2).with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![grown]).with_timeout_ms(timeout_ms);
        assert_eq!(code(client.call(3, &request).results[0].error_code), "RequestTimedOut");
        let elected = client.call(2, &elect(0, Some(&[("t", &[0])])).with_timeout_ms(timeout_ms));
        assert_eq!(code(elected.error_code), "RequestTimedOut");
        assert_eq!(code(elected.replica_election_results[0].partition_result[0].error_code), "RequestTimedOut");
    }
    assert_eq!((partitions(&mut client, "n"), partitions(&mut client, "t")), (None, Some(1)));
}

#[test]
fn partitions_that_cannot_be_added_are_refused_as_kafka_does() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    assert_created(&mut client, vec![topic("t", 1)]);
    let on = |brokers: &[&[i32]]| -> Option<Vec<CreatePartitionsAssignment>> {
        let assignment =
            |ids: &&[i32]| CreatePartitionsAssignment::default().with_broker_ids(ids.iter().map(|id| BrokerId(*id)).collect());
        Some(brokers.iter().map(assignment).collect())
    };
    for (name, count, assignments, expected) in [
        ("nope", 3, None, "UnknownTopicOrPartition"),
        ("t", 1, None, "InvalidPartitions: Topic already has 1 partition(s)."),
        ("t", 0, None, "InvalidPartitions: The topic t currently has 1 partition(s); 0 would not be an increase."),
        ("t", -1, None, "InvalidPartitions: The topic t currently has 1 partition(s); -1 would not be an increase."),
        (
            "t",
            2,
            on(&[&[9]]),
            "InvalidReplicaAssignment: The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            "t",
            2,
            on(&[&[1], &[1]]),
            "InvalidReplicaAssignment: Attempted to add 1 additional partition(s), but only 2 assignment(s) were specified.",
        ),
        ("t", 20_000, None, "PolicyViolation: Unable to perform excessively large batch operation."),
        ("t", 2, on(&[&[1]]), "ok"),
    ] {
        let asked = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(assignments);
        let request = CreatePartitionsRequest::default().with_topics(vec![asked]).with_timeout_ms(TIMEOUT_MS);
        let response = client.call(3, &request);
        let result = &response.results[0];
        assert_eq!(outcome(result.error_code, &result.error_message), expected, "{name} {count}");
    }
    assert_eq!(partitions(&mut client, "t"), Some(2));
}

#[test]
fn topics_are_deleted_by_name_or_id_but_not_by_both() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    let response = client.call(7, &create(vec![topic("a", 1), topic("b", 1), topic("c", 1)]));
    let id = |name: &str| response.topics.iter().find(|t| &**t.name == name).unwrap().topic_id;
    let by = |name: Option<&str>, id: Uuid| DeleteTopicState::default().with_name(name.map(topic_name)).with_topic_id(id);
    let unknown = Uuid::from_u128(7);
    for (asked, expected) in [
        (vec![by(None, Uuid::nil())], vec!["InvalidRequest: Neither topic name nor id were specified."]),
        (vec![by(Some("a"), id("a"))], vec!["InvalidRequest: You may not specify both topic name and topic id."]),
        (vec![by(None, unknown)], vec!["UnknownTopicId: This server does not host this topic ID."]),
        (vec![by(None, unknown), by(None, unknown)], vec!["InvalidRequest: Duplicate topic id."]),
        (vec![by(Some("x"), Uuid::nil())], vec!["UnknownTopicOrPartition: This server does not host this topic-partition."]),
        (vec![by(Some("a"), Uuid::nil()), by(Some("a"), Uuid::nil())], vec!["InvalidRequest: Duplicate topic name."]),
        (
            vec![by(None, id("a")), by(Some("a"), Uuid::nil())],
            vec!["InvalidRequest: The provided topic name maps to an ID that was already supplied."],
        ),
        (vec![by(None, id("a")), by(Some("b"), Uuid::nil())], vec!["ok", "ok"]),
    ] {
        let request = DeleteTopicsRequest::default().with_topics(asked.clone()).with_timeout_ms(TIMEOUT_MS);
        let response = client.call(6, &request);
        let told: Vec<_> = response.responses.iter().map(|r| outcome(r.error_code, &r.error_message)).collect();
        assert_eq!(told, expected, "{asked:?}");
    }
    let left = ["a", "b", "c"].map(|name| partitions(&mut client, name));
    assert_eq!(left, [None, None, Some(1)]);
}

#[test]
fn topics_stay_where_deletion_is_turned_off() {
    let node = TestNode::start(&["delete.topic.enable=false"]);
    let mut client = node.connect();
    assert_created(&mut client, vec![topic("t", 1)]);
    for version in 1..=6 {
        let response = client.call(version, &delete_by_name("t", version));
        let expected = if version < 3 { "InvalidRequest" } else { "TopicDeletionDisabled" };
        assert_eq!(code(response.responses[0].error_code), expected, "version {version}");
    }
    assert_eq!(partitions(&mut client, "t"), Some(1));
}

fn describe(topics: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    let cursor =
        cursor.map(|(name, partition)| Cursor::default().with_topic_name(topic_name(name)).with_partition_index(partition));
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.iter().map(|name| TopicRequest::default().with_name(topic_name(name))).collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

/// Topics with their errors or partitions, and the cursor: `a:0,1 b:UnknownTopicOrPartition > c 0`.
fn page(response: &DescribeTopicPartitionsResponse) -> String {
    let topics = response.topics.iter().map(|topic| {
        let partitions: Vec<String> = topic.partitions.iter().map(|p| p.partition_index.to_string()).collect();
        let what = if topic.error_code == 0 { partitions.join(",") } else { code(topic.error_code) };
        format!("{}:{what}", &**topic.name.as_ref().unwrap())
    });
    let next = response.next_cursor.as_ref().map(|c| format!("> {} {}", &**c.topic_name, c.partition_index));
    topics.chain(next).collect::<Vec<_>>().join(" ")
}

#[test]
fn topics_are_described_a_page_at_a_time() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    assert_created(&mut client, vec![topic("a", 3), topic("b", 1), topic("c", 2)]);
    for (topics, limit, cursor, expected) in [
        (&[] as &[&str], 2000, None, "a:0,1,2 b:0 c:0,1"),
        (&[], 1, None, "a:0 > a 1"),
        (&[], 0, None, "a:0 > a 1"),
        (&[], 2, Some(("a", 1)), "a:1,2 > b 0"),
        (&[], 4, None, "a:0,1,2 b:0 > c 0"),
        (&[], 2000, Some(("b", 0)), "b:0 c:0,1"),
        (&[], 2000, Some(("aa", 5)), "b:0 c:0,1"),
        (&[], 2000, Some(("a", -1)), ""),
        (&["c", "a", "c"], 4, None, "a:0,1,2 c:0 > c 1"),
        (&["c"], 10, Some(("c", 7)), "c:"),
        (&["zz", "c", "b d", ""], 10, None, ":InvalidTopicException b d:InvalidTopicException c:0,1 zz:UnknownTopicOrPartition"),
        (&["zz", "c"], 2, None, "c:0,1 > zz 0"),
        (&["zz", "c"], 2, Some(("zz", 0)), "zz:UnknownTopicOrPartition"),
        (&["c"], 10, Some(("a", 0)), "c:InvalidRequest"),
        (&["c"], 10, Some(("c", -1)), "c:InvalidRequest"),
    ] {
        let response = client.call(0, &describe(topics, limit, cursor));
        assert_eq!(page(&response), expected, "{topics:?} {limit} {cursor:?}");
    }
    let whole = client.call(0, &describe(&[], 2000, None));
    let partition = &whole.topics[0].partitions[0];
    assert_eq!(
        (partition.leader_id, &partition.replica_nodes, &partition.isr_nodes),
        (BrokerId(1), &vec![BrokerId(1)], &vec![BrokerId(1)])
    );
    assert_eq!((&partition.offline_replicas, &partition.eligible_leader_replicas), (&vec![], &Some(vec![])));
    assert!(whole.topics.iter().all(|t| !t.topic_id.is_nil() && t.topic_authorized_operations == 0xdf8));
}

fn elect(election_type: i8, topics: Option<&[(&str, &[i32])]>) -> ElectLeadersRequest {
    let topics = topics.map(|topics| {
        let topic = |(name, partitions): &(&str, &[i32])| {
            TopicPartitions::default().with_topic(topic_name(name)).with_partitions(partitions.to_vec())
        };
        topics.iter().map(topic).collect()
    });
    ElectLeadersRequest::default().with_election_type(election_type).with_topic_partitions(topics).with_timeout_ms(TIMEOUT_MS)
}

#[test]
fn elections_say_of_every_partition_what_became_of_it() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    assert_created(&mut client, vec![topic("t", 1)]);
    let not_needed = "ElectionNotNeeded: Leader election not needed for topic partition.";
    let cases: [(i8, Option<&[(&str, &[i32])]>, &str, Vec<&str>); 5] = [
        (0, Some(&[("t", &[0, 9])]), "ok", vec![not_needed, "UnknownTopicOrPartition: No such partition as t-9"]),
        (1, Some(&[("t", &[0])]), "ok", vec![not_needed]),
        (0, Some(&[("nope", &[0])]), "ok", vec!["UnknownTopicOrPartition: No such topic as nope"]),
        (0, None, "ok", vec![]),
        (9, Some(&[("t", &[0])]), "InvalidRequest", vec!["InvalidRequest: Unknown election type 9"]),
    ];
    for (kind, topics, whole, expected) in cases {
        for version in 0..=2 {
            if version == 0 && kind != 0 {
                continue;
            }
            let response = client.call(version, &elect(kind, topics));
            let whole = if version == 0 { "ok" } else { whole };
            assert_eq!(code(response.error_code), whole, "{kind} {topics:?} version {version}");
            let results = response.replica_election_results.iter().flat_map(|r| &r.partition_result);
            let told: Vec<_> = results.map(|p| outcome(p.error_code, &p.error_message)).collect();
            assert_eq!(told, expected, "{kind} {topics:?} version {version}");
        }
    }
}

#[test]
fn no_partition_is_being_reassigned() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    assert_created(&mut client, vec![topic("t", 1)]);
    let asked = ListPartitionReassignmentsTopics::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    for topics in [None, Some(vec![asked])] {
        let response = client.call(0, &ListPartitionReassignmentsRequest::default().with_topics(topics));
        assert_eq!((code(response.error_code).as_str(), response.topics.len()), ("ok", 0));
    }
}
