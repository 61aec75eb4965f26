//! The checkpoint files of each log directory: recovery points, high watermarks and log starts, in Kafka's files and formats.
//!
//! A stop in order leaves one more, `active-size-checkpoint`, with the size of each log's active segment: where that still is the file's size, the
//! recovery point can be taken for the end of the log.
//!
//! Invariant: a recovery point is checkpointed only after everything in front of it was synced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Known, LogManager, ManagedDir};
use crate::base::ids::{Offset, TopicPartition};
use crate::storage::checkpoint::{FileError, offsets};
use crate::storage::directory::{LogDirectory, Offsets, is_shortage};
use crate::storage::loader::{Checkpoints, LastStop};
use crate::storage::shared::LogShared;

/// The checkpoints of a directory as its last process left them.
pub(super) struct DirCheckpoints {
    recovery_point: Offsets,
    log_start: Offsets,
    high_watermark: Offsets,
    active_size: Offsets,
}

/// What is checkpointed of a log's high watermark.
pub(super) fn high_watermark(log: &LogShared) -> Option<Offset> {
    Some(log.high_watermark())
}

/// What is checkpointed of a log's start: nothing where the first segment tells.
pub(super) fn log_start(log: &LogShared) -> Option<Offset> {
    let start = log.log_start_offset();
    (start > log.first_segment.load(Ordering::Acquire)).then_some(start)
}

/// Reads them.
pub(super) fn read_checkpoints(directory: &LogDirectory, stop: LastStop) -> Result<DirCheckpoints, FileError> {
    let read = |name| directory.read_checkpoint(name);
    // Whoever cleans asks the directory.
    read(offsets::CLEANER)?;
    let active_size = if stop == LastStop::Clean { read(offsets::ACTIVE_SIZE)? } else { Offsets::new() };
    Ok(DirCheckpoints {
        recovery_point: read(offsets::RECOVERY_POINT)?,
        log_start: read(offsets::LOG_START)?,
        high_watermark: read(offsets::HIGH_WATERMARK)?,
        active_size,
    })
}

impl DirCheckpoints {
    pub fn of(&self, partition: &TopicPartition) -> Checkpoints {
        Checkpoints {
            recovery_point: self.recovery_point.get(partition).copied(),
            log_start: self.log_start.get(partition).copied(),
            high_watermark: self.high_watermark.get(partition).copied(),
            active_size: self.active_size.get(partition).map(|size| *size as u64),
        }
    }
}

impl LogManager {
    /// Writes how far each log is durable (`log.flush.offset.checkpoint.interval.ms`), and has what is not yet durable flushed in the background, so
    /// that the next checkpoint moves on: after a kill, no more has to be read than what was written during the last two intervals.
    pub fn checkpoint_recovery_points(&self) {
        self.checkpoint(offsets::RECOVERY_POINT, |log| Some(log.durable_end()));
        for log in self.logs().iter().filter(|log| log.is_dirty()) {
            log.flush_in_background();
        }
    }

    /// Writes the high watermarks (`replica.high.watermark.checkpoint.interval.ms`).
    pub fn checkpoint_high_watermarks(&self) {
        self.checkpoint(offsets::HIGH_WATERMARK, high_watermark);
    }

    /// Writes where logs begin that begin behind their first segment (`log.flush.start.offset.checkpoint.interval.ms`).
    pub fn checkpoint_log_start_offsets(&self) {
        self.checkpoint(offsets::LOG_START, log_start);
    }

    /// The logs of one directory that are open, be they deleted.
    pub(super) fn logs_of(&self, dir: &ManagedDir) -> Vec<Arc<LogShared>> {
        let known = self.known.lock();
        known.values().filter_map(Known::open).filter(|log| Arc::ptr_eq(log.directory(), &dir.directory)).cloned().collect()
    }

    /// Writes one checkpoint in each directory. Want of space is no failure of the directory: the old file stays true.
    fn checkpoint(&self, name: &'static str, value: impl Fn(&LogShared) -> Option<Offset>) {
        for dir in self.dirs.iter().filter(|dir| dir.directory.offline().is_none()) {
            match dir.write_checkpoint(name, &self.logs_of(dir), &value) {
                Err(FileError::Io { source, path, .. }) if is_shortage(&source) => {
                    tracing::warn!(path = %path.display(), "no space for a checkpoint; it is written when there is room");
                }
                Err(error) => {
                    dir.directory.fail(&error);
                }
                Ok(()) => {}
            }
        }
    }
}

impl ManagedDir {
    /// Writes what `value` says of these logs into one of the checkpoints.
    pub(super) fn write_checkpoint(
        &self,
        name: &'static str,
        logs: &[Arc<LogShared>],
        value: impl Fn(&LogShared) -> Option<Offset>,
    ) -> Result<(), FileError> {
        self.directory.write_checkpoint(name, || {
            // Since they were listed some may have been deleted, and others have their names.
            let there = logs.iter().filter(|log| !log.is_deleted());
            there.filter_map(|log| Some((log.partition().clone(), value(log)?))).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::disk::simulated::SimulatedDisk;
    use crate::storage::{LogManagerConfig, Opened};

    #[test]
    fn a_log_that_was_deleted_since_the_logs_were_listed_is_not_in_the_checkpoint() {
        let disk = SimulatedDisk::default();
        let config = LogManagerConfig {
            log_dirs: vec!["/a".into()],
            node_id: 1,
            cluster_id: None,
            boot_id: "boot".into(),
            threads_per_dir: 1,
            open_files: 10,
            settings: Arc::default(),
        };
        let Opened { manager, .. } = LogManager::open(Arc::new(disk.clone()), config, &|_| Arc::default(), 0).unwrap();
        let create = |n| manager.create_log(&TopicPartition::new("t", n), None, &Arc::default(), 0).unwrap();
        let (deleted, _kept) = (create(0), create(1));
        let dir = &manager.dirs[0];
        let listed = manager.logs_of(dir);
        assert!(manager.delete_logs(vec![deleted], 0).is_empty());
        let _next_of_its_name = create(0);
        dir.write_checkpoint(offsets::LOG_START, &listed, |_| Some(500)).unwrap();
        let written = offsets::read(&disk, &Path::new("/a").join(offsets::LOG_START)).unwrap();
        assert_eq!(written, [(TopicPartition::new("t", 1), 500)].into());
    }
}
