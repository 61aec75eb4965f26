//! Cleans one log: reads its dirty part into a map of keys, then writes its segments anew, group by group, and has the log take them
//! (Kafka's `Cleaner`).
//!
//! Everything but the taking is done beside the log, without its lock: sealed segments do not change. Invariant: whatever happens, the log holds
//! either the old segments of a group or the new one, and what is left of an attempt that ended is removed, at the latest when the log is
//! opened again.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::candidate::LogToClean;
use super::error::{BadReason, CleanError};
use super::filter::{BadBatch, LastRecords, RecordFilter, control_type, with_body};
use super::grouping::{SegmentSize, group_segments_by_size};
use super::offset_map::{Full, OffsetMap};
use super::stats::CleanerStats;
use super::transactions::CleanedTransactions;
use super::{LogOwner, with_log, write_checkpoint};
use crate::base::ids::{Offset, TimestampMs};
use crate::record::batch::BatchHeader;
use crate::record::batches::Batch;
use crate::record::records::records;
use crate::storage::checkpoint::{FileError, offsets};
use crate::storage::log::CleanerView;
use crate::storage::offset_index::relative_offset;
use crate::storage::scan::LogScan;
use crate::storage::segment::Segment;
use crate::storage::transaction_index::AbortedTxn;

/// Bytes written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Lets the cleaner go on, or tells it why not; called with the bytes that were read or written since.
pub(super) type Pace<'a> = &'a dyn Fn(u64) -> Result<(), CleanError>;

/// The cleaning of one log.
pub(super) struct Cleaner<'a> {
    pub owner: &'a dyn LogOwner,
    pub view: &'a CleanerView,
    pub what: LogToClean,
    pub map: &'a mut OffsetMap,
    /// Most bytes the map may take.
    pub map_bytes: u64,
    pub pace: Pace<'a>,
    pub now: TimestampMs,
    pub stats: CleanerStats,
}

impl Cleaner<'_> {
    /// Cleans; up to where.
    pub fn clean(&mut self) -> Result<Offset, CleanError> {
        let segments = self.view.segments.clone();
        let first_uncleanable = segments.partition_point(|segment| segment.base_offset() < self.what.first_uncleanable_offset);
        let cleanable = &segments[..first_uncleanable];
        let view = self.view;
        let last_records = with_log(self.owner, |log| (!view.is_outdated()).then(|| log.last_records_of_active_producers()));
        let last_records = last_records.flatten().ok_or(CleanError::Aborted)?;

        self.build_offset_map(cleanable)?;
        let end = self.map.latest_offset() + 1;
        self.stats.mapped(self.map.utilization());
        self.raise_recovery_point()?;
        self.sync_names()?;

        let cleaned = &cleanable[..cleanable.partition_point(|segment| segment.base_offset() < end)];
        let sizes: Vec<SegmentSize> = cleaned.iter().map(|segment| size_of(segment)).collect();
        let config = &self.view.config;
        let (max_size, max_index_size) = (config.segment_bytes.max(0) as u64, config.segment_index_bytes.max(0) as u64);
        let mut transactions = CleanedTransactions::default();
        let mut rest = cleaned;
        for len in group_segments_by_size(&sizes, max_size, max_index_size, self.what.first_uncleanable_offset) {
            let (group, behind) = rest.split_at(len);
            self.clean_segments(group, &mut transactions, &last_records)?;
            rest = behind;
        }
        Ok(end)
    }

    /// Sees to it that recovery does not look at what is about to have gaps, even after a loss of power.
    fn raise_recovery_point(&self) -> Result<(), CleanError> {
        let (view, end) = (self.view, self.what.first_uncleanable_offset);
        let (directory, partition) = (view.shared.directory(), view.shared.partition());
        if directory.checkpointed(offsets::RECOVERY_POINT, partition).is_some_and(|known| known >= end) {
            return Ok(());
        }
        write_checkpoint(self.owner, view, offsets::RECOVERY_POINT, end)
    }

    /// Makes the names durable that the cleaning before this one has given its segments: after a loss of power they could have those of their
    /// swap again, and what is swapped behind a segment that is only half cleaned counts as a part of it.
    fn sync_names(&self) -> Result<(), CleanError> {
        let (disk, dir) = (self.view.shared.home.disk(), self.view.shared.home.dir());
        disk.sync_dir(&dir).map_err(|error| write_error(FileError::io("sync", &dir)(error), self.view))
    }

    /// Fills the map with the keys of the dirty part, as many as fit (`Cleaner.buildOffsetMap`).
    fn build_offset_map(&mut self, cleanable: &[Arc<Segment>]) -> Result<(), CleanError> {
        let (start, end) = (self.what.first_dirty_offset, self.what.first_uncleanable_offset);
        self.map.clear_for((end - start).max(0) as u64, self.map_bytes);
        let first = cleanable.partition_point(|segment| segment.base_offset() <= start).saturating_sub(1);
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted(self.collect_aborted(start, end)?);
        for (n, segment) in cleanable.iter().enumerate().skip(first) {
            if self.map_segment(segment, &mut transactions)? == Mapped::Partly {
                // Without a whole batch, the next attempt would come no further.
                return if self.map.latest_offset() >= start { Ok(()) } else { Err(CleanError::TooManyKeys(start)) };
            }
            // Behind the last batch there may be a gap.
            let next = cleanable.get(n + 1).map_or(end, |next| next.base_offset());
            self.map.update_latest_offset(next - 1);
        }
        Ok(())
    }

    fn map_segment(&mut self, segment: &Segment, transactions: &mut CleanedTransactions) -> Result<Mapped, CleanError> {
        let start = self.what.first_dirty_offset;
        // An index that is wrong costs a longer walk.
        let position = segment.scan_start(start, segment.generation()).unwrap_or(0);
        let (map, pace, stats) = (&mut *self.map, self.pace, &mut self.stats);
        each_batch(self.view, segment, position, |batch| {
            let header = &batch.header;
            pace(header.size() as u64)?;
            stats.map_bytes_read += header.size() as u64;
            let mapped = with_body(batch, |body| {
                if header.is_control() {
                    transactions.on_control_batch(header, control_type(header, body)?);
                } else if !transactions.on_batch(header) && header.last_offset() >= start {
                    for record in records(header, body) {
                        let record = record.map_err(BadBatch::from)?;
                        if let Some(key) = record.key.filter(|_| record.offset >= start)
                            && map.put(key, record.offset) == Err(Full)
                        {
                            return Ok(Mapped::Partly);
                        }
                    }
                }
                Ok::<_, BadBatch>(Mapped::Wholly)
            })?;
            if mapped == Mapped::Wholly && header.last_offset() >= start {
                map.update_latest_offset(header.last_offset());
            }
            Ok(mapped)
        })
    }

    /// Aborted transactions that overlap `from..to`.
    fn collect_aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTxn>, CleanError> {
        let segments = &self.view.segments;
        let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        let mut found = Vec::new();
        for segment in &segments[first..] {
            let disk = segment.home().disk().clone();
            let collected = segment.transactions().collect_aborted(&*disk, from, to, &mut found);
            if collected.map_err(|error| self.read_error(error))? {
                break;
            }
        }
        Ok(found)
    }

    /// Cleans a group into one segment, and has the log take it (`Cleaner.cleanSegments`).
    fn clean_segments(
        &mut self,
        group: &[Arc<Segment>],
        transactions: &mut CleanedTransactions,
        last_records: &LastRecords,
    ) -> Result<(), CleanError> {
        let created = Segment::create_cleaned(group[0].home(), group[0].base_offset(), self.now);
        let new = created.map_err(|error| write_error(error, self.view))?;
        // Once the log has begun to take the new segment, it may be all that is left of the old ones: only what it has refused is discarded.
        let refused = match self.clean_into(&new, group, transactions, last_records) {
            Err(error) => error,
            Ok(()) => match with_log(self.owner, |log| log.replace_segments(&new, group, self.view, self.now)).transpose()? {
                Some(true) => return Ok(()),
                Some(false) | None => CleanError::Aborted,
            },
        };
        if let Err(error) = new.discard_cleaned() {
            tracing::warn!(%error, "what was cleaned in vain is left until the next start");
        }
        Err(refused)
    }

    fn clean_into(
        &mut self,
        new: &Arc<Segment>,
        group: &[Arc<Segment>],
        transactions: &mut CleanedTransactions,
        last_records: &LastRecords,
    ) -> Result<(), CleanError> {
        let mut output = Output { view: self.view, new, bytes: Vec::new(), batches: Vec::new(), now: self.now };
        for segment in group {
            let next = self.view.segments.iter().find(|next| next.base_offset() > segment.base_offset());
            let to = next.map_or(self.view.log_end, |next| next.base_offset());
            transactions.add_aborted(self.collect_aborted(segment.base_offset(), to)?);
            let mut filter = RecordFilter {
                map: self.map,
                transactions,
                last_records,
                end: self.what.first_uncleanable_offset,
                now: self.now,
                delete_retention_ms: self.view.config.delete_retention_ms,
            };
            let (pace, stats) = (self.pace, &mut self.stats);
            each_batch(self.view, segment, 0, |batch| {
                let filtered = filter.filter(batch, &mut output.bytes)?;
                let written = filtered.written.as_ref().map_or(0, |header| header.size() as u64);
                stats.filtered(batch.header.size() as u64, written, &filtered);
                pace(batch.header.size() as u64 + written)?;
                if let Some(header) = filtered.written {
                    output.add(header)?;
                }
                if let Some(txn) = filtered.aborted {
                    new.append_aborted(&txn).map_err(|error| Stop::Clean(output.write_error(error)))?;
                }
                Ok(Mapped::Wholly)
            })?;
        }
        output.flush().map_err(|stop| stop.at(new, 0))?;
        let modified = group[group.len() - 1].modified();
        new.finish_cleaned(modified).map_err(|error| write_error(error, self.view))
    }

    fn read_error(&self, error: FileError) -> CleanError {
        if self.view.is_outdated() { CleanError::Aborted } else { CleanError::of_read(error, self.view.shared.directory()) }
    }
}

fn size_of(segment: &Segment) -> SegmentSize {
    let (offset_index, time_index) = segment.index_sizes();
    SegmentSize { base_offset: segment.base_offset(), size: segment.size(), offset_index, time_index }
}

/// Whether all keys of what was read are in the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mapped {
    Wholly,
    Partly,
}

/// Why a walk over batches ends early.
enum Stop {
    Bad(BadReason),
    Clean(CleanError),
}

impl Stop {
    fn at(self, segment: &Segment, position: u64) -> CleanError {
        match self {
            Stop::Bad(reason) => CleanError::Bad { path: segment.path(), position, reason },
            Stop::Clean(error) => error,
        }
    }
}

impl From<BadBatch> for Stop {
    fn from(bad: BadBatch) -> Self {
        Stop::Bad(bad.into())
    }
}

impl From<CleanError> for Stop {
    fn from(error: CleanError) -> Self {
        Stop::Clean(error)
    }
}

/// Visits the batches of a segment from `position` on, while it is told to go on. What cannot be read of a log that was truncated meanwhile says
/// nothing about it.
fn each_batch(
    view: &CleanerView,
    segment: &Segment,
    position: u64,
    mut visit: impl FnMut(&Batch<'_>) -> Result<Mapped, Stop>,
) -> Result<Mapped, CleanError> {
    let judged = |error: CleanError| if view.is_outdated() && error.makes_uncleanable() { CleanError::Aborted } else { error };
    let read = |error: FileError| judged(CleanError::of_read(error, view.shared.directory()));
    let file = segment.log_file().map_err(read)?;
    let mut scan = LogScan::new(&*file, position, segment.size());
    while let Some(found) = scan.next_batch().map_err(FileError::io("read", &segment.path())).map_err(read)? {
        let (batch, at) = found.map_err(|bad| judged(Stop::Bad(bad.reason.into()).at(segment, bad.position)))?;
        match visit(&batch).map_err(|stop| judged(stop.at(segment, at)))? {
            Mapped::Wholly => {}
            Mapped::Partly => return Ok(Mapped::Partly),
        }
    }
    Ok(Mapped::Wholly)
}

/// The end of the segment that is being written.
struct Output<'a> {
    view: &'a CleanerView,
    new: &'a Arc<Segment>,
    bytes: Vec<u8>,
    /// The batches in `bytes`.
    batches: Vec<BatchHeader>,
    now: TimestampMs,
}

impl Output<'_> {
    /// Takes note of a batch that was put behind `bytes`.
    fn add(&mut self, header: BatchHeader) -> Result<(), Stop> {
        if relative_offset(header.last_offset(), self.new.base_offset()).is_none() {
            return Err(Stop::Bad(BadReason::OffsetOverflow(header.last_offset())));
        }
        self.batches.push(header);
        if self.bytes.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if self.new.size() + self.bytes.len() as u64 > i32::MAX as u64 {
            return Err(Stop::Bad(BadReason::TooLarge));
        }
        let path = self.new.path();
        let written = self.new.write(&[IoSlice::new(&self.bytes)]).map_err(|error| self.write_error(error))?;
        let mut position = written.map_err(|error| self.write_error(FileError::io("write", &path)(error)))?;
        for header in self.batches.drain(..) {
            self.new.index_batch(&header, position, &self.view.config, self.now);
            position += header.size() as u64;
        }
        self.new.publish(position);
        self.bytes.clear();
        self.new.write_index_blocks().map_err(|error| self.write_error(error))?;
        Ok(())
    }

    fn write_error(&self, error: FileError) -> CleanError {
        write_error(error, self.view)
    }
}

/// Judges an error of a write beside the log: a name that is not there says nothing of the disk if the log was deleted meanwhile, and its
/// directory has another name, or none.
fn write_error(error: FileError, view: &CleanerView) -> CleanError {
    match error {
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound && view.is_outdated() => CleanError::Aborted,
        error => CleanError::of_write(error, view.shared.directory()),
    }
}
