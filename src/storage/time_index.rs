//! The time index of a segment: a sparse map from timestamps to offsets (Kafka's `TimeIndex`).
//!
//! An entry says that no batch up to and with the one that ends with `offset` has a larger timestamp than `timestamp`. The last entry of a
//! sealed segment holds the segment's largest timestamp. On disk, big-endian:
//!
//! ```text
//! timestamp i64 · relative_offset u32 (offset − base offset of the segment)
//! ```
//!
//! Invariant: timestamps strictly increase, offsets do not decrease.

use super::offset_index::relative_offset;
use crate::base::ids::{Offset, TimestampMs};

pub const ENTRY_LEN: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp: TimestampMs,
    /// Last offset of the batch that has this timestamp.
    pub offset: Offset,
}

/// Entries as they lie in the file, or are to be written to it.
#[derive(Clone, Copy)]
pub struct TimeEntries<'a> {
    bytes: &'a [u8],
    base_offset: Offset,
}

/// The bytes of an entry. `offset` lies at most 2³¹−1 above `base_offset`.
pub fn encode(entry: TimestampOffset, base_offset: Offset) -> [u8; ENTRY_LEN] {
    let relative = relative_offset(entry.offset, base_offset).expect("the segment takes no offset that it cannot express");
    let mut bytes = [0; ENTRY_LEN];
    bytes[..8].copy_from_slice(&entry.timestamp.to_be_bytes());
    bytes[8..].copy_from_slice(&relative.to_be_bytes());
    bytes
}

impl<'a> TimeEntries<'a> {
    /// A last entry that is cut off does not count.
    pub fn new(bytes: &'a [u8], base_offset: Offset) -> Self {
        Self { bytes, base_offset }
    }

    pub fn count(&self) -> usize {
        self.bytes.len() / ENTRY_LEN
    }

    pub fn get(&self, n: usize) -> TimestampOffset {
        let entry = &self.bytes[n * ENTRY_LEN..];
        let timestamp = i64::from_be_bytes(*entry.first_chunk().expect("entries are whole"));
        let relative = u32::from_be_bytes(*entry[8..].first_chunk().expect("entries are whole"));
        TimestampOffset { timestamp, offset: self.base_offset + i64::from(relative) }
    }

    pub fn last(&self) -> Option<TimestampOffset> {
        self.count().checked_sub(1).map(|n| self.get(n))
    }

    fn partition(&self, before: impl Fn(TimestampOffset) -> bool) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = (low + high) / 2;
            if before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The last entry with `timestamp ≤ target`. A search for the first record at or after `target` may begin at its offset.
    pub fn lookup(&self, target: TimestampMs) -> Option<TimestampOffset> {
        self.partition(|entry| entry.timestamp <= target).checked_sub(1).map(|n| self.get(n))
    }

    /// How many entries remain when the segment is cut to offsets below `end`.
    pub fn count_below(&self, end: Offset) -> usize {
        self.partition(|entry| entry.offset < end)
    }

    /// How many of the first entries can be true.
    pub fn plausible_prefix(&self) -> usize {
        let mut last: Option<TimestampOffset> = None;
        for n in 0..self.count() {
            let entry = self.get(n);
            let follows = last.is_none_or(|last| last.timestamp < entry.timestamp && last.offset <= entry.offset);
            if !follows || entry.timestamp < 0 || entry.offset - self.base_offset > i64::from(i32::MAX) {
                return n;
            }
            last = Some(entry);
        }
        self.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: Offset = 77;

    proptest! {
        #[test]
        fn a_lookup_finds_what_a_walk_finds(steps in prop::collection::vec((1i64..50, 0i64..1000), 0..200), target in 0i64..6000) {
            let mut at = TimestampOffset { timestamp: 0, offset: BASE };
            let entries: Vec<_> = steps.iter().map(|(t, o)| {
                at = TimestampOffset { timestamp: at.timestamp + t, offset: at.offset + o };
                at
            }).collect();
            let bytes: Vec<u8> = entries.iter().flat_map(|e| encode(*e, BASE)).collect();
            let index = TimeEntries::new(&bytes, BASE);
            prop_assert_eq!(index.lookup(target), entries.iter().copied().rfind(|e| e.timestamp <= target));
            prop_assert_eq!(index.last(), entries.last().copied());
            prop_assert_eq!(index.count_below(BASE + target), entries.iter().filter(|e| e.offset < BASE + target).count());
            prop_assert_eq!(index.plausible_prefix(), entries.len());
        }
    }

    #[test]
    fn what_does_not_increase_is_not_plausible() {
        let entry = |timestamp, offset| encode(TimestampOffset { timestamp, offset }, BASE);
        let bytes = [entry(5, BASE), entry(6, BASE), entry(6, BASE + 1)].concat();
        assert_eq!(TimeEntries::new(&bytes, BASE).plausible_prefix(), 2);
        assert_eq!(TimeEntries::new(&[0; 120], BASE).plausible_prefix(), 1);
        assert_eq!(TimeEntries::new(&[0; 11], BASE).count(), 0);
    }
}
