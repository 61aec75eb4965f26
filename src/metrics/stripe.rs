//! Counters without contention: every thread counts in a stripe of its own, and a look adds the stripes up.
//!
//! A stripe that belongs to one thread needs no locked instruction: a relaxed load and a relaxed store, a sixth of the cost. Invariants: at
//! any moment at most one thread holds an own stripe, so no addition is lost; threads beyond [`OWN`] share the last stripe and add
//! atomically.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Stripes that belong to one thread each.
const OWN: u32 = 31;
/// All stripes: those of one thread each, and one for all other threads.
pub const STRIPES: usize = OWN as usize + 1;

/// The stripe in which the current thread counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    index: u32,
}

/// Bit i: stripe i has a thread.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Held by a thread as long as it lives; the next thread may have the stripe then.
struct Held(Stripe);

thread_local! {
    static HELD: Held = Held::take();
}

impl Held {
    fn take() -> Held {
        let mut taken = TAKEN.load(Ordering::Relaxed);
        loop {
            let index = taken.trailing_ones();
            if index >= OWN {
                return Held(Stripe { index: OWN });
            }
            // Acquire: what the thread before wrote into the stripe is what this one adds to.
            match TAKEN.compare_exchange_weak(taken, taken | 1 << index, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Held(Stripe { index }),
                Err(now) => taken = now,
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.index < OWN {
            TAKEN.fetch_and(!(1 << self.0.index), Ordering::Release);
        }
    }
}

impl Stripe {
    pub fn of_this_thread() -> Stripe {
        HELD.try_with(|held| held.0).unwrap_or(Stripe { index: OWN })
    }

    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Adds to a counter that lies in this stripe. Only the thread that asked for the stripe may.
    pub fn add(self, counter: &AtomicU64, n: u64) {
        if self.index < OWN {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        } else {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn threads_alive_together_never_share_an_own_stripe() {
        const THREADS: usize = 40;
        let together = Barrier::new(THREADS);
        let counters: [AtomicU64; STRIPES] = Default::default();
        for _ in 0..3 {
            let held: Vec<Stripe> = std::thread::scope(|scope| {
                let count = || {
                    let stripe = Stripe::of_this_thread();
                    together.wait();
                    for _ in 0..1000 {
                        stripe.add(&counters[stripe.index()], 1);
                    }
                    stripe
                };
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(count)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let mut own: Vec<u32> = held.iter().map(|stripe| stripe.index).filter(|index| *index < OWN).collect();
            let threads_with_own = own.len();
            own.sort_unstable();
            own.dedup();
            assert_eq!(own.len(), threads_with_own);
            assert!(held.len() > own.len(), "some had to share");
        }
        assert_eq!(counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<u64>(), 3 * 1000 * THREADS as u64);
    }
}
