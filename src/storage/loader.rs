//! Opening the directory of a log, and making one (Kafka's `LogLoader`).
//!
//! After a stop in order nothing of the log's contents is read: names and sizes tell the segments, the checkpoint where the log ends, the last
//! snapshot its producers. After any other stop the tail behind the recovery point is verified ([`super::recovery`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint::{FileError, offsets, partition_metadata};
use super::directory::{LogDirectory, LogHome};
use super::leader_epochs::LeaderEpochCache;
use super::log::{LoadedParts, Log, LogSettings};
use super::names::{FileKind, FileState, SegmentFile, log_dir_name};
use super::producer_state::ProducerStateManager;
use super::recovery::{Loss, Verifier, complete_epochs, next_offset_of, rebuild_epochs, replay_producers};
use super::scan::{BadBatch, BadBatchReason};
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
    ) -> Result<Log, FileError> {
        let (disk, dir) = (self.directory.disk(), self.directory.path().join(log_dir_name(partition)));
        disk.create_dir_all(&dir).map_err(FileError::io("create", &dir))?;
        if let Some(id) = topic_id {
            partition_metadata::write(&Unsynced(disk.clone()), &dir, id)?;
        }
        let home = LogHome::new(self.directory.clone(), dir);
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
        }
        for segment in &segments[..segments.len() - 1] {
            segment.mark_sealed();
        }
        let mut epochs = match has(super::leader_epochs::FILE_NAME).then(|| LeaderEpochCache::load(&**disk, &dir)) {
            None => LeaderEpochCache::new(),
            Some(Ok(epochs)) => epochs,
            Some(Err(FileError::Damaged { path, reason })) => {
                tracing::warn!(path = %path.display(), reason, "rebuilding the leader epochs from the log");
                rebuild_epochs(&segments)?
            }
            Some(Err(error)) => return Err(error),
        };
        let mut producers = ProducerStateManager::new(snapshots(&listing));
        let shared = Arc::new(LogShared::new(partition.clone(), home.clone()));
        shared.files_are_new.store(self.last_stop != LastStop::Clean, Ordering::Relaxed);

        let (log_end, recovery_point, loss) = if self.last_stop == LastStop::Clean {
            let end = self.end_of_closed(&segments, checkpoints)?;
            let expiration = self.settings.producer_id_expiration_ms;
            producers.truncate_and_reload(&**disk, &dir, (log_start, end), self.now, expiration)?;
            if producers.map_end_offset() < end {
                replay_producers(&mut producers, &segments, log_start, end)?;
            }
            (end, end, None)
        } else {
            let recovery_point = checkpoints.recovery_point.unwrap_or(0).max(log_start);
            let verified = Verification { loader: self, home: &home, config, checkpoints, log_start, recovery_point };
            let (end, loss) = verified.run(&mut segments, &mut epochs, &mut producers)?;
            complete_epochs(&mut epochs, &segments, log_start)?;
            for segment in segments.iter().filter(|segment| segment.size() > 0) {
                let next = segments.iter().find(|next| next.base_offset() > segment.base_offset());
                if next.is_none_or(|next| next.base_offset() > recovery_point) {
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
            recovery_point: recovery_point.max(log_start),
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

    /// A file that was not synced before the machine stopped says nothing; the owner knows the topic and tells.
    fn read_topic_id(&self, dir: &Path) -> Result<Option<TopicId>, FileError> {
        match partition_metadata::read(&**self.directory.disk(), dir) {
            Err(FileError::Damaged { path, reason }) if self.last_stop != LastStop::Clean => {
                tracing::warn!(path = %path.display(), reason, "ignoring a file that was not written out");
                Ok(None)
            }
            read => read,
        }
    }

    /// Finishes what was interrupted: files that were going are removed, and cleaned segments take their place. What is there then. The outcome is
    /// durable: what was seen to be gone must not come back behind what is written next.
    fn tidy(&self, home: &LogHome) -> Result<Vec<DirEntry>, FileError> {
        let (disk, dir) = (home.disk(), home.dir());
        let list = || disk.list(&dir).map_err(FileError::io("list", &dir));
        let listing = list()?;
        let files: Vec<(SegmentFile, u64)> =
            listing.iter().filter_map(|entry| Some((SegmentFile::parse(&entry.name)?, entry.len))).collect();
        let is_log = |file: &SegmentFile| file.kind == FileKind::Log;
        let logs: BTreeSet<Offset> =
            files.iter().filter(|(f, _)| is_log(f) && f.state == FileState::Live).map(|(f, _)| f.base_offset).collect();
        let is_orphan = |file: &SegmentFile| {
            file.state == FileState::Live && file.kind != FileKind::ProducerSnapshot && !logs.contains(&file.base_offset)
        };
        let temporary: Vec<&str> =
            listing.iter().map(|entry| entry.name.as_str()).filter(|name| name.ends_with(".tmp")).collect();
        if temporary.is_empty() && files.iter().all(|(file, _)| file.state == FileState::Live && !is_orphan(file)) {
            return Ok(listing);
        }
        let remove = |name: &str| {
            let path = dir.join(name);
            tracing::debug!(path = %path.display(), "removing a left-over file");
            disk.remove_file(&path).map_err(FileError::io("remove", &path))
        };
        // A swap at or behind an unfinished cleaning belongs to it (KAFKA-6264).
        let of = |state: FileState| files.iter().filter(move |(file, _)| file.state == state);
        let first_cleaned = of(FileState::Cleaned).map(|(file, _)| file.base_offset).min().unwrap_or(Offset::MAX);
        let swapped = || of(FileState::Swap).filter(|(file, _)| file.base_offset < first_cleaned);
        let mut replaced: Option<(Offset, Offset)> = None;
        for (file, len) in swapped().filter(|(file, _)| is_log(file)) {
            let end = end_of_file(&**disk, &dir.join(file.name()), *len, file.base_offset)?;
            let (first, last) = replaced.unwrap_or((file.base_offset, end));
            replaced = Some((first.min(file.base_offset), last.max(end)));
        }
        for (file, _) in &files {
            let goes = match file.state {
                FileState::Deleted | FileState::Cleaned => true,
                FileState::Swap => file.base_offset >= first_cleaned,
                FileState::Live => {
                    is_orphan(file) || replaced.is_some_and(|(first, end)| (first..end).contains(&file.base_offset))
                }
            };
            if goes {
                remove(&file.name())?;
            }
        }
        for name in temporary {
            remove(name)?;
        }
        for (file, _) in swapped() {
            let (from, to) = (dir.join(file.name()), dir.join(SegmentFile { state: FileState::Live, ..*file }.name()));
            tracing::info!(path = %to.display(), "finishing an interrupted swap");
            disk.rename(&from, &to).map_err(FileError::io("rename", &from))?;
        }
        disk.sync_dir(&dir).map_err(FileError::io("sync", &dir))?;
        list()
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

fn end_of_file(disk: &dyn crate::base::disk::Disk, path: &Path, len: u64, base_offset: Offset) -> Result<Offset, FileError> {
    let file = disk.open(path, crate::base::disk::OpenMode::Read).map_err(FileError::io("open", path))?;
    let mut scan = super::scan::LogScan::new(&*file, 0, len);
    let mut end = base_offset;
    while let Some(Ok((header, _))) = scan.next_header().map_err(FileError::io("read", path))? {
        end = header.next_offset();
    }
    Ok(end)
}

/// The verification of one log.
struct Verification<'a> {
    loader: &'a Loader<'a>,
    home: &'a Arc<LogHome>,
    config: &'a TopicConfig,
    checkpoints: Checkpoints,
    log_start: Offset,
    recovery_point: Offset,
}

impl Verification<'_> {
    /// Verifies everything from the recovery point on; where the log ends, and what was lost.
    fn run(
        &self,
        segments: &mut Vec<Arc<Segment>>,
        epochs: &mut LeaderEpochCache,
        producers: &mut ProducerStateManager,
    ) -> Result<(Offset, Option<Loss>), FileError> {
        let recovery_point = self.doubt_indexes(segments)?;
        let (disk, dir) = (self.home.disk(), self.home.dir());
        let expiration = self.loader.settings.producer_id_expiration_ms;
        producers.truncate_and_reload(&**disk, &dir, (self.log_start, recovery_point), self.loader.now, expiration)?;
        if producers.map_end_offset() < recovery_point {
            replay_producers(producers, segments, self.log_start, recovery_point)?;
        }
        let first = segments.partition_point(|segment| segment.base_offset() <= recovery_point).saturating_sub(1);
        let (config, now) = (self.config, self.loader.now);
        let mut verifier = Verifier { config, now, epochs, producers, recovery_point, next_offset: 0 };
        let mut found = None;
        for n in first..segments.len() {
            let segment = segments[n].clone();
            if n > first && self.is_behind_a_hole(&segment, verifier.next_offset) {
                let reason = BadBatchReason::Hole { base_offset: segment.base_offset(), next_offset: verifier.next_offset };
                found = Some((n, BadBatch { position: 0, reason }));
                break;
            }
            if segment.base_offset() > recovery_point {
                verifier.producers.set_map_end_offset(verifier.producers.map_end_offset().max(segment.base_offset()));
                verifier.producers.take_snapshot(&**disk, &dir, false)?;
            }
            let bad = verifier.verify(&segment).map_err(|error| match error {
                LookupError::File(error) => error,
                other => FileError::damaged(&segment.path(), other.to_string()),
            })?;
            if n + 1 < segments.len() {
                segment.write_whole_index()?;
                segment.mark_sealed();
            }
            if let Some(bad) = bad {
                found = Some((n, bad));
                break;
            }
        }
        let end = verifier.next_offset;
        let loss = self.cut_behind(segments, found, end)?;
        if end < recovery_point {
            // The checkpoint promised more than there is, and a snapshot may have, too.
            producers.truncate_and_reload(&**disk, &dir, (self.log_start, end), self.loader.now, expiration)?;
            replay_producers(producers, segments, self.log_start, end)?;
        }
        Ok((end, loss))
    }

    /// Where power may have been lost, no index file is believed before it was looked at. A transaction index that is wrong moves the recovery point back to
    /// the start of its segment, from where it can be made anew.
    fn doubt_indexes(&self, segments: &[Arc<Segment>]) -> Result<Offset, FileError> {
        let mut recovery_point = self.recovery_point;
        if self.loader.last_stop == LastStop::Killed {
            return Ok(recovery_point);
        }
        for segment in segments {
            if !segment.verify_index()? {
                segment.distrust_index();
            }
            match self.verify_transactions(segment) {
                Err(FileError::Damaged { path, reason }) => {
                    tracing::warn!(path = %path.display(), reason, "rebuilding a transaction index");
                    segment.transactions().reset(&**self.home.disk())?;
                    recovery_point = recovery_point.min(segment.base_offset().max(self.log_start));
                }
                verified => verified?,
            }
        }
        Ok(recovery_point)
    }

    /// Checks that entries of a transaction index are in order, and that each names a marker in the log: an entry that was torn may look like one.
    fn verify_transactions(&self, segment: &Segment) -> Result<(), FileError> {
        let (path, all) = {
            let transactions = segment.transactions();
            transactions.sanity_check(&**self.home.disk())?;
            (transactions.path().to_owned(), transactions.all(&**self.home.disk())?)
        };
        for txn in all.iter().filter(|txn| txn.last_offset < self.recovery_point) {
            let find = || segment.find(txn.last_offset, segment.size(), segment.generation());
            let found = match find() {
                Err(LookupError::DamagedIndex) => {
                    segment.rebuild_index()?;
                    find()
                }
                found => found,
            };
            let marker = match found {
                Err(LookupError::File(error)) => return Err(error),
                found => found.ok().flatten(),
            };
            let is_its_marker = marker.is_some_and(|batch| {
                let header = batch.header;
                header.is_control() && header.base_offset == txn.last_offset && header.producer_id == txn.producer_id
            });
            if !is_its_marker || txn.first_offset >= txn.last_offset {
                return Err(FileError::damaged(&path, format!("{txn:?} has no marker in the log")));
            }
        }
        Ok(())
    }

    /// Whether something is missing in front of a segment. Klamm begins a segment where the one before ends, unless offsets jump by more than a
    /// segment can express, and compacts only in front of the recovery point; Kafka does neither.
    fn is_behind_a_hole(&self, segment: &Segment, next_offset: Offset) -> bool {
        let missing = segment.base_offset() - next_offset;
        self.loader.last_stop == LastStop::Lost && missing > 0 && missing <= i64::from(i32::MAX)
    }

    /// Removes the segments behind the one that was cut, that one too if nothing is left of it, and says what is gone.
    fn cut_behind(
        &self,
        segments: &mut Vec<Arc<Segment>>,
        found: Option<(usize, BadBatch)>,
        end: Offset,
    ) -> Result<Option<Loss>, FileError> {
        let promised = self.checkpoints.high_watermark.unwrap_or(0).max(self.recovery_point);
        let damaged = end < promised;
        let Some((at, bad)) = found else {
            if !damaged {
                return Ok(None);
            }
            let active = segments.last().expect("there is always one");
            let position = active.size();
            let bad = BadBatch { position, reason: BadBatchReason::CutOff { claimed: HEADER, present: 0 } };
            return Ok(Some(self.report(Loss { path: active.path(), bad, log_end_offset: end, bytes: 0, damaged })));
        };
        let cut = segments[at].clone();
        let is_hole = matches!(bad.reason, BadBatchReason::Hole { .. });
        let mut bytes = cut.size_when_opened().saturating_sub(if is_hole { 0 } else { cut.size() });
        // A segment that lies where the log does not end must not stay, not even empty.
        let kept = if at > 0 && (is_hole || (cut.size() == 0 && cut.base_offset() != end)) { at } else { at + 1 };
        for (n, segment) in segments.drain(kept..).enumerate().rev() {
            bytes += if kept + n == at { 0 } else { segment.size() };
            for path in segment.mark_deleted()? {
                self.home.directory.deletions.schedule_file(path, self.loader.now);
            }
            let dir = self.home.dir();
            self.home.disk().sync_dir(&dir).map_err(FileError::io("sync", &dir))?;
        }
        Ok(Some(self.report(Loss { path: cut.path(), bad, log_end_offset: end, bytes, damaged })))
    }

    fn report(&self, loss: Loss) -> Loss {
        let Loss { path, bad, log_end_offset, bytes, damaged } = &loss;
        tracing::warn!(path = %path.display(), %bad, log_end_offset, bytes, damaged, "cut a log at its first bad batch");
        loss
    }
}

const HEADER: u64 = crate::record::batch::HEADER_LEN as u64;
