//! Where the epochs of a partition's leaders begin in its log (KIP-101, KIP-279, KIP-320; Kafka's `LeaderEpochFileCache`).
//!
//! Invariants: epochs and start offsets are ≥ 0, and both strictly increase from entry to entry. At most the last entry begins at the end of
//! the log (an epoch that has not written yet).
//!
//! Changes are made in memory and become durable with [`LeaderEpochCache::flush`]. An assignment must be flushed before the epoch writes
//! records or answers followers; after a truncation that may wait, since loading a log truncates the cache again.

use std::path::Path;

use super::checkpoint::{FileError, read_lines, write_lines};
use crate::base::disk::Disk;
use crate::base::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset};

/// Name of the file in a partition's directory: a checkpoint with lines `epoch start_offset`.
pub const FILE_NAME: &str = "leader-epoch-checkpoint";

/// An epoch, and the first offset written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start_offset: Offset,
}

/// The end of an epoch, as OffsetForLeaderEpoch answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch that is not larger than the one asked for.
    pub epoch: LeaderEpoch,
    /// The offset behind its last record.
    pub end_offset: Offset,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
    dirty: bool,
}

impl LeaderEpochCache {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the file of a partition's directory. Entries that break the invariants give way to later ones.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Self, FileError> {
        let path = dir.join(FILE_NAME);
        let entries = read_lines(disk, &path, |line| {
            let (epoch, start_offset) = line.split_once(' ')?;
            Some(EpochEntry { epoch: epoch.parse().ok()?, start_offset: start_offset.trim().parse().ok()? })
        })?;
        let mut cache = Self::new();
        for EpochEntry { epoch, start_offset } in entries {
            if epoch < 0 || start_offset < 0 {
                return Err(FileError::damaged(&path, format!("negative entry {epoch} {start_offset}")));
            }
            cache.assign(epoch, start_offset);
        }
        cache.dirty = false;
        Ok(cache)
    }

    /// Writes the file if anything changed since the last time.
    pub fn flush(&mut self, disk: &dyn Disk, dir: &Path) -> Result<(), FileError> {
        if self.dirty {
            write_lines(disk, &dir.join(FILE_NAME), self.entries.iter().map(|e| format!("{} {}", e.epoch, e.start_offset)))?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Whether [`Self::flush`] has something to write.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Says that `epoch` begins at `start_offset`; true if that was news. Entries that contradict it are removed.
    ///
    /// # Panics
    /// If either is negative.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        assert!(epoch >= 0 && start_offset >= 0, "leader epoch {epoch} at offset {start_offset} is not valid");
        let news = self.latest().is_none_or(|last| epoch != last.epoch || start_offset < last.start_offset);
        if news {
            while self.entries.pop_if(|e| e.epoch >= epoch || e.start_offset >= start_offset).is_some() {}
            self.entries.push(EpochEntry { epoch, start_offset });
            self.dirty = true;
        }
        news
    }

    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.latest().map(|entry| entry.epoch)
    }

    pub fn get(&self, epoch: LeaderEpoch) -> Option<EpochEntry> {
        self.entries.binary_search_by_key(&epoch, |e| e.epoch).ok().map(|at| self.entries[at])
    }

    /// The largest known epoch below `epoch`.
    pub fn previous(&self, epoch: LeaderEpoch) -> Option<EpochEntry> {
        self.entries[..self.entries.partition_point(|e| e.epoch < epoch)].last().copied()
    }

    /// The smallest known epoch above `epoch`.
    pub fn next(&self, epoch: LeaderEpoch) -> Option<EpochEntry> {
        self.entries[self.entries.partition_point(|e| e.epoch <= epoch)..].first().copied()
    }

    /// The epoch in which the record at `offset` was written, if that is known.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.entries[..self.entries.partition_point(|e| e.start_offset <= offset)].last().map(|e| e.epoch)
    }

    /// Where `epoch` ended: at the start of the next larger epoch, or at the end of the log if it is the latest. An epoch below all known
    /// ones ends where the first of those begins, since what lay before is gone. `None` for −1 and for epochs not yet known.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end_offset: Offset) -> Option<EpochEnd> {
        if epoch == NO_LEADER_EPOCH {
            return None;
        }
        if self.latest_epoch() == Some(epoch) {
            return Some(EpochEnd { epoch, end_offset: log_end_offset });
        }
        let above = self.entries.partition_point(|e| e.epoch <= epoch);
        let end_offset = self.entries.get(above)?.start_offset;
        let floor = above.checked_sub(1).map_or(epoch, |below| self.entries[below].epoch);
        Some(EpochEnd { epoch: floor, end_offset })
    }

    /// Forgets epochs that begin at `end_offset` or behind it, because the log now ends there.
    pub fn truncate_from_end(&mut self, end_offset: Offset) {
        let kept = self.entries.partition_point(|e| e.start_offset < end_offset);
        if end_offset >= 0 && kept < self.entries.len() {
            self.entries.truncate(kept);
            self.dirty = true;
        }
    }

    /// Forgets epochs that ended before `start_offset`, because the log now begins there; the one that holds it begins there too.
    pub fn truncate_from_start(&mut self, start_offset: Offset) {
        let Some(holder) = self.entries.partition_point(|e| e.start_offset <= start_offset).checked_sub(1) else { return };
        if holder > 0 || self.entries[0].start_offset != start_offset {
            self.entries.drain(..holder);
            self.entries[0].start_offset = start_offset;
            self.dirty = true;
        }
    }

    /// Forgets everything, as when the log is truncated fully.
    pub fn clear(&mut self) {
        self.dirty |= !self.entries.is_empty();
        self.entries.clear();
    }
}
