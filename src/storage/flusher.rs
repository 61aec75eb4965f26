//! Makes logs durable: one flusher for each log directory, with a thread of its own.
//!
//! - **Group commit**: an append to a log that is flushed on acknowledgement puts the log into the queue; the flusher syncs all that are
//!   there in one round, back to back, so one sync serves every append that came while the one before was running.
//! - **Background**: logs whose segment was rolled, whose `flush.ms` is over or that are to be checkpointed; one at a time, after any urgent one.
//! - **Hints**: write-back every 8 MiB, so that dirty pages never pile up, and reservations ahead of the tail.
//!
//! Invariants: what is published as durable was written before its sync began, and the name of its file and directory is durable too; a
//! failed sync takes the directory offline, and nothing that waits for it is ever told that it succeeded.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::checkpoint::{FileError, partition_metadata};
use super::directory::{DirectoryOffline, LogDirectory, is_out_of_descriptors};
use super::leader_epochs;
use super::segment::Segment;
use super::shared::LogShared;
use crate::base::disk::OpenMode;
use crate::base::ids::Offset;

const OUT_OF_DESCRIPTORS_TRIES: u32 = 1000;
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(10);

/// Work for the flusher of one directory.
#[derive(Default)]
pub(super) struct FlushQueue {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    urgent: Vec<Arc<LogShared>>,
    background: VecDeque<Arc<LogShared>>,
    hints: Vec<Hint>,
    stopped: bool,
}

/// Something that helps, but need not be done.
pub(super) enum Hint {
    WriteBack { segment: Arc<Segment>, from: u64, len: u64 },
    Reserve { segment: Arc<Segment>, from: u64, len: u64 },
}

impl FlushQueue {
    pub fn push_urgent(&self, log: Arc<LogShared>) {
        self.work.lock().urgent.push(log);
        self.changed.notify_one();
    }

    pub fn push(&self, log: Arc<LogShared>) {
        self.work.lock().background.push_back(log);
        self.changed.notify_one();
    }

    pub fn push_hint(&self, hint: Hint) {
        self.work.lock().hints.push(hint);
        self.changed.notify_one();
    }

    /// Has the thread look again, as when the directory went offline.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Ends the thread after what is urgent. What is not is left: whoever stops in order syncs everything at once.
    pub fn stop(&self) {
        let mut work = self.work.lock();
        work.stopped = true;
        work.background.clear();
        work.hints.clear();
        self.changed.notify_one();
    }
}

/// The body of a flusher's thread. Returns after [`FlushQueue::stop`].
pub(super) fn run(directory: &Arc<LogDirectory>) {
    loop {
        run_pending(directory);
        let mut work = directory.flush_queue.work.lock();
        if work.is_empty() {
            if work.stopped {
                return;
            }
            directory.flush_queue.changed.wait(&mut work);
        }
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.background.is_empty() && self.hints.is_empty()
    }
}

/// Does everything that is queued, and what is queued meanwhile.
pub(super) fn run_pending(directory: &Arc<LogDirectory>) {
    loop {
        let (urgent, background, hints) = {
            let mut work = directory.flush_queue.work.lock();
            let urgent = std::mem::take(&mut work.urgent);
            let background = if urgent.is_empty() { work.background.pop_front() } else { None };
            (urgent, background, std::mem::take(&mut work.hints))
        };
        if urgent.is_empty() && background.is_none() && hints.is_empty() {
            return;
        }
        hints.into_iter().for_each(Hint::follow);
        if urgent.len() > 1 {
            // Get all of them going, so that the syncs below wait for one another's writes.
            urgent.iter().for_each(|log| start_writing(log));
        }
        for log in urgent.iter().chain(&background) {
            log.queued.store(false, Ordering::Release);
            log.queued_urgent.store(false, Ordering::Release);
            let synced = sync(log);
            let listener = log.listener.lock().clone();
            if let (Some(listener), Some(result)) = (listener, synced.transpose()) {
                listener(result);
            }
        }
    }
}

impl Hint {
    fn follow(self) {
        match self {
            Hint::Reserve { segment, from, len } => segment.reserve(from, len),
            Hint::WriteBack { segment, from, len } => {
                let started = segment.log_file().map(|file| file.start_writeback(from, len));
                if let Ok(Err(error)) = started {
                    tracing::debug!(segment = %segment.path().display(), %error, "write-back was not started");
                }
            }
        }
    }
}

fn start_writing(log: &LogShared) {
    let dirty = log.sync.lock().dirty.clone();
    for segment in dirty {
        let size = segment.size();
        let from = segment.written_back.swap(size, Ordering::Relaxed);
        if from < size {
            Hint::WriteBack { segment, from, len: size - from }.follow();
        }
    }
}

/// Makes a log durable up to its present end, which is returned; `None` if it was truncated meanwhile, or is gone.
pub(super) fn sync(log: &Arc<LogShared>) -> Result<Option<Offset>, DirectoryOffline> {
    let directory = &log.home.directory;
    directory.check_online()?;
    let (end, truncations, dirty) = {
        let mut sync = log.sync.lock();
        let end = log.log_end_offset();
        let dirty = std::mem::take(&mut sync.dirty);
        // Before the sync: bytes that come later mark their segment anew.
        dirty.iter().for_each(|segment| segment.dirty.store(false, Ordering::Release));
        (end, sync.truncations, dirty)
    };
    if log.is_deleted() {
        return Ok(None);
    }
    let begin = Instant::now();
    sync_files(log, &dirty).map_err(|error| directory.fail(&error))?;
    directory.flushes().record(begin.elapsed());
    let sync = log.sync.lock();
    if sync.truncations != truncations {
        return Ok(None);
    }
    log.durable_end.fetch_max(end, Ordering::AcqRel);
    Ok(Some(log.durable_end()))
}

fn sync_files(log: &LogShared, dirty: &[Arc<Segment>]) -> Result<(), FileError> {
    let mut names_are_new = false;
    for segment in dirty {
        match patiently(|| segment.sync()) {
            // Deleted by retention since.
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            synced => names_are_new |= synced?,
        }
    }
    let (disk, dir) = (log.home.disk(), log.home.dir());
    let files_are_new = log.files_are_new.swap(false, Ordering::AcqRel);
    if files_are_new {
        for name in [partition_metadata::FILE_NAME, leader_epochs::FILE_NAME] {
            let path = dir.join(name);
            let open = || disk.open(&path, OpenMode::Read).and_then(|file| file.sync_data());
            match patiently(|| open().map_err(FileError::io("sync", &path))) {
                Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
    }
    for dir in [(files_are_new || names_are_new).then_some(dir.as_path()), files_are_new.then_some(log.home.directory.path())]
        .into_iter()
        .flatten()
    {
        match patiently(|| disk.sync_dir(dir).map_err(FileError::io("sync", dir))) {
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Tries again while no file can be opened for want of descriptors: nothing was synced then, so nothing is lost, and others give theirs
/// back. Not for ever: whoever waits for the flusher should hear of it.
pub(super) fn patiently<T>(attempt: impl Fn() -> Result<T, FileError>) -> Result<T, FileError> {
    for _ in 0..OUT_OF_DESCRIPTORS_TRIES {
        match attempt() {
            Err(FileError::Io { source, .. }) if is_out_of_descriptors(&source) => std::thread::sleep(OUT_OF_DESCRIPTORS_PAUSE),
            attempted => return attempted,
        }
    }
    attempt()
}
