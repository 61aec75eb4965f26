//! What was measured of one kind of request: how many, how much, how long.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longest latency told apart, in nanoseconds; longer ones count as this.
const LATENCY_NS_MAX: u64 = 300_000_000_000;

/// The measured part of a run. Invariant: `from < to`.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub from: Instant,
    pub to: Instant,
}

impl Window {
    /// A window of `measured` that opens after `warmup`.
    pub fn starting(now: Instant, warmup: Duration, measured: Duration) -> Self {
        Self { from: now + warmup, to: now + warmup + measured }
    }

    pub fn contains(&self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }
}

#[derive(Clone)]
pub struct Series {
    /// What people call it: `ack`, `end to end`; empty where a run has but one.
    pub name: &'static str,
    /// Answers that came inside the window.
    pub requests: u64,
    pub records: u64,
    pub bytes: u64,
    /// Latencies in nanoseconds of what was due inside the window, whenever it came.
    pub latency: Histogram<u64>,
    /// How much later than due requests of a fixed rate were sent, in nanoseconds: the generator's own share of the latency.
    pub lateness: Histogram<u64>,
}

impl Series {
    pub fn new(name: &'static str) -> Self {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("1 < max and three digits are allowed");
        Self { name, requests: 0, records: 0, bytes: 0, latency: histogram(), lateness: histogram() }
    }

    pub fn record_latency(&mut self, waited: Duration) {
        self.latency.saturating_record(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    pub fn record_lateness(&mut self, late: Duration) {
        self.lateness.saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    pub fn absorb(&mut self, other: &Series) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.latency.add(&other.latency).expect("all series have the same bounds");
        self.lateness.add(&other.lateness).expect("all series have the same bounds");
    }
}
