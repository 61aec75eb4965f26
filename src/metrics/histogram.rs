//! How long things take: counts in buckets that grow by a quarter, cheap to add to and good for any quantile within 13 %.
//!
//! Invariants: a bucket's lower bound ≤ every value in it < the next bucket's lower bound; the count is the sum of the buckets, so a reader
//! sees a count and buckets that agree; the sum of values may be ahead of the buckets by the few values being added meanwhile.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::stripe::Stripe;

/// Buckets below 2^26 µs (67 s), four an octave, and one for all above.
const BUCKETS: usize = 4 * 25 + 1;
/// Octaves that are exported as bounds of a Prometheus histogram: 16 µs to 67 s.
const EXPORTED_OCTAVES: std::ops::RangeInclusive<u32> = 4..=26;

/// Counts of durations. Adding is two relaxed atomic additions.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

/// What a histogram, or several together, held at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    buckets: [u64; BUCKETS],
    sum_ns: u64,
}

impl Histogram {
    pub const fn new() -> Self {
        Histogram { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }

    pub fn record_ns(&self, ns: u64) {
        self.buckets[bucket_of(ns / 1000)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// As [`record_ns`](Self::record_ns), for a histogram that lies in a thread's stripe.
    pub fn record_ns_in(&self, stripe: Stripe, ns: u64) {
        stripe.add(&self.buckets[bucket_of(ns / 1000)], 1);
        stripe.add(&self.sum_ns, ns);
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.add_to(&mut counts);
        counts
    }

    pub fn add_to(&self, counts: &mut Counts) {
        for (sum, bucket) in counts.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Relaxed);
        }
        counts.sum_ns += self.sum_ns.load(Relaxed);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::new()
    }
}

impl Default for Counts {
    fn default() -> Self {
        Counts { buckets: [0; BUCKETS], sum_ns: 0 }
    }
}

impl Counts {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    pub fn add(&mut self, other: &Counts) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += bucket;
        }
        self.sum_ns += other.sum_ns;
    }

    /// Counts `zeros` more values of zero: those that were known not to be worth recording.
    pub fn add_zeros(&mut self, zeros: u64) {
        self.buckets[0] += zeros;
    }

    /// What came since `earlier`, which these counts once were.
    pub fn since(&self, earlier: &Counts) -> Counts {
        let mut counts = self.clone();
        for (bucket, before) in counts.buckets.iter_mut().zip(&earlier.buckets) {
            *bucket = bucket.saturating_sub(*before);
        }
        counts.sum_ns = counts.sum_ns.saturating_sub(earlier.sum_ns);
        counts
    }

    /// The value below which the share `quantile` (0 to 1) of all lies, in milliseconds, interpolated within its bucket; 0 if there is none.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let count = self.count();
        let rank = quantile.clamp(0.0, 1.0) * count as f64;
        let mut below = 0;
        for (i, &here) in self.buckets.iter().enumerate() {
            if here > 0 && (below + here) as f64 >= rank {
                let (from, to) = (lower_bound_us(i), lower_bound_us((i + 1).min(BUCKETS - 1)));
                let share = ((rank - below as f64) / here as f64).clamp(0.0, 1.0);
                return (from as f64 + (to - from) as f64 * share) / 1000.0;
            }
            below += here;
        }
        0.0
    }

    /// Upper bounds in seconds with the count in each bucket (not cumulative), the last bound infinite.
    pub fn exported_buckets(&self) -> Vec<(f64, u64)> {
        let mut exported = Vec::with_capacity(EXPORTED_OCTAVES.count() + 1);
        let mut from = 0;
        for octave in EXPORTED_OCTAVES {
            let to = bucket_of(1 << octave);
            exported.push(((1u64 << octave) as f64 / 1e6, self.buckets[from..to].iter().sum()));
            from = to;
        }
        exported.push((f64::INFINITY, self.buckets[from..].iter().sum()));
        exported
    }
}

/// The bucket of a duration in microseconds.
fn bucket_of(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let octave = us.ilog2() as usize;
    let quarter = (us >> (octave - 2)) as usize & 3;
    (4 * (octave - 1) + quarter).min(BUCKETS - 1)
}

fn lower_bound_us(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (octave, quarter) = (bucket / 4 + 1, bucket as u64 % 4);
    (4 + quarter) << (octave - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_the_bounds_of_its_bucket() {
        for us in (0..5000).chain((12..40).flat_map(|octave| [(1u64 << octave) - 1, 1 << octave, (1 << octave) + 1])) {
            let bucket = bucket_of(us);
            assert!(lower_bound_us(bucket) <= us, "{us}");
            assert!(bucket == BUCKETS - 1 || us < lower_bound_us(bucket + 1), "{us}");
        }
        assert_eq!(lower_bound_us(BUCKETS - 1), 1 << 26);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_an_eighth_of_the_truth() {
        let histogram = Histogram::new();
        let mut values: Vec<u64> = (1..=10_000u64).map(|i| i * i * 7 % 900_000 + 20).collect();
        for us in &values {
            histogram.record_ns(us * 1000);
        }
        values.sort_unstable();
        let counts = histogram.counts();
        for quantile in [0.01, 0.5, 0.75, 0.95, 0.99, 0.999] {
            let truth = values[(quantile * 10_000.0) as usize - 1] as f64 / 1000.0;
            let found = counts.quantile_ms(quantile);
            assert!((found - truth).abs() <= truth / 8.0, "{quantile}: {found} for {truth}");
        }
        assert_eq!(counts.count(), 10_000);
        assert_eq!((counts.sum_seconds() * 1e6).round() as u64, values.iter().sum::<u64>());
    }

    #[test]
    fn exported_buckets_hold_every_value_below_their_bound() {
        let histogram = Histogram::new();
        for us in [0, 15, 16, 31, 100, 1 << 25, (1 << 26) - 1, 1 << 26, 1 << 40] {
            histogram.record_ns(us * 1000);
        }
        let buckets = histogram.counts().exported_buckets();
        assert_eq!(buckets.first(), Some(&(16e-6, 2)));
        assert_eq!(buckets[1], (32e-6, 2));
        assert_eq!(buckets[buckets.len() - 2], (67.108864, 2));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 2)));
        assert_eq!(buckets.iter().map(|(_, n)| n).sum::<u64>(), 9);
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let histogram = Histogram::new();
        histogram.record_ns(5_000_000);
        let before = histogram.counts();
        assert_eq!(histogram.counts().since(&before), Counts::default());
        assert_eq!(Counts::default().quantile_ms(0.5), 0.0);
        histogram.record_ns(80_000_000);
        let since = histogram.counts().since(&before);
        assert_eq!(since.count(), 1);
        assert!((70.0..90.0).contains(&since.quantile_ms(0.5)), "the older value does not count");
    }
}
