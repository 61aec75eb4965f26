//! One segment of a log: a `.log` file and its indexes (Kafka's `LogSegment`).
//!
//! The file is written with `pwrite` at its end and read through a map. Invariants:
//! - bytes below [`Segment::size`] are whole batches and never change; readers touch nothing behind it;
//! - the file is not cut, nor are its indexes, while somebody holds a map of it: a copy takes its place then. Every cut raises
//!   `generation` first, and a reader compares it after it got hold of the map;
//! - every batch in it has `base_offset ≤ first offset` and `last offset ≤ base_offset + 2³¹ − 1`.
//!
//! All methods take `&self`: appends, rolls and cuts are made under the lock of the log's owner, readers come at any time.

mod append;
mod cleaned;
mod index;
mod lookup;
mod repair;
mod truncate;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use self::index::SegmentIndex;
use super::checkpoint::FileError;
use super::directory::LogHome;
use super::file_cache::Slot;
use super::names::{FileKind, FileState, SegmentFile};
use super::transaction_index::{AbortedTxn, TransactionIndex};
use crate::base::crash_point::crash_point;
use crate::base::disk::{DiskFile, OpenMode};
use crate::base::ids::{Offset, TimestampMs};

pub(super) use lookup::LookupError;

/// See the module.
pub struct Segment {
    base_offset: Offset,
    home: Arc<LogHome>,
    /// Bytes that readers may touch.
    end: AtomicU64,
    /// Raised by every cut.
    generation: AtomicU32,
    /// How much to map, at least the size: an active segment is mapped in its future size, so that it is mapped once.
    map_len: AtomicU64,
    /// Space reserved in the file, from its start; 0 if none was.
    reserved: AtomicU64,
    /// A [`FileState`]: how the files are named now.
    state: AtomicU8,
    /// What sets their names apart from those of others that are going, in state Deleted.
    removal: AtomicU64,
    sealed: AtomicBool,
    /// In its log's list of segments to be synced.
    pub(super) dirty: AtomicBool,
    /// The name of the file may not be durable yet.
    name_is_new: AtomicBool,
    /// Up to where write-back has been asked for.
    pub(super) written_back: AtomicU64,
    /// Where this process began to write: what lies behind is likely to be in the page cache.
    written_from: u64,
    log: Arc<Slot>,
    offset_index: Arc<Slot>,
    time_index: Arc<Slot>,
    index: Mutex<SegmentIndex>,
    transactions: Mutex<TransactionIndex>,
    /// The transaction index has entries that are not durable.
    transactions_are_new: AtomicBool,
}

/// Sizes of a segment's files as a directory listing tells them; `None` where there is no such file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SegmentFiles {
    pub log: u64,
    pub offset_index: Option<u64>,
    pub time_index: Option<u64>,
    pub transaction_index: Option<u64>,
    /// When the `.log` file was last written.
    pub modified: TimestampMs,
}

impl Segment {
    /// A new, empty segment; files that are in the way are removed. `map_len` is the size it may grow to. After an error none of its files is there:
    /// an empty segment beside one that goes on would be where readers look for what is in the other.
    pub(super) fn create(
        home: &Arc<LogHome>,
        base_offset: Offset,
        map_len: u64,
        now: TimestampMs,
    ) -> Result<Arc<Self>, FileError> {
        Self::create_as(FileState::Live, home, base_offset, map_len, now)
    }

    fn create_as(
        state: FileState,
        home: &Arc<LogHome>,
        base_offset: Offset,
        map_len: u64,
        now: TimestampMs,
    ) -> Result<Arc<Self>, FileError> {
        let disk = home.disk();
        for kind in FileKind::OF_SEGMENT {
            let path = home.file(base_offset, kind, state);
            if disk.exists(&path) {
                tracing::warn!(path = %path.display(), "a file is in the way of a new segment and is removed");
                disk.remove_file(&path).map_err(FileError::io("remove", &path))?;
            }
            if kind != FileKind::TransactionIndex
                && let Err(error) = disk.open(&path, OpenMode::ReadWrite)
            {
                Self::remove_files(home, base_offset, state)?;
                return Err(FileError::io("create", &path)(error));
            }
        }
        let files = SegmentFiles { offset_index: Some(0), time_index: Some(0), modified: now, ..SegmentFiles::default() };
        let segment = Self::open_as(state, home, base_offset, files, now);
        segment.map_len.store(map_len, Ordering::Relaxed);
        segment.name_is_new.store(true, Ordering::Relaxed);
        Ok(segment)
    }

    /// Removes the files of a segment, as far as they are there.
    fn remove_files(home: &LogHome, base_offset: Offset, state: FileState) -> Result<(), FileError> {
        for kind in FileKind::OF_SEGMENT {
            let path = home.file(base_offset, kind, state);
            match home.disk().remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(FileError::io("remove", &path)(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// A segment whose files are there. Nothing is opened.
    pub(super) fn open(home: &Arc<LogHome>, base_offset: Offset, files: SegmentFiles, now: TimestampMs) -> Arc<Self> {
        Self::open_as(FileState::Live, home, base_offset, files, now)
    }

    fn open_as(state: FileState, home: &Arc<LogHome>, base_offset: Offset, files: SegmentFiles, now: TimestampMs) -> Arc<Self> {
        let transactions = home.file(base_offset, FileKind::TransactionIndex, state);
        Arc::new(Self {
            base_offset,
            home: home.clone(),
            end: AtomicU64::new(files.log),
            generation: AtomicU32::new(0),
            map_len: AtomicU64::new(files.log),
            reserved: AtomicU64::new(0),
            state: AtomicU8::new(state as u8),
            removal: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            name_is_new: AtomicBool::new(false),
            written_back: AtomicU64::new(files.log),
            written_from: files.log,
            log: Arc::default(),
            offset_index: Arc::default(),
            time_index: Arc::default(),
            index: Mutex::new(SegmentIndex::new(&files, now)),
            transactions: Mutex::new(TransactionIndex::new(transactions, base_offset, files.transaction_index.unwrap_or(0))),
            transactions_are_new: AtomicBool::new(false),
        })
    }

    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Bytes of whole batches that readers may touch.
    pub fn size(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Path of the `.log` file as it is named now.
    pub fn path(&self) -> PathBuf {
        self.path_of(FileKind::Log)
    }

    pub(super) fn home(&self) -> &Arc<LogHome> {
        &self.home
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    fn path_of(&self, kind: FileKind) -> PathBuf {
        self.path_in(kind, self.state())
    }

    fn path_in(&self, kind: FileKind, state: FileState) -> PathBuf {
        let file = SegmentFile { base_offset: self.base_offset, kind, state };
        let name = match state {
            FileState::Deleted => file.removed_name(self.removal.load(Ordering::Acquire)),
            _ => file.name(),
        };
        self.home.dir().join(name)
    }

    fn slot(&self, kind: FileKind) -> &Arc<Slot> {
        match kind {
            FileKind::OffsetIndex => &self.offset_index,
            FileKind::TimeIndex => &self.time_index,
            FileKind::Log | FileKind::TransactionIndex | FileKind::ProducerSnapshot => &self.log,
        }
    }

    /// The open file of log or index.
    fn file(&self, kind: FileKind, mode: OpenMode) -> Result<Arc<dyn DiskFile>, FileError> {
        let open = || self.slot(kind).file(self.home.cache(), mode, || self.path_of(kind));
        // The segment may have been marked as deleted between its naming and its opening.
        let opened = open().or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { open() } else { Err(error) });
        opened.map_err(|error| FileError::io("open", &self.path_of(kind))(error))
    }

    /// The `.log` file, for syncing and scanning. Never creates it: it may be gone.
    pub(super) fn log_file(&self) -> Result<Arc<dyn DiskFile>, FileError> {
        self.file(FileKind::Log, OpenMode::Read)
    }

    /// Enters an aborted transaction.
    pub(super) fn append_aborted(&self, txn: &AbortedTxn) -> Result<(), FileError> {
        let mut transactions = self.transactions.lock();
        // Under the lock, as where it is taken back: a sync that misses the entry leaves it for the next one.
        self.transactions_are_new.store(true, Ordering::Release);
        transactions.append(&**self.home.disk(), txn)
    }

    /// Makes the segment's files durable: the log, the transaction index, and once the segment is sealed the indexes, which are not looked at
    /// again then. True if names in the directory are not durable yet. After an error all of it is still to be done.
    pub(super) fn sync(&self) -> Result<bool, FileError> {
        let sync = |kind| {
            let file = self.file(kind, OpenMode::Read)?;
            file.sync_data().map_err(FileError::io("sync", &self.path_of(kind)))
        };
        sync(FileKind::Log)?;
        if self.sealed.load(Ordering::Relaxed) {
            sync(FileKind::OffsetIndex)?;
            sync(FileKind::TimeIndex)?;
        }
        let transactions_were_new = self.sync_transactions()?;
        // Last, when nothing can fail any more: the names themselves are the caller's to sync.
        Ok(self.name_is_new.swap(false, Ordering::AcqRel) || transactions_were_new)
    }

    /// True if there was something to sync. The lock is not held meanwhile: readers at read_committed need it.
    fn sync_transactions(&self) -> Result<bool, FileError> {
        let path = {
            let transactions = self.transactions.lock();
            if !self.transactions_are_new.swap(false, Ordering::AcqRel) || transactions.is_empty() {
                return Ok(false);
            }
            transactions.path().to_owned()
        };
        let synced = self.home.disk().open(&path, OpenMode::Read).and_then(|file| file.sync_data());
        if synced.is_err() {
            self.transactions_are_new.store(true, Ordering::Release);
        }
        synced.map(|()| true).map_err(FileError::io("sync", &path))
    }

    /// Aborted transactions of this segment.
    pub(super) fn transactions(&self) -> parking_lot::MutexGuard<'_, TransactionIndex> {
        self.transactions.lock()
    }

    /// The size of the file when it was opened, before recovery looked at it.
    pub(super) fn size_when_opened(&self) -> u64 {
        self.written_from
    }

    /// Says that nothing will be appended any more.
    pub(super) fn mark_sealed(&self) {
        self.sealed.store(true, Ordering::Relaxed);
    }

    /// Whether bytes at `position` were written by this process, and are likely to be in the page cache.
    pub(super) fn was_written_here(&self, position: u64) -> bool {
        position >= self.written_from
    }

    fn state(&self) -> FileState {
        let state = self.state.load(Ordering::Acquire);
        FileState::ALL.into_iter().find(|known| *known as u8 == state).expect("it was stored as one of them")
    }

    /// Renames the files so that they are seen to be going, and lets go of descriptors and maps. The files' new names.
    pub(super) fn mark_deleted(&self) -> Result<Vec<PathBuf>, FileError> {
        self.mark_deleted_of(&FileKind::ALL)
    }

    /// The same but for the snapshot of the producers at the base offset, which another segment is about to have.
    pub(super) fn mark_replaced(&self) -> Result<Vec<PathBuf>, FileError> {
        self.mark_deleted_of(&FileKind::OF_SEGMENT)
    }

    fn mark_deleted_of(&self, kinds: &[FileKind]) -> Result<Vec<PathBuf>, FileError> {
        let _index = self.index.lock();
        self.removal.store(self.home.directory.deletions.next_number(), Ordering::Release);
        let renamed = self.rename_files(kinds, FileState::Deleted)?;
        for slot in [&self.log, &self.offset_index, &self.time_index] {
            slot.close();
        }
        Ok(renamed)
    }

    /// Renames files to what they are called in another state, the log first; their new names. Called with the index locked.
    fn rename_files(&self, kinds: &[FileKind], to_state: FileState) -> Result<Vec<PathBuf>, FileError> {
        let from_state = self.state();
        let mut renamed = Vec::new();
        for kind in kinds {
            let from = self.path_in(*kind, from_state);
            let to = self.path_in(*kind, to_state);
            match self.home.disk().rename(&from, &to) {
                Ok(()) => {
                    renamed.push(to);
                    crash_point("segment-file-renamed");
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(FileError::io("rename", &from)(error)),
            }
        }
        self.state.store(to_state as u8, Ordering::Release);
        self.transactions.lock().set_path(self.path_of(FileKind::TransactionIndex));
        Ok(renamed)
    }

    /// Follows the log's directory to its new name. Open files follow by themselves.
    pub(super) fn follow_directory(&self) {
        self.transactions.lock().set_path(self.path_of(FileKind::TransactionIndex));
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("base_offset", &self.base_offset).field("size", &self.size()).finish()
    }
}
