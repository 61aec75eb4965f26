//! Tests of the log as a whole, on the simulated disk.

mod basics;
mod compaction;
mod compaction_meanwhile;
mod compaction_model;
mod compaction_stops;
mod damage;
mod following;
mod left_alone;
mod manager;
mod model;
mod reading;
mod space;
mod times;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::checkpoint::{FileError, offsets};
use super::directory::LogDirectory;
use super::error::{AppendError, LogError};
use super::file_cache::FileCache;
use super::flusher;
use super::loader::{Checkpoints, LastStop, Loader};
use super::log::{Appended, Log, LogSettings};
use super::producer_state::AppendOrigin;
use super::recovery::Loss;
use crate::base::disk::Disk;
use crate::base::disk::simulated::SimulatedDisk;
use crate::base::ids::*;
use crate::config::topic::TopicConfig;
use crate::record::batches::batches;
use crate::record::builder::{BatchBuilder, Producer};
use crate::record::compression::Codec;
use crate::record::records::records;

pub(super) const NOW: TimestampMs = 1_700_000_000_000;
const DIR: &str = "/data";

/// One log directory on a simulated disk, and the means to open its one log again and again.
pub(super) struct Bench {
    pub disk: SimulatedDisk,
    pub directory: Arc<LogDirectory>,
    pub config: TopicConfig,
    pub settings: Arc<LogSettings>,
}

impl Bench {
    pub fn new(config: TopicConfig) -> Self {
        let disk = SimulatedDisk::default();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let directory = directory(&disk, 1000);
        Self { disk, directory, config, settings: Arc::default() }
    }

    pub fn small_segments(bytes: i32) -> Self {
        Self::new(TopicConfig { segment_bytes: bytes, index_interval_bytes: 256, ..TopicConfig::default() })
    }

    fn loader(&self, last_stop: LastStop) -> Loader<'_> {
        Loader { directory: &self.directory, settings: &self.settings, last_stop, now: NOW }
    }

    pub fn create(&self) -> Log {
        self.loader(LastStop::Clean).create(&partition(), None, &Arc::new(self.config.clone())).unwrap()
    }

    /// Opens the log as a new process would: with a directory and a cache of its own.
    pub fn open(&mut self, last_stop: LastStop, checkpoints: Checkpoints) -> (Log, Option<Loss>) {
        self.try_open(last_stop, checkpoints).unwrap()
    }

    pub fn try_open(&mut self, last_stop: LastStop, checkpoints: Checkpoints) -> Result<(Log, Option<Loss>), FileError> {
        self.read_checkpoints()?;
        self.loader(last_stop).open(&partition(), &Arc::new(self.config.clone()), checkpoints)
    }

    fn read_checkpoints(&mut self) -> Result<Checkpoints, FileError> {
        self.directory = directory(&self.disk, 1000);
        let read = |name| Ok(self.directory.read_checkpoint(name)?.get(&partition()).copied());
        // Whoever cleans asks the directory.
        read(offsets::CLEANER)?;
        Ok(Checkpoints {
            recovery_point: read(offsets::RECOVERY_POINT)?,
            log_start: read(offsets::LOG_START)?,
            high_watermark: read(offsets::HIGH_WATERMARK)?,
            active_size: None,
        })
    }

    /// Writes the checkpoints that are written from time to time.
    pub fn checkpoint(&self, log: &Log) -> Result<(), FileError> {
        for (name, offset) in [
            (offsets::RECOVERY_POINT, log.durable_end()),
            (offsets::LOG_START, log.log_start_offset()),
            (offsets::HIGH_WATERMARK, log.high_watermark()),
        ] {
            self.directory.write_checkpoint(name, || [(partition(), offset)].into())?;
        }
        Ok(())
    }

    /// Opens the log as a new process would that finds the checkpoints in their files.
    pub fn open_as_left(&mut self, last_stop: LastStop) -> Result<(Log, Option<Loss>), FileError> {
        let checkpoints = self.read_checkpoints()?;
        self.loader(last_stop).open(&partition(), &Arc::new(self.config.clone()), checkpoints)
    }

    /// Closes the log in order and opens it again.
    pub fn reopen(&mut self, mut log: Log) -> Log {
        log.close().unwrap();
        self.flush();
        let checkpoints = checkpoints_of(&log);
        drop(log);
        self.open(LastStop::Clean, checkpoints).0
    }

    /// Does what the flusher's thread has to do.
    pub fn flush(&self) {
        flusher::run_pending(&self.directory);
    }

    /// Where a file of the one log lies.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(DIR).join("t-0").join(name)
    }

    /// Names and sizes of the log's files; empty if the disk does not tell.
    pub fn files(&self) -> Vec<String> {
        let listing = self.disk.list(&Path::new(DIR).join("t-0")).unwrap_or_default();
        let mut names: Vec<String> = listing.into_iter().map(|entry| format!("{} {}", entry.name, entry.len)).collect();
        names.sort();
        names
    }
}

pub(super) fn directory(disk: &SimulatedDisk, capacity: usize) -> Arc<LogDirectory> {
    LogDirectory::new(DIR.into(), Uuid::nil(), FileCache::new(Arc::new(disk.clone()), capacity))
}

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// What a stop in order writes down of a log.
pub(super) fn checkpoints_of(log: &Log) -> Checkpoints {
    Checkpoints {
        recovery_point: Some(log.log_end_offset()),
        log_start: Some(log.log_start_offset()),
        high_watermark: Some(log.high_watermark()),
        active_size: Some(log.segments().last().unwrap().size()),
    }
}

/// A batch of records with these values, at these times.
pub(super) fn batch(values: &[(&str, TimestampMs)], codec: Codec, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.producer = producer;
    for (value, timestamp) in values {
        builder.push_plain(*timestamp, None, Some(value.as_bytes()));
    }
    builder.build()
}

/// Appends one batch at leader epoch 0.
pub(super) fn append(log: &mut Log, values: &[&str]) -> Result<Appended, AppendError> {
    append_at(log, &values.iter().map(|value| (*value, NOW)).collect::<Vec<_>>(), 0)
}

pub(super) fn append_at(log: &mut Log, values: &[(&str, TimestampMs)], epoch: LeaderEpoch) -> Result<Appended, AppendError> {
    let batch = batch(values, Codec::None, Producer::NONE);
    log.append_built(&batch, epoch, AppendOrigin::Coordinator { transaction_version: 0 }, None, NOW)
}

/// Deletes all that retention does not keep; how many segments those were.
pub(super) fn delete_old_segments(log: &mut Log, now: TimestampMs) -> Result<usize, LogError> {
    let (before, mut deleted) = (log.log_end_offset(), 0);
    while log.delete_oldest_segment(before, now)? {
        deleted += 1;
    }
    Ok(deleted)
}

/// All records from `offset` to `bound`, read `max_bytes` at a time.
pub(super) fn read_all(log: &Log, mut offset: Offset, bound: Offset, max_bytes: usize) -> Vec<(Offset, String)> {
    let mut all = Vec::new();
    while offset < bound {
        let mut plan = log.read(offset, max_bytes, true, bound).unwrap();
        if !plan.is_resident() {
            plan.load().unwrap();
        }
        let fetched = plan.finish().unwrap();
        let before = offset;
        for batch in batches(&fetched.records) {
            let batch = batch.unwrap();
            batch.verify_checksum().unwrap();
            for record in records(&batch.header, batch.body()) {
                let record = record.unwrap();
                if record.offset >= offset {
                    all.push((record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
                }
            }
            offset = offset.max(batch.header.next_offset());
        }
        if offset == before {
            break;
        }
    }
    all
}
