//! What the rest of the broker may know of a log without its owner's lock: offsets, size, and how far it is on the disk.
//!
//! Invariants: `log_start ≤ high_watermark ≤ log_end`, `log_start ≤ last_stable ≤ high_watermark`, `durable_end ≤ log_end`. Each is written
//! under the lock of the log's owner (`durable_end` by the flusher too, under `sync`); a reader without that lock sees each value
//! as it was at some moment, not all of them at the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::directory::{DirectoryOffline, LogDirectory, LogHome};
use super::segment::Segment;
use crate::base::ids::{Offset, TimestampMs, TopicPartition};

/// Told how far the log is durable after a sync that was asked for, or that its directory failed. Called by the flusher's thread, without any
/// storage lock.
pub type FlushListener = Arc<dyn Fn(Result<Offset, DirectoryOffline>) + Send + Sync>;

/// See the module.
pub struct LogShared {
    partition: TopicPartition,
    pub(super) home: Arc<LogHome>,
    pub(super) log_start: AtomicI64,
    pub(super) log_end: AtomicI64,
    pub(super) high_watermark: AtomicI64,
    pub(super) durable_end: AtomicI64,
    pub(super) size: AtomicU64,
    pub(super) segments: AtomicU64,
    /// Bytes of the active segment.
    pub(super) active_size: AtomicU64,
    /// Base offset of the first segment.
    pub(super) first_segment: AtomicI64,
    /// Neither to be served nor checkpointed any more: deleted.
    pub(super) deleted: AtomicBool,
    /// Closed in order: everything is in the files.
    pub(super) closed: AtomicBool,
    pub(super) flush_ms: AtomicI64,
    pub(super) last_flush: AtomicI64,
    /// In the flusher's queue, urgently or not.
    pub(super) queued_urgent: AtomicBool,
    pub(super) queued: AtomicBool,
    /// The directory itself or a small file in it is not durable yet.
    pub(super) files_are_new: AtomicBool,
    pub(super) sync: Mutex<SyncState>,
    pub(super) listener: Mutex<Option<FlushListener>>,
}

/// Guarded together: what a sync has to cover, and what it may claim.
#[derive(Default)]
pub(super) struct SyncState {
    /// Segments with bytes that are not durable.
    pub dirty: Vec<Arc<Segment>>,
    /// Raised by every truncation: a sync begun before one proves nothing after it.
    pub truncations: u64,
}

impl LogShared {
    pub(super) fn new(partition: TopicPartition, home: Arc<LogHome>) -> Self {
        Self {
            partition,
            home,
            log_start: AtomicI64::new(0),
            log_end: AtomicI64::new(0),
            high_watermark: AtomicI64::new(0),
            durable_end: AtomicI64::new(0),
            size: AtomicU64::new(0),
            segments: AtomicU64::new(0),
            active_size: AtomicU64::new(0),
            first_segment: AtomicI64::new(0),
            deleted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            flush_ms: AtomicI64::new(i64::MAX),
            last_flush: AtomicI64::new(0),
            queued_urgent: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            files_are_new: AtomicBool::new(false),
            sync: Mutex::default(),
            listener: Mutex::default(),
        }
    }

    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    pub fn directory(&self) -> &Arc<LogDirectory> {
        &self.home.directory
    }

    pub fn log_start_offset(&self) -> Offset {
        self.log_start.load(Ordering::Acquire)
    }

    /// Offset of the next record.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end.load(Ordering::Acquire)
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Everything below is on the disk: the recovery point.
    pub fn durable_end(&self) -> Offset {
        self.durable_end.load(Ordering::Acquire)
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    pub fn segment_count(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.durable_end() < self.log_end_offset()
    }

    /// Takes note that `segment` has bytes which are not durable.
    pub(super) fn mark_dirty(&self, segment: &Arc<Segment>) {
        if !segment.dirty.swap(true, Ordering::AcqRel) {
            self.sync.lock().dirty.push(segment.clone());
        }
    }

    /// Asks for a sync in the next round of the group commit.
    pub(super) fn flush_urgently(self: &Arc<Self>) {
        if !self.queued_urgent.swap(true, Ordering::AcqRel) {
            self.home.directory.flush_queue.push_urgent(self.clone());
        }
    }

    /// Asks for a sync when the flusher has time.
    pub(super) fn flush_in_background(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.home.directory.flush_queue.push(self.clone());
        }
    }

    /// Asks for a sync if `flush.ms` has passed since the last one.
    pub(super) fn flush_if_due(self: &Arc<Self>, now: TimestampMs) {
        let last = self.last_flush.load(Ordering::Relaxed);
        if now.saturating_sub(last) >= self.flush_ms.load(Ordering::Relaxed) {
            self.last_flush.store(now, Ordering::Relaxed);
            if self.is_dirty() {
                self.flush_in_background();
            }
        }
    }

    /// How often the log was truncated: whoever works on what he saw before, works on what may be gone.
    pub(super) fn truncations(&self) -> u64 {
        self.sync.lock().truncations
    }

    /// Lowers what is durable, because the log now ends at `end`.
    pub(super) fn truncated_to(&self, end: Offset) {
        let mut sync = self.sync.lock();
        sync.truncations += 1;
        self.durable_end.fetch_min(end, Ordering::AcqRel);
    }
}
