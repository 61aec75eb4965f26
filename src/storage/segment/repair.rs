//! Rebuilding the indexes of a segment from its log: when they are missing, do not fit, or lead to the wrong place.

use crate::base::disk::OpenMode;
use crate::storage::checkpoint::FileError;
use crate::storage::index_tail::IndexTail;
use crate::storage::names::FileKind;
use crate::storage::offset_index;
use crate::storage::scan::LogScan;
use crate::storage::segment::Segment;
use crate::storage::segment::index::NO_LARGEST;
use crate::storage::time_index;

/// Distance of entries in a rebuilt index, in bytes (Kafka's default of `index.interval.bytes`).
const INTERVAL: u64 = 4096;

impl Segment {
    /// Says that the index is not to be trusted: the next that needs it rebuilds it.
    pub(in crate::storage) fn distrust_index(&self) {
        self.index.lock().damaged = true;
    }

    /// Says that the segment was closed in order, and so has an entry in its time index: else the index has to be rebuilt.
    pub(in crate::storage) fn expect_whole_index(&self) {
        let mut index = self.index.lock();
        index.damaged |= index.time.file_len() == 0 && self.size() > 0;
    }

    /// Rebuilds both indexes from the batches of the log, if they are not to be trusted. Blocks on the disk, and everybody who needs this
    /// index: those who found it damaged, too, and find it rebuilt then.
    pub(in crate::storage) fn rebuild_index(&self) -> Result<(), FileError> {
        let mut index = self.index.lock();
        if !index.damaged {
            return Ok(());
        }
        let end = index.indexed_to;
        tracing::warn!(segment = %self.path().display(), "rebuilding the indexes of a segment");
        index.offset = IndexTail::new(offset_index::ENTRY_LEN, 0);
        index.time = IndexTail::new(time_index::ENTRY_LEN, 0);
        (index.largest, index.last_time_entry) = (Some(NO_LARGEST), NO_LARGEST.timestamp);
        index.since_entry = 0;
        self.empty_index_files()?;
        let file = self.file(FileKind::Log, OpenMode::Read)?;
        let mut scan = LogScan::new(&*file, 0, end);
        while let Some(found) = scan.next_header().map_err(FileError::io("read", &self.path()))? {
            match found {
                Ok((header, position)) => index.add(&header, position, INTERVAL, self.base_offset),
                Err(bad) => {
                    tracing::error!(segment = %self.path().display(), %bad, "the log is damaged; its index ends here");
                    break;
                }
            }
        }
        index.indexed_to = end;
        index.damaged = false;
        drop(index);
        self.write_whole_index()
    }

    /// Empties the files of the index, or makes them. Readers keep what they have mapped.
    pub(super) fn empty_index_files(&self) -> Result<(), FileError> {
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            let path = self.path_of(kind);
            self.slot(kind).cut(self.home.cache(), &path, 0).map_err(FileError::io("empty", &path))?;
        }
        Ok(())
    }
}
