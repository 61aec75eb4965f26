//! A flood of one kind of event is thinned out, and events are counted by level.
//!
//! A kind is a place in the code. Only what is logged by default is thinned: whoever asks for DEBUG wants it all. Invariant: at most
//! [`MOST`] events of a kind are let through in a window, and every one that was not is told by the next that is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

pub const WINDOW: Duration = Duration::from_secs(10);
pub const MOST: u32 = 100;

/// How many events were logged.
#[derive(Debug, Default)]
pub struct EventCounts {
    by_level: [AtomicU64; LEVELS.len()],
    left_out: AtomicU64,
}

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

impl EventCounts {
    /// By level, in Kafka's words; without those left out.
    pub fn by_level(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LEVELS.iter().map(Level::as_str).zip(&self.by_level).map(|(level, count)| (level, count.load(Relaxed)))
    }

    pub fn left_out(&self) -> u64 {
        self.left_out.load(Relaxed)
    }

    fn count(&self, level: Level) {
        if let Some(i) = LEVELS.iter().position(|l| *l == level) {
            self.by_level[i].fetch_add(1, Relaxed);
        }
    }
}

#[derive(Debug)]
pub(super) struct Limiter {
    kinds: Mutex<HashMap<Identifier, Kind>>,
    counts: Arc<EventCounts>,
}

#[derive(Debug)]
struct Kind {
    since: Instant,
    let_through: u32,
    left_out: u64,
}

impl Limiter {
    pub fn new(counts: Arc<EventCounts>) -> Self {
        Limiter { kinds: Mutex::default(), counts }
    }

    fn lets_through(&self, kind: Identifier, now: Instant) -> bool {
        let mut kinds = self.kinds.lock();
        let kind = kinds.entry(kind).or_insert(Kind { since: now, let_through: 0, left_out: 0 });
        if now.duration_since(kind.since) >= WINDOW {
            kind.since = now;
            kind.let_through = 0;
        }
        if kind.let_through < MOST {
            kind.let_through += 1;
            return true;
        }
        kind.left_out += 1;
        self.counts.left_out.fetch_add(1, Relaxed);
        false
    }

    /// How many of a kind were left out and not told yet; from now on they count as told.
    pub fn take_left_out(&self, kind: Identifier) -> u64 {
        self.kinds.lock().get_mut(&kind).map_or(0, |kind| std::mem::take(&mut kind.left_out))
    }
}

pub(super) struct LimitLayer(pub Arc<Limiter>);

impl<S: Subscriber> Layer<S> for LimitLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        // Levels compare by how much they tell: DEBUG > INFO.
        *event.metadata().level() > Level::INFO || self.0.lets_through(event.metadata().callsite(), Instant::now())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.counts.count(*event.metadata().level());
    }
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite;

    use super::*;

    #[test]
    fn a_flood_is_cut_and_its_rest_is_told_once() {
        let callsite = tracing::callsite! { name: "flood", kind: tracing::metadata::Kind::EVENT, fields: };
        let other = tracing::callsite! { name: "other", kind: tracing::metadata::Kind::EVENT, fields: };
        let kind = || callsite.metadata().callsite();
        let limiter = Limiter::new(Arc::default());
        let start = Instant::now();
        let passed = |at: u64, n: u32| (0..n).filter(|_| limiter.lets_through(kind(), start + Duration::from_secs(at))).count();
        assert_eq!(passed(0, 150), 100);
        assert_eq!(passed(9, 7), 0);
        assert!(limiter.lets_through(other.metadata().callsite(), start), "other kinds go on");
        assert_eq!(passed(10, 1), 1);
        assert_eq!(limiter.take_left_out(kind()), 57);
        assert_eq!(limiter.take_left_out(kind()), 0);
        assert_eq!(limiter.counts.left_out(), 57);
    }
}
