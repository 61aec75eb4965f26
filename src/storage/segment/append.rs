//! The writing side of a segment. Called under the lock of the log's owner.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use super::Segment;
use super::lookup::{BatchAt, LookupError};
use crate::base::disk::OpenMode;
use crate::base::ids::{Offset, TimestampMs};
use crate::config::topic::TopicConfig;
use crate::record::batch::{BatchHeader, HEADER_LEN};
use crate::storage::checkpoint::FileError;
use crate::storage::directory::is_shortage;
use crate::storage::names::{FileKind, FileState};
use crate::storage::offset_index;
use crate::storage::segment::index::NO_LARGEST;
use crate::storage::time_index::{self, TimeEntries, TimestampOffset};

/// Below this size nothing is reserved: ten thousand small partitions must not eat the disk.
const RESERVE_ABOVE: u64 = 1 << 20;
/// Largest step of a reservation, in bytes.
const RESERVE_STEP: u64 = 16 << 20;

/// Why a segment takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum RollReason {
    Size,
    Time,
    IndexFull,
    OffsetOverflow,
}

impl Segment {
    /// Writes whole batches at the end of the file, without making them readable yet; where they begin. After an error the file ends where it
    /// did before; if even that fails, the outer error says so, and nothing can be said of the file.
    pub(in crate::storage) fn write(&self, parts: &[IoSlice<'_>]) -> Result<io::Result<u64>, FileError> {
        let position = self.size();
        let file = match self.file(FileKind::Log, OpenMode::ReadWrite) {
            Err(FileError::Io { source, .. }) => return Ok(Err(source)),
            opened => opened?,
        };
        match file.write_all_at(parts, position) {
            Ok(()) => Ok(Ok(position)),
            Err(error) => {
                let path = self.path();
                file.set_len(position).map_err(FileError::io("cut back", &path))?;
                self.reserved.store(0, Ordering::Relaxed);
                Ok(Err(error))
            }
        }
    }

    /// Takes note of a batch written at `position`.
    pub(in crate::storage) fn index_batch(&self, header: &BatchHeader, position: u64, config: &TopicConfig, now: TimestampMs) {
        let mut index = self.index.lock();
        index.modified = now;
        index.add(header, position, config.index_interval_bytes.max(0) as u64, self.base_offset);
    }

    /// Lets readers see everything up to `end`. Whoever calls has written and indexed it.
    pub(in crate::storage) fn publish(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Whether the next batches must go to another segment (`LogSegment.shouldRoll`).
    pub(in crate::storage) fn should_roll(
        &self,
        config: &TopicConfig,
        size: u64,
        (max_timestamp, last_offset): (TimestampMs, Offset),
        jitter: i64,
        now: TimestampMs,
    ) -> Result<Option<RollReason>, FileError> {
        let filled = self.size();
        if offset_index::relative_offset(last_offset, self.base_offset).is_none() {
            return Ok(Some(RollReason::OffsetOverflow));
        }
        if filled == 0 {
            return Ok(None);
        }
        if filled + size > config.segment_bytes.max(0) as u64 {
            return Ok(Some(RollReason::Size));
        }
        if self.waited_for_roll(max_timestamp, now)? > config.segment_ms.saturating_sub(jitter) {
            return Ok(Some(RollReason::Time));
        }
        let full = self.index.lock().is_full(config.segment_index_bytes.max(0) as u64);
        Ok(full.then_some(RollReason::IndexFull))
    }

    /// How long the segment has been filling: from its first batch by timestamps, or since it was opened where those have none.
    fn waited_for_roll(&self, timestamp: TimestampMs, now: TimestampMs) -> Result<i64, FileError> {
        let first = self.first_timestamp()?;
        Ok(if first >= 0 { timestamp.saturating_sub(first) } else { now.saturating_sub(self.index.lock().opened) })
    }

    /// Largest timestamp of the first batch; −1 if there is none.
    pub(in crate::storage) fn first_timestamp(&self) -> Result<TimestampMs, FileError> {
        if let Some(known) = self.index.lock().first_timestamp {
            return Ok(known);
        }
        let mut header = [0; HEADER_LEN];
        let file = self.file(FileKind::Log, OpenMode::Read)?;
        let read = file.read_at(&mut header, 0).map_err(|e| FileError::io("read", &self.path())(e))?;
        let first =
            BatchHeader::parse(&header[..read.min(self.size() as usize)]).map_or(NO_LARGEST.timestamp, |h| h.max_timestamp);
        if self.size() > 0 {
            self.index.lock().first_timestamp = Some(first);
        }
        Ok(first)
    }

    /// Makes sure that what an append builds on is known: the largest timestamp so far, and an index that is not damaged.
    pub(in crate::storage) fn prepare_to_append(&self) -> Result<(), FileError> {
        self.largest().map(|_| ())
    }

    /// The largest timestamp of all batches, and the last offset of the batch that has it. Read from the time index the first time, if the batch
    /// bears it out.
    pub(in crate::storage) fn largest(&self) -> Result<TimestampOffset, FileError> {
        let read = {
            let index = self.index.lock();
            if let Some(largest) = index.largest.filter(|_| !index.damaged) {
                return Ok(largest);
            }
            // With the index locked, as whoever rebuilds it empties the file.
            let file_len = index.time.file_len();
            if index.damaged { None } else { Some((file_len, self.last_time_entry_of_file(file_len)?)) }
        };
        if let Some((file_len, last)) = read {
            if file_len == 0 || self.is_borne_out(last)? {
                let mut index = self.index.lock();
                if index.largest.is_none() {
                    index.last_time_entry = last.timestamp;
                    index.largest = Some(last);
                }
                return Ok(index.largest.unwrap_or(last));
            }
            self.distrust_index();
        }
        self.rebuild_index()?;
        Ok(self.index.lock().largest.unwrap_or(NO_LARGEST))
    }

    /// Whether the batch that an entry of the time index names has its timestamp.
    fn is_borne_out(&self, entry: TimestampOffset) -> Result<bool, FileError> {
        match self.find(entry.offset, self.size(), self.generation()) {
            Ok(batch) => Ok(batch.is_some_and(|BatchAt { header, .. }| {
                header.last_offset() == entry.offset && header.max_timestamp == entry.timestamp
            })),
            Err(LookupError::File(error)) => Err(error),
            Err(LookupError::DamagedIndex | LookupError::Corrupt { .. }) => Ok(false),
            // Whoever cuts the segment looks at the index himself.
            Err(LookupError::Truncated) => Ok(true),
        }
    }

    pub(super) fn last_time_entry_of_file(&self, file_len: u64) -> Result<TimestampOffset, FileError> {
        let Some(at) = file_len.checked_sub(time_index::ENTRY_LEN as u64) else { return Ok(NO_LARGEST) };
        let mut entry = [0; time_index::ENTRY_LEN];
        let file = self.file(FileKind::TimeIndex, OpenMode::Read)?;
        file.read_exact_at(&mut entry, at).map_err(|e| FileError::io("read", &self.path_of(FileKind::TimeIndex))(e))?;
        Ok(TimeEntries::new(&entry, self.base_offset).get(0))
    }

    /// What retention goes by: the largest timestamp, or when the file was last written, if batches have none.
    pub(in crate::storage) fn largest_timestamp(&self) -> Result<TimestampMs, FileError> {
        let largest = self.largest()?.timestamp;
        Ok(if largest >= 0 { largest } else { self.index.lock().modified })
    }

    /// A range that should be reserved ahead of the tail; asked once a range.
    pub(in crate::storage) fn reservation_due(&self, preallocate: bool) -> Option<(u64, u64)> {
        let size = self.size();
        let reserved = self.reserved.load(Ordering::Relaxed).max(size);
        let limit = self.map_len.load(Ordering::Relaxed);
        let step = if preallocate { limit } else { (size / 4).clamp(RESERVE_ABOVE / 4, RESERVE_STEP) };
        let due = (preallocate || size >= RESERVE_ABOVE) && reserved < limit && reserved - size < step / 4;
        due.then(|| {
            let to = (reserved + step).min(limit);
            self.reserved.store(to, Ordering::Relaxed);
            (reserved, to - reserved)
        })
    }

    /// Reserves a range. That it fails is no error: the write will say so when there is no room.
    pub(in crate::storage) fn reserve(&self, from: u64, len: u64) {
        // Under the index' lock, as cuts and seals are: what is reserved behind a sealed end would never be given back.
        let _index = self.index.lock();
        if self.sealed.load(Ordering::Relaxed) || self.state() != FileState::Live {
            return;
        }
        if let Ok(file) = self.file(FileKind::Log, OpenMode::ReadWrite)
            && let Err(error) = file.reserve(from, len)
        {
            tracing::debug!(segment = %self.path().display(), %error, "space was not reserved");
        }
    }

    /// Writes blocks of the index that are due to their files.
    pub(in crate::storage) fn write_index_blocks(&self) -> Result<(), FileError> {
        self.write_index(false)
    }

    /// Writes all of the index to its files, with the largest timestamp as the last entry of the time index, so that the segment can be
    /// opened again by what the files say.
    pub(in crate::storage) fn write_whole_index(&self) -> Result<(), FileError> {
        self.largest()?;
        self.index.lock().add_time_entry(self.base_offset);
        self.write_index(true)
    }

    fn write_index(&self, all: bool) -> Result<(), FileError> {
        let mut index = self.index.lock();
        let index = &mut *index;
        for (kind, entries) in [(FileKind::OffsetIndex, &mut index.offset), (FileKind::TimeIndex, &mut index.time)] {
            let block = if all { entries.tail() } else { entries.due() };
            if block.is_empty() {
                continue;
            }
            let len = block.len();
            let written = self.file(kind, OpenMode::ReadWrite).and_then(|file| {
                let written = file.write_all_at(&[IoSlice::new(block)], entries.file_len());
                written.map_err(FileError::io("write", &self.path_of(kind)))
            });
            match written {
                Ok(()) => entries.written(len),
                // It stays in memory until there is room.
                Err(FileError::Io { source, .. }) if is_shortage(&source) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether something of the index is only in memory.
    pub(in crate::storage) fn has_unwritten_index(&self) -> bool {
        let index = self.index.lock();
        let largest_is_new = index.largest.is_some_and(|largest| largest.timestamp > index.last_time_entry);
        largest_is_new || !index.offset.tail().is_empty() || !index.time.tail().is_empty()
    }

    /// Says that the segment is appended to, and how large it may grow.
    pub(in crate::storage) fn mark_active(&self, len: u64) {
        self.sealed.store(false, Ordering::Relaxed);
        self.map_len.fetch_max(len, Ordering::Relaxed);
    }

    /// Ends the writing: the index goes to its files, and what was reserved is given back. If there is no room for the index the segment stays as
    /// it was: of one that is sealed nobody would write the rest, and its index is believed after a kill.
    pub(in crate::storage) fn seal(&self) -> Result<(), FileError> {
        self.write_whole_index()?;
        if self.has_unwritten_index() {
            let path = self.path_of(FileKind::OffsetIndex);
            return Err(FileError::io("write", &path)(io::ErrorKind::StorageFull.into()));
        }
        self.give_back_reservation()?;
        self.sealed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back the space reserved behind the end.
    pub(in crate::storage) fn give_back_reservation(&self) -> Result<(), FileError> {
        let _index = self.index.lock();
        if self.reserved.load(Ordering::Relaxed) > 0 {
            let file = self.file(FileKind::Log, OpenMode::ReadWrite)?;
            file.set_len(self.size()).map_err(FileError::io("trim", &self.path()))?;
            self.reserved.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}
