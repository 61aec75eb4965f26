//! Which segments are cleaned into one, so that a log of much deleted records does not end as a heap of tiny files
//! (`Cleaner.groupSegmentsBySize`). Pure.
//!
//! Invariants: every segment is in one group, in order; a group of more than one is no larger than a segment may be, in bytes and in both
//! indexes, and all its offsets can be expressed from its first.

use crate::base::ids::Offset;

/// What of a segment decides about its group. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSize {
    pub base_offset: Offset,
    pub size: u64,
    pub offset_index: u64,
    pub time_index: u64,
}

/// Lengths of the groups. `max_size` is `segment.bytes`, `max_index_size` `segment.index.bytes`; all offsets lie below `end`.
pub fn group_segments_by_size(segments: &[SegmentSize], max_size: u64, max_index_size: u64, end: Offset) -> Vec<usize> {
    let mut groups = Vec::new();
    let mut rest = segments;
    while let Some(first) = rest.first() {
        let mut sum = *first;
        let mut len = 1;
        while let Some(segment) = rest.get(len) {
            let last_offset = rest.get(len + 1).map_or(end, |next| next.base_offset) - 1;
            let sizes = [
                (sum.size + segment.size, max_size),
                (sum.offset_index + segment.offset_index, max_index_size),
                (sum.time_index + segment.time_index, max_index_size),
            ];
            // An empty segment has no offset that would have to be expressed.
            let is_near = segment.size == 0 || last_offset - first.base_offset <= i64::from(i32::MAX);
            if !is_near || sizes.iter().any(|(sum, max)| sum > max) {
                break;
            }
            [sum.size, sum.offset_index, sum.time_index] = sizes.map(|(sum, _)| sum);
            len += 1;
        }
        groups.push(len);
        rest = &rest[len..];
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(base_offset: Offset, size: u64) -> SegmentSize {
        SegmentSize { base_offset, size, offset_index: size / 10, time_index: size / 20 }
    }

    #[test]
    fn segments_are_joined_up_to_the_size_of_one() {
        let sizes = |sizes: &[u64]| -> Vec<SegmentSize> {
            sizes.iter().enumerate().map(|(n, s)| segment(n as Offset * 10, *s)).collect()
        };
        let group = |all: &[u64], max| group_segments_by_size(&sizes(all), max, 1 << 20, 1000);
        assert_eq!(group(&[100, 100, 100], 300), [3]);
        assert_eq!(group(&[100, 100, 101], 300), [2, 1]);
        assert_eq!(group(&[400, 10, 0, 290], 300), [1, 3], "one that is larger than it may be now stays alone");
        assert_eq!(group(&[], 300), [0; 0]);
        assert_eq!(group_segments_by_size(&sizes(&[100, 100, 100]), 1000, 20, 1000), [2, 1], "the offset index is full");
    }

    #[test]
    fn offsets_that_lie_too_far_apart_are_not_joined() {
        let far = i64::from(i32::MAX);
        let all = [segment(0, 10), segment(100, 10), segment(far, 10), segment(far + 1, 10)];
        assert_eq!(group_segments_by_size(&all, 1 << 20, 1 << 20, far + 500), [3, 1]);
        assert_eq!(group_segments_by_size(&all[..2], 1 << 20, 1 << 20, far + 2), [1, 1], "the last one may reach up to the end");
        let empty = [segment(0, 10), SegmentSize { size: 0, ..segment(far * 2, 0) }, segment(far * 2 + 1, 10)];
        assert_eq!(group_segments_by_size(&empty, 1 << 20, 1 << 20, far * 3), [2, 1], "an empty one does not stay behind");
    }

    proptest! {
        #[test]
        fn groups_cover_all_segments_within_the_limits(sizes in prop::collection::vec((1i64..1 << 30, 0u64..2000), 0..40), max in 1u64..5000) {
            let mut base = 0;
            let all: Vec<SegmentSize> = sizes.iter().map(|(step, size)| { base += step; segment(base, *size) }).collect();
            let end = base + 1000;
            let groups = group_segments_by_size(&all, max, 300, end);
            prop_assert_eq!(groups.iter().sum::<usize>(), all.len());
            let mut rest = &all[..];
            for len in groups {
                let (group, behind) = rest.split_at(len);
                rest = behind;
                if len > 1 {
                    prop_assert!(group.iter().map(|s| s.size).sum::<u64>() <= max);
                    prop_assert!(group.iter().map(|s| s.offset_index).sum::<u64>() <= 300);
                    let last = behind.first().map_or(end, |next| next.base_offset) - 1;
                    prop_assert!(group[len - 1].size == 0 || last - group[0].base_offset <= i64::from(i32::MAX));
                }
            }
        }
    }
}
