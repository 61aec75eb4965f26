//! A segment that the cleaner writes, to take the place of others: `.cleaned` while it is written, `.swap` once it is whole, and then live.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Segment;
use crate::base::ids::{Offset, TimestampMs};
use crate::storage::checkpoint::FileError;
use crate::storage::directory::LogHome;
use crate::storage::names::{FileKind, FileState};
use crate::storage::{offset_index, time_index};

impl Segment {
    /// A new, empty one. What an earlier attempt left is removed.
    pub(in crate::storage) fn create_cleaned(
        home: &Arc<LogHome>,
        base_offset: Offset,
        now: TimestampMs,
    ) -> Result<Arc<Self>, FileError> {
        Self::create_as(FileState::Cleaned, home, base_offset, 0, now)
    }

    /// Ends the writing: everything is in the files, and they and their names are durable. `modified` is the time of the last write to what it
    /// replaces, by which retention goes where records have no timestamps.
    pub(in crate::storage) fn finish_cleaned(&self, modified: TimestampMs) -> Result<(), FileError> {
        self.seal()?;
        self.map_len.store(self.size(), Ordering::Relaxed);
        self.index.lock().modified = modified;
        self.sync()?;
        let dir = self.home.dir();
        self.home.disk().sync_dir(&dir).map_err(FileError::io("sync", &dir))
    }

    /// Renames the files from `.cleaned` to `.swap`, or from there to those of a live segment (`LogSegment.changeFileSuffixes`).
    pub(in crate::storage) fn rename_to(&self, state: FileState) -> Result<(), FileError> {
        let _index = self.index.lock();
        self.rename_files(&FileKind::OF_SEGMENT, state).map(drop)
    }

    /// Removes the files of one that is not wanted.
    pub(in crate::storage) fn discard_cleaned(&self) -> Result<(), FileError> {
        for slot in [&self.log, &self.offset_index, &self.time_index] {
            slot.close();
        }
        Self::remove_files(&self.home, self.base_offset, self.state())
    }

    /// When the segment was last written.
    pub(in crate::storage) fn modified(&self) -> TimestampMs {
        self.index.lock().modified
    }

    /// Bytes of both indexes.
    pub(in crate::storage) fn index_sizes(&self) -> (u64, u64) {
        let index = self.index.lock();
        ((index.offset.entries() * offset_index::ENTRY_LEN) as u64, (index.time.entries() * time_index::ENTRY_LEN) as u64)
    }
}
