//! The checkpoints of one log directory, as all who write them share them: recovery points, log starts, high watermarks, how far the cleaner came.
//!
//! Invariants: what is remembered of a file is what stands in it, but for what is noted ahead of a write; offsets are computed under the lock
//! that guards the file, so what was lowered, raised or forgotten meanwhile does not come back; what a file says of a log that could not be
//! opened stays until that log is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::LogDirectory;
use crate::base::ids::{Offset, TopicPartition};
use crate::storage::checkpoint::{FileError, offsets};

/// Offsets of the logs of one directory.
pub(in crate::storage) type Offsets = BTreeMap<TopicPartition, Offset>;

/// What is said of a log, and must not be believed of another one that has its name. The sizes of active segments are believed after a stop in order only, and
/// written anew for that.
const OF_A_LOG: [&str; 4] = [offsets::RECOVERY_POINT, offsets::LOG_START, offsets::HIGH_WATERMARK, offsets::CLEANER];

#[derive(Default)]
pub(super) struct Checkpoints {
    files: BTreeMap<&'static str, Offsets>,
    /// Logs that lie here but are not open: nobody but the files knows their offsets.
    unopened: BTreeSet<TopicPartition>,
}

impl LogDirectory {
    /// Reads a checkpoint. A damaged file counts as empty: logs are then read from their start (as in Kafka).
    pub(in crate::storage) fn read_checkpoint(&self, name: &'static str) -> Result<Offsets, FileError> {
        let read = match offsets::read(&**self.disk(), &self.path.join(name)) {
            Err(error @ FileError::Damaged { .. }) => {
                tracing::warn!(%error, "ignoring a checkpoint");
                Ok(Offsets::new())
            }
            read => read,
        }?;
        self.checkpoints.lock().files.insert(name, read.clone());
        Ok(read)
    }

    /// Replaces a checkpoint by what `offsets` computes, unless it would stay the same.
    pub(in crate::storage) fn write_checkpoint(
        &self,
        name: &'static str,
        offsets: impl FnOnce() -> Offsets,
    ) -> Result<(), FileError> {
        let mut checkpoints = self.checkpoints.lock();
        let Checkpoints { files, unopened } = &mut *checkpoints;
        let (mut new, old) = (offsets(), files.get(name));
        if let Some(old) = old {
            new.extend(unopened.iter().filter_map(|log| Some((log.clone(), *old.get(log)?))));
        }
        if old != Some(&new) {
            self.write(name, &new)?;
            files.insert(name, new);
        }
        Ok(())
    }

    /// Has what the checkpoints say of a log stay as it is, because the log could not be opened.
    pub(in crate::storage) fn keep_checkpoints_of(&self, log: TopicPartition) {
        self.checkpoints.lock().unopened.insert(log);
    }

    /// Has the checkpoints say nothing any more of logs that are gone. After an error they may go on to speak of some.
    pub(in crate::storage) fn forget_checkpoints(&self, logs: &BTreeSet<TopicPartition>) -> Result<(), FileError> {
        let mut checkpoints = self.checkpoints.lock();
        let Checkpoints { files, unopened } = &mut *checkpoints;
        unopened.retain(|log| !logs.contains(log));
        for name in OF_A_LOG {
            let Some(offsets) = files.get_mut(name) else { continue };
            if logs.iter().any(|log| offsets.contains_key(log)) {
                let mut left = offsets.clone();
                left.retain(|log, _| !logs.contains(log));
                self.write(name, &left)?;
                *offsets = left;
            }
        }
        Ok(())
    }

    /// Sees to it that a checkpoint claims no more than `offset` of a log. Writes the file only if it does.
    pub(in crate::storage) fn lower_checkpoint(
        &self,
        name: &'static str,
        log: &TopicPartition,
        offset: Offset,
    ) -> Result<(), FileError> {
        let mut checkpoints = self.checkpoints.lock();
        let Some(offsets) = checkpoints.files.get_mut(name) else { return Ok(()) };
        if offsets.get(log).is_some_and(|claimed| *claimed > offset) {
            let mut lowered = offsets.clone();
            lowered.insert(log.clone(), offset);
            self.write(name, &lowered)?;
            *offsets = lowered;
        }
        Ok(())
    }

    /// What a checkpoint claims of a log.
    pub(in crate::storage) fn checkpointed(&self, name: &str, log: &TopicPartition) -> Option<Offset> {
        self.checkpoints.lock().files.get(name)?.get(log).copied()
    }

    /// Has a checkpoint claim `offset` of a log from the next [`Self::write_noted`] on. What it claimed before.
    pub(in crate::storage) fn note_checkpoint(&self, name: &'static str, log: &TopicPartition, offset: Offset) -> Option<Offset> {
        self.checkpoints.lock().files.entry(name).or_default().insert(log.clone(), offset)
    }

    /// Takes back what was noted, unless it was lowered since.
    pub(in crate::storage) fn take_back(&self, name: &str, log: &TopicPartition, noted: Offset, before: Option<Offset>) {
        let mut checkpoints = self.checkpoints.lock();
        let Some(offsets) = checkpoints.files.get_mut(name).filter(|offsets| offsets.get(log) == Some(&noted)) else { return };
        match before {
            Some(before) => drop(offsets.insert(log.clone(), before)),
            None => drop(offsets.remove(log)),
        }
    }

    /// Writes a checkpoint as it was noted.
    pub(in crate::storage) fn write_noted(&self, name: &'static str) -> Result<(), FileError> {
        let mut checkpoints = self.checkpoints.lock();
        self.write(name, checkpoints.files.entry(name).or_default())
    }

    fn write(&self, name: &str, new: &Offsets) -> Result<(), FileError> {
        offsets::write(&**self.disk(), &self.path.join(name), new)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::base::disk::Disk;
    use crate::base::disk::simulated::SimulatedDisk;
    use crate::storage::file_cache::FileCache;

    fn directory(disk: &SimulatedDisk) -> Arc<LogDirectory> {
        disk.create_dir_all(Path::new("/a")).unwrap();
        LogDirectory::new("/a".into(), Uuid::nil(), FileCache::new(Arc::new(disk.clone()), 10))
    }

    fn log(n: i32) -> TopicPartition {
        TopicPartition::new("t", n)
    }

    fn in_file(disk: &SimulatedDisk, name: &str) -> Offsets {
        offsets::read(disk, &Path::new("/a").join(name)).unwrap()
    }

    #[test]
    fn offsets_are_computed_when_nobody_can_change_the_checkpoint_any_more() {
        let disk = SimulatedDisk::default();
        let directory = directory(&disk);
        let compute = || -> Offsets {
            assert!(directory.checkpoints.is_locked(), "a lower or raised value would be overwritten");
            [(log(0), 10)].into()
        };
        directory.write_checkpoint(offsets::RECOVERY_POINT, compute).unwrap();
        directory.lower_checkpoint(offsets::RECOVERY_POINT, &log(0), 7).unwrap();
        directory.lower_checkpoint(offsets::RECOVERY_POINT, &log(0), 8).unwrap();
        assert_eq!(in_file(&disk, offsets::RECOVERY_POINT), [(log(0), 7)].into());
    }

    #[test]
    fn what_is_said_of_a_log_that_is_not_open_stays_until_it_is_gone() {
        let disk = SimulatedDisk::default();
        let writer = directory(&disk);
        for name in OF_A_LOG {
            writer.write_checkpoint(name, || [(log(0), 1), (log(1), 2), (log(2), 3)].into()).unwrap();
        }
        let directory = directory(&disk);
        for name in OF_A_LOG {
            assert_eq!(directory.read_checkpoint(name).unwrap().len(), 3);
        }
        directory.keep_checkpoints_of(log(1));
        for name in OF_A_LOG {
            directory.write_checkpoint(name, || [(log(0), 5)].into()).unwrap();
            assert_eq!(in_file(&disk, name), [(log(0), 5), (log(1), 2)].into(), "{name}");
        }
        directory.forget_checkpoints(&[log(1)].into()).unwrap();
        for name in OF_A_LOG {
            assert_eq!(in_file(&disk, name), [(log(0), 5)].into(), "{name}");
            directory.write_checkpoint(name, || [(log(0), 6)].into()).unwrap();
            assert_eq!(in_file(&disk, name), [(log(0), 6)].into(), "{name}");
        }
    }

    #[test]
    fn what_could_not_be_lowered_in_the_file_is_not_taken_for_lowered() {
        let disk = SimulatedDisk::default();
        let directory = directory(&disk);
        directory.write_checkpoint(offsets::RECOVERY_POINT, || [(log(0), 100)].into()).unwrap();
        disk.fail_when(|_, _| Some(std::io::ErrorKind::StorageFull));
        directory.lower_checkpoint(offsets::RECOVERY_POINT, &log(0), 50).unwrap_err();
        disk.fail_no_more();
        directory.lower_checkpoint(offsets::RECOVERY_POINT, &log(0), 50).unwrap();
        assert_eq!(in_file(&disk, offsets::RECOVERY_POINT), [(log(0), 50)].into());
    }

    #[test]
    fn what_could_not_be_forgotten_in_the_file_is_not_taken_for_forgotten() {
        let disk = SimulatedDisk::default();
        let directory = directory(&disk);
        directory.write_checkpoint(offsets::LOG_START, || [(log(0), 500)].into()).unwrap();
        disk.set_capacity(Some(disk.used()));
        assert!(directory.forget_checkpoints(&[log(0)].into()).is_err());
        disk.set_capacity(None);
        directory.forget_checkpoints(&[log(0)].into()).unwrap();
        assert_eq!(in_file(&disk, offsets::LOG_START), Offsets::new());
    }
}
