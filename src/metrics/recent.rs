//! Quantiles speak of the last minutes, as Kafka's decaying reservoirs do, while buckets count from the start of the process.
//!
//! The window moves only when somebody looks: a broker that nobody scrapes pays nothing. Invariant: after two looks a window length
//! apart, what is told is at most two window lengths old.

use std::time::Duration;

use super::histogram::Counts;
use crate::base::time::Mono;

/// What is told reaches back at least this long, and with regular looks at most twice as long.
const WINDOW: Duration = Duration::from_secs(150);

/// Two past states of a histogram, or of several side by side.
#[derive(Debug)]
pub struct Recent<const N: usize> {
    base: Box<[Counts; N]>,
    next: Box<[Counts; N]>,
    next_taken: Mono,
}

impl<const N: usize> Recent<N> {
    pub fn new(now: Mono) -> Self {
        let empty = || Box::new([const { None }; N].map(|_: Option<Counts>| Counts::default()));
        Recent { base: empty(), next: empty(), next_taken: now }
    }

    /// What came lately, given all that came so far.
    pub fn look(&mut self, now: Mono, so_far: &[Counts; N]) -> [Counts; N] {
        if now.since(self.next_taken) >= WINDOW {
            self.base = std::mem::replace(&mut self.next, Box::new(so_far.clone()));
            self.next_taken = now;
        }
        std::array::from_fn(|i| so_far[i].since(&self.base[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Histogram;
    use super::*;

    #[test]
    fn old_values_leave_and_new_ones_are_seen_at_once() {
        let at = |s: u64| Mono::from_millis(s * 1000);
        let histogram = Histogram::new();
        let mut recent = Recent::<1>::new(at(0));
        let mut look = |s| recent.look(at(s), &[histogram.counts()])[0].count();
        histogram.record_ns(1_000);
        assert_eq!(look(10), 1, "a young process tells all it has");
        assert_eq!(look(160), 1);
        histogram.record_ns(1_000);
        assert_eq!(look(170), 2);
        assert_eq!(look(320), 1, "the first is older than two windows at most");
        assert_eq!(look(480), 0);
        histogram.record_ns(1_000);
        assert_eq!(look(481), 1);
    }
}
