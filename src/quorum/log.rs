//! The files of the metadata log: segments `<first index, 20 digits>.log`, whose bytes are described in [`format`].
//!
//! After a crash a torn tail is cut; damage to what was acknowledged is an error, and nothing is cut.
//!
//! Invariants: indexes run without gaps within and across segments · a frame is never written over · nothing is acknowledged before
//! `sync_data` has returned · after a failed write or sync nothing more is written.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::format::{HEADER_LEN, a_later_append_follows, header, next_index, parse_frame, scan, write_frame};
use super::entry;
use super::error::QuorumError;
use super::raft::{Entry, LogId};
use crate::base::disk::{Disk, DiskFile, OpenMode};

pub(super) mod format;

/// A segment that has grown this large is followed by a new one; purging removes whole segments. Small in tests, where many come and go.
const SEGMENT_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 4 << 20 };
/// Entries just appended are kept in memory until they are read once: by the state machine, a moment later.
const FRESH_BYTES: usize = 1 << 20;

pub struct MetadataLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// In the order of indexes, never empty; the last one is written to.
    segments: Vec<Segment>,
    last: Option<LogId>,
    /// The newest segment's name is not durable yet.
    nameless: bool,
    fresh: VecDeque<Entry>,
    fresh_bytes: usize,
    poisoned: bool,
}

struct Segment {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// The entry before the first; `None` if the segment starts the log.
    before: Option<LogId>,
    /// Where each entry's frame begins; a segment stays far below 4 GiB.
    positions: Vec<u32>,
    end: u64,
}

impl Segment {
    fn first_index(&self) -> u64 {
        next_index(&self.before)
    }

    fn next_index(&self) -> u64 {
        self.first_index() + self.positions.len() as u64
    }
}

fn file_name(first_index: u64) -> String {
    format!("{first_index:020}.log")
}

impl MetadataLog {
    /// Opens the log in `dir`, cutting a torn tail. An empty directory becomes an empty log.
    ///
    /// # Errors
    /// Damage before the tail, missing segments, and whatever the disk says.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, QuorumError> {
        create_dir(&*disk, dir)?;
        let mut first_indexes: Vec<u64> = disk
            .list(dir)
            .map_err(QuorumError::io("list", dir))?
            .iter()
            .filter_map(|entry| entry.name.strip_suffix(".log")?.parse().ok())
            .collect();
        first_indexes.sort_unstable();
        let mut log = Self {
            disk,
            dir: dir.to_owned(),
            segments: Vec::new(),
            last: None,
            nameless: false,
            fresh: VecDeque::new(),
            fresh_bytes: 0,
            poisoned: false,
        };
        let newest = first_indexes.last().copied();
        for first_index in first_indexes {
            log.open_segment(first_index, Some(first_index) == newest)?;
        }
        if log.segments.is_empty() {
            log.start_segment(None)?;
        }
        Ok(log)
    }

    fn open_segment(&mut self, first_index: u64, newest: bool) -> Result<(), QuorumError> {
        let path = self.dir.join(file_name(first_index));
        if let Some(previous) = self.segments.last()
            && previous.next_index() != first_index
        {
            return Err(QuorumError::MissingEntries { dir: self.dir.clone(), from: previous.next_index(), to: first_index });
        }
        let bytes = self.disk.read(&path).map_err(QuorumError::io("read", &path))?;
        let scanned = scan(&bytes, first_index).map_err(|source| QuorumError::Decode { path: path.clone(), source })?;
        if let Some(at) = scanned.broken_at
            && (!newest || a_later_append_follows(&bytes, at))
        {
            return Err(QuorumError::Damaged { path, at, what: "an entry's checksum does not match".into() });
        }
        let Some((before, last)) = scanned.ids else {
            // The crash came between creating the segment and its first entry: nothing in it was acknowledged.
            self.disk.remove_file(&path).map_err(QuorumError::io("remove", &path))?;
            return self.disk.sync_dir(&self.dir).map_err(QuorumError::io("sync", &self.dir));
        };
        let file = self.disk.open(&path, OpenMode::ReadWrite).map_err(QuorumError::io("open", &path))?;
        if scanned.end < bytes.len() as u64 {
            tracing::info!(path = %path.display(), from = scanned.end, to = bytes.len(), "cutting the torn tail of the metadata log");
            file.set_len(scanned.end).and_then(|()| file.sync_data()).map_err(QuorumError::io("truncate", &path))?;
        }
        self.last = last;
        self.segments.push(Segment { path, file, before, positions: scanned.positions, end: scanned.end });
        Ok(())
    }

    /// The newest entry; the last purged one if there is none after it.
    pub fn last(&self) -> Option<LogId> {
        self.last
    }

    /// The entry before the first that can be read.
    pub fn purged(&self) -> Option<LogId> {
        self.segments[0].before
    }

    /// Bytes of all entries with an index of at least `from`.
    pub fn bytes_from(&self, from: u64) -> u64 {
        let bytes = |s: &Segment| match from.saturating_sub(s.first_index()) {
            skip if skip >= s.positions.len() as u64 => 0,
            skip => s.end - u64::from(s.positions[skip as usize]),
        };
        self.segments.iter().map(bytes).sum()
    }

    /// Appends entries in one write and waits until they are on the disk. Returns the bytes written.
    pub fn append(&mut self, entries: Vec<Entry>) -> Result<u64, QuorumError> {
        self.check_not_poisoned()?;
        if self.segments.last().is_some_and(|s| s.end >= SEGMENT_BYTES) {
            self.guard(|log| log.start_segment(log.last))?;
        }
        let segment = self.segments.last_mut().expect("never empty");
        let (at, mut bytes, mut positions) = (segment.end, Vec::new(), Vec::new());
        for entry in &entries {
            assert_eq!(entry.log_id.index, segment.next_index() + positions.len() as u64, "raft appends without gaps");
            positions.push((at + bytes.len() as u64) as u32);
            write_frame(&mut bytes, at as u32, entry);
        }
        self.guard(|log| {
            let segment = log.segments.last_mut().expect("never empty");
            segment.file.write_all_at(&[IoSlice::new(&bytes)], at).map_err(QuorumError::io("append to", &segment.path))?;
            segment.file.sync_data().map_err(QuorumError::io("sync", &segment.path))?;
            segment.positions.append(&mut positions);
            segment.end = at + bytes.len() as u64;
            log.sync_names()
        })?;
        if let Some(last) = entries.last() {
            self.last = Some(last.log_id);
        }
        if self.fresh_bytes + bytes.len() <= FRESH_BYTES || self.fresh.is_empty() {
            self.fresh_bytes += bytes.len();
            self.fresh.extend(entries);
        }
        Ok(bytes.len() as u64)
    }

    /// The entries of a range, as far as they exist.
    pub fn read(&mut self, range: Range<u64>) -> Result<Vec<Entry>, QuorumError> {
        let end = range.end.min(next_index(&self.last));
        let mut entries = Vec::with_capacity(end.saturating_sub(range.start) as usize);
        let mut index = range.start.max(next_index(&self.purged()));
        while index < end {
            if self.fresh.front().is_some_and(|e| e.log_id.index == index) {
                entries.extend(self.fresh.pop_front());
                index += 1;
                continue;
            }
            let Some(segment) = self.segments.iter().rfind(|s| s.first_index() <= index) else { break };
            let upto = end.min(segment.next_index());
            if upto <= index {
                break;
            }
            read_frames(segment, index..upto, &mut entries)?;
            index = upto;
        }
        if self.fresh.is_empty() || self.fresh.front().is_some_and(|e| e.log_id.index < end) {
            self.fresh.clear();
            self.fresh_bytes = 0;
        }
        Ok(entries)
    }

    /// Removes the entries with an index of at least `from`.
    pub fn truncate(&mut self, from: u64) -> Result<(), QuorumError> {
        self.check_not_poisoned()?;
        self.fresh.clear();
        self.fresh_bytes = 0;
        self.guard(|log| {
            while log.segments.len() > 1 && log.segments.last().is_some_and(|s| s.first_index() >= from) {
                log.remove_segment(log.segments.len() - 1)?;
            }
            let segment = log.segments.last_mut().expect("never empty");
            let keep = from.saturating_sub(segment.first_index()) as usize;
            if let Some(cut) = segment.positions.get(keep).copied() {
                let file = &segment.file;
                file.set_len(u64::from(cut))
                    .and_then(|()| file.sync_data())
                    .map_err(QuorumError::io("truncate", &segment.path))?;
                segment.positions.truncate(keep);
                segment.end = u64::from(cut);
            }
            let last_index = segment.next_index().checked_sub(1).filter(|last| *last >= segment.first_index());
            log.last = match last_index {
                None => segment.before,
                Some(index) => {
                    let mut entries = Vec::new();
                    read_frames(segment, index..index + 1, &mut entries)?;
                    entries.first().map(|e| e.log_id)
                }
            };
            Ok(())
        })
    }

    /// Gives up the entries up to and including `upto`, which a snapshot holds. Removes whole segments only.
    pub fn purge(&mut self, upto: LogId) -> Result<(), QuorumError> {
        self.check_not_poisoned()?;
        self.guard(|log| {
            if next_index(&log.last) <= upto.index {
                // The snapshot came from elsewhere and lies beyond this log.
                log.start_segment(Some(upto))?;
                log.sync_names()?;
                log.last = Some(upto);
                log.fresh.clear();
                log.fresh_bytes = 0;
            }
            while log.segments.len() > 1 && log.segments[1].first_index() <= upto.index + 1 {
                log.remove_segment(0)?;
            }
            Ok(())
        })
    }

    fn start_segment(&mut self, before: Option<LogId>) -> Result<(), QuorumError> {
        let path = self.dir.join(file_name(next_index(&before)));
        let file = self.disk.open(&path, OpenMode::ReadWrite).map_err(QuorumError::io("create", &path))?;
        // Neither header nor name needs a sync of its own: without the first append nothing refers to them.
        file.write_all_at(&[IoSlice::new(&header(&before))], 0).map_err(QuorumError::io("write", &path))?;
        self.nameless = true;
        self.segments.push(Segment { path, file, before, positions: Vec::new(), end: HEADER_LEN as u64 });
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), QuorumError> {
        if std::mem::take(&mut self.nameless) {
            self.disk.sync_dir(&self.dir).map_err(QuorumError::io("sync", &self.dir))?;
        }
        Ok(())
    }

    /// One at a time, each made durable: whatever survives a crash has no gap.
    fn remove_segment(&mut self, at: usize) -> Result<(), QuorumError> {
        let path = self.segments[at].path.clone();
        self.disk.remove_file(&path).map_err(QuorumError::io("remove", &path))?;
        self.disk.sync_dir(&self.dir).map_err(QuorumError::io("sync", &self.dir))?;
        self.segments.remove(at);
        Ok(())
    }

    fn check_not_poisoned(&self) -> Result<(), QuorumError> {
        if self.poisoned { Err(QuorumError::Poisoned { dir: self.dir.clone() }) } else { Ok(()) }
    }

    fn guard(&mut self, write: impl FnOnce(&mut Self) -> Result<(), QuorumError>) -> Result<(), QuorumError> {
        let result = write(self);
        self.poisoned |= result.is_err();
        result
    }
}

/// A directory whose name, and whose parents' names, survive a crash.
fn create_dir(disk: &dyn Disk, dir: &Path) -> Result<(), QuorumError> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !disk.exists(d)).collect();
    disk.create_dir_all(dir).map_err(QuorumError::io("create", dir))?;
    for created in missing {
        let parent = created.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.sync_dir(parent).map_err(QuorumError::io("sync", parent))?;
    }
    Ok(())
}

fn read_frames(segment: &Segment, range: Range<u64>, entries: &mut Vec<Entry>) -> Result<(), QuorumError> {
    let first = (range.start - segment.first_index()) as usize;
    let count = (range.end - range.start) as usize;
    let positions = &segment.positions[first..first + count];
    let start = u64::from(positions[0]);
    let end = segment.positions.get(first + count).map_or(segment.end, |p| u64::from(*p));
    let mut bytes = vec![0; (end - start) as usize];
    segment.file.read_exact_at(&mut bytes, start).map_err(QuorumError::io("read", &segment.path))?;
    for position in positions {
        let at = u64::from(*position);
        let damaged =
            || QuorumError::Damaged { path: segment.path.clone(), at, what: "an entry's checksum does not match".into() };
        let frame = parse_frame(&bytes[(at - start) as usize..]).ok_or_else(damaged)?;
        entries.push(entry::decode(frame.entry).map_err(|source| QuorumError::Decode { path: segment.path.clone(), source })?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
