//! A partition's log: segments in order of offsets, and what is known of their contents (Kafka's `UnifiedLog` and `LocalLog`).
//!
//! Invariants:
//! - there is always an active segment, the last; only it is written;
//! - `segments[i].base_offset < segments[i+1].base_offset`, and every batch lies in the segment with the greatest base offset below it;
//! - `log_start ≤ high_watermark ≤ log_end` (asserted on every change), `recovery point = durable_end ≤ log_end`;
//! - producer state, epochs and the transaction index describe exactly the records below `log_end`.
//!
//! A log is owned by its partition, which guards it with a lock. Methods are short: what may have to wait for the disk to read is a plan that is
//! finished outside of the lock ([`ReadPlan`], [`TimestampSearch`]).

mod append;
mod compaction;
mod list_offsets;
mod lifecycle;
mod offsets;
mod read;
mod replicate;
mod retention;
mod truncate;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::checkpoint::FileError;
use super::directory::{LogDirectory, LogHome, is_shortage};
use super::error::LogError;
use super::leader_epochs::LeaderEpochCache;
use super::producer_state::ProducerStateManager;
use super::segment::{LookupError, Segment};
use super::shared::{FlushListener, LogShared};
use crate::base::ids::{Offset, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicConfig;

pub use append::Appended;
pub(super) use append::marker_of;
pub(super) use compaction::CleanerView;
pub use list_offsets::{TimestampAndOffset, TimestampSearch};
pub use read::{Fetched, ReadPlan};

/// Settings of the broker, the same for all its logs.
#[derive(Debug)]
pub struct LogSettings {
    /// `producer.id.expiration.ms`, which may change while the logs are open.
    pub producer_id_expiration_ms: AtomicI64,
    /// `transaction.partition.verification.enable`, likewise.
    pub transaction_verification: AtomicBool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { producer_id_expiration_ms: AtomicI64::new(86_400_000), transaction_verification: AtomicBool::new(true) }
    }
}

impl LogSettings {
    pub fn producer_id_expiration_ms(&self) -> i64 {
        self.producer_id_expiration_ms.load(Ordering::Relaxed)
    }
}

/// See the module.
pub struct Log {
    shared: Arc<LogShared>,
    settings: Arc<LogSettings>,
    config: Arc<TopicConfig>,
    topic_id: Option<TopicId>,
    /// Shared with plans; copied when it changes under one.
    segments: Arc<Vec<Arc<Segment>>>,
    epochs: LeaderEpochCache,
    producers: ProducerStateManager,
    /// Nothing is acknowledged before it is durable.
    flush_on_ack: bool,
    /// Bytes appended since the last snapshot of the producers.
    since_snapshot: u64,
}

/// The parts of a log that recovery has put together.
pub(super) struct LoadedParts {
    pub segments: Vec<Arc<Segment>>,
    pub epochs: LeaderEpochCache,
    pub producers: ProducerStateManager,
    pub topic_id: Option<TopicId>,
    pub log_start: Offset,
    pub log_end: Offset,
    pub recovery_point: Offset,
    pub high_watermark: Offset,
}

impl Log {
    pub(super) fn assemble(
        shared: Arc<LogShared>,
        settings: Arc<LogSettings>,
        config: Arc<TopicConfig>,
        parts: LoadedParts,
        now: TimestampMs,
    ) -> Self {
        let LoadedParts { segments, epochs, mut producers, topic_id, log_start, log_end, recovery_point, high_watermark } = parts;
        let high_watermark = high_watermark.clamp(log_start, log_end);
        producers.on_high_watermark_updated(high_watermark);
        shared.log_start.store(log_start, Ordering::Release);
        shared.log_end.store(log_end, Ordering::Release);
        shared.high_watermark.store(high_watermark, Ordering::Release);
        shared.durable_end.store(recovery_point.min(log_end), Ordering::Release);
        shared.last_flush.store(now, Ordering::Relaxed);
        let mut log = Self {
            shared,
            settings,
            topic_id,
            segments: Arc::new(segments),
            epochs,
            producers,
            flush_on_ack: false,
            since_snapshot: 0,
            config: config.clone(),
        };
        log.set_config(config);
        log.publish_sizes();
        log.assert_offsets();
        log
    }

    // ---- Who and where ----

    pub fn partition(&self) -> &TopicPartition {
        self.shared.partition()
    }

    /// What may be known of this log without its owner's lock.
    pub fn shared(&self) -> &Arc<LogShared> {
        &self.shared
    }

    pub fn directory(&self) -> &Arc<LogDirectory> {
        &self.home().directory
    }

    fn home(&self) -> &Arc<LogHome> {
        &self.shared.home
    }

    /// The log's own directory.
    pub fn dir(&self) -> PathBuf {
        self.home().dir()
    }

    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    pub fn config(&self) -> &Arc<TopicConfig> {
        &self.config
    }

    /// Takes over a changed configuration; it applies from the next append on.
    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        self.shared.flush_ms.store(config.flush_ms, Ordering::Relaxed);
        self.config = config;
    }

    /// Whether every append is to be made durable at once, because acknowledgements wait for it (`flush = on-ack`, or `auto` with one replica).
    /// What recovery left that is not durable yet is flushed then, too: nobody else would ask for it.
    pub fn set_flush_on_ack(&mut self, on_ack: bool) {
        self.flush_on_ack = on_ack;
        if self.flush_on_ack() && self.durable_end() < self.log_end_offset() {
            self.shared.flush_urgently();
        }
    }

    /// Whether acknowledgements, and the high watermark, have to wait for [`Self::durable_end`].
    pub fn flush_on_ack(&self) -> bool {
        self.flush_on_ack || self.config.flush_messages == 1
    }

    /// Who is told when [`Self::durable_end`] has moved. Called without storage locks, by the flusher's thread.
    pub fn set_flush_listener(&self, listener: FlushListener) {
        *self.shared.listener.lock() = Some(listener);
    }

    // ---- Segments ----

    /// All segments, by offset; the last is active.
    pub fn segments(&self) -> &Arc<Vec<Arc<Segment>>> {
        &self.segments
    }

    fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("there is always an active segment")
    }

    /// Index of the segment with the greatest base offset that is not above `offset`; the first if there is none.
    fn floor_segment(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1)
    }

    fn change_segments(&mut self, change: impl FnOnce(&mut Vec<Arc<Segment>>)) {
        change(Arc::make_mut(&mut self.segments));
        self.publish_sizes();
    }

    fn publish_sizes(&self) {
        let size = self.segments.iter().map(|segment| segment.size()).sum();
        self.shared.size.store(size, Ordering::Relaxed);
        self.shared.segments.store(self.segments.len() as u64, Ordering::Relaxed);
        self.shared.active_size.store(self.active().size(), Ordering::Relaxed);
        self.shared.first_segment.store(self.segments[0].base_offset(), Ordering::Release);
    }

    // ---- Errors ----

    /// Judges an error of a write: want of space passes, anything else takes the directory offline.
    fn error(&self, error: FileError) -> LogError {
        match error {
            FileError::Io { source, path, .. } if is_shortage(&source) => LogError::Shortage { path, source },
            error => LogError::Offline(self.directory().fail(&error)),
        }
    }

    fn lookup_error(&self, error: LookupError, segment: &Segment) -> LogError {
        match error {
            LookupError::File(error) => self.error(error),
            LookupError::Corrupt { position } => LogError::Corrupt { path: segment.path(), position },
            LookupError::DamagedIndex | LookupError::Truncated => {
                unreachable!("the owner repairs indexes, and nobody else cuts segments")
            }
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("partition", self.partition())
            .field("log_start", &self.log_start_offset())
            .field("high_watermark", &self.high_watermark())
            .field("log_end", &self.log_end_offset())
            .field("segments", &self.segments)
            .finish()
    }
}
