//! Making, deleting and putting aside logs.
//!
//! Invariants: the name of a log is free when its directory has another name, not before; no log is made where files of another lie, and none
//! is believed to be what the checkpoints said of another that had its name.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Known, LogManager, ManagedDir, Undeleted};
use crate::base::ids::{TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicConfig;
use crate::storage::checkpoint::FileError;
use crate::storage::directory::{LogDirectory, LogHome, is_shortage};
use crate::storage::error::LogError;
use crate::storage::loader::{CreateError, LastStop, Loader};
use crate::storage::log::Log;
use crate::storage::names::{delete_dir_name, log_dir_name, stray_dir_name};

/// A log that lies in its directory, but could not be opened at the start. It stays as it is, and keeps its name.
pub struct UnopenedLog {
    pub(super) home: Arc<LogHome>,
    pub(super) reason: FileError,
}

impl UnopenedLog {
    /// The log's own directory.
    pub fn dir(&self) -> PathBuf {
        self.home.dir()
    }

    pub fn reason(&self) -> &FileError {
        &self.reason
    }
}

impl LogManager {
    /// Makes a log for a partition that has none, in the directory with the fewest logs; or where a creation that failed has left its directory behind:
    /// of two of one name a start would not know which is the log.
    ///
    /// # Panics
    /// If the partition has a log that is open.
    pub fn create_log(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: &Arc<TopicConfig>,
        now: TimestampMs,
    ) -> Result<Log, LogError> {
        self.finish_deletions(now);
        let mut known = self.known.lock();
        match known.get(partition) {
            None => {}
            Some(Known::Unopened(unopened)) => return Err(LogError::Occupied { path: unopened.dir() }),
            Some(Known::Open(log)) => {
                assert!(log.is_deleted(), "{partition} has a log");
                return Err(LogError::Shortage { path: log.home.dir(), source: std::io::ErrorKind::StorageFull.into() });
            }
        }
        let online = || self.dirs.iter().filter(|dir| dir.directory.offline().is_none());
        let name = log_dir_name(partition);
        let is_left = |dir: &&ManagedDir| dir.directory.disk().exists(&dir.directory.path().join(&name));
        let count = |dir: &&ManagedDir| known.values().filter(|log| Arc::ptr_eq(log.directory(), &dir.directory)).count();
        let Some(dir) = online().find(is_left).or_else(|| online().min_by_key(count)) else {
            let first = &self.dirs[0].directory;
            return Err(LogError::Offline(first.check_online().expect_err("no directory is online")));
        };
        let directory = &dir.directory;
        forget(directory, &[partition.clone()].into())?;
        let loader = Loader { directory, settings: &self.settings, last_stop: LastStop::Clean, now };
        let log = loader.create(partition, topic_id, config).map_err(|error| match error {
            CreateError::File(error) => judge(directory, error),
            CreateError::Occupied { file } => LogError::Occupied { path: file },
        })?;
        known.insert(partition.clone(), Known::Open(log.shared().clone()));
        Ok(log)
    }

    /// Deletes logs: their directories are renamed at once and removed after `file.delete.delay.ms`; the partitions may have new ones meanwhile. What
    /// goes wrong, by partition. A log that cannot be renamed for want of space keeps its name until there is some; see [`Self::tick`].
    pub fn delete_logs(&self, logs: Vec<Log>, now: TimestampMs) -> Vec<(TopicPartition, LogError)> {
        let mut failures = Vec::new();
        let mut deleted: Vec<(Arc<LogDirectory>, TopicPartition)> = Vec::new();
        for mut log in logs {
            let partition = log.partition().clone();
            match self.delete(&mut log, now) {
                Ok(()) => deleted.push((log.directory().clone(), partition)),
                Err(error) => {
                    if matches!(error, LogError::Shortage { .. }) {
                        self.undeleted.lock().push(Undeleted::Open(Box::new(log)));
                    }
                    failures.push((partition, error));
                }
            }
        }
        for directory in self.directories() {
            let here = deleted.iter().filter(|(of, _)| Arc::ptr_eq(of, directory));
            let _ = forget(directory, &here.map(|(_, partition)| partition.clone()).collect());
        }
        failures
    }

    fn delete(&self, log: &mut Log, now: TimestampMs) -> Result<(), LogError> {
        match log.delete(self.unique(now), now) {
            Err(error @ LogError::Shortage { .. }) => Err(error),
            // In a directory that is offline nothing takes the name either.
            deleted => {
                self.known.lock().remove(log.partition());
                deleted.map(drop)
            }
        }
    }

    /// Goes on with deletions that there was no space for.
    pub(super) fn finish_deletions(&self, now: TimestampMs) {
        let is_left = |undeleted: &mut Undeleted| {
            let deleted = match undeleted {
                Undeleted::Open(log) => self.delete(log, now),
                Undeleted::Unopened { partition, log, delay_ms } => match self.unopened(partition) {
                    Some(known) if Arc::ptr_eq(&known, log) => self.try_delete_unopened(partition, log, *delay_ms, now),
                    // A new topic wanted the name, and this was put aside.
                    _ => Ok(()),
                },
            };
            matches!(deleted, Err(LogError::Shortage { .. }))
        };
        self.undeleted.lock().retain_mut(is_left);
    }

    /// Puts a log aside that belongs to no topic any more: its directory is renamed to `…-stray` and kept. The partition may have a new one, unless
    /// this fails.
    pub fn put_aside(&self, log: &mut Log, now: TimestampMs) -> Result<PathBuf, LogError> {
        let path = log.put_aside(self.unique(now))?;
        self.known.lock().remove(log.partition());
        let _ = forget(log.directory(), &[log.partition().clone()].into());
        Ok(path)
    }

    /// All logs that could not be opened and are still where they were, by partition.
    pub fn unopened_logs(&self) -> Vec<(TopicPartition, Arc<UnopenedLog>)> {
        let known = self.known.lock();
        let unopened = known.iter().filter_map(|(partition, known)| match known {
            Known::Open(_) => None,
            Known::Unopened(unopened) => Some((partition.clone(), unopened.clone())),
        });
        unopened.collect()
    }

    /// The log of a partition, if it is one that could not be opened.
    pub fn unopened(&self, partition: &TopicPartition) -> Option<Arc<UnopenedLog>> {
        match self.known.lock().get(partition)? {
            Known::Open(_) => None,
            Known::Unopened(unopened) => Some(unopened.clone()),
        }
    }

    /// Deletes a log that could not be opened, as [`Self::delete_logs`] does others; its files go after `delay_ms`.
    pub fn delete_unopened(
        &self,
        partition: &TopicPartition,
        unopened: &Arc<UnopenedLog>,
        delay_ms: i64,
        now: TimestampMs,
    ) -> Result<(), LogError> {
        let deleted = self.try_delete_unopened(partition, unopened, delay_ms, now);
        if matches!(deleted, Err(LogError::Shortage { .. })) {
            let (partition, log) = (partition.clone(), unopened.clone());
            self.undeleted.lock().push(Undeleted::Unopened { partition, log, delay_ms });
        }
        deleted
    }

    fn try_delete_unopened(
        &self,
        partition: &TopicPartition,
        unopened: &UnopenedLog,
        delay_ms: i64,
        now: TimestampMs,
    ) -> Result<(), LogError> {
        let path = self.rename_unopened(partition, unopened, delete_dir_name(partition, self.unique(now)))?;
        unopened.home.directory.deletions.schedule_dir(path, now.saturating_add(delay_ms));
        Ok(())
    }

    /// Puts a log aside that could not be opened, as [`Self::put_aside`] does others.
    pub fn put_unopened_aside(
        &self,
        partition: &TopicPartition,
        unopened: &UnopenedLog,
        now: TimestampMs,
    ) -> Result<PathBuf, LogError> {
        self.rename_unopened(partition, unopened, stray_dir_name(partition, self.unique(now)))
    }

    fn rename_unopened(&self, partition: &TopicPartition, unopened: &UnopenedLog, name: String) -> Result<PathBuf, LogError> {
        let directory = &unopened.home.directory;
        directory.check_online()?;
        let to = directory.path().join(name);
        unopened.home.rename(to.clone()).map_err(|error| judge(directory, error))?;
        self.known.lock().remove(partition);
        let _ = forget(directory, &[partition.clone()].into());
        Ok(to)
    }

    /// Keeps apart the directories that one partition's logs leave behind.
    fn unique(&self, now: TimestampMs) -> u128 {
        (now as u128) << 64 | u128::from(self.renames.fetch_add(1, Ordering::Relaxed))
    }
}

/// What is known of these logs says nothing of others that have their names. Whoever gives a name up may fail at this, as a directory that is offline
/// tells of itself and want of space passes; whoever takes a name must not.
fn forget(directory: &LogDirectory, logs: &BTreeSet<TopicPartition>) -> Result<(), LogError> {
    directory.forget_checkpoints(logs).map_err(|error| judge(directory, error))
}

/// Judges an error of a write: want of space passes, anything else takes the directory offline.
fn judge(directory: &LogDirectory, error: FileError) -> LogError {
    match error {
        FileError::Io { source, path, .. } if is_shortage(&source) => LogError::Shortage { path, source },
        error => LogError::Offline(directory.fail(&error)),
    }
}
