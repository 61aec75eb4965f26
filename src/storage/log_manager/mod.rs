//! All logs of a broker: its log directories, opening and closing, checkpoints, deletion (Kafka's `LogManager`).
//!
//! A log belongs to its partition; the manager keeps what is shared of each ([`LogShared`]), and does for all of them together what is cheaper done
//! together. Nothing here runs by itself but one flusher thread a directory: the owner calls [`LogManager::tick`] and the checkpoints.
//!
//! Invariants: a log directory is used by one process, of the cluster and node that its `meta.properties` names; a partition has one log, be it
//! one that could not be opened; a directory that goes offline takes its own logs with it and no others.

mod checkpoints;
mod dirs;
mod logs;
mod opening;
mod shutdown;
mod stop_marker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use self::dirs::AsideLog;
use super::directory::{LogDirectory, OfflineListener};
use super::loader::LastStop;
use super::log::{Log, LogSettings};
use super::recovery::Loss;
use super::shared::LogShared;
use crate::base::ids::{BrokerId, TimestampMs, TopicId, TopicPartition};

pub use dirs::{OpenError, UnusableDirectory};
pub use logs::UnopenedLog;
pub use stop_marker::{PreviousRun, boot_id_of_machine};

/// What the manager has to know at start.
#[derive(Clone, Debug)]
pub struct LogManagerConfig {
    /// `log.dirs`; created where they are not there.
    pub log_dirs: Vec<PathBuf>,
    pub node_id: BrokerId,
    /// The cluster this node belongs to. `None`: the one the directories name, or a new one.
    pub cluster_id: Option<String>,
    /// See [`boot_id_of_machine`].
    pub boot_id: String,
    /// Threads that open and close the logs of one directory; `num.recovery.threads.per.data.dir`.
    pub threads_per_dir: usize,
    /// How many files may be open for logs; see [`super::FileCache::capacity_of_process`].
    pub open_files: usize,
    pub settings: Arc<LogSettings>,
}

/// Everything there was.
pub struct Opened {
    pub manager: LogManager,
    pub logs: Vec<OpenedLog>,
}

pub struct OpenedLog {
    pub log: Log,
    /// What recovery had to cut off.
    pub loss: Option<Loss>,
}

/// See the module.
pub struct LogManager {
    cluster_id: String,
    boot_id: String,
    threads_per_dir: AtomicUsize,
    settings: Arc<LogSettings>,
    dirs: Vec<ManagedDir>,
    unusable: Vec<UnusableDirectory>,
    aside: Vec<AsideLog>,
    known: Mutex<BTreeMap<TopicPartition, Known>>,
    /// Deleted logs whose directories could not be renamed for want of space.
    undeleted: Mutex<Vec<Undeleted>>,
    /// Makes the names of deleted directories unique.
    renames: AtomicU64,
}

/// What lies in a log directory under the name of a partition.
enum Known {
    Open(Arc<LogShared>),
    Unopened(Arc<UnopenedLog>),
}

impl Known {
    fn directory(&self) -> &Arc<LogDirectory> {
        match self {
            Known::Open(log) => log.directory(),
            Known::Unopened(unopened) => &unopened.home.directory,
        }
    }

    fn dir(&self) -> PathBuf {
        match self {
            Known::Open(log) => log.home.dir(),
            Known::Unopened(unopened) => unopened.dir(),
        }
    }

    fn open(&self) -> Option<&Arc<LogShared>> {
        match self {
            Known::Open(log) => Some(log),
            Known::Unopened(_) => None,
        }
    }
}

/// A log that is deleted for everybody else, but still has its name.
enum Undeleted {
    Open(Box<Log>),
    Unopened { partition: TopicPartition, log: Arc<UnopenedLog>, delay_ms: i64 },
}

/// A log directory with what only the manager needs of it.
struct ManagedDir {
    directory: Arc<LogDirectory>,
    previous: PreviousRun,
    /// Its logs are as processes of this boot left them, or repaired.
    repaired: bool,
    flusher: Mutex<Option<JoinHandle<()>>>,
    _lock: Box<dyn Send + Sync>,
}

impl LogManager {
    /// The cluster that the log directories belong to.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The settings that all logs share.
    pub fn settings(&self) -> &LogSettings {
        &self.settings
    }

    /// The log directories that were usable at start.
    pub fn directories(&self) -> impl Iterator<Item = &Arc<LogDirectory>> {
        self.dirs.iter().map(|dir| &dir.directory)
    }

    /// The log directories that were not usable at start, and are not tried again. Whatever lies in them is still there.
    pub fn unusable_directories(&self) -> &[UnusableDirectory] {
        &self.unusable
    }

    /// Logs that lay put aside at the start, and tell their topic: that, the number of the partition, and where they are.
    pub fn logs_put_aside(&self) -> impl Iterator<Item = (TopicId, i32, &Path)> {
        self.aside.iter().map(|log| (log.topic, log.number, &*log.dir))
    }

    /// How the process before this one stopped: the worst that any directory tells.
    pub fn previous_run(&self) -> PreviousRun {
        let worst = |stop: LastStop| match stop {
            LastStop::Clean => 0,
            LastStop::Killed => 1,
            LastStop::Foreign => 2,
            LastStop::Lost => 3,
        };
        let previous = self.dirs.iter().map(|dir| dir.previous).max_by_key(|previous| worst(previous.stop));
        previous.expect("there is at least one directory")
    }

    /// Who is told when a directory goes offline.
    pub fn set_offline_listener(&self, listener: OfflineListener) {
        self.directories().for_each(|directory| directory.set_offline_listener(listener.clone()));
    }

    /// All logs that are open and not deleted, by partition.
    pub fn logs(&self) -> Vec<Arc<LogShared>> {
        self.known.lock().values().filter_map(Known::open).filter(|log| !log.is_deleted()).cloned().collect()
    }

    /// Closes, and flushes at the end, with so many threads a directory (`num.recovery.threads.per.data.dir`).
    pub fn set_threads_per_dir(&self, threads: usize) {
        self.threads_per_dir.store(threads.max(1), Ordering::Relaxed);
    }

    /// Keeps so much of every directory's file system free of clients' records, but no more than a twentieth (`log.dir.min.free.bytes`).
    pub fn set_min_free_bytes(&self, bytes: u64) {
        self.directories().for_each(|directory| directory.room.set_min_free(bytes));
    }

    /// Whether some directory has no room for clients: then whatever may be deleted should be, soon.
    pub fn wants_room(&self) -> bool {
        self.directories().any(|directory| directory.offline().is_none() && directory.room.is_low())
    }

    /// What has to be done now and then: a look at the room that is left, flushes by `flush.ms`, deletions there was no room for, and files whose time
    /// has come to go. Blocks on the disk for the latter.
    pub fn tick(&self, now: TimestampMs) {
        for log in self.logs() {
            log.flush_if_due(now);
        }
        self.finish_deletions(now);
        for directory in self.directories().filter(|directory| directory.offline().is_none()) {
            directory.refresh_room();
            // Where room is wanted, nothing that is deleted anyway is kept for a while.
            let due = if directory.room.is_low() { TimestampMs::MAX } else { now };
            match directory.deletions.run(&**directory.disk(), due) {
                Err(error) => drop(directory.fail(&error)),
                Ok(0) => {}
                Ok(_) => directory.refresh_room(),
            }
        }
    }
}

impl Drop for LogManager {
    fn drop(&mut self) {
        self.stop_flushers();
    }
}
