//! Administrators: what they ask for is done before they are answered, and what cannot be is refused in Kafka's codes.

use std::time::{Duration, Instant};

use rdkafka::admin::{AlterConfig, ConfigResource, NewPartitions, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::*;

/// How many partitions a topic has; none is told of a topic that is not there.
fn partitions(admin: &Admin, topic: &str) -> usize {
    let metadata = admin.client.inner().fetch_metadata(None, PATIENCE).unwrap();
    metadata.topics().iter().find(|one| one.name() == topic).map_or(0, |one| one.partitions().len())
}

#[test]
fn topics_are_created_widened_and_deleted_or_that_is_refused() {
    let broker = broker(&[]);
    let admin = Admin::new(&broker);
    admin.create("made", 3, &[]);
    assert_eq!(partitions(&admin, "made"), 3);
    let create = |topic| admin.one(admin.client.create_topics([&topic], &options()));
    let refused = |name: &str, code| Err((name.to_owned(), code));
    assert_eq!(create(new_topic("made", 1)), refused("made", Code::TopicAlreadyExists));
    assert_eq!(create(new_topic("bad/name", 1)), refused("bad/name", Code::InvalidTopic));
    assert_eq!(create(new_topic("setting", 1).set("retention.minutes", "1")), refused("setting", Code::InvalidConfig));
    let replicated = rdkafka::admin::NewTopic::new("twice", 1, TopicReplication::Fixed(2));
    assert_eq!(create(replicated), refused("twice", Code::InvalidReplicationFactor));
    let checked = options().validate_only(true);
    assert!(admin.one(admin.client.create_topics([&new_topic("checked", 1)], &checked)).is_ok());
    assert_eq!(partitions(&admin, "checked"), 0, "it was only checked");

    let widen = |name, count| admin.one(admin.client.create_partitions([&NewPartitions::new(name, count)], &options()));
    assert_eq!(widen("made", 5), Ok("made".to_owned()));
    assert_eq!(partitions(&admin, "made"), 5);
    assert_eq!(widen("made", 4), refused("made", Code::InvalidPartitions));
    assert_eq!(widen("none", 4), refused("none", Code::UnknownTopicOrPartition));
    send_numbers(&broker, "made", 5, 0..50);
    assert_eq!(read_all(&broker, "made", 5).len(), 50);

    let delete = |name| admin.one(admin.client.delete_topics(&[name], &options()));
    assert_eq!(delete("made"), Ok("made".to_owned()));
    assert_eq!(partitions(&admin, "made"), 0);
    assert_eq!(delete("made"), refused("made", Code::UnknownTopicOrPartition));
    admin.create("made", 1, &[]);
    assert!(read_all(&broker, "made", 1).is_empty(), "a topic of the same name has none of the records");
}

#[test]
fn configurations_are_told_and_changed_and_outlive_a_crash() {
    let mut broker = broker(&[]);
    let admin = Admin::new(&broker);
    admin.create("set", 1, &[("retention.ms", "3600000")]);
    let topic = ResourceSpecifier::Topic("set");
    let told = |admin: &Admin| -> ConfigResource { admin.one(admin.client.describe_configs([&topic], &options())).unwrap() };
    let value = |told: &ConfigResource, key: &str| {
        let entry = told.get(key).unwrap_or_else(|| panic!("{key} is not told"));
        (entry.value.clone().unwrap(), entry.is_default)
    };
    let before = told(&admin);
    assert_eq!(value(&before, "retention.ms"), ("3600000".to_owned(), false));
    assert_eq!(value(&before, "segment.bytes"), ("1073741824".to_owned(), true));

    // The crate hands no refusal on: what is told afterwards judges.
    for (key, to) in [("segment.bytes", "2097152"), ("segment.bytes", "many"), ("segment.bites", "4194304")] {
        admin.one(admin.client.alter_configs([&AlterConfig::new(topic).set(key, to)], &options())).unwrap();
        assert_eq!(value(&told(&admin), "segment.bytes"), ("2097152".to_owned(), false), "after {key}={to}");
    }
    broker.kill();
    broker.start_again();
    let after = told(&Admin::new(&broker));
    assert_eq!(value(&after, "segment.bytes"), ("2097152".to_owned(), false));
    assert_eq!(
        value(&after, "retention.ms"),
        ("604800000".to_owned(), true),
        "an alteration sets all there is, so this is unset"
    );
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let mut broker = broker(&[]);
    let admin = Admin::new(&broker);
    admin.create("short", 2, &[]);
    send_numbers(&broker, "short", 1, 0..20);
    let delete = |admin: &Admin, offset| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset("short", 0, offset).unwrap();
        let told = admin.done(admin.client.delete_records(&asked, &options()));
        let place = &told.elements()[0];
        place.error().map(|()| place.offset()).map_err(|error| error.rdkafka_error_code().unwrap())
    };
    assert_eq!(delete(&admin, Offset::Offset(7)), Ok(Offset::Offset(7)));
    assert_eq!(delete(&admin, Offset::Offset(3)), Ok(Offset::Offset(7)), "what is gone is gone");
    assert_eq!(delete(&admin, Offset::Offset(21)), Err(Code::OffsetOutOfRange));
    // A crash may bring back what was deleted since the start of the log was noted last, as in Kafka; a stop notes it.
    broker.stop();
    broker.start_again();
    let left = read_all(&broker, "short", 2);
    assert!(left.iter().map(|record| (record.offset, record.text())).eq((7..20).map(|n| (n, n.to_string()))), "{left:?}");
    assert_eq!(delete(&Admin::new(&broker), Offset::End), Ok(Offset::Offset(20)));
    assert!(read_all(&broker, "short", 2).is_empty());
}

#[test]
fn groups_are_told_of_and_deleted_once_they_are_empty() {
    let broker = broker(&[]);
    let admin = Admin::new(&broker);
    admin.create("read", 1, &[]);
    send_numbers(&broker, "read", 1, 0..10);
    let member = consumer(&broker, &[("group.id", "readers"), ("client.id", "reader"), ("auto.offset.reset", "earliest")]);
    member.subscribe(&["read"]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let message = loop {
        assert!(Instant::now() < deadline, "the member reads nothing");
        if let Some(message) = member.poll(Duration::from_millis(100)) {
            break message.unwrap();
        }
    };
    member.commit_message(&message, CommitMode::Sync).unwrap();
    drop(message);

    let groups = member.fetch_group_list(Some("readers"), PATIENCE).unwrap();
    let told = &groups.groups()[0];
    assert_eq!((told.name(), told.state(), told.protocol_type(), told.protocol()), ("readers", "Stable", "consumer", "range"));
    assert_eq!((told.members()[0].client_id(), told.members()[0].client_host()), ("reader", "/127.0.0.1"));

    let delete = |name| admin.one(admin.client.delete_groups(&[name], &options())).map_err(|(_, code)| code);
    assert_eq!(delete("readers"), Err(Code::NonEmptyGroup));
    drop(member);
    assert_eq!(delete("readers"), Ok("readers".to_owned()));
    assert_eq!(delete("readers"), Err(Code::GroupIdNotFound));
    let other = consumer(&broker, &[("group.id", "readers")]);
    let mut asked = TopicPartitionList::new();
    asked.add_partition("read", 0);
    let found = other.committed_offsets(asked, PATIENCE).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Invalid, "its offsets went with it");
}
