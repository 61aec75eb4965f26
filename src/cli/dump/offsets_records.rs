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

/// What a key says.
#[derive(Debug, Serialize)]
pub struct Key {
    /// Number of the type, in quotation marks as Kafka's tool prints it.
    #[serde(rename = "type")]
    kind: String,
    /// Name of a type that is known by name only.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    data: KeyData,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum KeyData {
    Commit { group: String, topic: String, partition: i32 },
    Group { group: String },
    Unread(String),
}

/// What a value says.
#[derive(Debug, Serialize)]
pub struct Value {
    version: String,
    data: ValueData,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ValueData {
    #[serde(rename_all = "camelCase")]
    Commit {
        offset: Offset,
        leader_epoch: i32,
        metadata: String,
        commit_timestamp: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        expire_timestamp: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        topic_id: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    Group {
        protocol_type: String,
        generation: i32,
        protocol: Option<String>,
        leader: Option<String>,
        current_state_timestamp: i64,
        members: Vec<Member>,
    },
    Unread(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    member_id: String,
    group_instance_id: Option<String>,
    client_id: String,
    client_host: String,
    rebalance_timeout: i32,
    session_timeout: i32,
    /// Null where members tell each other something else than topics and partitions.
    subscription: Option<Vec<String>>,
    assignment: Option<Vec<String>>,
}

/// Key and value of a record. One of a type that is not known, or damaged, is told by its type and size.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> (Key, Option<Value>) {
    let number = key.first_chunk().map(|number| i16::from_be_bytes(*number));
    let kind = number.map_or_else(|| "none".into(), |number| number.to_string());
    let version =
        value.and_then(|value| value.first_chunk()).map_or_else(|| "none".into(), |v| i16::from_be_bytes(*v).to_string());
    let (name, key_data, value_data) = match Record::decode(key, value) {
        Ok(Record::OffsetCommit { key, value }) => {
            let data = KeyData::Commit { group: key.group.to_string(), topic: key.topic.to_string(), partition: key.partition };
            (None, data, value.map(commit))
        }
        Ok(Record::GroupMetadata { group, value }) => {
            (None, KeyData::Group { group: group.to_string() }, value.map(|value| group_value(*value)))
        }
        Err(error) => {
            let name = number.and_then(|number| KEYS.get(usize::try_from(number).ok()?)).copied();
            let value = value.map(|value| ValueData::Unread(bytes(value.len())));
            (name, KeyData::Unread(format!("{error}: {}", bytes(key.len()))), value)
        }
    };
    (Key { kind, name, data: key_data }, value_data.map(|data| Value { version, data }))
}

fn bytes(len: usize) -> String {
    format!("{len} bytes")
}

fn commit(value: OffsetCommitValue) -> ValueData {
    ValueData::Commit {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.to_string(),
        commit_timestamp: value.commit_timestamp,
        expire_timestamp: Some(value.expire_timestamp).filter(|at| *at != NO_TIMESTAMP),
        topic_id: Some(value.topic_id).filter(|id| !id.is_nil()).map(uuid_text::format),
    }
}

fn group_value(value: GroupMetadataValue) -> ValueData {
    ValueData::Group {
        protocol_type: value.protocol_type.to_string(),
        generation: value.generation,
        protocol: value.protocol.map(|name| name.to_string()),
        leader: value.leader.map(|id| id.to_string()),
        current_state_timestamp: value.state_timestamp,
        members: value.members.into_iter().map(member).collect(),
    }
}

fn member(member: MemberMetadata) -> Member {
    let assignment = protocol::decode_assignment(member.assignment).ok();
    Member {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: protocol::decode_subscription(member.subscription).ok(),
        assignment: assignment.map(|partitions| partitions.iter().map(ToString::to_string).collect()),
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(serde_json::to_string(&shown_key).unwrap(), r#"{"type":"1","data":{"group":"g","topic":"t","partition":3}}"#);
        let data = r#"{"offset":42,"leaderEpoch":-1,"metadata":"","commitTimestamp":1000}"#;
        assert_eq!(serde_json::to_string(&shown_value).unwrap(), format!(r#"{{"version":"4","data":{data}}}"#));
        assert!(decode(&key, None).1.is_none(), "a tombstone has no value");
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
        let shown = serde_json::to_value(decode(&key, bytes.as_deref()).1).unwrap();
        let member = &shown["data"]["members"][0];
        assert_eq!((&member["subscription"], &member["assignment"]), (&serde_json::json!(["t"]), &serde_json::json!(["t-1"])));
    }

    #[test]
    fn what_is_not_known_is_told_by_type_and_size() {
        let (key, value) = decode(&[0, 3, 1, 2], Some(&[0, 0, 9]));
        assert_eq!((key.kind.as_str(), key.name), ("3", Some("ConsumerGroupMetadata")));
        assert!(matches!(value.unwrap().data, ValueData::Unread(size) if size == "3 bytes"));
        let (damaged, _) = decode(&[0, 1, 0], None);
        assert!(matches!(damaged.data, KeyData::Unread(why) if why.contains("malformed")));
    }
}
