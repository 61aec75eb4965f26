//! The records of `__transaction_state`, byte for byte as Kafka writes them (`TransactionLogKey.json`, `TransactionLogValue.json`).
//!
//! ```text
//! key    i16 version (0) · transactional_id string
//! value  i16 version, then
//!   producer_id i64 · producer_epoch i16 · timeout_ms i32 · state i8 · partitions array? of { topic string · partitions array of i32 }
//!   · last_update_timestamp i64 · start_timestamp i64
//!   · [1+] tagged { 0: previous_producer_id i64, 1: next_producer_id i64, 2: client_transaction_version i16 }
//! ```
//! Version 1 is flexible (compact lengths, tagged fields); it is written from `transaction.version` 1 on. No value is a tombstone: the
//! transactional id is forgotten. The array of partitions is null in state Empty.
//!
//! Invariant: `decode(encode(record)) = record`, less `last_producer_epoch`, which Kafka's log does not have either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;

use super::config::FLEXIBLE_VALUES_SINCE;
use super::metadata::TransactionMetadata;
use super::state::TransactionState;
use crate::base::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, TopicPartition};
use crate::coordinator::shard::Undecodable;
use crate::coordinator::wire::{Reader, put_compact_string, put_string, put_unsigned_varint};

const KEY: &str = "the key of a transactional id";
const VALUE: &str = "the value of a transactional id";
/// Version of values with tagged fields.
const FLEXIBLE: i16 = 1;

/// What the log says of one transactional id.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: StrBytes,
    /// `None` forgets the id.
    pub value: Option<TransactionMetadata>,
    /// Whether the value is written in the flexible version.
    pub flexible: bool,
}

impl Record {
    /// The record that makes `value` true, at a level of `transaction.version`: without what its form has no room for, so that who decides
    /// knows no more than who reads it.
    pub fn of(id: &StrBytes, value: TransactionMetadata, transaction_version: i16) -> Self {
        let flexible = transaction_version >= FLEXIBLE_VALUES_SINCE;
        let value = match flexible {
            true => value,
            false => TransactionMetadata {
                previous_producer_id: NO_PRODUCER_ID,
                next_producer_id: NO_PRODUCER_ID,
                client_transaction_version: 0,
                ..value
            },
        };
        Self { id: id.clone(), value: Some(value), flexible }
    }

    pub fn tombstone(id: &StrBytes) -> Self {
        Self { id: id.clone(), value: None, flexible: false }
    }

    /// Bytes that key and value take when encoded, at most; as much in every state that a transaction of these partitions has to its end.
    pub fn size_max(&self) -> usize {
        let (mut size, mut last) = (self.id.len() + 96, None);
        for TopicPartition { topic, .. } in self.value.iter().flat_map(|it| &it.partitions) {
            // What belongs to one topic lies together.
            if last.replace(topic) != Some(topic) {
                size += topic.len() + 11;
            }
            size += 4;
        }
        size
    }

    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        let mut key = Vec::with_capacity(4 + self.id.len());
        key.put_i16(0);
        put_string(&mut key, &self.id);
        (key.into(), self.value.as_ref().map(|value| encode_value(value, self.flexible)))
    }

    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, Undecodable> {
        let mut key = Reader::new(key);
        match key.i16().ok_or(Undecodable::Malformed(KEY))? {
            0 => {}
            other => return Err(Undecodable::UnknownType(other)),
        }
        let id = key.string().ok_or(Undecodable::Malformed(KEY))?;
        let Some(value) = value else { return Ok(Self::tombstone(&id)) };
        let mut value = Reader::new(value);
        let flexible = match value.i16().ok_or(Undecodable::Malformed(VALUE))? {
            0 => false,
            FLEXIBLE => true,
            version => return Err(Undecodable::UnknownVersion { record: VALUE, version }),
        };
        value.set_flexible(flexible);
        let metadata = decode_value(&mut value).ok_or(Undecodable::Malformed(VALUE))?;
        Ok(Self { id, value: Some(metadata), flexible })
    }
}

fn encode_value(it: &TransactionMetadata, flexible: bool) -> Bytes {
    let mut out = Vec::with_capacity(96);
    out.put_i16(if flexible { FLEXIBLE } else { 0 });
    out.put_i64(it.producer_id);
    out.put_i16(it.producer_epoch);
    out.put_i32(it.timeout_ms);
    out.put_i8(it.state as i8);
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in &it.partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let known = it.state != TransactionState::Empty;
    put_array_len(&mut out, known.then_some(topics.len()), flexible);
    for (topic, partitions) in topics {
        if flexible {
            put_compact_string(&mut out, topic)
        } else {
            put_string(&mut out, topic)
        }
        put_array_len(&mut out, Some(partitions.len()), flexible);
        partitions.iter().for_each(|partition| out.put_i32(*partition));
        if flexible {
            out.put_u8(0);
        }
    }
    out.put_i64(it.last_update_timestamp);
    out.put_i64(it.start_timestamp);
    if flexible {
        put_tagged(&mut out, it);
    }
    out.into()
}

/// What differs from its default.
fn put_tagged(out: &mut Vec<u8>, it: &TransactionMetadata) {
    let ids = [(0, it.previous_producer_id), (1, it.next_producer_id)].into_iter().filter(|(_, id)| *id != NO_PRODUCER_ID);
    let version = it.client_transaction_version;
    out.put_u8(ids.clone().count() as u8 + u8::from(version != 0));
    for (tag, id) in ids {
        out.put_slice(&[tag, 8]);
        out.put_i64(id);
    }
    if version != 0 {
        out.put_slice(&[2, 2]);
        out.put_i16(version);
    }
}

fn put_array_len(out: &mut Vec<u8>, len: Option<usize>, flexible: bool) {
    match len {
        _ if flexible => put_unsigned_varint(out, len.map_or(0, |len| len as u32 + 1)),
        Some(len) => out.put_i32(len as i32),
        None => out.put_i32(-1),
    }
}

fn decode_value(value: &mut Reader<'_>) -> Option<TransactionMetadata> {
    let producer_id = value.i64()?;
    let producer_epoch = value.i16()?;
    let timeout_ms = value.i32()?;
    let state = TransactionState::from_id(value.i8()?)?;
    let mut partitions = BTreeSet::new();
    for _ in 0..value.any_nullable_array_len()?.unwrap_or(0) {
        let topic: Arc<str> = value.any_string()?.as_str().into();
        for _ in 0..value.any_array_len()? {
            partitions.insert(TopicPartition { topic: topic.clone(), partition: value.i32()? });
        }
        value.any_tagged_fields()?;
    }
    let mut metadata = TransactionMetadata {
        producer_id,
        previous_producer_id: NO_PRODUCER_ID,
        next_producer_id: NO_PRODUCER_ID,
        producer_epoch,
        last_producer_epoch: NO_PRODUCER_EPOCH,
        timeout_ms,
        state,
        partitions,
        last_update_timestamp: value.i64()?,
        start_timestamp: value.i64()?,
        client_transaction_version: 0,
    };
    value.any_tagged_fields_with(|tag, bytes| {
        match tag {
            0 => metadata.previous_producer_id = i64::from_be_bytes(bytes.try_into().ok()?),
            1 => metadata.next_producer_id = i64::from_be_bytes(bytes.try_into().ok()?),
            2 => metadata.client_transaction_version = i16::from_be_bytes(bytes.try_into().ok()?),
            _ => {}
        }
        Some(())
    })?;
    Some(metadata)
}
