//! Committed offsets, and those that open transactions would commit. Pure; changed only by replaying records.
//!
//! Invariants:
//! - `open` names exactly the (group, topic, partition, producer) that `pending` holds;
//! - an offset committed by a transaction replaces another only if its record lies later in the log, so that replaying a log from which
//!   compaction took records gives the same (`OffsetMetadataManager.replayEndTransactionMarker`).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::protocol::StrBytes;

use crate::base::ids::{Offset, ProducerId};
use crate::coordinator::shard::{Position, TransactionResult};

use super::record::{OffsetCommitKey, OffsetCommitValue};

/// A committed offset and where in the log it was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    pub value: OffsetCommitValue,
    pub record_offset: Offset,
}

/// Something for each partition of each topic of each group.
#[derive(Clone, Debug, PartialEq)]
pub struct ByPartition<T> {
    groups: BTreeMap<StrBytes, BTreeMap<StrBytes, BTreeMap<i32, T>>>,
}

impl<T> Default for ByPartition<T> {
    fn default() -> Self {
        Self { groups: BTreeMap::new() }
    }
}

impl<T> ByPartition<T> {
    pub fn get(&self, group: &StrBytes, topic: &StrBytes, partition: i32) -> Option<&T> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    /// Topics of a group, each with its partitions.
    pub fn group(&self, group: &StrBytes) -> Option<&BTreeMap<StrBytes, BTreeMap<i32, T>>> {
        self.groups.get(group)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&StrBytes, &StrBytes, i32, &T)> {
        self.groups.iter().flat_map(|(group, topics)| {
            topics
                .iter()
                .flat_map(move |(topic, partitions)| partitions.iter().map(move |(partition, it)| (group, topic, *partition, it)))
        })
    }

    fn put(&mut self, key: OffsetCommitKey, it: T) {
        self.groups.entry(key.group).or_default().entry(key.topic).or_default().insert(key.partition, it);
    }

    fn get_mut(&mut self, key: &OffsetCommitKey) -> Option<&mut T> {
        self.groups.get_mut(&key.group)?.get_mut(&key.topic)?.get_mut(&key.partition)
    }

    fn remove(&mut self, key: &OffsetCommitKey) -> Option<T> {
        let topics = self.groups.get_mut(&key.group)?;
        let partitions = topics.get_mut(&key.topic)?;
        let removed = partitions.remove(&key.partition)?;
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
        if topics.is_empty() {
            self.groups.remove(&key.group);
        }
        Some(removed)
    }

    fn into_iter(self) -> impl Iterator<Item = (OffsetCommitKey, T)> {
        self.groups.into_iter().flat_map(|(group, topics)| {
            topics.into_iter().flat_map(move |(topic, partitions)| {
                let group = group.clone();
                partitions
                    .into_iter()
                    .map(move |(partition, it)| (OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition }, it))
            })
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offsets {
    committed: ByPartition<Committed>,
    /// By the producer whose transaction is open (KIP-98).
    pending: BTreeMap<ProducerId, ByPartition<Committed>>,
    open: ByPartition<BTreeSet<ProducerId>>,
}

impl Offsets {
    pub fn committed(&self) -> &ByPartition<Committed> {
        &self.committed
    }

    /// Whether an open transaction would commit an offset of this partition.
    pub fn is_pending(&self, group: &StrBytes, topic: &StrBytes, partition: i32) -> bool {
        self.open.get(group, topic, partition).is_some()
    }

    /// Whether an open transaction would commit any offset of this group.
    pub fn is_group_pending(&self, group: &StrBytes) -> bool {
        self.open.group(group).is_some()
    }

    /// Partitions of a group for which an open transaction would commit an offset.
    pub fn pending_of(&self, group: &StrBytes) -> impl Iterator<Item = (&StrBytes, i32)> {
        self.open.group(group).into_iter().flatten().flat_map(|(topic, partitions)| partitions.keys().map(move |p| (topic, *p)))
    }

    /// Offsets that open transactions would commit.
    pub fn pending(&self) -> impl Iterator<Item = (&StrBytes, &StrBytes, i32, &Committed)> {
        self.pending.values().flat_map(ByPartition::iter)
    }

    pub fn replay(&mut self, position: Position, key: OffsetCommitKey, value: Option<OffsetCommitValue>) {
        let Some(value) = value else { return self.remove(&key) };
        let committed = Committed { value, record_offset: position.offset };
        let Some(producer) = position.transaction else { return self.committed.put(key, committed) };
        match self.open.get_mut(&key) {
            Some(producers) => drop(producers.insert(producer)),
            None => self.open.put(key.clone(), BTreeSet::from([producer])),
        }
        self.pending.entry(producer).or_default().put(key, committed);
    }

    /// A tombstone takes what transactions would commit, too.
    fn remove(&mut self, key: &OffsetCommitKey) {
        self.committed.remove(key);
        for producer in self.open.remove(key).unwrap_or_default() {
            let pending = self.pending.get_mut(&producer).expect("open names what is pending");
            pending.remove(key);
            if pending.groups.is_empty() {
                self.pending.remove(&producer);
            }
        }
    }

    pub fn replay_end_transaction(&mut self, producer: ProducerId, result: TransactionResult) {
        let Some(pending) = self.pending.remove(&producer) else { return };
        for (key, committed) in pending.into_iter() {
            let producers = self.open.get_mut(&key).expect("open names what is pending");
            producers.remove(&producer);
            if producers.is_empty() {
                self.open.remove(&key);
            }
            if result == TransactionResult::Commit
                && self.committed.get_mut(&key).is_none_or(|existing| existing.record_offset < committed.record_offset)
            {
                self.committed.put(key, committed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key(partition: i32) -> OffsetCommitKey {
        OffsetCommitKey { group: "g".into_str(), topic: "t".into_str(), partition }
    }

    trait IntoStr {
        fn into_str(self) -> StrBytes;
    }

    impl IntoStr for &'static str {
        fn into_str(self) -> StrBytes {
            StrBytes::from_static_str(self)
        }
    }

    fn value(offset: Offset) -> Option<OffsetCommitValue> {
        let metadata = StrBytes::new();
        Some(OffsetCommitValue {
            offset,
            leader_epoch: -1,
            metadata,
            commit_timestamp: 0,
            expire_timestamp: -1,
            topic_id: Uuid::nil(),
        })
    }

    fn offset(offsets: &Offsets, partition: i32) -> Option<Offset> {
        offsets.committed().get(&"g".into_str(), &"t".into_str(), partition).map(|it| it.value.offset)
    }

    fn plain(offset: Offset) -> Position {
        Position { offset, transaction: None }
    }

    fn part_of(producer: ProducerId, offset: Offset) -> Position {
        Position { offset, transaction: Some(producer) }
    }

    #[test]
    fn an_offset_of_a_transaction_counts_once_it_commits() {
        let mut offsets = Offsets::default();
        offsets.replay(plain(0), key(0), value(5));
        offsets.replay(part_of(7, 1), key(0), value(9));
        assert_eq!(offset(&offsets, 0), Some(5));
        assert!(offsets.is_pending(&"g".into_str(), &"t".into_str(), 0));
        offsets.replay_end_transaction(7, TransactionResult::Commit);
        assert_eq!(offset(&offsets, 0), Some(9));
        assert!(!offsets.is_group_pending(&"g".into_str()));
    }

    #[test]
    fn an_aborted_transaction_leaves_nothing() {
        let mut offsets = Offsets::default();
        offsets.replay(part_of(7, 1), key(0), value(9));
        offsets.replay(part_of(8, 2), key(0), value(10));
        offsets.replay_end_transaction(7, TransactionResult::Abort);
        assert!(offsets.is_pending(&"g".into_str(), &"t".into_str(), 0), "the other one is still open");
        offsets.replay_end_transaction(8, TransactionResult::Abort);
        assert_eq!(offsets, Offsets::default());
    }

    #[test]
    fn a_later_plain_commit_wins_over_an_earlier_one_of_a_transaction() {
        let mut offsets = Offsets::default();
        offsets.replay(part_of(7, 1), key(0), value(9));
        offsets.replay(plain(2), key(0), value(3));
        offsets.replay_end_transaction(7, TransactionResult::Commit);
        assert_eq!(offset(&offsets, 0), Some(3));
    }

    #[test]
    fn a_tombstone_takes_pending_offsets_too() {
        let mut offsets = Offsets::default();
        offsets.replay(plain(0), key(1), value(5));
        offsets.replay(part_of(7, 1), key(1), value(9));
        offsets.replay(plain(2), key(1), None);
        offsets.replay_end_transaction(7, TransactionResult::Commit);
        assert_eq!(offsets, Offsets::default());
    }
}
