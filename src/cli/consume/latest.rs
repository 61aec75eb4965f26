//! The latest records of some partitions: from where they are looked for, and which of them are kept. Pure.
//!
//! Where offsets are missing, as after compaction and at the ends of transactions, the last N records of a partition lie further back than their
//! number says. Each partition is looked through until it has given N, or all it has: only then are the latest of all of them known. No more than N
//! records of a partition are kept.

use std::collections::{BTreeMap, VecDeque};

use crate::base::ids::{Offset, TopicPartition};
use crate::cli::bounds::Bounds;
use crate::record::owned::Record;

/// How much further back each new attempt begins.
const FURTHER: i64 = 8;

/// See the module.
#[derive(Debug)]
pub struct Latest {
    count: usize,
    partitions: BTreeMap<TopicPartition, Tail>,
}

#[derive(Debug)]
struct Tail {
    bounds: Bounds,
    /// How far in front of its end the partition is read.
    back: i64,
    kept: VecDeque<Record>,
}

impl Tail {
    fn begin(&self) -> Offset {
        self.bounds.latest.saturating_sub(self.back).max(self.bounds.earliest)
    }
}

impl Latest {
    /// `count` is positive.
    pub fn new(count: u32, bounds: &BTreeMap<TopicPartition, Bounds>) -> Self {
        let tail = |bounds: &Bounds| Tail { bounds: *bounds, back: i64::from(count), kept: VecDeque::new() };
        let partitions = bounds.iter().map(|(partition, bounds)| (partition.clone(), tail(bounds))).collect();
        Self { count: count as usize, partitions }
    }

    /// Takes the records of a partition in their order.
    pub fn keep(&mut self, partition: &TopicPartition, record: Record) {
        let Some(tail) = self.partitions.get_mut(partition) else { return };
        if tail.kept.len() == self.count {
            tail.kept.pop_front();
        }
        tail.kept.push_back(record);
    }

    /// The partitions that were read to their ends and gave too few, with where to begin anew; none if all is known.
    pub fn further_back(&mut self) -> BTreeMap<TopicPartition, Offset> {
        let mut again = BTreeMap::new();
        for (partition, tail) in &mut self.partitions {
            if tail.kept.len() < self.count && tail.begin() > tail.bounds.earliest {
                tail.kept.clear();
                tail.back = tail.back.saturating_mul(FURTHER);
                again.insert(partition.clone(), tail.begin());
            }
        }
        again
    }

    /// The latest of all by the clock, the oldest first: that is the order in which a person who asks for the last records means them.
    pub fn into_records(self) -> impl Iterator<Item = (TopicPartition, Record)> {
        let of = |(partition, tail): (TopicPartition, Tail)| tail.kept.into_iter().map(move |record| (partition.clone(), record));
        let mut kept: Vec<_> = self.partitions.into_iter().flat_map(of).collect();
        kept.sort_by(|(p, a), (q, b)| (a.timestamp, p, a.offset).cmp(&(b.timestamp, q, b.offset)));
        let first = kept.len().saturating_sub(self.count);
        kept.into_iter().skip(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads partitions, given as offset and timestamp of their records, as the command does; what came of it, and how many records were read.
    fn latest(count: u32, partitions: &[(Offset, Vec<(Offset, i64)>)]) -> (Vec<(i32, Offset)>, usize) {
        let named: BTreeMap<_, _> =
            partitions.iter().enumerate().map(|(i, partition)| (TopicPartition::new("t", i as i32), partition)).collect();
        let bounds: BTreeMap<_, _> =
            named.iter().map(|(name, (end, _))| (name.clone(), Bounds { earliest: 0, latest: *end })).collect();
        let mut latest = Latest::new(count, &bounds);
        let mut begin: BTreeMap<_, _> = latest.partitions.iter().map(|(name, tail)| (name.clone(), tail.begin())).collect();
        let mut read = 0;
        while !begin.is_empty() {
            for (name, from) in &begin {
                for &(offset, timestamp) in named[name].1.iter().filter(|(offset, _)| offset >= from) {
                    latest.keep(name, Record { offset, timestamp, ..Record::default() });
                    read += 1;
                }
            }
            begin = latest.further_back();
        }
        (latest.into_records().map(|(name, record)| (name.partition, record.offset)).collect(), read)
    }

    #[test]
    fn a_partition_with_gaps_is_read_further_back_whatever_the_others_give() {
        let dense: Vec<_> = (0..10).map(|offset| (offset, offset)).collect();
        // Three of four offsets are gone.
        let gaps: Vec<_> = (0..10).map(|n| (n * 4, 100 + n)).collect();
        let (found, _) = latest(8, &[(10, dense), (40, gaps)]);
        assert_eq!(found, (2..10).map(|n| (1, n * 4)).collect::<Vec<_>>());
    }

    #[test]
    fn what_gave_enough_is_not_read_again() {
        let dense: Vec<_> = (0..1000).map(|offset| (offset, offset)).collect();
        let (found, read) = latest(3, &[(1000, dense), (1000, vec![(0, 5000)])]);
        assert_eq!(found, [(0, 998), (0, 999), (1, 0)]);
        assert_eq!(read, 3 + 1);
    }

    #[test]
    fn fewer_than_asked_for_are_all() {
        assert_eq!(latest(5, &[(2, vec![(0, 1), (1, 2)]), (0, vec![])]).0, [(0, 0), (0, 1)]);
    }
}
