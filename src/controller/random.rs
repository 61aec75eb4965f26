//! Chance for decisions: topic ids, and where a placement starts. Seeded, so that a run can be repeated.

use uuid::Uuid;

use crate::metadata::uuid64;

/// SplitMix64 over a 128-bit counter: passes the usual tests, and two controllers with different seeds never meet in practice.
#[derive(Clone, Debug)]
pub struct Random {
    state: u128,
}

impl Random {
    pub fn new(seed: u128) -> Self {
        Self { state: seed }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let mut z = self.state ^ (self.state >> 64);
        z = z.wrapping_mul(0xda94_2042_e4dd_58b5_2545_f491_4f6c_dd1d);
        z ^= z >> 59;
        z = z.wrapping_mul(0xbf58_476d_1ce4_e5b9_94d0_49bb_1331_11eb);
        (z >> 64) as u64
    }

    /// Uniform enough in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "an empty range has no elements");
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A version 4 UUID that Kafka would give out.
    pub fn uuid(&mut self) -> Uuid {
        loop {
            let bits = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
            let id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
            if uuid64::is_acceptable(id) {
                return id;
            }
        }
    }

    /// A random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_and_are_acceptable() {
        let mut seen = HashSet::new();
        for seed in 0..100 {
            let mut random = Random::new(seed);
            for _ in 0..1000 {
                let id = random.uuid();
                assert!(uuid64::is_acceptable(id) && id.get_version_num() == 4);
                assert!(seen.insert(id), "seeds that differ by one lead to different ids");
            }
        }
    }

    #[test]
    fn every_number_below_the_bound_comes_up_about_as_often() {
        let mut random = Random::new(7);
        let mut counts = [0; 5];
        for _ in 0..50_000 {
            counts[random.below(5)] += 1;
        }
        assert!(counts.iter().all(|c| (9_500..10_500).contains(c)), "{counts:?}");
    }
}
