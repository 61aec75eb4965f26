//! Opening every log there is, directory by directory, each with several threads.
//!
//! Invariants: a log that cannot be opened stays as it is, and so does what the checkpoints say of it; a directory is said to be as this boot's processes
//! have left it only when all of its logs are repaired.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::checkpoints::read_checkpoints;
use super::dirs::{self, AsideLog, Claimed, Contents, OpenError, UnusableDirectory};
use super::logs::UnopenedLog;
use super::{Known, LogManager, LogManagerConfig, ManagedDir, Opened, OpenedLog, stop_marker};
use crate::base::disk::Disk;
use crate::base::ids::{TimestampMs, TopicPartition};
use crate::base::tasks::spawn_vital_thread;
use crate::config::topic::TopicConfig;
use crate::storage::checkpoint::FileError;
use crate::storage::directory::{LogDirectory, LogHome};
use crate::storage::file_cache::FileCache;
use crate::storage::flusher;
use crate::storage::loader::{LastStop, Loader};
use crate::storage::names::log_dir_name;

struct OpenedDir {
    dir: ManagedDir,
    logs: Vec<OpenedLog>,
    unopened: Vec<(TopicPartition, UnopenedLog)>,
    aside: Vec<AsideLog>,
}

impl LogManager {
    /// Takes the log directories and opens every log in them. `topic_config` gives the configuration of a topic, by name.
    ///
    /// A directory that cannot be used is left out, unless it is the first or belongs to somebody else.
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
            unusable: Vec::new(),
            aside: Vec::new(),
            known: Mutex::default(),
            undeleted: Mutex::default(),
            renames: AtomicU64::new(0),
        };
        let (mut logs, mut known, mut unusable) = (Vec::new(), BTreeMap::new(), claim.unusable);
        for claimed in claim.dirs {
            let path = claimed.path.clone();
            match manager.open_dir(claimed, &cache, topic_config, now) {
                Ok(opened) => {
                    for OpenedLog { log, .. } in &opened.logs {
                        enter(&mut known, log.partition().clone(), Known::Open(log.shared().clone()))?;
                    }
                    for (partition, log) in opened.unopened {
                        enter(&mut known, partition, Known::Unopened(Arc::new(log)))?;
                    }
                    manager.dirs.push(opened.dir);
                    manager.aside.extend(opened.aside);
                    logs.extend(opened.logs);
                }
                Err(reason) => unusable.push(UnusableDirectory { path, reason }),
            }
        }
        manager.unusable = dirs::go_without(unusable, &config)?;
        for UnusableDirectory { path, reason } in &manager.unusable {
            tracing::error!(
                path = %path.display(), error = %reason,
                "a log directory cannot be used; what lies in it is not served until it is back at a later start, or left out of log.dirs"
            );
        }
        manager.known = Mutex::new(known);
        for (n, dir) in manager.dirs.iter().enumerate() {
            let directory = dir.directory.clone();
            let thread = spawn_vital_thread(&format!("flusher-{n}"), move || flusher::run(&directory));
            *dir.flusher.lock() = Some(thread.map_err(OpenError::Thread)?);
        }
        Ok(Opened { manager, logs })
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
        let Contents { logs: partitions, deleted, aside } = dirs::logs_in(&**disk, directory.path())?;
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
        let (mut opened, mut unopened) = (Vec::new(), Vec::new());
        for (logs, failed) in results {
            opened.extend(logs);
            for (partition, reason) in failed {
                let dir = directory.path().join(log_dir_name(&partition));
                tracing::error!(
                    %partition, path = %dir.display(), error = %reason,
                    "a log cannot be opened; it is left as it is and not served until a later start can open it, or its topic is deleted"
                );
                directory.keep_checkpoints_of(partition.clone());
                unopened.push((partition, UnopenedLog { home: LogHome::new(directory.clone(), dir), reason }));
            }
        }
        // With one sync what recovery has kept is durable before anybody is told of it: else a high watermark that waits for the disk would
        // for a moment lie in front of what clients were told before.
        if opened.iter().any(|opened| opened.log.durable_end() < opened.log.log_end_offset()) {
            disk.sync_all(directory.path()).map_err(FileError::io("sync", directory.path()))?;
            for OpenedLog { log, .. } in &opened {
                log.shared().durable_end.store(log.log_end_offset(), Ordering::Release);
            }
        }
        // A log that was not repaired needs at the next start what it needed now.
        let is_of_this_boot = matches!(previous.stop, LastStop::Clean | LastStop::Killed);
        let repaired = is_of_this_boot || unopened.is_empty();
        if repaired && !is_of_this_boot {
            stop_marker::running(&**disk, directory.path(), &self.boot_id, previous.broker_epoch)?;
        }
        if previous.stop == LastStop::Foreign && partitions.is_empty() {
            tracing::info!(path = %directory.path().display(), "opened a new log directory");
        } else {
            tracing::info!(path = %directory.path().display(), logs = opened.len(), stop = ?previous.stop, "opened a log directory");
        }
        let dir = ManagedDir { directory, previous, repaired, flusher: Mutex::default(), _lock: lock };
        Ok(OpenedDir { dir, logs: opened, unopened, aside })
    }
}

/// A partition has one log.
fn enter(known: &mut BTreeMap<TopicPartition, Known>, partition: TopicPartition, log: Known) -> Result<(), OpenError> {
    let dir = log.dir();
    match known.insert(partition.clone(), log) {
        None => Ok(()),
        Some(other) => Err(OpenError::DuplicateLog { partition, paths: [other.dir(), dir] }),
    }
}
