//! The records of `__consumer_offsets`, byte for byte as Kafka writes them (`group-coordinator/…/common/message/*.json`).
//!
//! ```text
//! key    i16 type, then   0 | 1 offset commit: group string · topic string · partition i32        2 group metadata: group string
//! value  i16 version, then
//!   offset commit   offset i64 · [3+] leader_epoch i32 · metadata string · commit_timestamp i64 · [1] expire_timestamp i64
//!                   · [4+] tagged { 0: topic_id uuid }
//!   group metadata  protocol_type string · generation i32 · protocol string? · leader string? · [2+] state_timestamp i64 · members array of
//!                   { member_id string · [3+] instance_id string? · client_id string · client_host string · [1+] rebalance_timeout i32
//!                   · session_timeout i32 · subscription bytes · assignment bytes }
//! ```
//! From version 4 on a value is flexible: compact lengths, tagged fields. Written are, as by Kafka 4.3: key types 1 and 2; offset commits as
//! version 4, or 1 if they carry their own expiry; group metadata as version 3. Read are all versions.
//! Invariant: `decode(encode(record)) = record`; decoding owns its bytes, so no record pins the buffer it was read from.

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::base::ids::{LeaderEpoch, NO_LEADER_EPOCH, NO_TIMESTAMP, Offset, TimestampMs};
use crate::coordinator::shard::Undecodable;

use crate::coordinator::wire::{Reader, put_bytes, put_compact_string, put_nullable_string, put_string};

const OFFSET_COMMIT: &str = "an offset commit";
const GROUP_METADATA: &str = "group metadata";

/// A string that does not pin the request or the buffer it came in.
pub fn owned(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

pub use crate::coordinator::wire::STRING_MAX;

#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    OffsetCommit { key: OffsetCommitKey, value: Option<OffsetCommitValue> },
    GroupMetadata { group: StrBytes, value: Option<Box<GroupMetadataValue>> },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetCommitKey {
    pub group: StrBytes,
    pub topic: StrBytes,
    pub partition: i32,
}

/// A committed offset, as long as it is known by name, topic and partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue {
    pub offset: Offset,
    /// −1: unknown.
    pub leader_epoch: LeaderEpoch,
    pub metadata: StrBytes,
    pub commit_timestamp: TimestampMs,
    /// When the commit expires by its own word (OffsetCommit 2–4); −1: by the broker's retention (KIP-211).
    pub expire_timestamp: TimestampMs,
    /// Zero: unknown.
    pub topic_id: Uuid,
}

/// A classic group at the end of a rebalance.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupMetadataValue {
    /// Empty: none.
    pub protocol_type: StrBytes,
    pub generation: i32,
    pub protocol: Option<StrBytes>,
    pub leader: Option<StrBytes>,
    /// When the group got into its state; −1: unknown.
    pub state_timestamp: TimestampMs,
    pub members: Vec<MemberMetadata>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MemberMetadata {
    pub member_id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The member's metadata for the chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl Record {
    pub fn offset_tombstone(group: &StrBytes, topic: &StrBytes, partition: i32) -> Self {
        Record::OffsetCommit { key: OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition }, value: None }
    }

    pub fn group_tombstone(group: &StrBytes) -> Self {
        Record::GroupMetadata { group: group.clone(), value: None }
    }

    /// Bytes that key and value take when encoded, at most.
    pub fn size_max(&self) -> usize {
        let text = |text: &StrBytes| 5 + text.len();
        let optional = |it: &Option<StrBytes>| it.as_ref().map_or(5, text);
        match self {
            Record::OffsetCommit { key, value } => {
                6 + text(&key.group) + text(&key.topic) + value.as_ref().map_or(0, |value| 49 + text(&value.metadata))
            }
            Record::GroupMetadata { group, value } => {
                let member = |it: &MemberMetadata| {
                    let texts = text(&it.member_id) + optional(&it.instance_id) + text(&it.client_id) + text(&it.client_host);
                    texts + 18 + it.subscription.len() + it.assignment.len()
                };
                let value = value.as_ref().map_or(0, |it| {
                    let texts = text(&it.protocol_type) + optional(&it.protocol) + optional(&it.leader);
                    texts + 18 + it.members.iter().map(member).sum::<usize>()
                });
                2 + text(group) + value
            }
        }
    }

    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        match self {
            Record::OffsetCommit { key, value } => (key.encode(), value.as_ref().map(OffsetCommitValue::encode)),
            Record::GroupMetadata { group, value } => {
                let mut key = Vec::with_capacity(4 + group.len());
                key.put_i16(2);
                put_string(&mut key, group);
                (key.into(), value.as_ref().map(|value| value.encode()))
            }
        }
    }

    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, Undecodable> {
        let mut key = Reader::new(key);
        match key.i16().ok_or(Undecodable::Malformed("a record key"))? {
            0 | 1 => {
                let key = OffsetCommitKey::decode(&mut key).ok_or(Undecodable::Malformed("the key of an offset commit"))?;
                Ok(Record::OffsetCommit { key, value: value.map(OffsetCommitValue::decode).transpose()? })
            }
            2 => {
                let group = key.string().ok_or(Undecodable::Malformed("the key of group metadata"))?;
                Ok(Record::GroupMetadata { group, value: value.map(GroupMetadataValue::decode).transpose()?.map(Box::new) })
            }
            other => Err(Undecodable::UnknownType(other)),
        }
    }
}

impl OffsetCommitKey {
    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(10 + self.group.len() + self.topic.len());
        out.put_i16(1);
        put_string(&mut out, &self.group);
        put_string(&mut out, &self.topic);
        out.put_i32(self.partition);
        out.into()
    }

    fn decode(key: &mut Reader<'_>) -> Option<Self> {
        Some(Self { group: key.string()?, topic: key.string()?, partition: key.i32()? })
    }
}

impl OffsetCommitValue {
    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(48 + self.metadata.len());
        if self.expire_timestamp != NO_TIMESTAMP {
            out.put_i16(1);
            out.put_i64(self.offset);
            put_string(&mut out, &self.metadata);
            out.put_i64(self.commit_timestamp);
            out.put_i64(self.expire_timestamp);
            return out.into();
        }
        out.put_i16(4);
        out.put_i64(self.offset);
        out.put_i32(self.leader_epoch);
        put_compact_string(&mut out, &self.metadata);
        out.put_i64(self.commit_timestamp);
        if self.topic_id.is_nil() {
            out.put_u8(0);
        } else {
            // One tagged field: tag 0, 16 bytes.
            out.put_slice(&[1, 0, 16]);
            out.put_slice(self.topic_id.as_bytes());
        }
        out.into()
    }

    fn decode(value: &[u8]) -> Result<Self, Undecodable> {
        let mut value = Reader::new(value);
        let version = value.i16().ok_or(Undecodable::Malformed(OFFSET_COMMIT))?;
        if !(0..=4).contains(&version) {
            return Err(Undecodable::UnknownVersion { record: OFFSET_COMMIT, version });
        }
        Self::decode_version(&mut value, version).ok_or(Undecodable::Malformed(OFFSET_COMMIT))
    }

    fn decode_version(value: &mut Reader<'_>, version: i16) -> Option<Self> {
        let offset = value.i64()?;
        let leader_epoch = if version >= 3 { value.i32()? } else { NO_LEADER_EPOCH };
        let metadata = if version >= 4 { value.compact_string()? } else { value.string()? };
        let commit_timestamp = value.i64()?;
        let expire_timestamp = if version == 1 { value.i64()? } else { NO_TIMESTAMP };
        let mut topic_id = Uuid::nil();
        if version >= 4 {
            value.tagged_fields(|tag, bytes| {
                if tag == 0 {
                    topic_id = Uuid::from_bytes(bytes.try_into().ok()?);
                }
                Some(())
            })?;
        }
        Some(Self { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id })
    }
}

impl GroupMetadataValue {
    fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        out.put_i16(3);
        put_string(&mut out, &self.protocol_type);
        out.put_i32(self.generation);
        put_nullable_string(&mut out, self.protocol.as_deref());
        put_nullable_string(&mut out, self.leader.as_deref());
        out.put_i64(self.state_timestamp);
        out.put_i32(self.members.len() as i32);
        for member in &self.members {
            put_string(&mut out, &member.member_id);
            put_nullable_string(&mut out, member.instance_id.as_deref());
            put_string(&mut out, &member.client_id);
            put_string(&mut out, &member.client_host);
            out.put_i32(member.rebalance_timeout_ms);
            out.put_i32(member.session_timeout_ms);
            put_bytes(&mut out, &member.subscription);
            put_bytes(&mut out, &member.assignment);
        }
        out.into()
    }

    fn decode(value: &[u8]) -> Result<Self, Undecodable> {
        let mut value = Reader::new(value);
        let version = value.i16().ok_or(Undecodable::Malformed(GROUP_METADATA))?;
        if !(0..=4).contains(&version) {
            return Err(Undecodable::UnknownVersion { record: GROUP_METADATA, version });
        }
        Self::decode_version(&mut value, version).ok_or(Undecodable::Malformed(GROUP_METADATA))
    }

    fn decode_version(value: &mut Reader<'_>, version: i16) -> Option<Self> {
        value.set_flexible(version >= 4);
        let protocol_type = value.any_string()?;
        let generation = value.i32()?;
        let protocol = value.any_nullable_string()?;
        let leader = value.any_nullable_string()?;
        let state_timestamp = if version >= 2 { value.i64()? } else { NO_TIMESTAMP };
        // Not sized by the count: it is only believed as far as bytes follow.
        let mut members = Vec::new();
        for _ in 0..value.any_array_len()? {
            members.push(MemberMetadata::decode(value, version)?);
        }
        value.any_tagged_fields()?;
        Some(Self { protocol_type, generation, protocol, leader, state_timestamp, members })
    }
}

impl MemberMetadata {
    fn decode(value: &mut Reader<'_>, version: i16) -> Option<Self> {
        let member_id = value.any_string()?;
        let instance_id = if version >= 3 { value.any_nullable_string()? } else { None };
        let client_id = value.any_string()?;
        let client_host = value.any_string()?;
        let rebalance_timeout_ms = if version >= 1 { value.i32()? } else { -1 };
        let session_timeout_ms = value.i32()?;
        let subscription = value.any_bytes()?;
        let assignment = value.any_bytes()?;
        value.any_tagged_fields()?;
        Some(Self {
            member_id,
            instance_id,
            client_id,
            client_host,
            // The first version had one timeout for both.
            rebalance_timeout_ms: if rebalance_timeout_ms == -1 { session_timeout_ms } else { rebalance_timeout_ms },
            session_timeout_ms,
            subscription,
            assignment,
        })
    }
}
