//! Reading in two steps: a plan, made under the lock of the log's owner, and its execution outside of it.
//!
//! ```text
//! lock { plan = log.read(…)? }  →  plan.is_resident()? no → plan.load() where blocking is allowed  →  plan.finish()
//! ```
//!
//! Invariants of what is returned: it begins with the batch that holds the offset asked for (or the next one there is), ends in front of the
//! batch that holds the bound, and is not longer than asked for, except for a first batch with `min_one_message`; its end is not cut to a
//! batch border. It is a slice of the segment's map: nothing is copied, and it stays valid whatever becomes of the segment.

use std::sync::Arc;

use bytes::Bytes;

use super::Log;
use crate::base::disk::DiskMap;
use crate::base::ids::Offset;
use crate::storage::directory::LogHome;
use crate::storage::error::ReadError;
use crate::storage::names::FileKind;
use crate::storage::segment::{LookupError, Segment};
use crate::storage::transaction_index::AbortedTxn;

/// What lies so near to the end of the log, and was written by this process, is taken to be in the page cache.
const TAIL: u64 = 4 << 20;
/// Bytes loaded beyond what was asked for: the scan from the index entry to the batch.
const SCAN_MARGIN: u64 = 64 << 10;

/// See the module.
pub struct ReadPlan {
    segments: Arc<Vec<Arc<Segment>>>,
    /// Index of the segment to read from; behind the last if there is nothing to read.
    at: usize,
    generation: u32,
    /// The segment's readable bytes, and whether they were read together with `log_end`.
    size: u64,
    size_is_of_plan: bool,
    offset: Offset,
    bound: Offset,
    log_end: Offset,
    max_bytes: u64,
    min_one_message: bool,
    found: Option<Found>,
}

/// A plan that knows its bytes.
struct Found {
    map: Arc<dyn DiskMap>,
    start: u64,
    end: u64,
    first_batch_size: u64,
}

/// What a read gave.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    pub records: Bytes,
    /// The first batch is cut off, because it is larger than what was asked for and need not be given (`firstEntryIncomplete`).
    pub first_entry_incomplete: bool,
}

impl Log {
    /// Plans to read at most `max_bytes` from `offset` on, nothing at `bound` or behind it. With `min_one_message` the first batch is given whole,
    /// however large. `offset` may lie anywhere from the log's start to its end; at or behind the bound there is nothing.
    pub fn read(&self, offset: Offset, max_bytes: usize, min_one_message: bool, bound: Offset) -> Result<ReadPlan, ReadError> {
        self.directory().check_online()?;
        let (log_start_offset, log_end_offset) = (self.log_start_offset(), self.log_end_offset());
        if offset < log_start_offset || offset > log_end_offset {
            return Err(ReadError::OffsetOutOfRange { offset, log_start_offset, log_end_offset });
        }
        let bound = bound.min(log_end_offset);
        let at = if offset < bound && max_bytes + usize::from(min_one_message) > 0 {
            if offset >= self.active().base_offset() { self.segments.len() - 1 } else { self.floor_segment(offset) }
        } else {
            self.segments.len()
        };
        let mut plan = ReadPlan {
            segments: self.segments.clone(),
            at,
            generation: 0,
            size: 0,
            size_is_of_plan: true,
            offset,
            bound,
            log_end: log_end_offset,
            max_bytes: max_bytes as u64,
            min_one_message,
            found: None,
        };
        plan.enter_segment();
        plan.find_if_at_tail()?;
        Ok(plan)
    }
}

impl ReadPlan {
    /// Whether there is certainly nothing to read.
    pub fn is_empty(&self) -> bool {
        self.at >= self.segments.len()
    }

    /// How many bytes there will be, if that is known already: always, once [`Self::is_resident`] has said so.
    pub fn len(&self) -> Option<usize> {
        if self.is_empty() { Some(0) } else { self.found.as_ref().map(|found| (found.end - found.start) as usize) }
    }

    /// Whether finishing will not wait for the disk. Does not block; a few microseconds unless the tail is read.
    pub fn is_resident(&mut self) -> bool {
        while !self.is_empty() && self.found.is_none() {
            let segment = self.segment().clone();
            if !segment.is_index_resident() {
                return false;
            }
            let Ok(start) = segment.scan_start(self.offset, self.generation) else { return false };
            let reach = self.reach(start);
            if !segment.is_log_resident(start, reach) {
                return false;
            }
            match self.find_in_segment() {
                // A bound that is far behind, or a large first batch, may lie outside of what was looked at.
                Ok(true) => {
                    let found = self.found.as_ref();
                    return found.is_none_or(|found| {
                        (start <= found.start && found.end <= reach) || segment.is_log_resident(found.start, found.end)
                    });
                }
                Ok(false) => self.next_segment(),
                Err(_) => return false,
            }
        }
        true
    }

    /// Brings what is to be read into the page cache, and repairs an index that is found damaged. Blocks on the disk.
    pub fn load(&mut self) -> Result<(), ReadError> {
        while !self.is_empty() && self.found.is_none() {
            let segment = self.segment().clone();
            let loaded = segment.load_index(self.generation).and_then(|()| {
                let start = segment.scan_start(self.offset, self.generation)?;
                segment.load(start.min(self.size), self.reach(start), self.generation)
            });
            loaded.map_err(|error| self.error(error))?;
            if !self.find_or_repair()? {
                self.next_segment();
            }
        }
        if let Some(found) = &self.found {
            self.segment().load(found.start, found.end, self.generation).map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    /// The records. Waits for the disk unless [`Self::is_resident`] or [`Self::load`] went before.
    pub fn finish(&mut self) -> Result<Fetched, ReadError> {
        while !self.is_empty() && self.found.is_none() {
            if !self.find_or_repair()? {
                self.next_segment();
            }
        }
        let Some(found) = &self.found else { return Ok(Fetched::default()) };
        // The map that was found is safe to read even now, but what it holds is not the log any more.
        if self.segment().generation() != self.generation {
            return Err(ReadError::Truncated);
        }
        Ok(Fetched {
            records: found.map.slice(found.start, found.end),
            first_entry_incomplete: found.end - found.start < found.first_batch_size,
        })
    }

    /// The aborted transactions that a reader at read_committed has to know for what was read, by first offset. Reads the transaction index,
    /// where there is one.
    pub fn aborted_transactions(&self) -> Result<Vec<AbortedTxn>, ReadError> {
        let mut aborted = Vec::new();
        let Some(found) = &self.found else { return Ok(aborted) };
        let bound = self.segment().upper_bound(found.end, self.generation).map_err(|error| self.error(error))?;
        let bound = match (bound, self.segments.get(self.at + 1)) {
            (Some(offset), _) => offset,
            (None, Some(next)) => next.base_offset(),
            (None, None) => self.log_end,
        };
        for segment in &self.segments[self.at..] {
            let collected = segment.transactions().collect_aborted(&**self.home().disk(), self.offset, bound, &mut aborted);
            if collected.map_err(|error| self.error(LookupError::File(error)))? {
                break;
            }
        }
        aborted.sort_by_key(|txn| txn.first_offset);
        Ok(aborted)
    }

    fn segment(&self) -> &Arc<Segment> {
        &self.segments[self.at]
    }

    fn home(&self) -> &Arc<LogHome> {
        self.segment().home()
    }

    fn next_segment(&mut self) {
        self.at += 1;
        self.size_is_of_plan = false;
        // Segments that begin at the bound or behind it hold nothing for this reader.
        if self.segments.get(self.at).is_some_and(|segment| segment.base_offset() >= self.bound) {
            self.at = self.segments.len();
        }
        self.enter_segment();
    }

    fn enter_segment(&mut self) {
        if let Some(segment) = self.segments.get(self.at) {
            self.generation = segment.generation();
            self.size = segment.size();
        }
    }

    /// How far a read from `start` may reach into the file.
    fn reach(&self, start: u64) -> u64 {
        start.saturating_add(self.max_bytes).saturating_add(SCAN_MARGIN).min(self.size)
    }

    /// Finds the bytes at once where that takes no system call and touches only what was just written.
    fn find_if_at_tail(&mut self) -> Result<(), ReadError> {
        if self.at + 1 != self.segments.len() {
            return Ok(());
        }
        let segment = self.segment().clone();
        if segment.open_map(self.size).is_none() || !segment.is_index_open() {
            return Ok(());
        }
        let Ok(start) = segment.scan_start(self.offset, self.generation) else { return Ok(()) };
        if start + TAIL >= self.size && segment.was_written_here(start) && !self.find_or_repair()? {
            self.at = self.segments.len();
        }
        Ok(())
    }

    fn find_or_repair(&mut self) -> Result<bool, ReadError> {
        match self.find_in_segment() {
            Err(LookupError::DamagedIndex) => {
                let segment = self.segment().clone();
                segment.rebuild_index().map_err(|error| self.error(LookupError::File(error)))?;
                self.find_in_segment().map_err(|error| self.error(error))
            }
            found => found.map_err(|error| self.error(error)),
        }
    }

    /// Finds start and end in this segment, or that the bound leaves nothing; false if it has no batch at the offset or behind it that lies in front of the bound.
    fn find_in_segment(&mut self) -> Result<bool, LookupError> {
        let segment = self.segment();
        let Some(first) = segment.find(self.offset, self.size, self.generation)? else { return Ok(false) };
        let whole = match self.segments.get(self.at + 1) {
            Some(next) => self.bound >= next.base_offset(),
            None => self.bound >= self.log_end && self.size_is_of_plan,
        };
        let limit = if whole {
            self.size
        } else {
            segment.find(self.bound, self.size, self.generation)?.map_or(self.size, |batch| batch.position)
        };
        if limit <= first.position {
            // The batch that holds the offset holds the bound, too: nothing behind can be read either.
            self.at = self.segments.len();
            return Ok(true);
        }
        let first_batch_size = first.header.size() as u64;
        let asked = if self.min_one_message { self.max_bytes.max(first_batch_size) } else { self.max_bytes };
        let end = limit.min(first.position.saturating_add(asked));
        let map = segment.map(FileKind::Log, end, self.generation)?;
        self.found = Some(Found { map, start: first.position, end, first_batch_size });
        Ok(true)
    }

    fn error(&self, error: LookupError) -> ReadError {
        let segment = self.segment();
        ReadError::of_lookup(error, segment)
    }
}
