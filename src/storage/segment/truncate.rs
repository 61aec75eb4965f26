//! Cutting a segment. Called under the lock of the log's owner.
//!
//! Readers may be under way: the generation goes up and the end down first, then the files are cut, each in place or by a copy.

use std::sync::atomic::Ordering;

use super::index::{NO_LARGEST, SegmentIndex};
use super::lookup::{BatchAt, LookupError};
use super::{Segment, SegmentFiles};
use crate::base::disk::OpenMode;
use crate::base::ids::{Offset, TimestampMs};
use crate::storage::checkpoint::FileError;
use crate::storage::names::FileKind;
use crate::storage::offset_index::{self, OffsetEntries};
use crate::storage::scan::LogScan;
use crate::storage::time_index::{self, TimeEntries, TimestampOffset};

impl Segment {
    /// Cuts off the batch that holds `offset`, and all behind it. The first batch that went, if any did.
    pub(in crate::storage) fn truncate_to(&self, offset: Offset, now: TimestampMs) -> Result<Option<BatchAt>, LookupError> {
        let (size, generation) = (self.size(), self.generation());
        let cut = match self.find(offset, size, generation) {
            Err(LookupError::DamagedIndex) => {
                self.rebuild_index()?;
                self.find(offset, size, generation)?
            }
            found => found?,
        };
        if let Some(first) = &cut {
            self.cut_at(first.position, offset, now)?;
        }
        Ok(cut)
    }

    /// Cuts the log at `position`, where a batch begins, and everything about offsets from `offset` on. The cut is durable when this returns:
    /// else, after a loss of power, what was cut off could lie behind newer batches.
    pub(in crate::storage) fn cut_at(&self, position: u64, offset: Offset, now: TimestampMs) -> Result<(), LookupError> {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.end.store(position, Ordering::Release);
        self.written_back.fetch_min(position, Ordering::Relaxed);
        {
            let _index = self.index.lock();
            self.reserved.store(0, Ordering::Relaxed);
            let path = self.path();
            self.log.cut(self.home.cache(), &path, position).map_err(FileError::io("cut", &path))?;
            self.log_file()?.sync_data().map_err(FileError::io("sync", &path))?;
        }
        self.forget_index_from(position, offset, now)?;
        self.truncate_transactions(offset)?;
        Ok(())
    }

    /// Forgets aborted transactions that end at `offset` or behind it, durably.
    pub(in crate::storage) fn truncate_transactions(&self, offset: Offset) -> Result<(), FileError> {
        let mut transactions = self.transactions();
        if transactions.is_empty() {
            return Ok(());
        }
        transactions.truncate_to(&**self.home.disk(), offset)?;
        let path = transactions.path();
        let synced = self.home.disk().open(path, OpenMode::Read).and_then(|file| file.sync_data());
        synced.map_err(FileError::io("sync", path))
    }

    /// Takes from the index everything about batches at `position` and behind, whose first offset is `offset`. What lies before stays.
    pub(in crate::storage) fn forget_index_from(&self, position: u64, offset: Offset, now: TimestampMs) -> Result<(), FileError> {
        let mut index = self.index.lock();
        let index = &mut *index;
        self.sealed.store(false, Ordering::Relaxed);
        let kept = OffsetEntries::new(index.offset.tail(), self.base_offset).count_below(offset);
        if kept > 0 {
            index.offset.truncate_tail(kept);
        } else {
            let file = self.read_index(FileKind::OffsetIndex, index.offset.file_len())?;
            index.offset.truncate_file(OffsetEntries::new(&file, self.base_offset).count_below(offset));
            self.cut_index(FileKind::OffsetIndex, file.len() as u64, index.offset.file_len())?;
        }
        let kept = TimeEntries::new(index.time.tail(), self.base_offset).count_below(offset);
        if kept > 0 {
            index.time.truncate_tail(kept);
        } else {
            let file = self.read_index(FileKind::TimeIndex, index.time.file_len())?;
            index.time.truncate_file(TimeEntries::new(&file, self.base_offset).count_below(offset));
            self.cut_index(FileKind::TimeIndex, file.len() as u64, index.time.file_len())?;
        }
        index.since_entry = 0;
        index.indexed_to = position;
        index.modified = now;
        if position == 0 {
            index.first_timestamp = None;
            index.opened = now;
        }
        let last = match TimeEntries::new(index.time.tail(), self.base_offset).last() {
            Some(entry) => entry,
            None => self.last_time_entry_of_file(index.time.file_len())?,
        };
        let from = match OffsetEntries::new(index.offset.tail(), self.base_offset).lookup(last.offset) {
            Some(entry) => u64::from(entry.position),
            None => {
                let file = self.read_index(FileKind::OffsetIndex, index.offset.file_len())?;
                OffsetEntries::new(&file, self.base_offset).lookup(last.offset).map_or(0, |entry| u64::from(entry.position))
            }
        };
        index.last_time_entry = last.timestamp;
        index.largest = Some(self.largest_from(last, from, position)?);
        Ok(())
    }

    /// Forgets all of the index, and the files it had.
    pub(in crate::storage) fn forget_index(&self, now: TimestampMs) -> Result<(), FileError> {
        let mut index = self.index.lock();
        self.empty_index_files()?;
        let files = SegmentFiles { offset_index: Some(0), time_index: Some(0), modified: now, ..SegmentFiles::default() };
        *index = SegmentIndex::new(&files, now);
        Ok(())
    }

    /// The larger of `known` and the timestamps of the batches from position `from` up to `to`.
    fn largest_from(&self, known: TimestampOffset, from: u64, to: u64) -> Result<TimestampOffset, FileError> {
        let mut largest = if known.timestamp >= 0 { known } else { NO_LARGEST };
        let file = self.file(FileKind::Log, OpenMode::Read)?;
        let mut scan = LogScan::new(&*file, from, to);
        while let Some(Ok((header, _))) = scan.next_header().map_err(FileError::io("read", &self.path()))? {
            if header.max_timestamp > largest.timestamp {
                largest = TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() };
            }
        }
        Ok(largest)
    }

    fn read_index(&self, kind: FileKind, len: u64) -> Result<Vec<u8>, FileError> {
        let mut entries = vec![0; len as usize];
        if len > 0 {
            let file = self.file(kind, OpenMode::Read)?;
            file.read_exact_at(&mut entries, 0).map_err(FileError::io("read", &self.path_of(kind)))?;
        }
        Ok(entries)
    }

    fn cut_index(&self, kind: FileKind, from: u64, to: u64) -> Result<(), FileError> {
        if to < from {
            let path = self.path_of(kind);
            self.slot(kind).cut(self.home.cache(), &path, to).map_err(FileError::io("cut", &path))?;
        }
        Ok(())
    }

    /// Checks both index files entry by entry, because power may have been lost; false if they have to be rebuilt. Whether an entry leads to
    /// the batch it names is for whoever follows it to find out.
    pub(in crate::storage) fn verify_index(&self) -> Result<bool, FileError> {
        let index = self.index.lock();
        if index.damaged {
            return Ok(false);
        }
        let offsets = self.read_index(FileKind::OffsetIndex, index.offset.file_len())?;
        let times = self.read_index(FileKind::TimeIndex, index.time.file_len())?;
        let entries = OffsetEntries::new(&offsets, self.base_offset);
        let whole = entries.plausible_prefix(self.size()) * offset_index::ENTRY_LEN == offsets.len();
        Ok(whole && TimeEntries::new(&times, self.base_offset).plausible_prefix() * time_index::ENTRY_LEN == times.len())
    }
}
