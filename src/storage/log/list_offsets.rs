//! Offsets by time (ListOffsets): earliest, latest, the first record at or after a timestamp, and the one with the largest timestamp (KIP-79,
//! KIP-734).
//!
//! A search reads index and records, so it is a plan like a read: made under the lock, finished outside of it, where blocking is allowed.

use std::sync::Arc;

use super::Log;
use crate::base::ids::*;
use crate::record::batch::BatchHeader;
use crate::record::batches::{Batch, batches};
use crate::record::compression::{self, Codec};
use crate::record::records::records;
use crate::storage::error::ReadError;
use crate::storage::names::FileKind;
use crate::storage::segment::{LookupError, Segment};

/// Bytes of the log looked at at once.
const WINDOW: u64 = 1 << 20;
/// Bound on the decompressed size of one batch; what the log holds was checked against a bound that is no larger.
const DECOMPRESSED_MAX: usize = 1 << 30;

/// A record by its place in time; timestamp and epoch are −1 where the protocol wants them so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampAndOffset {
    pub timestamp: TimestampMs,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

/// A search for a record by its timestamp. To be finished outside of the lock; may wait for the disk.
pub struct TimestampSearch {
    segments: Arc<Vec<Arc<Segment>>>,
    /// Their readable bytes and generations as of the plan.
    active_size: u64,
    active_generation: u32,
    log_start: Offset,
    log_end: Offset,
}

impl Log {
    /// `EARLIEST_TIMESTAMP` (−2), and `EARLIEST_LOCAL_TIMESTAMP` (−4): klamm keeps all of a log here.
    pub fn earliest_offset(&self) -> TimestampAndOffset {
        let offset = self.log_start_offset();
        let epoch = self.epochs.earliest().filter(|entry| entry.start_offset <= offset);
        let leader_epoch = epoch.map_or(NO_LEADER_EPOCH, |entry| entry.epoch);
        TimestampAndOffset { timestamp: NO_TIMESTAMP, offset, leader_epoch }
    }

    /// `LATEST_TIMESTAMP` (−1): the end of what the reader may see, which the caller gives.
    pub fn latest_offset(&self, end: Offset) -> TimestampAndOffset {
        let leader_epoch = self.latest_epoch().unwrap_or(NO_LEADER_EPOCH);
        TimestampAndOffset { timestamp: NO_TIMESTAMP, offset: end, leader_epoch }
    }

    /// Plans a search by timestamp.
    pub fn search_timestamps(&self) -> Result<TimestampSearch, ReadError> {
        self.directory().check_online()?;
        Ok(TimestampSearch {
            segments: self.segments.clone(),
            active_size: self.active().size(),
            active_generation: self.active().generation(),
            log_start: self.log_start_offset(),
            log_end: self.log_end_offset(),
        })
    }
}

impl TimestampSearch {
    /// The first record from the log's start on, and in front of `bound`, whose timestamp is `target` or later. The first one that there is
    /// decides: if it lies at the bound or behind it, there is none (`Partition.fetchOffsetForTimestamp`).
    pub fn first_at_or_after(&self, target: TimestampMs, bound: Offset) -> Result<Option<TimestampAndOffset>, ReadError> {
        for segment in self.segments.iter() {
            let largest = segment.largest_timestamp().map_err(|error| ReadError::of_lookup(LookupError::File(error), segment))?;
            if largest < target {
                continue;
            }
            if let Some(found) = self.first_in(segment, target).map_err(|error| ReadError::of_lookup(error, segment))? {
                return Ok(Some(found).filter(|found| found.offset < bound));
            }
        }
        Ok(None)
    }

    /// The first of the records with the largest timestamp of all (`MAX_TIMESTAMP`, −3); `None` for a log without timestamps.
    pub fn max_timestamp(&self) -> Result<Option<TimestampAndOffset>, ReadError> {
        let mut best: Option<(TimestampMs, &Arc<Segment>)> = None;
        for segment in self.segments.iter() {
            let largest = segment.largest().map_err(|error| ReadError::of_lookup(LookupError::File(error), segment))?;
            if largest.timestamp >= 0 && best.is_none_or(|(timestamp, _)| largest.timestamp > timestamp) {
                best = Some((largest.timestamp, segment));
            }
        }
        let Some((timestamp, segment)) = best else { return Ok(None) };
        self.first_in(segment, timestamp).map_err(|error| ReadError::of_lookup(error, segment))
    }

    fn first_in(&self, segment: &Arc<Segment>, target: TimestampMs) -> Result<Option<TimestampAndOffset>, LookupError> {
        let is_active = self.segments.last().is_some_and(|active| Arc::ptr_eq(active, segment));
        let generation = if is_active { self.active_generation } else { segment.generation() };
        let size = if is_active { self.active_size } else { segment.size() };
        let after = segment.offset_before_timestamp(target, generation)?.max(self.log_start);
        let mut position = match segment.scan_start(after, generation) {
            Err(LookupError::DamagedIndex) => {
                segment.rebuild_index()?;
                0
            }
            position => position?,
        };
        while position < size {
            let window = self.window(segment, position, size, generation)?;
            let mut walk = batches(&window);
            for batch in &mut walk {
                let batch = batch.map_err(|_| LookupError::Corrupt { position })?;
                if batch.header.max_timestamp >= target
                    && batch.header.last_offset() >= self.log_start
                    && let Some(found) = self.first_of_batch(&batch, target).ok_or(LookupError::Corrupt { position })?
                {
                    return Ok(Some(found));
                }
            }
            if walk.position() == 0 {
                return Err(LookupError::Corrupt { position });
            }
            position += walk.position() as u64;
        }
        Ok(None)
    }

    /// Bytes from `position` on, at least one batch.
    fn window(&self, segment: &Segment, position: u64, size: u64, generation: u32) -> Result<bytes::Bytes, LookupError> {
        let end = size.min(position + WINDOW);
        segment.load(position, end, generation)?;
        let window = segment.map(FileKind::Log, end, generation)?.slice(position, end);
        let needed = BatchHeader::parse(&window).ok_or(LookupError::Corrupt { position })?.size() as u64;
        if needed <= window.len() as u64 {
            return Ok(window);
        }
        if position + needed > size {
            return Err(LookupError::Corrupt { position });
        }
        segment.load(position, position + needed, generation)?;
        Ok(segment.map(FileKind::Log, position + needed, generation)?.slice(position, position + needed))
    }

    /// The first record of a batch that qualifies. `None` outside if the records cannot be read.
    fn first_of_batch(&self, batch: &Batch<'_>, target: TimestampMs) -> Option<Option<TimestampAndOffset>> {
        let header = &batch.header;
        let find = |body: &[u8]| {
            for record in records(header, body) {
                let record = record.ok()?;
                let in_log = record.offset >= self.log_start && record.offset < self.log_end;
                if record.timestamp >= target && in_log {
                    let leader_epoch = header.leader_epoch.max(NO_LEADER_EPOCH);
                    return Some(Some(TimestampAndOffset { timestamp: record.timestamp, offset: record.offset, leader_epoch }));
                }
            }
            Some(None)
        };
        match Codec::from_id(header.compression_id())? {
            Codec::None => find(batch.body()),
            codec => compression::with_buffer(|buffer| {
                compression::decompress(codec, batch.body(), buffer, DECOMPRESSED_MAX).ok()?;
                find(buffer)
            }),
        }
    }
}

impl Segment {
    /// An offset in front of which no batch has a timestamp of `target` or later: by the time index.
    fn offset_before_timestamp(&self, target: TimestampMs, generation: u32) -> Result<Offset, LookupError> {
        self.largest()?;
        let entry = self.time_lookup(target.saturating_sub(1), generation)?;
        Ok(entry.map_or(self.base_offset(), |entry| entry.offset + 1))
    }
}
