//! Time as data. Deciding code takes [`Mono`] and [`TimestampMs`] as arguments; only tasks hold a [`Clock`].
//!
//! Two clocks that are never mixed: monotonic for timeouts, sessions and lag; wall for record timestamps and retention.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::ids::TimestampMs;

/// A moment on the monotonic clock, in nanoseconds since the clock was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    pub const ZERO: Mono = Mono(0);
    pub const MAX: Mono = Mono(u64::MAX);

    pub fn from_millis(ms: u64) -> Self {
        Mono(ms.saturating_mul(1_000_000))
    }

    pub fn from_nanos(ns: u64) -> Self {
        Mono(ns)
    }

    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero if `earlier` lies later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Mono {
    type Output = Duration;
    fn sub(self, earlier: Mono) -> Duration {
        self.since(earlier)
    }
}

/// Where tasks get the time from. Cheap to clone; all clones tell the same time.
#[derive(Clone, Debug)]
pub enum Clock {
    System {
        start: Instant,
    },
    /// A clock that stands still until a test moves it.
    Manual(Arc<ManualClock>),
}

#[derive(Debug, Default)]
pub struct ManualClock {
    mono_ns: AtomicU64,
    wall_ms: AtomicI64,
}

impl ManualClock {
    pub fn advance(&self, by: Duration) {
        self.mono_ns.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        self.wall_ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }

    pub fn set_wall_ms(&self, now: TimestampMs) {
        self.wall_ms.store(now, Ordering::SeqCst);
    }
}

impl Clock {
    pub fn system() -> Self {
        Clock::System { start: Instant::now() }
    }

    pub fn manual(wall_ms: TimestampMs) -> (Self, Arc<ManualClock>) {
        let manual = Arc::new(ManualClock::default());
        manual.set_wall_ms(wall_ms);
        (Clock::Manual(manual.clone()), manual)
    }

    /// Now, on the monotonic clock.
    pub fn mono(&self) -> Mono {
        match self {
            Clock::System { start } => Mono(start.elapsed().as_nanos() as u64),
            Clock::Manual(m) => Mono(m.mono_ns.load(Ordering::SeqCst)),
        }
    }

    /// Now, in milliseconds since 1970-01-01 UTC.
    pub fn wall_ms(&self) -> TimestampMs {
        match self {
            Clock::System { .. } => SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_millis() as i64).unwrap_or(0),
            Clock::Manual(m) => m.wall_ms.load(Ordering::SeqCst),
        }
    }

    /// The tokio deadline of a monotonic moment (system clock only; a manual clock has no sleepers).
    pub fn instant_of(&self, at: Mono) -> Instant {
        match self {
            Clock::System { start } => *start + Duration::from_nanos(at.0.min(u64::MAX / 4)),
            Clock::Manual(_) => Instant::now(),
        }
    }
}
