//! One partition as the metadata knows it, and the change that moves it.
//!
//! Invariants: isr ⊆ replicas · leader = NO_LEADER or leader ∈ isr · elr ∩ isr = ∅ · directories.len() = replicas.len() ·
//! a change raises the partition epoch by one, and the leader epoch by one iff it names a leader (even the same one).

use smallvec::SmallVec;
use uuid::Uuid;

use crate::base::ids::{BrokerId, LeaderEpoch, NO_LEADER, TopicId};

/// Broker ids; four fit without a heap block, and few partitions have more replicas.
pub type Replicas = SmallVec<[BrokerId; 4]>;
/// The log directory of each replica, in the order of the replicas.
pub type Directories = SmallVec<[Uuid; 1]>;

/// State of a partition (Kafka's `PartitionRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// Brokers that should hold the partition; the first is the preferred leader.
    pub replicas: Replicas,
    /// Log directory of each replica; ids below 100 are reserved, see [`DIRECTORY_UNASSIGNED`](super::DIRECTORY_UNASSIGNED) (KIP-858).
    pub directories: Directories,
    /// Replicas that hold every committed record.
    pub isr: Replicas,
    /// [`NO_LEADER`] while nobody may lead.
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    /// Raised by every change; what AlterPartition compares.
    pub partition_epoch: i32,
    /// Set by an unclean election until the leader reports that it has recovered (KIP-704).
    pub recovering: bool,
    /// Lists that are empty on nearly every partition nearly always.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    elr: Replicas,
    last_known_elr: Replicas,
    adding: Replicas,
    removing: Replicas,
}

impl PartitionRegistration {
    /// A new partition: epochs zero, led by the first of `isr`.
    pub fn new(replicas: Replicas, directories: Directories, isr: Replicas) -> Self {
        assert_eq!(replicas.len(), directories.len(), "one directory a replica");
        let leader = isr.first().copied().unwrap_or(NO_LEADER);
        Self { replicas, directories, isr, leader, leader_epoch: 0, partition_epoch: 0, recovering: false, rare: None }
    }

    /// Replicas outside the ISR that are known to hold every record below the high watermark (KIP-966).
    pub fn elr(&self) -> &[BrokerId] {
        self.rare.as_ref().map_or(&[], |r| &r.elr)
    }

    /// With ELR, the last leader of a partition whose ISR and ELR ran empty.
    pub fn last_known_elr(&self) -> &[BrokerId] {
        self.rare.as_ref().map_or(&[], |r| &r.last_known_elr)
    }

    /// Replicas that a reassignment under way adds (KIP-455).
    pub fn adding(&self) -> &[BrokerId] {
        self.rare.as_ref().map_or(&[], |r| &r.adding)
    }

    /// Replicas that a reassignment under way removes (KIP-455).
    pub fn removing(&self) -> &[BrokerId] {
        self.rare.as_ref().map_or(&[], |r| &r.removing)
    }

    pub fn is_reassigning(&self) -> bool {
        !self.adding().is_empty() || !self.removing().is_empty()
    }

    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    pub fn preferred_leader(&self) -> BrokerId {
        self.replicas.first().copied().unwrap_or(NO_LEADER)
    }

    /// The directory in which `broker` holds this partition; `None` if it is no replica.
    pub fn directory_of(&self, broker: BrokerId) -> Option<Uuid> {
        let at = self.replicas.iter().position(|r| *r == broker)?;
        self.directories.get(at).copied()
    }

    pub(crate) fn set_rare(&mut self, elr: Replicas, last_known_elr: Replicas, adding: Replicas, removing: Replicas) {
        let empty = elr.is_empty() && last_known_elr.is_empty() && adding.is_empty() && removing.is_empty();
        self.rare = (!empty).then(|| Box::new(Rare { elr, last_known_elr, adding, removing }));
    }

    /// The state after `change`. Epochs are derived here and nowhere else.
    pub fn merge(&self, change: &PartitionChange) -> Self {
        let pick = |new: &Option<Replicas>, old: &[BrokerId]| new.clone().unwrap_or_else(|| Replicas::from_slice(old));
        let mut merged = Self {
            replicas: pick(&change.replicas, &self.replicas),
            directories: change.directories.clone().unwrap_or_else(|| self.directories.clone()),
            isr: pick(&change.isr, &self.isr),
            leader: change.leader.unwrap_or(self.leader),
            leader_epoch: self.leader_epoch + i32::from(change.leader.is_some()),
            partition_epoch: self.partition_epoch + 1,
            recovering: change.recovering.unwrap_or(self.recovering),
            rare: None,
        };
        merged.set_rare(
            pick(&change.elr, self.elr()),
            pick(&change.last_known_elr, self.last_known_elr()),
            pick(&change.adding, self.adding()),
            pick(&change.removing, self.removing()),
        );
        merged
    }

    /// Broken invariants, in words; `None` when all hold.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        if self.directories.len() != self.replicas.len() {
            return Some("a partition has one directory a replica");
        }
        if !self.isr.iter().all(|b| self.replicas.contains(b)) {
            return Some("the ISR lies within the replicas");
        }
        if self.has_leader() && !self.isr.contains(&self.leader) {
            return Some("the leader is in the ISR");
        }
        if self.elr().iter().any(|b| self.isr.contains(b)) {
            return Some("no replica is in both ISR and ELR");
        }
        None
    }
}

/// What changes about a partition; `None` means "stays" (Kafka's `PartitionChangeRecord`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionChange {
    pub topic_id: TopicId,
    pub partition: i32,
    pub isr: Option<Replicas>,
    /// `Some`, even of the present leader, raises the leader epoch.
    pub leader: Option<BrokerId>,
    pub replicas: Option<Replicas>,
    pub directories: Option<Directories>,
    pub removing: Option<Replicas>,
    pub adding: Option<Replicas>,
    pub elr: Option<Replicas>,
    pub last_known_elr: Option<Replicas>,
    pub recovering: Option<bool>,
}

impl PartitionChange {
    pub fn is_empty(&self) -> bool {
        let Self {
            topic_id: _,
            partition: _,
            isr,
            leader,
            replicas,
            directories,
            removing,
            adding,
            elr,
            last_known_elr,
            recovering,
        } = self;
        isr.is_none()
            && leader.is_none()
            && replicas.is_none()
            && directories.is_none()
            && removing.is_none()
            && adding.is_none()
            && elr.is_none()
            && last_known_elr.is_none()
            && recovering.is_none()
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn partition() -> PartitionRegistration {
        PartitionRegistration::new(smallvec![1, 2, 3], smallvec![Uuid::from_u128(100); 3], smallvec![1, 2, 3])
    }

    #[test]
    fn every_change_raises_the_partition_epoch_and_a_named_leader_the_leader_epoch() {
        let shrunk = partition().merge(&PartitionChange { isr: Some(smallvec![1, 3]), ..Default::default() });
        assert_eq!((shrunk.leader, shrunk.leader_epoch, shrunk.partition_epoch), (1, 0, 1));
        let same = shrunk.merge(&PartitionChange { leader: Some(1), ..Default::default() });
        assert_eq!((same.leader, same.leader_epoch, same.partition_epoch), (1, 1, 2));
    }

    #[test]
    fn rare_lists_cost_nothing_when_empty() {
        let with =
            partition().merge(&PartitionChange { elr: Some(smallvec![2]), isr: Some(smallvec![1, 3]), ..Default::default() });
        assert_eq!(with.elr(), [2]);
        let without = with.merge(&PartitionChange { elr: Some(smallvec![]), ..Default::default() });
        assert!(without.rare.is_none() && without.elr().is_empty());
        assert!(std::mem::size_of::<PartitionRegistration>() <= 104);
    }

    #[test]
    fn broken_invariants_are_named() {
        assert_eq!(partition().broken_invariant(), None);
        let outside = partition().merge(&PartitionChange { isr: Some(smallvec![1, 4]), ..Default::default() });
        assert_eq!(outside.broken_invariant(), Some("the ISR lies within the replicas"));
        let foreign = partition().merge(&PartitionChange { isr: Some(smallvec![2]), ..Default::default() });
        assert_eq!(foreign.broken_invariant(), Some("the leader is in the ISR"));
    }
}
