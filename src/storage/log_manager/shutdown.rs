//! Stopping in order: everything is written, then made durable with one sync of the file system, and only then is it said to be so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Known, LogManager, ManagedDir, checkpoints, stop_marker};
use crate::storage::checkpoint::{FileError, offsets};
use crate::storage::error::LogError;
use crate::storage::shared::LogShared;

impl LogManager {
    /// Says under which broker epoch this process runs, so that a start after a crash can tell the controller.
    pub fn set_broker_epoch(&self, broker_epoch: i64) {
        for dir in self.dirs.iter().filter(|dir| dir.repaired && dir.directory.offline().is_none()) {
            let (disk, path) = (dir.directory.disk(), dir.directory.path());
            if let Err(error) = stop_marker::running(&**disk, path, &self.boot_id, Some(broker_epoch)) {
                tracing::warn!(%error, "the broker epoch was not noted down");
            }
        }
    }

    /// Stops in order: has `close` close the log of every owner, on several threads, makes everything durable, and leaves the proof of it in each
    /// directory all of whose logs are closed. Nothing may be appended any more. True if that was all of them.
    pub fn shutdown<O: Sync>(
        &self,
        owners: &[O],
        close: impl Fn(&O) -> Result<(), LogError> + Sync,
        broker_epoch: Option<i64>,
    ) -> bool {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(owner) = owners.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = close(owner) {
                    tracing::warn!(%error, "a log was not closed in order");
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..(self.threads_per_dir.load(Ordering::Relaxed) * self.dirs.len()).min(owners.len()) {
                scope.spawn(work);
            }
            work();
        });
        self.stop_flushers();
        let mut all = true;
        for dir in &self.dirs {
            let proven = self.prove(dir, broker_epoch);
            if let Err(error) = &proven {
                tracing::warn!(path = %dir.directory.path().display(), %error, "a log directory was not closed in order");
            }
            all &= proven.is_ok_and(|proven| proven);
        }
        all
    }

    /// Makes a directory durable and says so in it; false if some of its logs are not closed or were never opened, or it is offline.
    fn prove(&self, dir: &ManagedDir, broker_epoch: Option<i64>) -> Result<bool, FileError> {
        if dir.directory.offline().is_some() {
            return Ok(false);
        }
        let (disk, path) = (dir.directory.disk(), dir.directory.path());
        disk.sync_all(path).map_err(FileError::io("sync", path))?;
        let logs = self.logs_of(dir);
        let closed = |log: &&Arc<LogShared>| log.closed.load(Ordering::Acquire);
        for log in logs.iter().filter(closed) {
            log.durable_end.store(log.log_end_offset(), Ordering::Release);
        }
        dir.write_checkpoint(offsets::RECOVERY_POINT, &logs, |log| Some(log.durable_end()))?;
        // A start after a stop in order believes all of them: the proof is of the last one, too.
        dir.write_checkpoint(offsets::HIGH_WATERMARK, &logs, checkpoints::high_watermark)?;
        dir.write_checkpoint(offsets::LOG_START, &logs, checkpoints::log_start)?;
        let here = |known: &&Known| Arc::ptr_eq(known.directory(), &dir.directory);
        let all_open = self.known.lock().values().filter(here).all(|known| known.open().is_some());
        if !all_open || !logs.iter().all(|log| closed(&log)) {
            return Ok(false);
        }
        dir.write_checkpoint(offsets::ACTIVE_SIZE, &logs, |log| Some(log.active_size.load(Ordering::Relaxed) as i64))?;
        stop_marker::end(&**disk, path, &self.boot_id, broker_epoch)?;
        Ok(true)
    }

    pub(super) fn stop_flushers(&self) {
        for dir in &self.dirs {
            dir.directory.flush_queue.stop();
            if let Some(thread) = dir.flusher.lock().take() {
                thread.join().expect("the process ends with a flusher that panics");
            }
        }
    }
}
