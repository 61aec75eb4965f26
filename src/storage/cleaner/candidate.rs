//! Which part of a log can be cleaned, and which log is the filthiest (`LogCleanerManager.cleanableOffsets`, `maxCompactionDelay`,
//! `calculateCleanableBytes`, `LogToClean`). Pure.
//!
//! Invariants: `first_dirty ≤ first_uncleanable`, unless nothing is cleanable; `first_uncleanable` is the base of a segment, which lies at or
//! below the active one, the last stable offset, and what is durable. The last is klamm's own: recovery takes gaps between offsets for
//! damage only behind its recovery point.

use crate::base::ids::{Offset, TimestampMs};
use crate::config::topic::TopicConfig;

/// What is known of a log without looking into its segments.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Base offset and bytes of all segments, by offset; the last is active.
    pub segments: &'a [(Offset, u64)],
    pub log_start: Offset,
    pub log_end: Offset,
    pub last_stable_offset: Offset,
    pub durable_end: Offset,
    /// Up to where it has been cleaned, as the checkpoint says.
    pub checkpoint: Option<Offset>,
    pub config: &'a TopicConfig,
    pub now: TimestampMs,
}

/// What of a log can be cleaned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogToClean {
    pub first_dirty_offset: Offset,
    /// Base of the first segment that is left alone.
    pub first_uncleanable_offset: Offset,
    pub clean_bytes: u64,
    pub cleanable_bytes: u64,
    /// For how long compaction has been overdue by `max.compaction.lag.ms`, in milliseconds; 0 if it is not.
    pub compaction_delay_ms: i64,
    /// The checkpoint said what cannot be, and is to be set to `first_dirty_offset`.
    pub reset_checkpoint: bool,
}

impl LogToClean {
    pub fn total_bytes(&self) -> u64 {
        self.clean_bytes + self.cleanable_bytes
    }

    /// Share of what is not cleaned yet; 0 of an empty log.
    pub fn cleanable_ratio(&self) -> f64 {
        if self.total_bytes() == 0 { 0.0 } else { self.cleanable_bytes as f64 / self.total_bytes() as f64 }
    }

    /// Whether it is time.
    pub fn is_due(&self, min_cleanable_dirty_ratio: f64) -> bool {
        let overdue = self.compaction_delay_ms > 0 && self.cleanable_bytes > 0;
        self.total_bytes() > 0 && (overdue || self.cleanable_ratio() > min_cleanable_dirty_ratio)
    }
}

/// Place of the one that is cleaned first.
pub fn filthiest<'a>(due: impl Iterator<Item = &'a LogToClean>) -> Option<usize> {
    due.enumerate().max_by(|(_, a), (_, b)| a.cleanable_ratio().total_cmp(&b.cleanable_ratio())).map(|(n, _)| n)
}

/// Judges a log. `largest_timestamp` and `first_timestamp` give those of a segment, by its place; they are asked where the lags of the
/// configuration make them matter.
pub fn log_to_clean<E>(
    log: &Situation<'_>,
    mut largest_timestamp: impl FnMut(usize) -> Result<TimestampMs, E>,
    mut first_timestamp: impl FnMut(usize) -> Result<TimestampMs, E>,
) -> Result<LogToClean, E> {
    let (first_dirty_offset, reset_checkpoint) = match log.checkpoint {
        Some(offset) if (log.log_start..=log.log_end).contains(&offset) => (offset, false),
        Some(_) => (log.log_start, true),
        None => (log.log_start, false),
    };
    let dirty = log.non_active_from(first_dirty_offset);

    let active = log.segments[log.segments.len() - 1].0;
    let mut uncleanable = log.last_stable_offset.min(active).min(log.durable_end);
    let min_lag = log.config.min_compaction_lag_ms.max(0);
    if min_lag > 0 {
        for n in dirty.clone() {
            if largest_timestamp(n)? > log.now.saturating_sub(min_lag) {
                uncleanable = uncleanable.min(log.segments[n].0);
                break;
            }
        }
    }
    let uncleanable = uncleanable.max(first_dirty_offset);

    let mut compaction_delay_ms = 0;
    let max_lag = log.config.max_compaction_lag_ms.max(0);
    if max_lag < log.now {
        for n in dirty {
            let first = first_timestamp(n)?;
            if first > 0 {
                compaction_delay_ms = compaction_delay_ms.max(log.now - max_lag - first);
            }
        }
    }

    let first_uncleanable = log.non_active_from(uncleanable).next().unwrap_or(log.segments.len() - 1);
    let first_uncleanable_offset = log.segments[first_uncleanable].0;
    let first_dirty = log.floor(first_dirty_offset.min(first_uncleanable_offset));
    let bytes = |segments: &[(Offset, u64)]| segments.iter().map(|(_, size)| size).sum();
    Ok(LogToClean {
        first_dirty_offset,
        first_uncleanable_offset,
        clean_bytes: bytes(&log.segments[..log.segments.partition_point(|(base, _)| *base < first_dirty_offset)]),
        cleanable_bytes: bytes(&log.segments[first_dirty.min(first_uncleanable)..first_uncleanable]),
        compaction_delay_ms,
        reset_checkpoint,
    })
}

impl Situation<'_> {
    /// The segment that would hold `offset`; the first if there is none.
    fn floor(&self, offset: Offset) -> usize {
        self.segments.partition_point(|(base, _)| *base <= offset).saturating_sub(1)
    }

    fn non_active_from(&self, offset: Offset) -> std::ops::Range<usize> {
        let active = self.segments.len() - 1;
        self.floor(offset).min(active)..active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_000_000;
    const SEGMENTS: [(Offset, u64); 5] = [(0, 100), (10, 100), (20, 200), (30, 300), (40, 50)];

    fn config(min_lag: i64, max_lag: i64) -> TopicConfig {
        TopicConfig { min_compaction_lag_ms: min_lag, max_compaction_lag_ms: max_lag, ..TopicConfig::default() }
    }

    fn situation<'a>(config: &'a TopicConfig) -> Situation<'a> {
        Situation {
            segments: &SEGMENTS,
            log_start: 0,
            log_end: 45,
            last_stable_offset: 45,
            durable_end: 45,
            checkpoint: None,
            config,
            now: NOW,
        }
    }

    /// Judges with segments that were written every ten seconds, the last one just now.
    fn judged(log: &Situation<'_>) -> LogToClean {
        let time = |n: usize| Ok::<_, ()>(NOW - 10_000 * (4 - n as i64));
        log_to_clean(log, time, |n| time(n).map(|time| time - 9_000)).unwrap()
    }

    #[test]
    fn what_lies_in_front_of_the_active_segment_is_cleanable_as_far_as_it_is_decided_and_durable() {
        let config = config(0, i64::MAX);
        let log = situation(&config);
        let range = |log: &Situation<'_>| {
            let LogToClean { first_dirty_offset, first_uncleanable_offset, clean_bytes, cleanable_bytes, .. } = judged(log);
            (first_dirty_offset, first_uncleanable_offset, clean_bytes, cleanable_bytes)
        };
        let cases = [
            (log, (0, 40, 0, 700)),
            (Situation { checkpoint: Some(20), ..log }, (20, 40, 200, 500)),
            (Situation { checkpoint: Some(25), ..log }, (25, 40, 400, 500)),
            (Situation { checkpoint: Some(40), ..log }, (40, 40, 700, 0)),
            (Situation { checkpoint: Some(43), ..log }, (43, 40, 750, 0)),
            (Situation { last_stable_offset: 35, ..log }, (0, 30, 0, 400)),
            (Situation { last_stable_offset: 30, ..log }, (0, 30, 0, 400)),
            (Situation { last_stable_offset: 5, ..log }, (0, 0, 0, 0)),
            (Situation { durable_end: 29, ..log }, (0, 20, 0, 200)),
            (Situation { last_stable_offset: 15, checkpoint: Some(30), ..log }, (30, 30, 400, 0)),
            (Situation { log_start: 12, ..log }, (12, 40, 200, 600)),
        ];
        for (log, expected) in cases {
            assert_eq!(range(&log), expected, "{log:?}");
        }
    }

    #[test]
    fn a_checkpoint_outside_of_the_log_begins_anew() {
        let config = config(0, i64::MAX);
        for (checkpoint, log_start, first, reset) in
            [(46, 0, 0, true), (45, 0, 45, false), (11, 12, 12, true), (12, 12, 12, false)]
        {
            let judged = judged(&Situation { checkpoint: Some(checkpoint), log_start, ..situation(&config) });
            assert_eq!((judged.first_dirty_offset, judged.reset_checkpoint), (first, reset), "{checkpoint}");
        }
    }

    #[test]
    fn records_rest_for_the_least_lag() {
        for (lag, end) in [(1, 40), (10_000, 40), (10_001, 30), (25_000, 20), (1 << 40, 0)] {
            assert_eq!(judged(&situation(&config(lag, i64::MAX))).first_uncleanable_offset, end, "{lag}");
        }
    }

    #[test]
    fn what_waits_longer_than_it_may_is_due_however_clean_the_log_is() {
        let due = |lag, checkpoint| {
            let config = config(0, lag);
            let judged = judged(&Situation { checkpoint: Some(checkpoint), ..situation(&config) });
            (judged.compaction_delay_ms, judged.is_due(1.0))
        };
        assert_eq!(due(i64::MAX, 0), (0, false));
        assert_eq!(due(49_000, 0), (0, false), "the oldest is of 49 seconds ago");
        assert_eq!(due(48_000, 0), (1000, true));
        assert_eq!(due(48_000, 10), (0, false), "the oldest is clean");
        assert_eq!(due(10_000, 40), (0, false), "nothing but the active segment is dirty");
    }

    #[test]
    fn the_filthiest_log_comes_first_and_a_clean_one_not_at_all() {
        let log = |clean_bytes, cleanable_bytes| LogToClean {
            first_dirty_offset: 0,
            first_uncleanable_offset: 0,
            clean_bytes,
            cleanable_bytes,
            compaction_delay_ms: 0,
            reset_checkpoint: false,
        };
        let all = [log(50, 50), log(10, 90), log(1000, 1001)];
        assert_eq!(filthiest(all.iter()), Some(1));
        assert_eq!(filthiest([].iter()), None);
        assert!(!log(50, 50).is_due(0.5) && log(50, 51).is_due(0.5) && log(0, 1).is_due(0.99));
        assert!(!log(0, 0).is_due(0.0) && !log(9, 0).is_due(0.0));
    }
}
