//! Opening the directory of a log, and making one (Kafka's `LogLoader`).
//!
//! After a stop in order nothing of the log's contents is read: names and sizes tell the segments, the checkpoint where the log ends, the last
//! snapshot its producers. After any other stop the tail behind the recovery point is verified ([`super::recovery`]).

mod tidy;
mod verification;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::verification::Verification;
use super::checkpoint::{FileError, offsets, partition_metadata};
use super::directory::{LogDirectory, LogHome};
use super::leader_epochs::LeaderEpochCache;
use super::log::{LoadedParts, Log, LogSettings};
use super::names::{FileKind, FileState, SegmentFile, log_dir_name};
use super::producer_state::ProducerStateManager;
use super::recovery::{Loss, complete_epochs, next_offset_of, rebuild_epochs, replay_producers};
use super::segment::{LookupError, Segment, SegmentFiles};
use super::shared::LogShared;
use super::unsynced::Unsynced;
use crate::base::disk::DirEntry;
use crate::base::ids::{Offset, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicConfig;

/// How the process that had the log directory before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastStop {
    /// It closed its logs.
    Clean,
    /// It was killed, but the machine ran on: all that it wrote is there.
    Killed,
    /// Klamm was killed together with its machine, which may have lost what was not synced.
    Lost,
    /// It was not klamm (or long ago), and it did not close its logs.
    Foreign,
}

/// What the log directory's checkpoints say of one log; `None` where they say nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checkpoints {
    pub recovery_point: Option<Offset>,
    pub log_start: Option<Offset>,
    pub high_watermark: Option<Offset>,
    /// Size of the active segment when the log was closed.
    pub active_size: Option<u64>,
}

/// Why a log was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    #[error(transparent)]
    File(#[from] FileError),
    /// This file is of a log that nobody knows.
    #[error("{} is in the way of a new log", file.display())]
    Occupied { file: PathBuf },
}

/// What is the same for all logs that are opened.
pub(super) struct Loader<'a> {
    pub directory: &'a Arc<LogDirectory>,
    pub settings: &'a Arc<LogSettings>,
    pub last_stop: LastStop,
    pub now: TimestampMs,
}

impl Loader<'_> {
    /// Makes the directory of a new log. Nothing is durable before the first flush of the log.
    pub fn create(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: &Arc<TopicConfig>,
    ) -> Result<Log, CreateError> {
        let (disk, dir) = (self.directory.disk(), self.directory.path().join(log_dir_name(partition)));
        self.check_vacant(&dir)?;
        let created = self.create_in(&dir, partition, topic_id, config);
        if created.is_err() {
            // Whoever looks for logs need not meet one that holds nothing. What cannot be removed now is taken over by the next attempt.
            let _ = disk.remove_dir_all(&dir);
        }
        Ok(created?)
    }

    /// Refuses a directory with files of a log in it. What a creation leaves behind that did not come to its end holds nothing, and may be taken over.
    fn check_vacant(&self, dir: &Path) -> Result<(), CreateError> {
        let listing = match self.directory.disk().list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listing => listing.map_err(FileError::io("list", dir))?,
        };
        for entry in listing {
            // A segment that begins later tells where its log has come to, even an empty one.
            if SegmentFile::parse(&entry.name).is_some_and(|file| file.base_offset > 0 || entry.len > 0) {
                return Err(CreateError::Occupied { file: dir.join(entry.name) });
            }
        }
        Ok(())
    }

    fn create_in(
        &self,
        dir: &Path,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: &Arc<TopicConfig>,
    ) -> Result<Log, FileError> {
        let disk = self.directory.disk();
        disk.create_dir_all(dir).map_err(FileError::io("create", dir))?;
        if let Some(id) = topic_id {
            partition_metadata::write(&Unsynced(disk.clone()), dir, id)?;
        }
        let home = LogHome::new(self.directory.clone(), dir.to_owned());
        let shared = Arc::new(LogShared::new(partition.clone(), home.clone()));
        shared.files_are_new.store(true, Ordering::Relaxed);
        let segment = Segment::create(&home, 0, config.segment_bytes.max(0) as u64, self.now)?;
        let parts = LoadedParts {
            segments: vec![segment],
            epochs: LeaderEpochCache::new(),
            producers: ProducerStateManager::new([]),
            topic_id,
            log_start: 0,
            log_end: 0,
            recovery_point: 0,
            high_watermark: 0,
        };
        Ok(Log::assemble(shared, self.settings.clone(), config.clone(), parts, self.now))
    }

    /// Opens the log in the directory of its name.
    pub fn open(
        &self,
        partition: &TopicPartition,
        config: &Arc<TopicConfig>,
        checkpoints: Checkpoints,
    ) -> Result<(Log, Option<Loss>), FileError> {
        let (disk, dir) = (self.directory.disk(), self.directory.path().join(log_dir_name(partition)));
        let home = LogHome::new(self.directory.clone(), dir.clone());
        let listing = self.tidy(&home)?;
        let has = |name: &str| listing.iter().any(|entry| entry.name == name);
        let topic_id = if has(partition_metadata::FILE_NAME) { self.read_topic_id(&dir)? } else { None };

        let mut segments = self.segments(&home, &listing);
        let first_base = segments.first().map_or(0, |segment| segment.base_offset());
        let mut log_start = checkpoints.log_start.unwrap_or(0).max(first_base);
        if segments.is_empty() {
            segments.push(Segment::create(&home, log_start, config.segment_bytes.max(0) as u64, self.now)?);
            // What was there is gone, which recovery tells. Its offsets are not given again: the log begins anew behind them.
            log_start = log_start.max(checkpoints.recovery_point.unwrap_or(0));
        }
        let closed = if self.last_stop == LastStop::Clean { segments.len() } else { segments.len() - 1 };
        segments[..closed].iter().for_each(|segment| segment.expect_whole_index());
        segments[..segments.len() - 1].iter().for_each(|segment| segment.mark_sealed());
        let mut epochs = match has(super::leader_epochs::FILE_NAME).then(|| LeaderEpochCache::load(&**disk, &dir)) {
            None => LeaderEpochCache::new(),
            Some(Ok(epochs)) => epochs,
            Some(Err(FileError::Damaged { path, reason })) => {
                tracing::warn!(path = %path.display(), reason, "rebuilding the leader epochs from the log");
                let closed = self.last_stop == LastStop::Clean;
                rebuild_epochs(&segments, if closed { Offset::MAX } else { checkpoints.recovery_point.unwrap_or(0) })?
            }
            Some(Err(error)) => return Err(error),
        };
        let epochs_found = epochs.clone();
        let mut producers = ProducerStateManager::new(snapshots(&listing));
        let shared = Arc::new(LogShared::new(partition.clone(), home.clone()));
        shared.files_are_new.store(self.last_stop != LastStop::Clean, Ordering::Relaxed);

        let (log_end, recovery_point, loss) = if self.last_stop == LastStop::Clean {
            let end = self.end_of_closed(&segments, checkpoints)?;
            let promised = checkpoints.recovery_point.max(checkpoints.high_watermark).unwrap_or(0);
            if end < promised {
                tracing::warn!(%partition, end, promised, "the log ends in front of where it was closed, as if an older copy was restored");
            }
            let expiration = self.settings.producer_id_expiration_ms();
            producers.truncate_and_reload(&**disk, &dir, (log_start, end), self.now, expiration)?;
            if producers.map_end_offset() < end {
                replay_producers(&mut producers, &segments, log_start, end)?;
            }
            (end, end, None)
        } else {
            let recovery_point = checkpoints.recovery_point.unwrap_or(0).max(first_base);
            // Records that were deleted before they were durable may have left anything in front of the log's start, where its segment is walked
            // through, too. After a kill all that was written is there.
            let verified_from = match self.last_stop {
                LastStop::Killed | LastStop::Clean => log_start,
                LastStop::Lost | LastStop::Foreign => log_start.min(recovery_point),
            };
            let verified = Verification {
                loader: self,
                home: &home,
                config,
                checkpoints,
                log_start: verified_from,
                recovery_point: recovery_point.max(verified_from),
            };
            let (end, loss) = verified.run(&mut segments, &mut epochs, &mut producers)?;
            complete_epochs(&mut epochs, &segments, log_start)?;
            for segment in segments.iter().filter(|segment| segment.size() > 0) {
                let next = segments.iter().find(|next| next.base_offset() > segment.base_offset());
                // One that ends at the recovery point may have been sealed there, and its index not be durable.
                if next.is_none_or(|next| next.base_offset() >= recovery_point) {
                    shared.mark_dirty(segment);
                }
            }
            (end, recovery_point.min(end), loss)
        };
        if log_end < log_start {
            tracing::warn!(%partition, log_end, log_start, "the log ends before its start; it begins anew there");
            for segment in segments.drain(..) {
                for path in segment.mark_deleted()? {
                    disk.remove_file(&path).map_err(FileError::io("remove", &path))?;
                }
            }
            segments.push(Segment::create(&home, log_start, config.segment_bytes.max(0) as u64, self.now)?);
            producers.truncate_fully_and_start_at(&**disk, &dir, log_start)?;
            epochs.clear();
        }
        let log_end = log_end.max(log_start);
        log_start = log_start.min(log_end);
        epochs.truncate_from_end(log_end);
        epochs.truncate_from_start(log_start);
        // What is on the disk must not claim more than was found, should there be another stop before the next checkpoint.
        self.directory.lower_checkpoint(offsets::RECOVERY_POINT, partition, log_end)?;
        if epochs.entries() == epochs_found.entries() {
            // Recovery forgot epochs and met them again. To write the same file anew would be most of the time a small log takes.
            epochs = epochs_found;
        }
        if epochs.is_dirty() {
            epochs.flush(&Unsynced(disk.clone()), &dir)?;
            shared.files_are_new.store(true, Ordering::Relaxed);
        }
        let active = segments.last().expect("one was made above");
        active.mark_active(config.segment_bytes.max(0) as u64);
        let parts = LoadedParts {
            segments,
            epochs,
            producers,
            topic_id,
            log_start,
            log_end,
            recovery_point,
            high_watermark: checkpoints.high_watermark.unwrap_or(log_start),
        };
        Ok((Log::assemble(shared, self.settings.clone(), config.clone(), parts, self.now), loss))
    }

    /// Where a log that was closed in order ends: as its checkpoint says, if the active segment still has the size it had then; otherwise (Kafka
    /// has closed it, or somebody touched it) behind its last batch.
    fn end_of_closed(&self, segments: &[Arc<Segment>], checkpoints: Checkpoints) -> Result<Offset, FileError> {
        let active = segments.last().expect("there is always one");
        let base_offset = active.base_offset();
        if let (Some(end), Some(size)) = (checkpoints.recovery_point, checkpoints.active_size)
            && size == active.size()
            && (end > base_offset) == (size > 0)
            && end >= base_offset
        {
            return Ok(end);
        }
        match next_offset_of(active) {
            Ok(end) => Ok(end),
            Err(LookupError::File(error)) => Err(error),
            Err(error) => Err(FileError::damaged(&active.path(), error.to_string())),
        }
    }

    /// A file that was not synced before the machine stopped says nothing, and goes: after a stop in order it would be taken for one that rotted. The owner
    /// knows the topic and has it written anew ([`Log::assign_topic_id`]).
    fn read_topic_id(&self, dir: &Path) -> Result<Option<TopicId>, FileError> {
        let disk = self.directory.disk();
        match partition_metadata::read(&**disk, dir) {
            Err(FileError::Damaged { path, reason }) if self.last_stop != LastStop::Clean => {
                tracing::warn!(path = %path.display(), reason, "removing a file that was not written out");
                disk.remove_file(&path).map_err(FileError::io("remove", &path))?;
                Ok(None)
            }
            read => read,
        }
    }

    /// The segments of a directory, in order.
    fn segments(&self, home: &Arc<LogHome>, listing: &[DirEntry]) -> Vec<Arc<Segment>> {
        let mut found: BTreeMap<Offset, SegmentFiles> = BTreeMap::new();
        for entry in listing.iter().filter(|entry| !entry.is_dir) {
            let Some(file) = SegmentFile::parse(&entry.name).filter(|file| file.state == FileState::Live) else { continue };
            if file.kind == FileKind::ProducerSnapshot {
                continue;
            }
            let files = found.entry(file.base_offset).or_default();
            match file.kind {
                FileKind::Log => (files.log, files.modified) = (entry.len, entry.modified),
                FileKind::OffsetIndex => files.offset_index = Some(entry.len),
                FileKind::TimeIndex => files.time_index = Some(entry.len),
                FileKind::TransactionIndex => files.transaction_index = Some(entry.len),
                FileKind::ProducerSnapshot => {}
            }
        }
        found.into_iter().map(|(base_offset, files)| Segment::open(home, base_offset, files, self.now)).collect()
    }
}

fn snapshots(listing: &[DirEntry]) -> impl Iterator<Item = Offset> + '_ {
    listing.iter().filter_map(|entry| {
        let file = SegmentFile::parse(&entry.name)?;
        (file.kind == FileKind::ProducerSnapshot && file.state == FileState::Live).then_some(file.base_offset)
    })
}
