//! Producer state and its snapshot files: writing them, going back to one, removing those that are of no more use.
//!
//! Invariants: snapshots at or below the start of the log, and behind its end, are removed before state is loaded; a damaged snapshot gives
//! way to the one before it, and in the end to a replay of the whole log.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, IoSlice};
use std::path::Path;

use smallvec::SmallVec;

use super::append::TxnMetadata;
use super::entry::ProducerStateEntry;
use super::{ProducerStateManager, is_expired, snapshot};
use crate::base::disk::{Disk, OpenMode};
use crate::base::ids::{Offset, ProducerId, TimestampMs};
use crate::storage::checkpoint::FileError;

impl ProducerStateManager {
    /// Offsets of the snapshots in the directory.
    pub fn snapshots(&self) -> &BTreeSet<Offset> {
        &self.snapshots
    }

    pub fn latest_snapshot_offset(&self) -> Option<Offset> {
        self.snapshots.last().copied()
    }

    pub fn oldest_snapshot_offset(&self) -> Option<Offset> {
        self.snapshots.first().copied()
    }

    /// Writes a snapshot at the end offset, unless the last one is there already. A torn one is found out by its checksum, so only a snapshot
    /// that must survive a loss of power needs `durable`.
    pub fn take_snapshot(&mut self, disk: &dyn Disk, dir: &Path, durable: bool) -> Result<(), FileError> {
        let offset = self.map_end_offset;
        if offset <= self.last_snapshot_offset {
            return Ok(());
        }
        let path = dir.join(snapshot::file_name(offset));
        let contents = snapshot::encode(self.producers());
        let written = if durable { disk.replace(&path, &contents) } else { overwrite(disk, &path, &contents) };
        written.map_err(FileError::io("write", &path))?;
        self.snapshots.insert(offset);
        self.last_snapshot_offset = offset;
        Ok(())
    }

    /// Brings the state to `log_end`, which the log has been cut to, or opened at: if it is not there already, all is forgotten and read from
    /// the latest snapshot in `log_start..=log_end`. The log then replays what follows [`Self::map_end_offset`]. Snapshots outside go.
    pub fn truncate_and_reload(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        (log_start, log_end): (Offset, Offset),
        now: TimestampMs,
        expiration_ms: i64,
    ) -> Result<(), FileError> {
        self.remove_snapshots(disk, dir, |offset| offset > log_end || offset <= log_start)?;
        if log_end == self.map_end_offset {
            self.on_log_start_offset_incremented(log_start);
            return Ok(());
        }
        self.forget();
        self.load(disk, dir, log_start, now, expiration_ms)
    }

    /// Forgets all and starts anew at `offset`, without any snapshot.
    pub fn truncate_fully_and_start_at(&mut self, disk: &dyn Disk, dir: &Path, offset: Offset) -> Result<(), FileError> {
        self.forget();
        self.remove_snapshots(disk, dir, |_| true)?;
        self.last_snapshot_offset = 0;
        self.map_end_offset = offset;
        Ok(())
    }

    /// Records below `log_start` are gone. Producers stay known, so that their retries are still recognised.
    pub fn on_log_start_offset_incremented(&mut self, log_start: Offset) {
        self.on_high_watermark_updated(log_start);
        self.map_end_offset = self.map_end_offset.max(log_start);
        self.last_snapshot_offset = self.latest_snapshot_offset().unwrap_or(log_start);
    }

    /// Removes the snapshots below `offset`, whose segments are gone.
    pub fn delete_snapshots_before(&mut self, disk: &dyn Disk, dir: &Path, offset: Offset) -> Result<(), FileError> {
        self.remove_snapshots(disk, dir, |at| at < offset)
    }

    /// Removes snapshots that belong to no segment, except the one of a clean shutdown: the latest, if it lies behind the last segment's start.
    pub fn remove_stray_snapshots(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        segment_base_offsets: &BTreeSet<Offset>,
    ) -> Result<(), FileError> {
        let stray = |offset: &Offset| !segment_base_offsets.contains(offset);
        let latest_stray = self.snapshots.iter().copied().rfind(stray);
        let kept = latest_stray.filter(|offset| segment_base_offsets.last().is_none_or(|last| offset >= last));
        self.remove_snapshots(disk, dir, |offset| stray(&offset) && Some(offset) != kept)
    }

    /// Lets go of the snapshot at `offset`, whose file is being deleted with its segment; true if there was one.
    pub fn release_snapshot(&mut self, offset: Offset) -> bool {
        self.snapshots.remove(&offset)
    }

    fn forget(&mut self) {
        self.producers = HashMap::default();
        self.ongoing.clear();
        self.unreplicated.clear();
    }

    fn load(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        log_start: Offset,
        now: TimestampMs,
        expiration_ms: i64,
    ) -> Result<(), FileError> {
        while let Some(offset) = self.latest_snapshot_offset() {
            let path = dir.join(snapshot::file_name(offset));
            let decoded = match disk.read(&path) {
                Ok(contents) => snapshot::decode(&contents),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it is gone".into()),
                Err(error) => return Err(FileError::io("read", &path)(error)),
            };
            match decoded {
                Ok(entries) => {
                    let live = entries.into_iter().filter(|(_, entry)| !is_expired(entry, now, expiration_ms));
                    live.for_each(|(id, entry)| self.load_entry(id, entry));
                    self.last_snapshot_offset = offset;
                    self.map_end_offset = offset;
                    return Ok(());
                }
                Err(reason) => {
                    tracing::warn!(path = %path.display(), reason, "removing a damaged producer snapshot");
                    self.remove_snapshots(disk, dir, |at| at == offset)?;
                }
            }
        }
        self.last_snapshot_offset = log_start;
        self.map_end_offset = log_start;
        Ok(())
    }

    fn load_entry(&mut self, producer_id: ProducerId, entry: ProducerStateEntry) {
        if let Some(first_offset) = entry.txn_first_offset {
            self.ongoing.insert(first_offset, TxnMetadata { producer_id, first_offset, last_offset: None });
        }
        self.producers.insert(producer_id, entry);
    }

    fn remove_snapshots(&mut self, disk: &dyn Disk, dir: &Path, which: impl Fn(Offset) -> bool) -> Result<(), FileError> {
        let removed: SmallVec<[Offset; 4]> = self.snapshots.iter().copied().filter(|offset| which(*offset)).collect();
        for offset in removed {
            let path = dir.join(snapshot::file_name(offset));
            match disk.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FileError::io("remove", &path)(error)),
                Ok(()) | Err(_) => self.snapshots.remove(&offset),
            };
        }
        Ok(())
    }
}

fn overwrite(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    let file = disk.open(path, OpenMode::ReadWrite)?;
    file.set_len(0)?;
    file.write_all_at(&[IoSlice::new(contents)], 0)
}
