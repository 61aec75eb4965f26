//! Snapshots of producer state, in Kafka's format (`ProducerSnapshot` version 1): the state of all producers at the offset in the file's name.
//!
//! ```text
//! version i16 (1) · crc u32 (CRC-32C of everything from 6) · count i32
//! { producer_id i64 · epoch i16 · last_sequence i32 · last_offset i64 · offset_delta i32 · timestamp i64 · coordinator_epoch i32
//!   · txn_first_offset i64 }*                                                                                46 bytes each
//! ```
//!
//! Only the last batch of a producer is kept: after a restart, a retry of an earlier one is out of order, as in Kafka.

use super::entry::{BatchMetadata, ProducerStateEntry};
use crate::base::ids::{Offset, ProducerId};

/// Suffix of snapshot files.
pub const SUFFIX: &str = ".snapshot";
const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const BODY_AT: usize = 6;
const ENTRIES_AT: usize = 10;
const ENTRY_LEN: usize = 46;

/// Name of the snapshot at `offset`.
pub fn file_name(offset: Offset) -> String {
    format!("{offset:020}{SUFFIX}")
}

/// The offset in a snapshot's name; `None` if it is not one.
pub fn offset_of(file_name: &str) -> Option<Offset> {
    file_name.strip_suffix(SUFFIX)?.parse().ok().filter(|offset| *offset >= 0)
}

pub(super) fn encode<'a>(producers: impl ExactSizeIterator<Item = (ProducerId, &'a ProducerStateEntry)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENTRIES_AT + producers.len() * ENTRY_LEN);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; BODY_AT - CRC_AT]);
    out.extend_from_slice(&(producers.len() as i32).to_be_bytes());
    for (id, entry) in producers {
        let delta = entry.last_batch().map_or(0, |batch| batch.offset_delta);
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&entry.epoch.to_be_bytes());
        out.extend_from_slice(&entry.last_sequence().to_be_bytes());
        out.extend_from_slice(&entry.last_offset().to_be_bytes());
        out.extend_from_slice(&delta.to_be_bytes());
        out.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        out.extend_from_slice(&entry.txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let crc = crc32c::crc32c(&out[BODY_AT..]);
    out[CRC_AT..BODY_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

/// The producers of a snapshot, or what is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerStateEntry)>, String> {
    let header: &[u8; ENTRIES_AT] = bytes.first_chunk().ok_or("it is shorter than its header")?;
    let [v0, v1, c0, c1, c2, c3, n0, n1, n2, n3] = *header;
    let version = i16::from_be_bytes([v0, v1]);
    if version != VERSION {
        return Err(format!("unknown version {version}"));
    }
    let (stored, computed) = (u32::from_be_bytes([c0, c1, c2, c3]), crc32c::crc32c(&bytes[BODY_AT..]));
    if stored != computed {
        return Err(format!("stored crc = {stored}, computed crc = {computed}"));
    }
    let (entries, rest) = bytes[ENTRIES_AT..].as_chunks::<ENTRY_LEN>();
    let count = i32::from_be_bytes([n0, n1, n2, n3]);
    if usize::try_from(count) != Ok(entries.len()) || !rest.is_empty() {
        return Err(format!("{count} entries do not take {} bytes", bytes.len()));
    }
    Ok(entries.iter().map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8; ENTRY_LEN]) -> (ProducerId, ProducerStateEntry) {
    let long = |at: usize| i64::from_be_bytes(*bytes[at..].first_chunk().expect("fields lie inside the entry"));
    let int = |at: usize| i32::from_be_bytes(*bytes[at..].first_chunk().expect("fields lie inside the entry"));
    let (last_offset, timestamp, txn_first_offset) = (long(14), long(26), long(38));
    let batch = BatchMetadata { last_sequence: int(10), last_offset, offset_delta: int(22), timestamp };
    let entry = ProducerStateEntry::restored(
        i16::from_be_bytes([bytes[8], bytes[9]]),
        int(34),
        timestamp,
        (txn_first_offset >= 0).then_some(txn_first_offset),
        (last_offset >= 0).then_some(batch),
    );
    (long(0), entry)
}
