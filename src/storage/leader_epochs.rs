//! Where the epochs of a partition's leaders begin in its log (KIP-101, KIP-279, KIP-320; Kafka's `LeaderEpochFileCache`).
//!
//! Invariants: epochs and start offsets are ≥ 0, and both strictly increase from entry to entry. At most the last entry begins at the end of
//! the log (an epoch that has not written yet).
//!
//! Changes are made in memory and become durable with [`LeaderEpochCache::flush`]. An assignment is flushed with the first
//! record of its epoch: one without records is no loss. After a truncation that may wait, since loading a log truncates the cache again.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::RealDisk;

    fn cache(entries: &[(LeaderEpoch, Offset)]) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::new();
        for (epoch, start_offset) in entries {
            cache.assign(*epoch, *start_offset);
        }
        cache
    }

    fn listed(cache: &LeaderEpochCache) -> Vec<(LeaderEpoch, Offset)> {
        cache.entries().iter().map(|e| (e.epoch, e.start_offset)).collect()
    }

    fn end_of(cache: &LeaderEpochCache, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        cache.end_offset_for(epoch, log_end).map(|end| (end.epoch, end.end_offset))
    }

    // The cases are those of Kafka's LeaderEpochFileCacheTest.

    #[test]
    fn assigning_keeps_epochs_and_offsets_increasing() {
        type Entries = &'static [(LeaderEpoch, Offset)];
        let cases: [(Entries, Entries); 10] = [
            (&[(2, 10)], &[(2, 10)]),
            (&[(2, 9), (2, 10)], &[(2, 9)]),
            (&[(2, 9), (3, 9)], &[(3, 9)]),
            (&[(2, 6), (3, 5)], &[(3, 5)]),
            (&[(1, 5), (2, 6), (1, 7)], &[(1, 7)]),
            (&[(5, 11), (6, 12), (7, 13), (7, 12)], &[(5, 11), (7, 12)]),
            (&[(0, 0), (1, 0), (2, 5)], &[(1, 0), (2, 5)]),
            (&[(0, 0), (0, 1), (1, 3), (1, 4), (2, 6), (2, 8)], &[(0, 0), (1, 3), (2, 6)]),
            (&[(1, 10), (3, 20), (2, 15)], &[(1, 10), (2, 15)]),
            (&[(1, 10), (2, 20), (5, 0)], &[(5, 0)]),
        ];
        for (assigned, expected) in cases {
            assert_eq!(listed(&cache(assigned)), expected, "{assigned:?}");
        }
    }

    #[test]
    fn the_end_of_an_epoch_is_where_the_next_larger_one_begins() {
        let one = cache(&[(2, 11)]);
        assert_eq!(end_of(&one, 2, 14), Some((2, 14)), "the latest ends with the log");
        assert_eq!(end_of(&one, 3, 14), None, "not yet known");
        assert_eq!(end_of(&one, -1, 14), None);
        assert_eq!(end_of(&one, 1, 14), Some((1, 11)), "what lay before the first is gone");

        let gaps = cache(&[(0, 10), (2, 13), (4, 17)]);
        assert_eq!(end_of(&gaps, 0, 20), Some((0, 13)));
        assert_eq!(end_of(&gaps, 1, 20), Some((0, 13)), "the largest that is not larger");
        assert_eq!(end_of(&gaps, 2, 20), Some((2, 17)));
        assert_eq!(end_of(&gaps, 3, 20), Some((2, 17)));
        assert_eq!(end_of(&gaps, 4, 20), Some((4, 20)));

        let empty = LeaderEpochCache::new();
        assert_eq!((end_of(&empty, 0, 0), end_of(&empty, -1, 73)), (None, None));
    }

    #[test]
    fn truncating_from_the_end_drops_epochs_that_begin_there_or_later() {
        for (end_offset, expected) in [(12, 3), (11, 2), (9, 2), (8, 1), (6, 0), (0, 0), (-1, 3)] {
            let mut cache = cache(&[(2, 6), (3, 8), (4, 11)]);
            cache.truncate_from_end(end_offset);
            assert_eq!(listed(&cache), [(2, 6), (3, 8), (4, 11)][..expected], "to {end_offset}");
        }
    }

    #[test]
    fn truncating_from_the_start_moves_the_epoch_that_holds_the_new_start() {
        type Entries = &'static [(LeaderEpoch, Offset)];
        let cases: [(Offset, Entries); 7] = [
            (-1, &[(2, 6), (3, 8), (4, 11)]),
            (1, &[(2, 6), (3, 8), (4, 11)]),
            (6, &[(2, 6), (3, 8), (4, 11)]),
            (7, &[(2, 7), (3, 8), (4, 11)]),
            (9, &[(3, 9), (4, 11)]),
            (11, &[(4, 11)]),
            (15, &[(4, 15)]),
        ];
        for (start_offset, expected) in cases {
            let mut cache = cache(&[(2, 6), (3, 8), (4, 11)]);
            cache.truncate_from_start(start_offset);
            assert_eq!(listed(&cache), expected, "to {start_offset}");
        }
        LeaderEpochCache::new().truncate_from_start(5);
    }

    #[test]
    fn epochs_are_found_by_offset_and_by_neighbour() {
        let cache = cache(&[(2, 6), (3, 8), (5, 11)]);
        for (offset, epoch) in [(5, None), (6, Some(2)), (7, Some(2)), (8, Some(3)), (10, Some(3)), (11, Some(5)), (99, Some(5))]
        {
            assert_eq!(cache.epoch_for_offset(offset), epoch, "{offset}");
        }
        let neighbours = |epoch| (cache.previous(epoch).map(|e| e.epoch), cache.next(epoch).map(|e| e.epoch));
        assert_eq!(neighbours(2), (None, Some(3)));
        assert_eq!(neighbours(4), (Some(3), Some(5)));
        assert_eq!(neighbours(5), (Some(3), None));
        assert_eq!(cache.get(3), Some(EpochEntry { epoch: 3, start_offset: 8 }));
        assert_eq!(cache.get(4), None);
        assert_eq!((cache.earliest().unwrap().epoch, cache.latest_epoch()), (2, Some(5)));
    }

    #[test]
    fn the_file_is_kafkas_and_is_written_only_when_something_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut cache = cache(&[(0, 0), (4, 1234567890123)]);
        cache.flush(&RealDisk, dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n2\n0 0\n4 1234567890123\n");

        let mut again = LeaderEpochCache::load(&RealDisk, dir.path()).unwrap();
        assert_eq!(listed(&again), listed(&cache));
        std::fs::remove_file(&path).unwrap();
        assert!(!again.assign(4, 1234567890200) && !again.is_dirty());
        again.flush(&RealDisk, dir.path()).unwrap();
        assert!(!path.exists());

        again.truncate_from_end(5);
        again.flush(&RealDisk, dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n1\n0 0\n");
        again.clear();
        again.flush(&RealDisk, dir.path()).unwrap();
        assert!(LeaderEpochCache::load(&RealDisk, dir.path()).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_an_absent_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LeaderEpochCache::load(&RealDisk, dir.path()).unwrap().is_empty());
        for damaged in ["1\n0\n", "0\nx\n", "0\n2\n0 0\n", "0\n1\n0 0 0\n", "0\n1\n-1 0\n", "0\n1\n1 -5\n", "0\n1\n0\n"] {
            std::fs::write(dir.path().join(FILE_NAME), damaged).unwrap();
            let error = LeaderEpochCache::load(&RealDisk, dir.path()).expect_err(damaged);
            assert!(error.to_string().contains(FILE_NAME), "{error}");
        }
    }
}
