//! Finds out which log to clean, has it cleaned, and remembers how far (Kafka's `LogCleaner` with its `CleanerThread`s, and
//! `LogCleanerManager`).
//!
//! Invariants: a log is worked on by one thread at a time; the checkpoint of a log is raised only when all in front of it was cleaned, and not
//! if it was truncated meanwhile; a log whose cleaning failed for a reason that stays is left alone until the next start.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::candidate::{LogToClean, Situation, filthiest, log_to_clean};
use super::cleaner::Cleaner;
use super::error::CleanError;
use super::offset_map::OffsetMap;
use super::stats::CleanerStats;
use super::throttle::Throttle;
use super::{LogOwner, with_log, write_checkpoint};
use crate::base::ids::{Offset, TimestampMs, TopicPartition};
use crate::base::time::Clock;
use crate::config::def::cleaner::CleanerConfig;
use crate::storage::checkpoint::{FileError, offsets};
use crate::storage::log::{CleanerView, Log};
use crate::storage::shared::LogShared;

/// So many bytes are read or written between two looks at whether to go on.
const STRIDE: u64 = 256 << 10;

/// How it stands, for the metrics.
#[derive(Clone, Debug, Default)]
pub struct CleanerState {
    /// The last cleaning of each thread that did one.
    pub last: Vec<CleanerStats>,
    /// Share of the filthiest log that was not clean, in the last round, from 0 to 1.
    pub max_dirty_ratio: f64,
    /// For how long compaction had been overdue in the last round, where it was for the longest; in milliseconds.
    pub max_compaction_delay_ms: i64,
    /// Since a thread last looked for something to clean.
    pub since_last_run_ms: i64,
    /// Logs that are left alone because of an error, with the bytes that wait there.
    pub uncleanable: Vec<(TopicPartition, u64)>,
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// Threads that panicked.
    pub dead_threads: u64,
}

/// How much of a log waits to be compacted, as the last look found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanerLag {
    pub clean_bytes: u64,
    pub dirty_bytes: u64,
    /// It is left alone because of an error.
    pub uncleanable: bool,
}

/// See the module.
pub struct LogCleaner {
    clock: Clock,
    config: Mutex<CleanerConfig>,
    state: Mutex<State>,
    /// Held while one thread looks for the filthiest log.
    grabbing: Mutex<()>,
    throttle: Mutex<Throttle>,
    stopped: AtomicBool,
    /// Rested on, and told when the cleaner stops.
    rest: (Mutex<()>, Condvar),
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    dead_threads: AtomicU64,
}

/// Counts a thread that panics.
struct Alive<'a>(&'a AtomicU64);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A log, told from others that had its name before it or have it since: a topic that is made anew owes nothing to the one that was deleted.
#[derive(Clone)]
struct ThisLog(Arc<LogShared>);

impl PartialEq for ThisLog {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ThisLog {}

impl Hash for ThisLog {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

#[derive(Default)]
struct State {
    in_progress: HashSet<ThisLog>,
    uncleanable: HashMap<ThisLog, u64>,
    /// Clean and dirty bytes of every compacted log, from the last look at it.
    lags: HashMap<ThisLog, (u64, u64)>,
    last: HashMap<usize, CleanerStats>,
    max_dirty_ratio: f64,
    max_compaction_delay_ms: i64,
    last_run: TimestampMs,
}

/// A log that was found, and what of it can be cleaned.
struct Grabbed {
    owner: Arc<dyn LogOwner>,
    view: CleanerView,
    what: LogToClean,
}

impl LogCleaner {
    pub fn new(clock: Clock, config: CleanerConfig) -> Self {
        let state = State { last_run: clock.wall_ms(), ..State::default() };
        Self {
            clock,
            config: Mutex::new(config),
            state: Mutex::new(state),
            grabbing: Mutex::default(),
            throttle: Mutex::default(),
            stopped: AtomicBool::new(false),
            rest: Default::default(),
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            dead_threads: AtomicU64::new(0),
        }
    }

    /// Takes over the configuration; whether it has changed. Threads that rest look again then.
    pub fn set_config(&self, config: CleanerConfig) -> bool {
        let _resting = self.rest.0.lock();
        let changed = *self.config.lock() != config;
        if changed {
            *self.config.lock() = config;
            self.rest.1.notify_all();
        }
        changed
    }

    /// Ends all threads, soon: what they are at is given up.
    pub fn stop(&self) {
        let _resting = self.rest.0.lock();
        self.stopped.store(true, Ordering::Release);
        self.rest.1.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The body of thread `n`: cleans until there is nothing to clean, rests, and begins again; until told to stop, or `log.cleaner.threads` is no
    /// more than `n`. `owners` are those of all logs.
    pub fn run(&self, n: usize, owners: impl Fn() -> Vec<Arc<dyn LogOwner>>) {
        let _alive = Alive(&self.dead_threads);
        let mut map = OffsetMap::new(self.clock.mono().as_nanos() ^ self.clock.wall_ms() as u64);
        while !self.is_stopped() && n < self.config.lock().threads.max(1) as usize {
            let cleaned = self.clean_filthiest(n, &mut map, &owners());
            if !cleaned {
                // Between bursts of work the memory is of more use to others.
                map.clear_for(0, 0);
                let backoff = self.config.lock().backoff_ms.max(0) as u64;
                self.rest_for(Duration::from_millis(backoff));
            }
        }
    }

    fn rest_for(&self, rest: Duration) {
        let mut resting = self.rest.0.lock();
        if !self.is_stopped() {
            self.rest.1.wait_for(&mut resting, rest);
        }
    }

    /// Cleans the log that needs it most, and has retention delete what it does not keep of compacted logs. Whether there was one to clean, and
    /// it was cleaned.
    pub fn clean_filthiest(&self, n: usize, map: &mut OffsetMap, owners: &[Arc<dyn LogOwner>]) -> bool {
        let cleaned = match self.grab_filthiest(owners) {
            None => false,
            Some(grabbed) => {
                let cleaned = self.clean(n, map, &grabbed);
                self.state.lock().in_progress.remove(&ThisLog(grabbed.view.shared));
                cleaned
            }
        };
        self.delete_old_segments(owners);
        cleaned
    }

    /// Finds the filthiest log that is due, and marks it as being cleaned (`LogCleanerManager.grabFilthiestCompactedLog`).
    fn grab_filthiest(&self, owners: &[Arc<dyn LogOwner>]) -> Option<Grabbed> {
        let _grabbing = self.grabbing.lock();
        let now = self.clock.wall_ms();
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        let (mut max_dirty_ratio, mut max_compaction_delay_ms): (f64, i64) = (0.0, 0);
        for owner in owners {
            let view = with_log(&**owner, |log| log.config().cleanup_compact.then(|| log.cleaner_view())).flatten();
            let Some(view) = view.filter(|view| view.shared.directory().offline().is_none()) else { continue };
            let (partition, log) = (view.shared.partition(), ThisLog(view.shared.clone()));
            seen.insert(log.clone());
            if self.state.lock().in_progress.contains(&log) {
                continue;
            }
            let what = match judge(&view, now) {
                Ok(what) => what,
                Err(error) => {
                    tracing::warn!(%partition, %error, "cannot tell what is to be cleaned");
                    continue;
                }
            };
            let mut state = self.state.lock();
            let is_left_alone = state.uncleanable.get_mut(&log).map(|bytes| *bytes = what.cleanable_bytes).is_some();
            state.lags.insert(log, (what.clean_bytes, what.cleanable_bytes));
            drop(state);
            if is_left_alone {
                continue;
            }
            if what.reset_checkpoint {
                tracing::warn!(%partition, offset = what.first_dirty_offset, "the cleaner's checkpoint lies outside of the log; it begins anew");
                // If it cannot be noted now, the next look finds the same.
                let _ = write_checkpoint(&**owner, &view, offsets::CLEANER, what.first_dirty_offset);
            }
            max_dirty_ratio = max_dirty_ratio.max(what.cleanable_ratio());
            max_compaction_delay_ms = max_compaction_delay_ms.max(what.compaction_delay_ms);
            if what.is_due(view.config.min_cleanable_dirty_ratio) {
                all.push(Grabbed { owner: owner.clone(), view, what });
            }
        }
        let chosen = filthiest(all.iter().map(|grabbed| &grabbed.what)).map(|at| all.swap_remove(at));
        let mut state = self.state.lock();
        state.last_run = now;
        (state.max_dirty_ratio, state.max_compaction_delay_ms) = (max_dirty_ratio, max_compaction_delay_ms);
        state.uncleanable.retain(|log, _| seen.contains(log));
        state.lags.retain(|log, _| seen.contains(log));
        if let Some(grabbed) = &chosen {
            state.in_progress.insert(ThisLog(grabbed.view.shared.clone()));
        }
        chosen
    }

    fn clean(&self, n: usize, map: &mut OffsetMap, grabbed: &Grabbed) -> bool {
        let Grabbed { owner, view, what } = grabbed;
        let (partition, begin) = (view.shared.partition(), self.clock.mono());
        let since = std::cell::Cell::new(0);
        let pace = |bytes| {
            since.set(since.get() + bytes);
            if since.get() < STRIDE { Ok(()) } else { self.pace(view, since.take()) }
        };
        let (threads, bytes) = {
            let config = self.config.lock();
            (config.threads.max(1) as u64, config.dedupe_buffer_size.max(0) as u64)
        };
        let mut cleaner = Cleaner {
            owner: &**owner,
            view,
            what: *what,
            map,
            map_bytes: bytes / threads,
            pace: &pace,
            now: self.clock.wall_ms(),
            stats: CleanerStats::default(),
        };
        let done = self.check(view).and_then(|()| cleaner.clean());
        let done = done.and_then(|end| write_checkpoint(&**owner, view, offsets::CLEANER, end).map(|()| end));
        let mut stats = cleaner.stats;
        stats.elapsed_secs = self.clock.mono().since(begin).as_secs_f64();
        self.bytes_read.fetch_add(stats.map_bytes_read + stats.bytes_read, Ordering::Relaxed);
        self.bytes_written.fetch_add(stats.bytes_written, Ordering::Relaxed);
        match done {
            Ok(end) => {
                tracing::info!(
                    %partition, from = what.first_dirty_offset, to = end, bytes_before = stats.bytes_read,
                    bytes_after = stats.bytes_written, records_before = stats.records_read, records_after = stats.records_written,
                    seconds = stats.elapsed_secs, map = stats.buffer_utilization, "cleaned a log"
                );
                if stats.invalid_records > 0 {
                    tracing::warn!(%partition, records = stats.invalid_records, "records without a key were dropped");
                }
                self.state.lock().last.insert(n, stats);
                true
            }
            Err(error) if error.makes_uncleanable() => {
                tracing::error!(%partition, %error, "a log cannot be cleaned; it is left alone until the next start");
                self.state.lock().uncleanable.insert(ThisLog(view.shared.clone()), what.cleanable_bytes);
                false
            }
            Err(error) => {
                tracing::info!(%partition, %error, "a log was not cleaned");
                false
            }
        }
    }

    /// Holds the cleaner back to the rate that is allowed, and ends it where it works in vain.
    fn pace(&self, view: &CleanerView, bytes: u64) -> Result<(), CleanError> {
        self.check(view)?;
        let rate = self.config.lock().io_max_bytes_per_second;
        let rest = self.throttle.lock().on_bytes(bytes, rate, self.clock.mono());
        if let Some(rest) = rest {
            self.rest_for(rest);
            self.check(view)?;
        }
        Ok(())
    }

    fn check(&self, view: &CleanerView) -> Result<(), CleanError> {
        if self.is_stopped() {
            return Err(CleanError::Stopped);
        }
        if view.is_outdated() { Err(CleanError::Aborted) } else { Ok(()) }
    }

    /// Has retention look at the compacted logs that nobody is at (`LogCleanerManager.deletableLogs`).
    fn delete_old_segments(&self, owners: &[Arc<dyn LogOwner>]) {
        for owner in owners.iter().take_while(|_| !self.is_stopped()) {
            let mut before = None;
            let mut delete_oldest = |log: &mut Log| {
                let before = *before.get_or_insert(log.log_end_offset());
                let is_being_cleaned = || self.state.lock().in_progress.contains(&ThisLog(log.shared().clone()));
                let is_ours = log.config().cleanup_compact && !is_being_cleaned();
                is_ours
                    && log.delete_oldest_segment(before, self.clock.wall_ms()).unwrap_or_else(|error| {
                        tracing::warn!(partition = %log.partition(), %error, "retention could not delete segments");
                        false
                    })
            };
            while !self.is_stopped() && with_log(&**owner, &mut delete_oldest) == Some(true) {}
        }
    }

    /// How it stands with one log; `None` of one that is not compacted, or was not looked at yet.
    pub fn lag(&self, log: &Arc<LogShared>) -> Option<CleanerLag> {
        let (log, state) = (ThisLog(log.clone()), self.state.lock());
        let (clean_bytes, dirty_bytes) = *state.lags.get(&log)?;
        Some(CleanerLag { clean_bytes, dirty_bytes, uncleanable: state.uncleanable.contains_key(&log) })
    }

    /// How it stands.
    pub fn state(&self) -> CleanerState {
        let state = self.state.lock();
        CleanerState {
            last: state.last.values().copied().collect(),
            max_dirty_ratio: state.max_dirty_ratio,
            max_compaction_delay_ms: state.max_compaction_delay_ms,
            since_last_run_ms: self.clock.wall_ms().saturating_sub(state.last_run),
            uncleanable: state.uncleanable.iter().map(|(log, bytes)| (log.0.partition().clone(), *bytes)).collect(),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            dead_threads: self.dead_threads.load(Ordering::Relaxed),
        }
    }
}

fn judge(view: &CleanerView, now: TimestampMs) -> Result<LogToClean, FileError> {
    let segments: Vec<(Offset, u64)> = view.segments.iter().map(|segment| (segment.base_offset(), segment.size())).collect();
    let situation = Situation {
        segments: &segments,
        log_start: view.log_start,
        log_end: view.log_end,
        last_stable_offset: view.last_stable_offset,
        durable_end: view.durable_end,
        checkpoint: view.shared.directory().checkpointed(offsets::CLEANER, view.shared.partition()),
        config: &view.config,
        now,
    };
    let segment = |n: usize| &view.segments[n];
    log_to_clean(&situation, |n| segment(n).largest_timestamp(), |n| segment(n).first_timestamp())
}
