//! All logs of a broker: its log directories, opening and closing, checkpoints, deletion (Kafka's `LogManager`).
//!
//! A log belongs to its partition; the manager keeps what is shared of each ([`LogShared`]), and does for all of them together what is cheaper done
//! together. Nothing here runs by itself but one flusher thread a directory: the owner calls [`LogManager::tick`] and the checkpoints.
//!
//! Invariants: a log directory is used by one process, of the cluster and node that its `meta.properties` names; a partition has one log; a
//! directory that goes offline takes its own logs with it and no others.

mod checkpoints;
mod dirs;
mod shutdown;
mod stop_marker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use self::checkpoints::read_checkpoints;
use self::dirs::Claimed;
use super::checkpoint::{FileError, offsets};
use super::directory::{LogDirectory, OfflineListener, is_shortage};
use super::error::LogError;
use super::file_cache::FileCache;
use super::flusher;
use super::loader::{LastStop, Loader};
use super::log::{Log, LogSettings};
use super::recovery::Loss;
use super::shared::LogShared;
use crate::base::disk::Disk;
use crate::base::ids::{BrokerId, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicConfig;

pub use dirs::OpenError;
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
    /// How many files may be open for logs; see [`FileCache::capacity_of_process`].
    pub open_files: usize,
    pub settings: Arc<LogSettings>,
}

/// Everything there was.
pub struct Opened {
    pub manager: LogManager,
    pub logs: Vec<OpenedLog>,
    /// Logs that could not be opened although their directory works; they stay as they are.
    pub failed: Vec<(TopicPartition, FileError)>,
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
    logs: Mutex<BTreeMap<TopicPartition, Arc<LogShared>>>,
    /// Makes the names of deleted directories unique.
    deletions: AtomicU64,
}

struct OpenedDir {
    dir: ManagedDir,
    logs: Vec<OpenedLog>,
    failed: Vec<(TopicPartition, FileError)>,
}

/// A log directory with what only the manager needs of it.
struct ManagedDir {
    directory: Arc<LogDirectory>,
    previous: PreviousRun,
    flusher: Mutex<Option<JoinHandle<()>>>,
    _lock: Box<dyn Send + Sync>,
}

impl LogManager {
    /// Takes the log directories and opens every log in them. `topic_config` gives the configuration of a topic, by name.
    ///
    /// A directory that cannot be used is left out, unless it is the last one or belongs to somebody else.
    pub fn open(
        disk: Arc<dyn Disk>,
        config: LogManagerConfig,
        topic_config: &(dyn Fn(&str) -> Arc<TopicConfig> + Sync),
        now: TimestampMs,
    ) -> Result<Opened, OpenError> {
        let claim = dirs::claim(&disk, &config)?;
        let cache = FileCache::new(disk, config.open_files);
        let mut manager = LogManager {
            cluster_id: claim.cluster_id,
            boot_id: config.boot_id.clone(),
            threads_per_dir: config.threads_per_dir.max(1).into(),
            settings: config.settings.clone(),
            dirs: Vec::new(),
            logs: Mutex::default(),
            deletions: AtomicU64::new(0),
        };
        let (mut logs, mut failed, mut unusable) = (Vec::new(), Vec::new(), Vec::new());
        for claimed in claim.dirs {
            match manager.open_dir(claimed, &cache, topic_config, now) {
                Ok(opened) => {
                    for OpenedLog { log, .. } in &opened.logs {
                        if let Some(other) = manager.logs.lock().insert(log.partition().clone(), log.shared().clone()) {
                            let paths = [other.home.dir(), log.dir()];
                            return Err(OpenError::DuplicateLog { partition: log.partition().clone(), paths });
                        }
                    }
                    manager.dirs.push(opened.dir);
                    logs.extend(opened.logs);
                    failed.extend(opened.failed);
                }
                Err(error) => {
                    tracing::error!(%error, "a log directory cannot be used");
                    unusable.push(error);
                }
            }
        }
        if manager.dirs.is_empty() {
            return Err(OpenError::NoDirectory(unusable));
        }
        for (n, dir) in manager.dirs.iter().enumerate() {
            let directory = dir.directory.clone();
            let thread = std::thread::Builder::new().name(format!("flusher-{n}")).spawn(move || flusher::run(&directory));
            *dir.flusher.lock() = Some(thread.map_err(OpenError::Thread)?);
        }
        Ok(Opened { manager, logs, failed })
    }

    fn open_dir(
        &self,
        claimed: Claimed,
        cache: &Arc<FileCache>,
        topic_config: &(dyn Fn(&str) -> Arc<TopicConfig> + Sync),
        now: TimestampMs,
    ) -> Result<OpenedDir, FileError> {
        let Claimed { path, id, lock } = claimed;
        let disk = cache.disk();
        let previous = stop_marker::begin(&**disk, &path, &self.boot_id)?;
        let directory = LogDirectory::new(path, id, cache.clone());
        let checkpoints = read_checkpoints(&directory, previous.stop)?;
        let (partitions, deleted) = dirs::logs_in(&**disk, directory.path())?;
        for path in deleted {
            directory.deletions.schedule_dir(path, now);
        }
        let loader = Loader { directory: &directory, settings: &self.settings, last_stop: previous.stop, now };
        let next = AtomicUsize::new(0);
        let work = || {
            let (mut opened, mut failed) = (Vec::new(), Vec::new());
            while let Some(partition) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
                match loader.open(partition, &topic_config(&partition.topic), checkpoints.of(partition)) {
                    Ok((log, loss)) => opened.push(OpenedLog { log, loss }),
                    Err(error) => failed.push((partition.clone(), error)),
                }
            }
            (opened, failed)
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let others: Vec<_> =
                (1..self.threads_per_dir.load(Ordering::Relaxed).min(partitions.len())).map(|_| scope.spawn(work)).collect();
            let mine = work();
            let others = others.into_iter().map(|thread| thread.join().expect("opening logs does not panic"));
            std::iter::once(mine).chain(others).collect()
        });
        let (mut opened, mut failed) = (Vec::new(), Vec::new());
        for (logs, errors) in results {
            opened.extend(logs);
            failed.extend(errors);
        }
        for (partition, error) in &failed {
            tracing::error!(%partition, %error, "a log cannot be opened");
        }
        // With one sync what recovery has kept is durable before anybody is told of it: else a high watermark that waits for the disk would
        // for a moment lie in front of what clients were told before.
        if opened.iter().any(|opened| opened.log.durable_end() < opened.log.log_end_offset()) {
            disk.sync_all(directory.path()).map_err(FileError::io("sync", directory.path()))?;
            for OpenedLog { log, .. } in &opened {
                log.shared().durable_end.store(log.log_end_offset(), Ordering::Release);
            }
        }
        tracing::info!(path = %directory.path().display(), logs = opened.len(), stop = ?previous.stop, "opened a log directory");
        let dir = ManagedDir { directory, previous, flusher: Mutex::default(), _lock: lock };
        Ok(OpenedDir { dir, logs: opened, failed })
    }

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

    /// All logs that are not deleted, by partition.
    pub fn logs(&self) -> Vec<Arc<LogShared>> {
        self.logs.lock().values().cloned().collect()
    }

    /// Makes a log for a partition that has none, in the directory with the fewest logs.
    ///
    /// # Panics
    /// If the partition has a log.
    pub fn create_log(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: &Arc<TopicConfig>,
        now: TimestampMs,
    ) -> Result<Log, LogError> {
        let mut logs = self.logs.lock();
        assert!(!logs.contains_key(partition), "{partition} has a log");
        let online = self.dirs.iter().filter(|dir| dir.directory.offline().is_none());
        let count = |dir: &&ManagedDir| logs.values().filter(|log| Arc::ptr_eq(log.directory(), &dir.directory)).count();
        let Some(dir) = online.min_by_key(count) else {
            let first = &self.dirs[0].directory;
            return Err(LogError::Offline(first.check_online().expect_err("no directory is online")));
        };
        let directory = &dir.directory;
        self.forget_cleaned(directory, partition)?;
        let loader = Loader { directory, settings: &self.settings, last_stop: LastStop::Clean, now };
        let log = loader.create(partition, topic_id, config).map_err(|error| match error {
            FileError::Io { source, path, .. } if is_shortage(&source) => LogError::Shortage { path, source },
            error => LogError::Offline(directory.fail(&error)),
        })?;
        logs.insert(partition.clone(), log.shared().clone());
        Ok(log)
    }

    /// Deletes a log: its directory is renamed at once and removed after `file.delete.delay.ms`; the partition may have a new one meanwhile.
    pub fn delete_log(&self, mut log: Log, now: TimestampMs) -> Result<(), LogError> {
        let nth = self.deletions.fetch_add(1, Ordering::Relaxed);
        self.logs.lock().remove(log.partition());
        self.forget_cleaned(log.directory(), log.partition())?;
        log.delete((now as u128) << 64 | u128::from(nth), now)?;
        Ok(())
    }

    /// Puts a log aside that belongs to no topic any more: its directory is renamed to `…-stray` and kept. The partition may have a new one.
    pub fn put_aside(&self, mut log: Log, now: TimestampMs) -> Result<PathBuf, LogError> {
        let nth = self.deletions.fetch_add(1, Ordering::Relaxed);
        self.logs.lock().remove(log.partition());
        log.put_aside((now as u128) << 64 | u128::from(nth))
    }

    /// Closes, and flushes at the end, with so many threads a directory (`num.recovery.threads.per.data.dir`).
    pub fn set_threads_per_dir(&self, threads: usize) {
        self.threads_per_dir.store(threads.max(1), Ordering::Relaxed);
    }

    /// How far a log was cleaned says nothing of another of its name.
    fn forget_cleaned(&self, directory: &Arc<LogDirectory>, partition: &TopicPartition) -> Result<(), LogError> {
        match directory.forget_checkpoint(offsets::CLEANER, partition) {
            // It is forgotten here, and with the next write in the file.
            Err(FileError::Io { source, .. }) if is_shortage(&source) => Ok(()),
            forgotten => forgotten.map_err(|error| LogError::Offline(directory.fail(&error))),
        }
    }

    /// Keeps so much of every directory's file system free of clients' records, but no more than a twentieth (`log.dir.min.free.bytes`).
    pub fn set_min_free_bytes(&self, bytes: u64) {
        self.directories().for_each(|directory| directory.room.set_min_free(bytes));
    }

    /// Whether some directory has no room for clients: then whatever may be deleted should be, soon.
    pub fn wants_room(&self) -> bool {
        self.directories().any(|directory| directory.offline().is_none() && directory.room.is_low())
    }

    /// What has to be done now and then: a look at the room that is left, flushes by `flush.ms`, and files whose time has come to go. Blocks on the disk for the latter.
    pub fn tick(&self, now: TimestampMs) {
        for log in self.logs() {
            log.flush_if_due(now);
        }
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
