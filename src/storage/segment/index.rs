//! What a segment knows of its batches without reading them: both sparse indexes, and a few numbers that decide about entries and rolls.
//!
//! Invariants: `largest.timestamp ≥` that of every entry of the time index; an entry is added before the first batch behind
//! `index.interval.bytes` since the last one, as in Kafka.

use crate::base::ids::{NO_TIMESTAMP, Offset, TimestampMs};
use crate::record::batch::{BatchHeader, HEADER_LEN};
use crate::storage::index_tail::IndexTail;
use crate::storage::offset_index::{self, OffsetPosition};
use crate::storage::time_index::{self, TimestampOffset};

use super::SegmentFiles;

pub(super) struct SegmentIndex {
    pub offset: IndexTail,
    pub time: IndexTail,
    /// Bytes appended since the last entry.
    pub since_entry: u64,
    /// Where the batches that were taken note of end.
    pub indexed_to: u64,
    /// The largest timestamp of all batches, and the last offset of the first batch that has it; `None` until it was read from the file.
    pub largest: Option<TimestampOffset>,
    /// Timestamp of the last entry of the time index; true once `largest` is known.
    pub last_time_entry: TimestampMs,
    /// Timestamp of the first batch, by which time-based rolls go; `None` until it was read.
    pub first_timestamp: Option<TimestampMs>,
    /// When the segment was opened: stands in for a first timestamp where batches have none.
    pub opened: TimestampMs,
    /// When the segment was last written: stands in for a largest timestamp.
    pub modified: TimestampMs,
    /// The index files cannot be what belongs to this log file; they have to be rebuilt before they are used.
    pub damaged: bool,
}

impl SegmentIndex {
    /// Judges the index files by their sizes.
    pub fn new(files: &SegmentFiles, now: TimestampMs) -> Self {
        let damaged = [(files.offset_index, offset_index::ENTRY_LEN), (files.time_index, time_index::ENTRY_LEN)]
            .iter()
            .any(|(len, entry_len)| !is_plausible(*len, *entry_len as u64, files.log));
        let file_len = |len: Option<u64>| if damaged { 0 } else { len.unwrap_or(0) };
        Self {
            offset: IndexTail::new(offset_index::ENTRY_LEN, file_len(files.offset_index)),
            time: IndexTail::new(time_index::ENTRY_LEN, file_len(files.time_index)),
            since_entry: 0,
            indexed_to: files.log,
            largest: (files.log == 0 && !damaged).then_some(NO_LARGEST),
            last_time_entry: NO_TIMESTAMP,
            first_timestamp: None,
            opened: now,
            modified: files.modified,
            damaged,
        }
    }

    /// Takes note of a batch that was written at `position`.
    pub fn add(&mut self, header: &BatchHeader, position: u64, interval: u64, base_offset: Offset) {
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        let mut largest = self.largest.unwrap_or(NO_LARGEST);
        if header.max_timestamp > largest.timestamp {
            largest = TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() };
        }
        self.largest = Some(largest);
        if self.since_entry > interval {
            let entry = OffsetPosition { offset: header.last_offset(), position: position as u32 };
            self.offset.push(&offset_index::encode(entry, base_offset));
            self.add_time_entry(base_offset);
            self.since_entry = 0;
        }
        self.since_entry += header.size() as u64;
        self.indexed_to = position + header.size() as u64;
    }

    /// Enters the largest timestamp into the time index, unless it is there (`TimeIndex.maybeAppend`).
    pub fn add_time_entry(&mut self, base_offset: Offset) {
        let Some(largest) = self.largest else { return };
        if largest.timestamp > self.last_time_entry {
            self.time.push(&time_index::encode(largest, base_offset));
            self.last_time_entry = largest.timestamp;
        }
    }

    /// Whether there is no room for another entry in index files of `max_bytes` (`segment.index.bytes`). The time index keeps its last place
    /// for the entry of the roll.
    pub fn is_full(&self, max_bytes: u64) -> bool {
        let max = |entry_len: usize| max_bytes as usize / entry_len;
        self.offset.entries() >= max(offset_index::ENTRY_LEN) || self.time.entries() + 1 >= max(time_index::ENTRY_LEN)
    }
}

pub(super) const NO_LARGEST: TimestampOffset = TimestampOffset { timestamp: NO_TIMESTAMP, offset: -1 };

/// Whether an index file of `len` bytes can belong to a log file of `log_len`: there at all, whole entries, no more of them than batches.
/// Kafka's preallocated files of an unclean stop fail this. An offset index may be empty only while there is little to index.
fn is_plausible(len: Option<u64>, entry_len: u64, log_len: u64) -> bool {
    match len {
        None => log_len == 0,
        Some(0) => log_len <= INDEXED_ABOVE || entry_len == time_index::ENTRY_LEN as u64,
        Some(len) => len % entry_len == 0 && len / entry_len <= log_len / HEADER_LEN as u64,
    }
}

/// A log file larger than this has an entry in its offset index, unless it is all one batch.
const INDEXED_ABOVE: u64 = 2 << 20;
