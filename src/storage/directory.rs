//! One log directory as its logs see it: where it is, how to reach its files, and whether it still serves.
//!
//! Invariant: online → offline, never back. A directory goes offline at the first error of a write or sync that is not a lack of space; it is
//! not tried again before a restart, since nobody knows what such an error left on the disk.

mod checkpoints;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use self::checkpoints::Checkpoints;
pub(super) use self::checkpoints::Offsets;
use super::checkpoint::FileError;
use super::file_cache::FileCache;
use super::flusher::FlushQueue;
use super::names::{FileKind, FileState, SegmentFile};
use super::room::Room;
use crate::base::disk::Disk;
use crate::base::ids::{Offset, TimestampMs};
use crate::metrics::log::FlushMetrics;

/// The log directory does not serve any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("log directory {} is offline: {reason}", path.display())]
pub struct DirectoryOffline {
    pub path: PathBuf,
    pub reason: Arc<str>,
}

/// Called once, by whoever meets the error, without any storage lock.
pub type OfflineListener = Arc<dyn Fn(&DirectoryOffline) + Send + Sync>;

/// See the module.
pub struct LogDirectory {
    path: PathBuf,
    id: Uuid,
    cache: Arc<FileCache>,
    offline: OnceLock<DirectoryOffline>,
    listener: Mutex<Option<OfflineListener>>,
    pub(super) flush_queue: FlushQueue,
    flushes: FlushMetrics,
    pub(super) deletions: Deletions,
    pub(super) room: Room,
    checkpoints: Mutex<Checkpoints>,
}

impl LogDirectory {
    /// The directory at `path`, which exists, with the id that its `meta.properties` gives.
    pub fn new(path: PathBuf, id: Uuid, cache: Arc<FileCache>) -> Arc<Self> {
        Arc::new(Self {
            path,
            id,
            cache,
            offline: OnceLock::new(),
            listener: Mutex::default(),
            flush_queue: FlushQueue::default(),
            flushes: FlushMetrics::default(),
            deletions: Deletions::default(),
            room: Room::default(),
            checkpoints: Mutex::default(),
        })
    }

    /// Looks how much room there is; see [`super::room`].
    pub(super) fn refresh_room(&self) {
        self.room.refresh(&**self.disk(), &self.path);
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `directory.id` (KIP-858).
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        self.cache.disk()
    }

    pub(super) fn cache(&self) -> &FileCache {
        &self.cache
    }

    /// How long its flushes took.
    pub fn flushes(&self) -> &FlushMetrics {
        &self.flushes
    }

    /// Why it is offline, if it is.
    pub fn offline(&self) -> Option<&DirectoryOffline> {
        self.offline.get()
    }

    pub fn check_online(&self) -> Result<(), DirectoryOffline> {
        self.offline().map_or(Ok(()), |offline| Err(offline.clone()))
    }

    /// Who is to be told when the directory goes offline.
    pub fn set_offline_listener(&self, listener: OfflineListener) {
        *self.listener.lock() = Some(listener);
    }

    /// Takes the directory offline because of `error`; what is returned tells the first reason, if there was one before.
    pub(super) fn fail(&self, error: &FileError) -> DirectoryOffline {
        let mut first = false;
        let offline = self.offline.get_or_init(|| {
            first = true;
            DirectoryOffline { path: self.path.clone(), reason: error.to_string().into() }
        });
        if first {
            tracing::error!(path = %self.path.display(), %error, "log directory is offline; its partitions are not served any more");
            self.flush_queue.wake();
            let listener = self.listener.lock().clone();
            if let Some(listener) = listener {
                listener(offline);
            }
        }
        offline.clone()
    }
}

/// Whether an error only says that something is used up, space or descriptors, and nothing is wrong with the disk.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) || is_out_of_descriptors(error)
}

/// Whether the process, or the system, has no descriptor left to open a file with.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error).is_some_and(|errno| [Errno::MFILE, Errno::NFILE].contains(&errno))
}

/// Whether an error of a read says that the disk or its file system is broken, rather than that this process is short of something.
pub(super) fn is_disk_failure(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let broken = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::ROFS, Errno::NODEV, Errno::NXIO];
    error.kind() == io::ErrorKind::ReadOnlyFilesystem || Errno::from_io_error(error).is_some_and(|errno| broken.contains(&errno))
}

/// The directory of one log within its log directory; the name changes once, when the log is deleted.
pub(super) struct LogHome {
    pub directory: Arc<LogDirectory>,
    dir: RwLock<PathBuf>,
}

impl LogHome {
    pub fn new(directory: Arc<LogDirectory>, dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { directory, dir: RwLock::new(dir) })
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        self.directory.disk()
    }

    pub fn cache(&self) -> &FileCache {
        self.directory.cache()
    }

    pub fn dir(&self) -> PathBuf {
        self.dir.read().clone()
    }

    /// Renames the directory itself, durably.
    pub fn rename(&self, to: PathBuf) -> Result<(), FileError> {
        let mut dir = self.dir.write();
        self.disk().rename(&dir, &to).map_err(FileError::io("rename", &dir))?;
        *dir = to;
        let parent = self.directory.path();
        self.disk().sync_dir(parent).map_err(FileError::io("sync", parent))
    }

    pub fn file(&self, base_offset: Offset, kind: FileKind, state: FileState) -> PathBuf {
        self.dir.read().join(SegmentFile { base_offset, kind, state }.name())
    }
}

/// Files and directories that are renamed already and go when their time has come (`file.delete.delay.ms`).
#[derive(Default)]
pub(super) struct Deletions {
    queue: Mutex<Vec<Deletion>>,
    numbers: AtomicU64,
}

struct Deletion {
    due: TimestampMs,
    path: PathBuf,
    is_dir: bool,
}

impl Deletions {
    /// A number that no other file has that is going.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub fn schedule_file(&self, path: PathBuf, due: TimestampMs) {
        self.queue.lock().push(Deletion { due, path, is_dir: false });
    }

    pub fn schedule_dir(&self, path: PathBuf, due: TimestampMs) {
        self.queue.lock().push(Deletion { due, path, is_dir: true });
    }

    /// Removes what is due; what is gone already (with its directory) is fine, and what cannot be opened for want of descriptors is tried
    /// again. How many were removed.
    pub fn run(&self, disk: &dyn Disk, now: TimestampMs) -> Result<usize, FileError> {
        let due: Vec<Deletion> = self.queue.lock().extract_if(.., |deletion| deletion.due <= now).collect();
        let mut removed = 0;
        for deletion in due {
            let path = &deletion.path;
            match if deletion.is_dir { disk.remove_dir_all(path) } else { disk.remove_file(path) } {
                Err(error) if is_shortage(&error) => self.queue.lock().push(deletion),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FileError::io("remove", path)(error)),
                Ok(()) | Err(_) => removed += 1,
            }
        }
        Ok(removed)
    }
}
