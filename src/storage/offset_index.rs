//! The offset index of a segment: a sparse map from offsets to positions in the log file (Kafka's `OffsetIndex`).
//!
//! An entry says that the batch at `position` ends with `offset`; there is one about every `index.interval.bytes`. On disk, big-endian:
//!
//! ```text
//! relative_offset u32 (offset − base offset of the segment) · position u32
//! ```
//!
//! Invariant: both fields strictly increase. An index is a cache of the log: a lookup is checked against the batch it leads to.

use crate::base::ids::Offset;

pub const ENTRY_LEN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetPosition {
    /// Last offset of the batch.
    pub offset: Offset,
    /// Where the batch begins, in bytes from the start of the log file.
    pub position: u32,
}

/// Entries as they lie in the file, or are to be written to it.
#[derive(Clone, Copy)]
pub struct OffsetEntries<'a> {
    bytes: &'a [u8],
    base_offset: Offset,
}

/// The bytes of an entry. `offset` lies at most 2³¹−1 above `base_offset`.
pub fn encode(entry: OffsetPosition, base_offset: Offset) -> [u8; ENTRY_LEN] {
    let relative = relative_offset(entry.offset, base_offset).expect("the segment takes no offset that it cannot express");
    let mut bytes = [0; ENTRY_LEN];
    bytes[..4].copy_from_slice(&relative.to_be_bytes());
    bytes[4..].copy_from_slice(&entry.position.to_be_bytes());
    bytes
}

/// `offset − base_offset`, if an index can hold it (`AbstractIndex.toRelative`).
pub fn relative_offset(offset: Offset, base_offset: Offset) -> Option<u32> {
    let relative = offset.checked_sub(base_offset)?;
    (0..=i64::from(i32::MAX)).contains(&relative).then_some(relative as u32)
}

impl<'a> OffsetEntries<'a> {
    /// A last entry that is cut off does not count.
    pub fn new(bytes: &'a [u8], base_offset: Offset) -> Self {
        Self { bytes, base_offset }
    }

    pub fn count(&self) -> usize {
        self.bytes.len() / ENTRY_LEN
    }

    pub fn get(&self, n: usize) -> OffsetPosition {
        let entry = &self.bytes[n * ENTRY_LEN..];
        let relative = u32::from_be_bytes(*entry.first_chunk().expect("entries are whole"));
        let position = u32::from_be_bytes(*entry[4..].first_chunk().expect("entries are whole"));
        OffsetPosition { offset: self.base_offset + i64::from(relative), position }
    }

    /// How many of the first entries satisfy `before`, which must hold for a prefix.
    fn partition(&self, before: impl Fn(OffsetPosition) -> bool) -> usize {
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

    /// The last entry with `offset ≤ target`.
    pub fn lookup(&self, target: Offset) -> Option<OffsetPosition> {
        self.partition(|entry| entry.offset <= target).checked_sub(1).map(|n| self.get(n))
    }

    /// The first entry with `position ≥ at`: an upper bound on the offsets in front of `at` (`OffsetIndex.fetchUpperBoundOffset`).
    pub fn first_at_or_behind(&self, at: u64) -> Option<OffsetPosition> {
        let n = self.partition(|entry| u64::from(entry.position) < at);
        (n < self.count()).then(|| self.get(n))
    }

    /// How many entries remain when the segment is cut to offsets below `end`.
    pub fn count_below(&self, end: Offset) -> usize {
        self.partition(|entry| entry.offset < end)
    }

    /// How many of the first entries can be true of a log file of `size` bytes: strictly increasing, within the file.
    pub fn plausible_prefix(&self, size: u64) -> usize {
        let mut last: Option<OffsetPosition> = None;
        for n in 0..self.count() {
            let entry = self.get(n);
            let follows = last.is_none_or(|last| last.offset < entry.offset && last.position < entry.position);
            let fits = u64::from(entry.position) < size && entry.offset - self.base_offset <= i64::from(i32::MAX);
            if !follows || !fits {
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

    const BASE: Offset = 1 << 33;

    fn bytes(entries: &[(u32, u32)]) -> Vec<u8> {
        let entry = |(offset, position): &(u32, u32)| OffsetPosition { offset: BASE + i64::from(*offset), position: *position };
        entries.iter().flat_map(|e| encode(entry(e), BASE)).collect()
    }

    prop_compose! {
        fn entries()(steps in prop::collection::vec((1u32..1000, 61u32..9000), 0..200)) -> Vec<(u32, u32)> {
            let mut at = (0, 0);
            steps.iter().map(|(o, p)| { at = (at.0 + o, at.1 + p); at }).collect()
        }
    }

    proptest! {
        #[test]
        fn a_lookup_finds_what_a_walk_finds(entries in entries(), target in 0u32..250_000, at in 0u64..2_000_000) {
            let bytes = bytes(&entries);
            let index = OffsetEntries::new(&bytes, BASE);
            let decode = |e: &(u32, u32)| OffsetPosition { offset: BASE + i64::from(e.0), position: e.1 };
            let target = BASE + i64::from(target);
            prop_assert_eq!(index.lookup(target), entries.iter().map(decode).rfind(|e| e.offset <= target));
            prop_assert_eq!(index.first_at_or_behind(at), entries.iter().map(decode).find(|e| u64::from(e.position) >= at));
            prop_assert_eq!(index.count_below(target), entries.iter().map(decode).filter(|e| e.offset < target).count());
            prop_assert_eq!(index.plausible_prefix(1 << 32), entries.len());
        }

        #[test]
        fn a_torn_or_empty_stretch_ends_what_is_plausible(entries in entries(), hole in 0usize..200) {
            prop_assume!(hole < entries.len());
            let mut bytes = bytes(&entries);
            bytes[hole * ENTRY_LEN..].fill(0);
            let kept = OffsetEntries::new(&bytes, BASE).plausible_prefix(1 << 32);
            // A hole at the very start looks like one entry for the batch at the start; a lookup finds out.
            prop_assert_eq!(kept, hole.max(1));
        }
    }

    #[test]
    fn offsets_too_far_from_the_base_cannot_be_expressed() {
        assert_eq!(relative_offset(BASE + i64::from(i32::MAX), BASE), Some(i32::MAX as u32));
        assert_eq!(relative_offset(BASE + i64::from(i32::MAX) + 1, BASE), None);
        assert_eq!(relative_offset(BASE - 1, BASE), None);
        assert_eq!(relative_offset(i64::MAX, i64::MIN), None);
    }
}
