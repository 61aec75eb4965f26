//! Whose a log is, rolling, checkpoints, closing and deleting.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use crate::base::ids::{Offset, TimestampMs, TopicId};
use crate::storage::checkpoint::{FileError, partition_metadata};
use crate::storage::directory::is_shortage;
use crate::storage::error::LogError;
use crate::storage::segment::Segment;
use crate::storage::unsynced::Unsynced;

/// A snapshot of the producers is taken with a checkpoint once so many bytes follow the last one.
const SNAPSHOT_EVERY: u64 = 8 << 20;

impl Log {
    /// Takes note of the topic that a log belongs to whose directory does not say so (Kafka's `assignTopicId`). It is as durable as what is appended next;
    /// where there is no room for the file, the next start finds none and the owner tells again.
    pub fn assign_topic_id(&mut self, topic_id: TopicId) -> Result<(), LogError> {
        debug_assert_eq!(self.topic_id, None);
        self.directory().check_online()?;
        self.topic_id = Some(topic_id);
        let written = partition_metadata::write(&Unsynced(self.home().disk().clone()), &self.dir(), topic_id);
        self.shared.files_are_new.store(true, Ordering::Release);
        written.map_err(|error| self.error(error))
    }

    /// Begins a new active segment at the end of the log, if the present one holds anything (for retention of a log at rest, and tools).
    pub fn roll(&mut self, now: TimestampMs) -> Result<(), LogError> {
        if self.active().size() == 0 {
            return Ok(());
        }
        self.roll_at(self.log_end_offset(), now)
    }

    /// Begins a new active segment at `base_offset`, which lies at the end of the log or behind it. For want of space everything stays as it was.
    pub(super) fn roll_at(&mut self, base_offset: Offset, now: TimestampMs) -> Result<(), LogError> {
        self.directory().check_online()?;
        let base_offset = base_offset.max(self.log_end_offset());
        let old = self.active().clone();
        if old.base_offset() == base_offset {
            // Empty, and of the same name: a new one would be the same.
            return Ok(());
        }
        old.seal().map_err(|error| self.error(error))?;
        // What sealing wrote to its indexes: they are trusted once the log is checkpointed behind them.
        self.shared.mark_dirty(&old);
        self.begin_segment(base_offset, now)
    }

    /// The second half of a roll. Where the segment before is about to go, it need not be sealed: on a full disk that would keep it from going.
    pub(super) fn begin_segment(&mut self, base_offset: Offset, now: TimestampMs) -> Result<(), LogError> {
        let old = self.active().clone();
        let created = Segment::create(self.home(), base_offset, self.map_len(), now);
        let new = created.map_err(|error| {
            // What comes next may still fit the old one.
            old.mark_active(0);
            self.error(error)
        })?;
        self.change_segments(|segments| segments.push(new));
        self.producers.set_map_end_offset(base_offset);
        self.take_snapshot(false)?;
        self.shared.flush_in_background();
        tracing::debug!(partition = %self.partition(), base_offset, "rolled a new segment");
        Ok(())
    }

    /// The size that a new segment may grow to.
    pub(super) fn map_len(&self) -> u64 {
        self.config.segment_bytes.max(0) as u64
    }

    /// How much earlier than `segment.ms` this segment is rolled, so that not all partitions roll at once (`segment.jitter.ms`).
    pub(super) fn roll_jitter(&self, segment: &Segment) -> i64 {
        let most = self.config.segment_jitter_ms.min(self.config.segment_ms);
        if most <= 0 {
            return 0;
        }
        let mut hash = stable_hash(&self.partition().topic);
        hash ^= (self.partition().partition as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ segment.base_offset() as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((hash >> 17) % most as u64) as i64
    }

    /// Takes a snapshot of the producers if much was appended since the last one: after a kill, all that follows it has to be read again. To be called
    /// about as often as recovery points are checkpointed; cheap when little was written.
    pub fn checkpoint(&mut self) -> Result<(), LogError> {
        self.directory().check_online()?;
        if self.since_snapshot >= SNAPSHOT_EVERY { self.take_snapshot(false) } else { Ok(()) }
    }

    /// A snapshot is a cache of the log; that there is no room for it is no error. Of those that belong to no segment, one is enough.
    fn take_snapshot(&mut self, durable: bool) -> Result<(), LogError> {
        let (disk, dir) = (self.home().disk().clone(), self.dir());
        let taken = self.producers.take_snapshot(&*disk, &dir, durable).and_then(|()| {
            let bases = self.segments.iter().map(|segment| segment.base_offset()).collect();
            self.producers.remove_stray_snapshots(&*disk, &dir, &bases)
        });
        self.since_snapshot = 0;
        match taken {
            Err(FileError::Io { source, .. }) if is_shortage(&source) => Ok(()),
            taken => taken.map_err(|error| self.error(error)),
        }
    }

    /// Writes everything that is not in the files yet, so that the log can be opened again without reading its contents, once the files are
    /// durable ([`crate::storage::LogManager::shutdown`] sees to that). Takes no appends afterwards.
    pub fn close(&mut self) -> Result<(), LogError> {
        if self.shared.closed.load(Ordering::Relaxed) || self.shared.is_deleted() {
            return Ok(());
        }
        self.directory().check_online()?;
        for segment in self.segments.iter() {
            if segment.has_unwritten_index() {
                segment.write_whole_index().map_err(|error| self.error(error))?;
            }
        }
        self.active().give_back_reservation().map_err(|error| self.error(error))?;
        if self.segments.iter().any(|segment| segment.has_unwritten_index()) {
            return Err(LogError::Shortage { path: self.dir(), source: std::io::ErrorKind::StorageFull.into() });
        }
        self.take_snapshot(false)?;
        if self.lacks_epochs() {
            self.write_epochs()?;
        }
        self.shared.closed.store(true, Ordering::Release);
        Ok(())
    }

    /// Renames the directory so that the log is gone, and has its files removed after `file.delete.delay.ms`. Plans made before still read.
    pub(in crate::storage) fn delete(&mut self, unique: u128, now: TimestampMs) -> Result<PathBuf, LogError> {
        self.directory().check_online()?;
        let name = crate::storage::names::delete_dir_name(self.partition(), unique);
        let to = self.directory().path().join(name);
        self.shared.deleted.store(true, Ordering::Release);
        self.rename_directory(&to)?;
        self.directory().deletions.schedule_dir(to.clone(), now.saturating_add(self.config.file_delete_delay_ms));
        Ok(to)
    }

    /// Renames the directory so that the log is gone but nothing of it is lost; a person decides what becomes of it. Its new path.
    pub(in crate::storage) fn put_aside(&mut self, unique: u128) -> Result<PathBuf, LogError> {
        self.directory().check_online()?;
        let to = self.directory().path().join(crate::storage::names::stray_dir_name(self.partition(), unique));
        self.shared.deleted.store(true, Ordering::Release);
        self.rename_directory(&to)?;
        Ok(to)
    }

    fn rename_directory(&mut self, to: &Path) -> Result<(), LogError> {
        self.home().rename(to.to_owned()).map_err(|error| self.error(error))?;
        for segment in self.segments.iter() {
            segment.follow_directory();
        }
        Ok(())
    }

    /// Takes segments out of the log, in the order given, and has their files removed later. Each removal is made durable before the next: a loss
    /// of power in between must not leave a hole.
    pub(super) fn remove_segments<'a>(
        &mut self,
        removed: impl Iterator<Item = &'a Arc<Segment>>,
        now: TimestampMs,
    ) -> Result<(), LogError> {
        let due = now.saturating_add(self.config.file_delete_delay_ms);
        for segment in removed {
            tracing::info!(partition = %self.partition(), ?segment, "deleting a segment");
            self.change_segments(|segments| segments.retain(|kept| !Arc::ptr_eq(kept, segment)));
            self.producers.release_snapshot(segment.base_offset());
            for path in segment.mark_deleted().map_err(|error| self.error(error))? {
                self.directory().deletions.schedule_file(path, due);
            }
            self.sync_names()?;
        }
        Ok(())
    }

    /// Makes creations, renames and removals in the log's directory durable.
    pub(super) fn sync_names(&self) -> Result<(), LogError> {
        let dir = self.dir();
        self.home().disk().sync_dir(&dir).map_err(|error| self.error(FileError::io("sync", &dir)(error)))
    }
}

fn stable_hash(text: &str) -> u64 {
    // FNV-1a: the same in every process, so that a restart does not move the roll.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
