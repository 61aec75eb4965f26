//! Which batches and records the cleaner keeps, and what it writes for them (`Cleaner.cleanInto`, `shouldRetainRecord`,
//! `MemoryRecords.filterTo`). Pure: batches in, bytes out.
//!
//! - A record stays if no later record has its key, or if it lies behind what the map knows. A record without a key goes.
//! - A tombstone, and a marker that decides about no record any more, stays until the delete horizon of its batch, which the batch gets when it
//!   is first written without what the marker or tombstone was for: `delete.retention.ms` from then (KIP-534).
//! - Records of aborted transactions go.
//! - A batch without records goes, unless it is the last of an active producer, whose sequence it tells, or the last of what is cleaned, whose
//!   offset it tells: then its header stays.
//!
//! Invariants: nothing is moved or altered (see [`crate::record::retain`]); offsets go up as they went.

use std::collections::HashMap;

use super::offset_map::OffsetMap;
use super::transactions::{CleanedTransactions, Marker};
use crate::base::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::record::batch::BatchHeader;
use crate::record::batches::{Batch, ChecksumMismatch};
use crate::record::compression::{self, Codec, DecompressError};
use crate::record::control::{ControlRecordType, MalformedControlRecord};
use crate::record::records::{MalformedRecord, RecordRef, records};
use crate::record::retain::{retain, retain_empty};
use crate::storage::transaction_index::AbortedTxn;

/// Most bytes a batch may take when decompressed.
const DECOMPRESSED_MAX: usize = 256 << 20;

/// What is last known of a producer: its last offset of data, if it has written any in its epoch (`LastRecord`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    pub last_data_offset: Option<Offset>,
    pub producer_epoch: ProducerEpoch,
}

pub type LastRecords = HashMap<ProducerId, LastRecord, foldhash::fast::RandomState>;

/// Why a batch cannot be cleaned: it is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BadBatch {
    #[error(transparent)]
    Checksum(#[from] ChecksumMismatch),
    #[error("unknown compression codec {0}")]
    UnknownCodec(i16),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error(transparent)]
    Record(#[from] MalformedRecord),
    #[error(transparent)]
    Control(#[from] MalformedControlRecord),
}

/// What was made of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// The batch as it was written; `None` if it goes.
    pub written: Option<BatchHeader>,
    pub records_read: u64,
    pub records_retained: u64,
    /// Records without a key, which a compacted log should not have.
    pub invalid_records: u64,
    /// To be entered into the index of the segment that is written.
    pub aborted: Option<AbortedTxn>,
}

/// See the module.
pub struct RecordFilter<'a> {
    pub map: &'a OffsetMap,
    pub transactions: &'a mut CleanedTransactions,
    pub last_records: &'a LastRecords,
    /// Where that ends which is cleaned in this round.
    pub end: Offset,
    pub now: TimestampMs,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
}

/// Calls `visit` with the uncompressed body of a batch whose checksum is right.
pub fn with_body<T, E: From<BadBatch>>(batch: &Batch<'_>, visit: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<T, E> {
    batch.verify_checksum().map_err(BadBatch::from)?;
    let id = batch.header.compression_id();
    match Codec::from_id(id).ok_or(BadBatch::UnknownCodec(id))? {
        // A batch without records has no body, whatever its codec.
        _ if batch.header.record_count == 0 => visit(&[]),
        Codec::None => visit(batch.body()),
        codec => compression::with_buffer(|body| {
            compression::decompress(codec, batch.body(), body, DECOMPRESSED_MAX).map_err(BadBatch::from)?;
            visit(body)
        }),
    }
}

/// The kind of a control batch; `None` if it was emptied.
pub fn control_type(header: &BatchHeader, body: &[u8]) -> Result<Option<ControlRecordType>, BadBatch> {
    let Some(record) = records(header, body).next().transpose()? else { return Ok(None) };
    Ok(Some(ControlRecordType::parse(record.key.unwrap_or_default())?))
}

impl RecordFilter<'_> {
    /// Appends to `out` what stays of a batch.
    pub fn filter(&mut self, batch: &Batch<'_>, out: &mut Vec<u8>) -> Result<Filtered, BadBatch> {
        with_body(batch, |body| self.filter_body(batch, body, out))
    }

    fn filter_body(&mut self, batch: &Batch<'_>, body: &[u8], out: &mut Vec<u8>) -> Result<Filtered, BadBatch> {
        let header = &batch.header;
        let mut filtered = Filtered::default();
        let horizon = header.delete_horizon_ms();
        // Whether the batch decides about nothing, or is of no value to anybody; and whether its records go now.
        let (discardable, discard) = if header.is_control() {
            let marker = self.transactions.on_control_batch(header, control_type(header, body)?);
            if let Marker::KeepAborted(txn) = marker {
                filtered.aborted = Some(txn);
            }
            let discardable = marker == Marker::Discard;
            (discardable, discardable && horizon.is_some_and(|horizon| horizon <= self.now))
        } else {
            let aborted = self.transactions.on_batch(header);
            (aborted, aborted)
        };
        let keeps_header = self.is_last_of_producer(header) || header.next_offset() == self.end;

        if discard && !keeps_header {
            return Ok(filtered);
        }
        let (mut retained, mut has_tombstones) = (Vec::with_capacity(header.record_count.clamp(0, 1 << 16) as usize), false);
        for record in records(header, body) {
            let record = record?;
            let keep = !discard && (header.is_control() || self.retains(&record, horizon, &mut filtered.invalid_records));
            has_tombstones |= keep && record.value.is_none();
            retained.push(keep);
        }
        filtered.records_read = retained.len() as u64;
        filtered.records_retained = retained.iter().filter(|keep| **keep).count() as u64;

        let is_due_a_horizon = has_tombstones || (discardable && header.is_control());
        let new_horizon = (is_due_a_horizon && horizon.is_none()).then(|| self.now.saturating_add(self.delete_retention_ms));
        filtered.written = match filtered.records_retained {
            0 if keeps_header => Some(retain_empty(header, out)),
            0 => None,
            kept if kept == filtered.records_read && new_horizon.is_none() => {
                out.extend_from_slice(batch.bytes());
                Some(*header)
            }
            _ => Some(retain(header, body, &retained, new_horizon, out)?),
        };
        Ok(filtered)
    }

    /// Whether a record of data stays.
    fn retains(&self, record: &RecordRef<'_>, horizon: Option<TimestampMs>, invalid_records: &mut u64) -> bool {
        if record.offset > self.map.latest_offset() {
            return true;
        }
        let Some(key) = record.key else {
            *invalid_records += 1;
            return false;
        };
        let is_latest = self.map.get(key).is_none_or(|latest| record.offset >= latest);
        is_latest && (record.value.is_some() || horizon.is_none_or(|horizon| self.now < horizon))
    }

    /// Whether the state of the producer would be forgotten with this batch.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = self.last_records.get(&header.producer_id).filter(|_| header.has_producer_id());
        last.is_some_and(|last| match last.last_data_offset {
            Some(offset) => header.last_offset() == offset,
            None => header.is_control() && header.producer_epoch == last.producer_epoch,
        })
    }
}

#[cfg(test)]
#[path = "tests/filter.rs"]
mod tests;
