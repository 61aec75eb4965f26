//! Records of `__consumer_offsets` as people read them: the JSON that Kafka's dump tool prints. Pure.

use serde::Serialize;

use crate::base::ids::{NO_TIMESTAMP, Offset};
use crate::client::group::protocol;
use crate::coordinator::group::record::{GroupMetadataValue, MemberMetadata, OffsetCommitValue, Record};
use crate::storage::checkpoint::uuid_text;

/// Types of keys, by their number; Kafka has given out more than klamm writes.
const KEYS: [&str; 17] = [
    "OffsetCommit",
    "OffsetCommit",
    "GroupMetadata",
    "ConsumerGroupMetadata",
    "ConsumerGroupPartitionMetadata",
    "ConsumerGroupMemberMetadata",
    "ConsumerGroupTargetAssignmentMetadata",
    "ConsumerGroupTargetAssignmentMember",
    "ConsumerGroupCurrentMemberAssignment",
    "ShareGroupPartitionMetadata",
    "ShareGroupMemberMetadata",
    "ShareGroupMetadata",
    "ShareGroupTargetAssignmentMetadata",
    "ShareGroupTargetAssignmentMember",
    "ShareGroupCurrentMemberAssignment",
    "ShareGroupStatePartitionMetadata",
    "ConsumerGroupRegularExpression",
];

#[derive(Serialize)]
struct Typed<'a, T> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    data: T,
}

#[derive(Serialize)]
struct Versioned<T> {
    version: String,
    data: T,
}

#[derive(Serialize)]
struct CommitKey<'a> {
    group: &'a str,
    topic: &'a str,
    partition: i32,
}

#[derive(Serialize)]
struct GroupKey<'a> {
    group: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Commit<'a> {
    offset: Offset,
    leader_epoch: i32,
    metadata: &'a str,
    commit_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group<'a> {
    protocol_type: &'a str,
    generation: i32,
    protocol: Option<&'a str>,
    leader: Option<&'a str>,
    current_state_timestamp: i64,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Member<'a> {
    member_id: &'a str,
    group_instance_id: Option<&'a str>,
    client_id: &'a str,
    client_host: &'a str,
    rebalance_timeout: i32,
    session_timeout: i32,
    /// Null where members tell each other something else than topics and partitions.
    subscription: Option<Vec<String>>,
    assignment: Option<Vec<String>>,
}

/// Key and value as JSON. A record of a type that is not known, or damaged, is told by its type and size.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> (serde_json::Value, Option<serde_json::Value>) {
    let number = key.first_chunk().map(|number| i16::from_be_bytes(*number));
    let kind = number.map_or_else(|| "none".into(), |number| number.to_string());
    let version =
        value.and_then(|value| value.first_chunk()).map_or_else(|| "none".into(), |v| i16::from_be_bytes(*v).to_string());
    match Record::decode(key, value) {
        Ok(Record::OffsetCommit { key, value }) => {
            let data = CommitKey { group: &key.group, topic: &key.topic, partition: key.partition };
            (json(&Typed { kind, name: None, data }), value.map(|value| json(&Versioned { version, data: commit(&value) })))
        }
        Ok(Record::GroupMetadata { group, value }) => {
            let value = value.map(|value| json(&Versioned { version, data: group_value(&value) }));
            (json(&Typed { kind, name: None, data: GroupKey { group: &group } }), value)
        }
        Err(error) => {
            let name = number.and_then(|number| KEYS.get(usize::try_from(number).ok()?)).copied();
            let data = format!("{error}: {}", bytes(key.len()));
            let value = value.map(|value| json(&Versioned { version, data: bytes(value.len()) }));
            (json(&Typed { kind, name, data }), value)
        }
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("strings, numbers and lists are JSON")
}

fn bytes(len: usize) -> String {
    format!("{len} bytes")
}

fn commit(value: &OffsetCommitValue) -> Commit<'_> {
    Commit {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: &value.metadata,
        commit_timestamp: value.commit_timestamp,
        expire_timestamp: Some(value.expire_timestamp).filter(|at| *at != NO_TIMESTAMP),
        topic_id: Some(value.topic_id).filter(|id| !id.is_nil()).map(uuid_text::format),
    }
}

fn group_value(value: &GroupMetadataValue) -> Group<'_> {
    Group {
        protocol_type: &value.protocol_type,
        generation: value.generation,
        protocol: value.protocol.as_deref(),
        leader: value.leader.as_deref(),
        current_state_timestamp: value.state_timestamp,
        members: value.members.iter().map(member).collect(),
    }
}

fn member(member: &MemberMetadata) -> Member<'_> {
    let assignment = protocol::decode_assignment(member.assignment.clone()).ok();
    Member {
        member_id: &member.member_id,
        group_instance_id: member.instance_id.as_deref(),
        client_id: &member.client_id,
        client_host: &member.client_host,
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: protocol::decode_subscription(member.subscription.clone()).ok(),
        assignment: assignment.map(|partitions| partitions.iter().map(ToString::to_string).collect()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::coordinator::group::record::OffsetCommitKey;

    #[test]
    fn commits_read_as_in_kafkas_tool() {
        let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 3 };
        let value = OffsetCommitValue {
            offset: 42,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp: 1000,
            expire_timestamp: -1,
            topic_id: Uuid::nil(),
        };
        let (key, value) = Record::OffsetCommit { key, value: Some(value) }.encode();
        let (shown_key, shown_value) = decode(&key, value.as_deref());
        assert_eq!(shown_key, serde_json::json!({"type": "1", "data": {"group": "g", "topic": "t", "partition": 3}}));
        let data = serde_json::json!({"offset": 42, "leaderEpoch": -1, "metadata": "", "commitTimestamp": 1000});
        assert_eq!(shown_value, Some(serde_json::json!({"version": "4", "data": data})));
        assert_eq!(decode(&key, None).1, None, "a tombstone has no value");
    }

    #[test]
    fn members_tell_what_they_read() {
        let partition = crate::base::ids::TopicPartition::new("t", 1);
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 2,
            protocol: Some("range".into()),
            leader: None,
            state_timestamp: 5,
            members: vec![MemberMetadata {
                member_id: "m".into(),
                instance_id: None,
                client_id: "c".into(),
                client_host: "h".into(),
                rebalance_timeout_ms: 1,
                session_timeout_ms: 2,
                subscription: protocol::encode_subscription(&["t".into()]),
                assignment: protocol::encode_assignment(&[partition]),
            }],
        };
        let (key, bytes) = Record::GroupMetadata { group: "g".into(), value: Some(Box::new(value)) }.encode();
        let shown = decode(&key, bytes.as_deref()).1.unwrap();
        let member = &shown["data"]["members"][0];
        assert_eq!((&member["subscription"], &member["assignment"]), (&serde_json::json!(["t"]), &serde_json::json!(["t-1"])));
    }

    #[test]
    fn what_is_not_known_is_told_by_type_and_size() {
        let (key, value) = decode(&Bytes::from_static(&[0, 3, 1, 2]), Some(&[0, 0, 9]));
        assert_eq!((&key["type"], &key["name"]), (&serde_json::json!("3"), &serde_json::json!("ConsumerGroupMetadata")));
        assert_eq!(value.unwrap()["data"], "3 bytes");
        let (damaged, _) = decode(&[0, 1, 0], None);
        assert!(damaged["data"].as_str().unwrap().contains("malformed"));
    }
}
