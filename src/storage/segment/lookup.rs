//! The reading side of a segment: from an offset to the batch that holds it, by index and a short scan, through the maps.
//!
//! May touch pages that are not in the page cache; [`Segment::is_index_resident`] and [`Segment::is_log_resident`] tell beforehand, [`Segment::load`] brings them in. Everything
//! here compares the segment's generation after it got hold of a map, so a cut in between is an error, not a fault.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Segment;
use super::index::SegmentIndex;
use crate::base::disk::DiskMap;
use crate::base::ids::{Offset, TimestampMs};
use crate::record::batch::{BatchHeader, HEADER_LEN, MAGIC_V2};
use crate::storage::checkpoint::FileError;
use crate::storage::names::FileKind;
use crate::storage::offset_index::{OffsetEntries, OffsetPosition};
use crate::storage::time_index::{TimeEntries, TimestampOffset};

/// Index files of an active segment grow: they are mapped in steps of this.
const INDEX_MAP_STEP: u64 = 1 << 20;

/// The map of an index file, and how many bytes of it are entries.
type IndexFile = (Arc<dyn DiskMap>, u64);

/// A batch in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct BatchAt {
    pub position: u64,
    pub header: BatchHeader,
}

#[derive(Debug, thiserror::Error)]
pub(in crate::storage) enum LookupError {
    #[error(transparent)]
    File(#[from] FileError),
    /// The index does not lead to the batches it names. [`Segment::rebuild_index`] and try again.
    #[error("the offset index does not match its log")]
    DamagedIndex,
    /// What lies in the log is no batch.
    #[error("no record batch at position {position}")]
    Corrupt { position: u64 },
    /// The segment was cut since the reader looked at it.
    #[error("the segment was truncated")]
    Truncated,
}

impl Segment {
    /// The first batch in front of position `end` whose last offset is `target` or more.
    pub(in crate::storage) fn find(&self, target: Offset, end: u64, generation: u32) -> Result<Option<BatchAt>, LookupError> {
        let hint = self.hint(target, generation)?;
        let from = hint.map_or(0, |hint| u64::from(hint.position));
        if from >= end {
            return hint.map_or(Ok(None), |hint| Err(self.misled_by(hint, generation)));
        }
        let map = self.map(FileKind::Log, end, generation)?;
        let bytes = map.slice(from, end);
        if let Some(hint) = hint {
            let leads_there = BatchHeader::parse(&bytes)
                .is_some_and(|first| first.magic == MAGIC_V2 && (self.base_offset..=hint.offset).contains(&first.base_offset));
            if !leads_there {
                return Err(self.misled_by(hint, generation));
            }
        }
        scan(&bytes, from, |header| header.last_offset() >= target)
    }

    /// Says that an entry of the index leads nowhere; unless the index was rebuilt since, and has no such entry any more.
    fn misled_by(&self, entry: OffsetPosition, generation: u32) -> LookupError {
        if matches!(self.hint(entry.offset, generation), Ok(Some(found)) if found == entry) {
            self.distrust_index();
        }
        LookupError::DamagedIndex
    }

    /// The last entry of the index that does not lie behind `target`.
    fn hint(&self, target: Offset, generation: u32) -> Result<Option<OffsetPosition>, LookupError> {
        let file = {
            let index = self.index.lock();
            if index.damaged {
                return Err(LookupError::DamagedIndex);
            }
            if let Some(entry) = OffsetEntries::new(index.offset.tail(), self.base_offset).lookup(target) {
                return Ok(Some(entry));
            }
            self.index_file(&index, FileKind::OffsetIndex, generation)?
        };
        Ok(file.and_then(|(map, len)| OffsetEntries::new(&map.slice(0, len), self.base_offset).lookup(target)))
    }

    /// An upper bound on the offsets in front of `position`, from the index; `None` if it has no entry there.
    pub(in crate::storage) fn upper_bound(&self, position: u64, generation: u32) -> Result<Option<Offset>, LookupError> {
        let (file, tail) = {
            let index = self.index.lock();
            let tail = OffsetEntries::new(index.offset.tail(), self.base_offset).first_at_or_behind(position);
            (self.index_file(&index, FileKind::OffsetIndex, generation)?, tail)
        };
        let found =
            file.and_then(|(map, len)| OffsetEntries::new(&map.slice(0, len), self.base_offset).first_at_or_behind(position));
        Ok(found.or(tail).map(|entry| entry.offset))
    }

    /// The last entry of the time index with a timestamp of `target` or less. Blocks on the disk.
    pub(in crate::storage) fn time_lookup(
        &self,
        target: TimestampMs,
        generation: u32,
    ) -> Result<Option<TimestampOffset>, LookupError> {
        let file = {
            let index = self.index.lock();
            if let Some(entry) = TimeEntries::new(index.time.tail(), self.base_offset).lookup(target) {
                return Ok(Some(entry));
            }
            self.index_file(&index, FileKind::TimeIndex, generation)?
        };
        let Some((map, len)) = file else { return Ok(None) };
        map.load(0, len).map_err(FileError::io("load", &self.path_of(FileKind::TimeIndex)))?;
        Ok(TimeEntries::new(&map.slice(0, len), self.base_offset).lookup(target))
    }

    /// The part of an index that is in its file, and its length; `None` if there is none. The map is made while the index is locked, and held from then
    /// on: whoever rebuilds the index would empty the file under a reader who had nothing but its length.
    fn index_file(&self, index: &SegmentIndex, kind: FileKind, generation: u32) -> Result<Option<IndexFile>, LookupError> {
        let len = if kind == FileKind::TimeIndex { index.time.file_len() } else { index.offset.file_len() };
        if len == 0 { Ok(None) } else { Ok(Some((self.map(kind, len, generation)?, len))) }
    }

    /// A map of at least the first `needed` bytes, in which no byte below `needed` was cut since `generation`.
    pub(in crate::storage) fn map(&self, kind: FileKind, needed: u64, generation: u32) -> Result<Arc<dyn DiskMap>, LookupError> {
        let len = match kind {
            FileKind::Log => self.map_len.load(Ordering::Relaxed),
            _ if self.sealed.load(Ordering::Relaxed) => needed,
            _ => needed.next_multiple_of(INDEX_MAP_STEP),
        };
        let open = || self.slot(kind).map(self.home.cache(), needed, len, || self.path_of(kind));
        let map = open().or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { open() } else { Err(error) });
        let map = map.map_err(|error| FileError::io("map", &self.path_of(kind))(error))?;
        if self.generation() == generation { Ok(map) } else { Err(LookupError::Truncated) }
    }

    /// The map of the log, if it is open and reaches that far.
    pub(in crate::storage) fn open_map(&self, needed: u64) -> Option<Arc<dyn DiskMap>> {
        self.log.mapped(needed).map(|(_, map)| map)
    }

    /// Whether a look-up of any offset finds its part of the index in memory.
    pub(in crate::storage) fn is_index_resident(&self) -> bool {
        let file_len = {
            let index = self.index.lock();
            if index.damaged {
                return false;
            }
            index.offset.file_len()
        };
        file_len == 0 || self.offset_index.mapped(file_len).is_some_and(|(file, _)| file.is_resident(0, file_len).unwrap_or(true))
    }

    /// Whether a look-up needs no system call.
    pub(in crate::storage) fn is_index_open(&self) -> bool {
        let file_len = self.index.lock().offset.file_len();
        file_len == 0 || self.offset_index.mapped(file_len).is_some()
    }

    /// Whether a range of the log is mapped and in the page cache.
    pub(in crate::storage) fn is_log_resident(&self, from: u64, to: u64) -> bool {
        to <= from || self.log.mapped(to).is_some_and(|(file, _)| file.is_resident(from, to - from).unwrap_or(true))
    }

    /// Where a look-up of `target` begins to scan; touches the index only.
    pub(in crate::storage) fn scan_start(&self, target: Offset, generation: u32) -> Result<u64, LookupError> {
        Ok(self.hint(target, generation)?.map_or(0, |hint| u64::from(hint.position)))
    }

    /// Brings the whole offset index into the page cache, rebuilding it if it is damaged. Blocks on the disk.
    pub(in crate::storage) fn load_index(&self, generation: u32) -> Result<(), LookupError> {
        let index = self.index.lock();
        if index.damaged {
            drop(index);
            return Ok(self.rebuild_index()?);
        }
        let file = self.index_file(&index, FileKind::OffsetIndex, generation)?;
        drop(index);
        if let Some((map, len)) = file {
            map.load(0, len).map_err(FileError::io("load", &self.path_of(FileKind::OffsetIndex)))?;
        }
        Ok(())
    }

    /// Brings a range of the log into the page cache. Blocks on the disk.
    pub(in crate::storage) fn load(&self, from: u64, to: u64, generation: u32) -> Result<(), LookupError> {
        if from < to {
            let map = self.map(FileKind::Log, to, generation)?;
            map.load(from, to).map_err(FileError::io("load", &self.path()))?;
        }
        Ok(())
    }
}

/// The first batch of `bytes`, which begin at position `from` of the file and end where a batch ends, that satisfies `wanted`.
fn scan(bytes: &[u8], from: u64, wanted: impl Fn(&BatchHeader) -> bool) -> Result<Option<BatchAt>, LookupError> {
    let mut at = 0;
    while at < bytes.len() {
        let position = from + at as u64;
        let fits = |size: usize| (HEADER_LEN..=bytes.len() - at).contains(&size);
        let header = BatchHeader::parse(&bytes[at..]).filter(|header| header.magic == MAGIC_V2 && fits(header.size()));
        let header = header.ok_or(LookupError::Corrupt { position })?;
        if wanted(&header) {
            return Ok(Some(BatchAt { position, header }));
        }
        at += header.size();
    }
    Ok(None)
}
