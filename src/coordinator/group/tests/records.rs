//! Records as bytes: what Kafka wrote is understood and written the same; what nobody would write hurts nobody.
//!
//! `testdata/kafka-4.3.1-consumer-offsets.log` is the one partition of `__consumer_offsets` of an Apache Kafka 4.3.1 after: two classic
//! members that commit, one of which leaves; a static member with metadata; a simple group; a committed and an aborted transaction; a
//! KIP-848 group; deleted offsets, a deleted group and a deleted topic.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::text;
use crate::base::time::Mono;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::record::{GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue, Record};
use crate::coordinator::group::shard::{Group, GroupShard};
use crate::coordinator::loader::load;
use crate::coordinator::memory_log::MemoryLog;
use crate::coordinator::shard::{At, Position, Shard, Undecodable};
use crate::record::batches::batches;
use crate::record::records::records;

const KAFKA: &[u8] = include_bytes!("../testdata/kafka-4.3.1-consumer-offsets.log");

#[test]
fn a_log_that_kafka_wrote_is_understood() {
    let log = MemoryLog::of(batches(KAFKA).map(|batch| Bytes::copy_from_slice(batch.unwrap().bytes())).collect());
    let mut shard = GroupShard::new(GroupConfig::default().into());
    let loaded = load(&*log, &mut shard, &CancellationToken::new()).unwrap().unwrap();
    assert_eq!((loaded.next_offset, loaded.records, loaded.bytes), (36, 36, KAFKA.len() as u64));
    shard.loaded(&At { now: Mono::ZERO, wall_ms: 0, max_batch_bytes: 1 << 20, next_offset: 36 });

    let groups = shard.groups.values().map(|Group::Classic(group)| {
        let members: Vec<_> = group.members().map(|member| member.client_id.to_string()).collect();
        format!("{} {:?} {} {}", group.id, group.state(), group.generation(), members.join(","))
    });
    assert_eq!(
        groups.collect::<Vec<_>>(),
        ["classic Empty 3 ", "modern Empty 0 ", "simple Empty 0 ", "static Stable 1 client-static", "txgroup Empty 0 "]
    );
    let offsets = shard.offsets.committed().iter().map(|(group, topic, partition, it)| {
        format!("{group} {topic}-{partition} {} {:?} {}", it.value.offset, it.value.metadata.as_str(), it.value.leader_epoch)
    });
    assert_eq!(
        offsets.collect::<Vec<_>>(),
        [
            "classic t-0 11 \"\" -1",
            "classic t-1 12 \"\" -1",
            "classic t-2 13 \"\" -1",
            "modern t-0 8 \"\" 0",
            "modern t-1 12 \"\" 0",
            "modern t-2 10 \"\" 0",
            "static t-1 7 \"some metadata é\" 0",
            "txgroup t-2 42 \"committed\" -1",
        ]
    );
    assert_eq!(shard.offsets.pending().count(), 0);
    let Some(Group::Classic(group)) = shard.group(&text("static")) else { panic!("the group is there") };
    let member = group.members().next().unwrap();
    assert_eq!(member.instance_id, Some(text("inst-1")));
    assert!(group.is_subscribed_to(&text("t")) && !group.is_subscribed_to(&text("u")));
    assert!(!member.assignment.is_empty());
}

#[test]
fn records_are_written_byte_for_byte_as_kafka_writes_them() {
    let mut understood = 0;
    for batch in batches(KAFKA).map(Result::unwrap).filter(|batch| !batch.header.is_control()) {
        for record in records(&batch.header, batch.body()).map(Result::unwrap) {
            let key = record.key.unwrap();
            match Record::decode(key, record.value) {
                Ok(decoded) => {
                    understood += 1;
                    let (key_again, value_again) = decoded.encode();
                    assert_eq!((&key_again[..], value_again.as_deref()), (key, record.value), "{decoded:?}");
                }
                // Of the KIP-848 group.
                Err(error) => assert!(matches!(error, Undecodable::UnknownType(3..=8)), "{error}"),
            }
        }
    }
    assert_eq!(understood, 25);
}

/// `16-bit` text as the old forms write it.
fn put(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend(text.as_bytes());
}

#[test]
fn offset_commits_of_every_version_are_read() {
    let key = OffsetCommitKey { group: text("g"), topic: text("t"), partition: 3 };
    let (key_bytes, _) = Record::OffsetCommit { key: key.clone(), value: None }.encode();
    for version in 0..=4i16 {
        let mut value = version.to_be_bytes().to_vec();
        value.extend(42i64.to_be_bytes());
        if version >= 3 {
            value.extend(7i32.to_be_bytes());
        }
        if version >= 4 {
            value.extend([3, b'm', b'd']);
        } else {
            put(&mut value, "md");
        }
        value.extend(1000i64.to_be_bytes());
        if version == 1 {
            value.extend(2000i64.to_be_bytes());
        }
        if version >= 4 {
            // Two tagged fields: the topic id, and one of a later Kafka.
            value.extend([2, 0, 16]);
            value.extend([9; 16]);
            value.extend([5, 2, 1, 2]);
        }
        let expected = OffsetCommitValue {
            offset: 42,
            leader_epoch: if version >= 3 { 7 } else { -1 },
            metadata: text("md"),
            commit_timestamp: 1000,
            expire_timestamp: if version == 1 { 2000 } else { -1 },
            topic_id: if version >= 4 { Uuid::from_bytes([9; 16]) } else { Uuid::nil() },
        };
        let expected = Record::OffsetCommit { key: key.clone(), value: Some(expected) };
        assert_eq!(Record::decode(&key_bytes, Some(&value)), Ok(expected), "version {version}");
        for cut in 0..value.len() {
            assert!(Record::decode(&key_bytes, Some(&value[..cut])).is_err(), "version {version} cut at {cut}");
        }
    }
    let unknown = Record::decode(&key_bytes, Some(&5i16.to_be_bytes()));
    assert_eq!(unknown, Err(Undecodable::UnknownVersion { record: "an offset commit", version: 5 }));
}

#[test]
fn group_metadata_of_every_version_is_read() {
    for version in 0..=4i16 {
        let mut value = version.to_be_bytes().to_vec();
        let string = |out: &mut Vec<u8>, text: &str| match version {
            4.. => {
                out.push(text.len() as u8 + 1);
                out.extend(text.as_bytes());
            }
            _ => put(out, text),
        };
        let bytes = |out: &mut Vec<u8>, bytes: &[u8]| {
            match version {
                4.. => out.push(bytes.len() as u8 + 1),
                _ => out.extend((bytes.len() as i32).to_be_bytes()),
            }
            out.extend(bytes);
        };
        string(&mut value, "consumer");
        value.extend(5i32.to_be_bytes());
        string(&mut value, "range");
        string(&mut value, "m1");
        if version >= 2 {
            value.extend(77i64.to_be_bytes());
        }
        match version {
            4.. => value.push(2),
            _ => value.extend(1i32.to_be_bytes()),
        }
        string(&mut value, "m1");
        match version {
            4.. => value.push(0),
            3 => value.extend((-1i16).to_be_bytes()),
            _ => {}
        }
        string(&mut value, "client");
        string(&mut value, "/host");
        if version >= 1 {
            value.extend(60_000i32.to_be_bytes());
        }
        value.extend(45_000i32.to_be_bytes());
        bytes(&mut value, b"sub");
        bytes(&mut value, b"asg");
        if version >= 4 {
            value.extend([0, 0]);
        }
        let member = MemberMetadata {
            member_id: text("m1"),
            instance_id: None,
            client_id: text("client"),
            client_host: text("/host"),
            // The first version had one timeout for both.
            rebalance_timeout_ms: if version >= 1 { 60_000 } else { 45_000 },
            session_timeout_ms: 45_000,
            subscription: Bytes::from_static(b"sub"),
            assignment: Bytes::from_static(b"asg"),
        };
        let expected = GroupMetadataValue {
            protocol_type: text("consumer"),
            generation: 5,
            protocol: Some(text("range")),
            leader: Some(text("m1")),
            state_timestamp: if version >= 2 { 77 } else { -1 },
            members: vec![member],
        };
        let (key, _) = Record::group_tombstone(&text("g")).encode();
        let expected = Record::GroupMetadata { group: text("g"), value: Some(Box::new(expected)) };
        assert_eq!(Record::decode(&key, Some(&value)), Ok(expected), "version {version}");
        for cut in 0..value.len() {
            assert!(Record::decode(&key, Some(&value[..cut])).is_err(), "version {version} cut at {cut}");
        }
    }
}

#[test]
fn the_first_key_type_of_all_is_read_like_the_second() {
    let key = OffsetCommitKey { group: text("g"), topic: text("t"), partition: 3 };
    let (bytes, _) = Record::OffsetCommit { key: key.clone(), value: None }.encode();
    let mut bytes = bytes.to_vec();
    bytes[1] = 0;
    assert_eq!(Record::decode(&bytes, None), Ok(Record::OffsetCommit { key, value: None }));
}

fn any_text() -> impl Strategy<Value = StrBytes> {
    "\\PC{0,12}".prop_map(StrBytes::from_string)
}

fn any_record() -> impl Strategy<Value = Record> {
    let key =
        (any_text(), any_text(), any::<i32>()).prop_map(|(group, topic, partition)| OffsetCommitKey { group, topic, partition });
    let value = (any::<i64>(), any::<i32>(), any_text(), any::<i64>(), prop_oneof![Just(-1i64), any::<i64>()], any::<u128>());
    let value = value.prop_map(|(offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id)| {
        // What has its own expiry is written in a version that has neither epoch nor topic id.
        let (leader_epoch, topic_id) = if expire_timestamp == -1 { (leader_epoch, topic_id) } else { (-1, 0) };
        let topic_id = Uuid::from_u128(topic_id);
        OffsetCommitValue { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id }
    });
    let offset = (key, prop::option::of(value)).prop_map(|(key, value)| Record::OffsetCommit { key, value });
    let blob = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let member = (any_text(), prop::option::of(any_text()), any_text(), any_text(), 0..i32::MAX, any::<i32>(), blob(), blob());
    let member = member.prop_map(
        |(member_id, instance_id, client_id, client_host, rebalance, session_timeout_ms, subscription, assignment)| {
            let rebalance_timeout_ms = rebalance;
            MemberMetadata {
                member_id,
                instance_id,
                client_id,
                client_host,
                rebalance_timeout_ms,
                session_timeout_ms,
                subscription,
                assignment,
            }
        },
    );
    let value = (
        any_text(),
        any::<i32>(),
        prop::option::of(any_text()),
        prop::option::of(any_text()),
        any::<i64>(),
        prop::collection::vec(member, 0..4),
    );
    let value = value.prop_map(|(protocol_type, generation, protocol, leader, state_timestamp, members)| {
        Box::new(GroupMetadataValue { protocol_type, generation, protocol, leader, state_timestamp, members })
    });
    let group = (any_text(), prop::option::of(value)).prop_map(|(group, value)| Record::GroupMetadata { group, value });
    prop_oneof![offset, group]
}

proptest! {
    #[test]
    fn every_record_survives_the_round_trip(record in any_record()) {
        let (key, value) = record.encode();
        prop_assert!(key.len() + value.as_ref().map_or(0, |value| value.len()) <= record.size_max());
        prop_assert_eq!(Record::decode(&key, value.as_deref()), Ok(record));
    }

    #[test]
    fn no_bytes_hurt(key in prop::collection::vec(any::<u8>(), 0..40), value in prop::option::of(prop::collection::vec(any::<u8>(), 0..80))) {
        let _ = Record::decode(&key, value.as_deref());
    }

    /// Whatever stands in the log, a shard comes out of it that serves.
    #[test]
    fn any_understood_record_can_be_lived_with(log in prop::collection::vec(any_record(), 0..8)) {
        let mut world = super::world::World::new(GroupConfig::default());
        world.has_foreign_records = true;
        for record in log {
            world.shard.replay(Position { offset: world.next_offset, transaction: None }, record);
            world.next_offset += 1;
        }
        world.shard.loaded(&world.at());
        world.tell("join a v3");
        world.tell("list");
        world.wait(std::time::Duration::from_secs(3600));
    }
}
