//! The disk as klamm uses it: a narrow trait, so that a simulation can crash, tear and refuse every write.
//!
//! Invariants every implementation keeps:
//! - a write is visible to every later read at once, and durable only after `sync_data` (contents, size) and, for names, `sync_dir`;
//! - bytes handed out by [`DiskMap::slice`] never change: the caller reads only below what it has published, never rewrites it, and
//!   never cuts a file below a slice that somebody holds ([`DiskMap::watch`] tells);
//! - an error of a write or a sync says nothing about what reached the disk.

mod real;
pub mod simulated;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::ids::TimestampMs;

pub use real::RealDisk;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    pub name: String,
    /// Size in bytes; 0 for directories.
    pub len: u64,
    pub is_dir: bool,
    /// Time of the last change of the contents, as the file system tells it.
    pub modified: TimestampMs,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; only reads.
    Read,
    /// Created when absent; reads and writes.
    ReadWrite,
}

/// What became of an attempt to lock a file.
pub enum LockAttempt {
    /// Held until the guard is dropped or the process ends.
    Held(Box<dyn Send + Sync>),
    /// Another holder has it; `note` is what that holder left in the file, if anything.
    Taken { note: String },
}

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What this process may still write.
    pub free: u64,
}

pub trait Disk: Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Every entry of a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Replaces `to` if it is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    fn exists(&self, path: &Path) -> bool;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes everything written so far to the file system of `path` durable, names included.
    fn sync_all(&self, path: &Path) -> io::Result<()>;
    /// How large the file system of `path` is, and how much of it is free.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes the exclusive lock on a file, creating it, and leaves `note` in it for whoever comes second. Does not wait.
    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt>;

    /// Whole contents of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut contents = vec![0; file.len()? as usize];
        file.read_exact_at(&mut contents, 0)?;
        Ok(contents)
    }

    /// Replaces a small file so that a crash leaves either the old or the new contents: write aside, sync, rename, sync the directory.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".tmp");
        let aside = PathBuf::from(aside);
        if self.exists(&aside) {
            self.remove_file(&aside)?;
        }
        let file = self.open(&aside, OpenMode::ReadWrite)?;
        file.write_all_at(&[IoSlice::new(contents)], 0)?;
        file.sync_data()?;
        drop(file);
        self.rename(&aside, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

pub trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes all of `parts`, one after the other, starting at `offset`; in one system call where the disk takes it whole.
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    fn sync_data(&self) -> io::Result<()>;
    /// Starts writing back a range without waiting; a hint.
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Reserves space up to `offset + len` without changing the file's size.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Cuts or extends; also gives back space reserved behind the end.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// A read-only map of the first `len` bytes, which may lie beyond the end of the file.
    fn map(&self, len: u64) -> io::Result<Arc<dyn DiskMap>>;
    /// Whether all of a range is in the page cache; `None` where the system cannot tell.
    fn is_resident(&self, offset: u64, len: u64) -> Option<bool>;
}

/// A mapped file. Dropping the last handle and the last slice unmaps it.
pub trait DiskMap: Send + Sync {
    /// Bytes `start..end` of the file. The caller guarantees that they are written and will not change.
    fn slice(&self, start: u64, end: u64) -> Bytes;
    /// Brings a range into the page cache; blocks on the disk.
    fn load(&self, start: u64, end: u64) -> io::Result<()>;
    /// Dead once the memory is unmapped: neither the map nor any slice of it is held any more.
    fn watch(&self) -> Weak<()>;
}
