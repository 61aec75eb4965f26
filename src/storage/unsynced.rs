//! A disk that does not wait: small files are replaced by writing aside and renaming, without a sync.
//!
//! A killed process leaves the old file or the new one all the same. After a loss of power the file may be anything, so this is for files that the
//! flusher syncs before it vouches for the log, and that can be made anew from the log: ten thousand partitions that get a leader at
//! once must not wait for twenty thousand syncs.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::disk::{DirEntry, Disk, DiskFile, LockAttempt, OpenMode, Space};

pub(super) struct Unsynced(pub Arc<dyn Disk>);

impl Disk for Unsynced {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(path, mode)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.0.sync_all(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.space(path)
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt> {
        self.0.lock(path, note)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".tmp");
        let aside = PathBuf::from(aside);
        let file = self.0.open(&aside, OpenMode::ReadWrite)?;
        file.set_len(0)?;
        file.write_all_at(&[IoSlice::new(contents)], 0)?;
        self.0.rename(&aside, path)
    }
}
