//! Small files that are always replaced as a whole, in Kafka's formats: offset checkpoints, leader epochs, `partition.metadata`,
//! `meta.properties`.
//!
//! Invariant: a crash leaves the old contents or the new ones. An absent file reads as empty; a damaged one is an error that names it.
//!
//! A checkpoint is text: the version (0), the number of entries, and one entry a line.

pub mod meta_properties;
pub mod offsets;
pub mod partition_metadata;
pub mod uuid_text;

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::disk::Disk;

const VERSION: &str = "0";

/// A file of the log directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot {operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// It is whole, but of somebody else.
    #[error("{}: {reason}", path.display())]
    Unsupported { path: PathBuf, reason: String },
}

impl FileError {
    pub fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }

    pub fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}

/// The text of a small file; `None` if there is no such file.
pub(super) fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>, FileError> {
    match disk.read(path) {
        Ok(contents) => String::from_utf8(contents).map(Some).map_err(|_| FileError::damaged(path, "not UTF-8")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::io("read", path)(error)),
    }
}

pub(super) fn replace(disk: &dyn Disk, path: &Path, contents: &[u8]) -> Result<(), FileError> {
    disk.replace(path, contents).map_err(FileError::io("replace", path))
}

/// Reads a checkpoint whose lines `parse` understands. An absent or empty file has no entries (`CheckpointFile.read`).
pub(super) fn read_lines<T>(disk: &dyn Disk, path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, FileError> {
    let Some(text) = read_text(disk, path)? else { return Ok(Vec::new()) };
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(VERSION) => {}
        Some(other) => return Err(FileError::damaged(path, format!("unrecognised version {other:?}, expected {VERSION}"))),
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let count: usize = count.parse().map_err(|_| FileError::damaged(path, format!("malformed number of entries {count:?}")))?;
    let malformed = |line: &str| FileError::damaged(path, format!("malformed line {line:?}"));
    let entries = lines.map(|line| parse(line).ok_or_else(|| malformed(line))).collect::<Result<Vec<T>, _>>()?;
    if entries.len() != count {
        return Err(FileError::damaged(path, format!("expected {count} entries, found {}", entries.len())));
    }
    Ok(entries)
}

/// Replaces a checkpoint.
pub(super) fn write_lines(
    disk: &dyn Disk,
    path: &Path,
    lines: impl ExactSizeIterator<Item: std::fmt::Display>,
) -> Result<(), FileError> {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        writeln!(text, "{line}").expect("writing to a string does not fail");
    }
    replace(disk, path, text.as_bytes())
}
