//! Finishing what a stop interrupted in the directory of a log: files that were going, segments that were being cleaned.

use std::collections::BTreeSet;
use std::path::Path;

use super::Loader;
use crate::base::disk::{DirEntry, Disk, OpenMode};
use crate::base::ids::Offset;
use crate::storage::checkpoint::FileError;
use crate::storage::directory::LogHome;
use crate::storage::names::{FileKind, FileState, SegmentFile};
use crate::storage::scan::LogScan;

impl Loader<'_> {
    /// Finishes what was interrupted: files that were going are removed, and cleaned segments take their place. What is there then. The outcome is
    /// durable: what was seen to be gone must not come back behind what is written next.
    pub(super) fn tidy(&self, home: &LogHome) -> Result<Vec<DirEntry>, FileError> {
        let (disk, dir) = (home.disk(), home.dir());
        let list = || disk.list(&dir).map_err(FileError::io("list", &dir));
        let listing = list()?;
        let files: Vec<(SegmentFile, &DirEntry)> =
            listing.iter().filter_map(|entry| Some((SegmentFile::parse(&entry.name)?, entry))).collect();
        let is_log = |file: &SegmentFile| file.kind == FileKind::Log;
        let logs: BTreeSet<Offset> =
            files.iter().filter(|(f, _)| is_log(f) && f.state == FileState::Live).map(|(f, _)| f.base_offset).collect();
        let is_orphan = |file: &SegmentFile| {
            file.state == FileState::Live && file.kind != FileKind::ProducerSnapshot && !logs.contains(&file.base_offset)
        };
        let temporary: Vec<&str> =
            listing.iter().map(|entry| entry.name.as_str()).filter(|name| name.ends_with(".tmp")).collect();
        if temporary.is_empty() && files.iter().all(|(file, _)| file.state == FileState::Live && !is_orphan(file)) {
            return Ok(listing);
        }
        let remove = |name: &str| {
            let path = dir.join(name);
            tracing::debug!(path = %path.display(), "removing a left-over file");
            disk.remove_file(&path).map_err(FileError::io("remove", &path))
        };
        // A swap at or behind an unfinished cleaning belongs to it (KAFKA-6264).
        let of = |state: FileState| files.iter().filter(move |(file, _)| file.state == state);
        let first_cleaned = of(FileState::Cleaned).map(|(file, _)| file.base_offset).min().unwrap_or(Offset::MAX);
        let swapped = || of(FileState::Swap).filter(|(file, _)| file.base_offset < first_cleaned);
        let mut replaced: Option<(Offset, Offset)> = None;
        for (file, entry) in swapped().filter(|(file, _)| is_log(file)) {
            let end = end_of_file(&**disk, &dir.join(&entry.name), entry.len, file.base_offset)?;
            let (first, last) = replaced.unwrap_or((file.base_offset, end));
            replaced = Some((first.min(file.base_offset), last.max(end)));
        }
        for (file, entry) in &files {
            let goes = match file.state {
                FileState::Deleted | FileState::Cleaned => true,
                FileState::Swap => file.base_offset >= first_cleaned,
                FileState::Live => {
                    is_orphan(file) || replaced.is_some_and(|(first, end)| (first..end).contains(&file.base_offset))
                }
            };
            if goes {
                remove(&entry.name)?;
            }
        }
        for name in temporary {
            remove(name)?;
        }
        if replaced.is_some() {
            // What was replaced must be gone for good before its names, or those of its neighbours, stand for something else.
            disk.sync_dir(&dir).map_err(FileError::io("sync", &dir))?;
        }
        for (file, entry) in swapped() {
            let (from, to) = (dir.join(&entry.name), dir.join(SegmentFile { state: FileState::Live, ..*file }.name()));
            tracing::info!(path = %to.display(), "finishing an interrupted swap");
            disk.rename(&from, &to).map_err(FileError::io("rename", &from))?;
        }
        disk.sync_dir(&dir).map_err(FileError::io("sync", &dir))?;
        list()
    }
}

/// Where the batches of a file end.
fn end_of_file(disk: &dyn Disk, path: &Path, len: u64, base_offset: Offset) -> Result<Offset, FileError> {
    let file = disk.open(path, OpenMode::Read).map_err(FileError::io("open", path))?;
    let mut scan = LogScan::new(&*file, 0, len);
    let mut end = base_offset;
    while let Some(Ok((header, _))) = scan.next_header().map_err(FileError::io("read", path))? {
        end = header.next_offset();
    }
    Ok(end)
}
