//! Every change of a partition's replicas, ISR, ELR or leader is computed here (`PartitionChangeBuilder`).
//!
//! Order of steps: a reassignment that can end ends · ELR · election · leader epoch if replicas were dropped · ELR fields · ISR · last known
//! leader · assignment. Invariants: an election prefers ISR, then ELR; a replica outside both leads only uncleanly, alone in the ISR and
//! marked as recovering · without ELR the ISR never becomes empty · a change that changes nothing is no record.

use uuid::Uuid;

use crate::base::ids::{BrokerId, NO_LEADER, TopicId};
use crate::metadata::{Directories, PartitionChange, PartitionRegistration, Replicas};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica if possible.
    Preferred,
    /// Stay with the leader if possible.
    Online,
    /// As online; if nobody in ISR or ELR is alive, anybody who is.
    Unclean,
}

struct Elected {
    leader: BrokerId,
    unclean: bool,
}

pub struct PartitionChangeBuilder<'a> {
    partition: &'a PartitionRegistration,
    topic_id: TopicId,
    index: i32,
    acceptable: &'a dyn Fn(BrokerId) -> bool,
    default_dir: &'a dyn Fn(BrokerId) -> Uuid,
    min_isr: usize,
    elr_enabled: bool,
    election: Election,
    isr: Replicas,
    replicas: Replicas,
    removing: Replicas,
    adding: Replicas,
    elr: Replicas,
    recovering: bool,
    directories: Vec<(BrokerId, Uuid)>,
    /// Lost what they had not written: may not be in the ELR.
    unclean_shutdown: Option<BrokerId>,
}

impl<'a> PartitionChangeBuilder<'a> {
    /// `acceptable`: may lead as far as its registration and the state of its directory go. `default_dir`: the directory of a replica that
    /// is placed anew. `min_isr`: `min.insync.replicas`, at most the number of replicas.
    pub fn new(
        partition: &'a PartitionRegistration,
        topic_id: TopicId,
        index: i32,
        acceptable: &'a dyn Fn(BrokerId) -> bool,
        default_dir: &'a dyn Fn(BrokerId) -> Uuid,
        min_isr: usize,
        elr_enabled: bool,
    ) -> Self {
        Self {
            partition,
            topic_id,
            index,
            acceptable,
            default_dir,
            min_isr,
            elr_enabled,
            election: Election::Online,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            removing: Replicas::from_slice(partition.removing()),
            adding: Replicas::from_slice(partition.adding()),
            elr: Replicas::from_slice(partition.elr()),
            recovering: partition.recovering,
            directories: partition.replicas.iter().copied().zip(partition.directories.iter().copied()).collect(),
            unclean_shutdown: None,
        }
    }

    pub fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    pub fn isr(mut self, isr: Replicas) -> Self {
        self.isr = isr;
        self
    }

    pub fn recovering(mut self, recovering: bool) -> Self {
        self.recovering = recovering;
        self
    }

    pub fn unclean_shutdown(mut self, broker: Option<BrokerId>) -> Self {
        self.unclean_shutdown = broker;
        self
    }

    /// The directory in which a replica is, as its broker reports.
    pub fn directory(mut self, broker: BrokerId, directory: Uuid) -> Self {
        match self.directories.iter_mut().find(|(b, _)| *b == broker) {
            Some((_, known)) => *known = directory,
            None => self.directories.push((broker, directory)),
        }
        self
    }

    /// The change, if anything changes.
    pub fn build(mut self) -> Option<PartitionChange> {
        let mut change = PartitionChange { topic_id: self.topic_id, partition: self.index, ..Default::default() };
        self.complete_reassignment();
        self.populate_elr();
        self.elect(&mut change);
        // A leader must learn that it has fewer followers than it thinks.
        if change.leader.is_none() && self.partition.replicas.iter().any(|r| !self.replicas.contains(r)) {
            change.leader = Some(self.partition.leader);
        }
        self.set_elr(&mut change);
        if change.isr.is_none() && (!self.isr.is_empty() || self.elr_enabled) && self.isr != self.partition.isr {
            change.isr = Some(self.isr.clone());
        }
        self.set_last_known_leader(&mut change);
        self.set_assignment(&mut change);
        if change.recovering.is_none() && self.recovering != self.partition.recovering {
            change.recovering = Some(self.recovering);
        }
        (!change.is_empty()).then_some(change)
    }

    /// A reassignment ends when the ISR, less those that leave, holds all that stay.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |list: &Replicas| -> Replicas { list.iter().copied().filter(|r| !self.removing.contains(r)).collect() };
        let (isr, replicas) = (stays(&self.isr), stays(&self.replicas));
        if isr.is_empty() || replicas.is_empty() || !replicas.iter().all(|r| isr.contains(r)) {
            return;
        }
        (self.isr, self.replicas) = (isr, replicas);
        self.removing.clear();
        self.adding.clear();
    }

    /// Whoever leaves an ISR that is too small is still known to have every committed record.
    fn populate_elr(&mut self) {
        if !self.elr_enabled {
            return;
        }
        if self.isr.len() >= self.min_isr {
            self.elr.clear();
            return;
        }
        for member in &self.partition.isr {
            if !self.elr.contains(member) {
                self.elr.push(*member);
            }
        }
        let (isr, unclean) = (&self.isr, self.unclean_shutdown);
        self.elr.retain(|r| !isr.contains(r) && Some(*r) != unclean);
        self.elr.sort_unstable();
    }

    fn may_lead(&self, replica: BrokerId) -> bool {
        let has_everything = self.isr.contains(&replica) || (self.isr.is_empty() && self.elr.contains(&replica));
        has_everything && (self.acceptable)(replica)
    }

    fn choose(&self) -> Elected {
        let clean = |leader| Elected { leader, unclean: false };
        let present = self.partition.leader;
        if self.election == Election::Preferred
            && let Some(preferred) = self.replicas.first().filter(|r| self.may_lead(**r))
        {
            return clean(*preferred);
        }
        if self.may_lead(present) {
            return clean(present);
        }
        if let Some(online) = self.replicas.iter().find(|r| self.may_lead(**r)) {
            return clean(*online);
        }
        if let Some(last) = self.last_known_leader() {
            return Elected { leader: last, unclean: true };
        }
        if self.election == Election::Unclean
            && let Some(any) = self.replicas.iter().find(|r| (self.acceptable)(**r))
        {
            return Elected { leader: *any, unclean: true };
        }
        clean(NO_LEADER)
    }

    /// With ELR, when nobody is known to have everything: the last leader, if it is back (KIP-966, balanced recovery). Kafka does not look
    /// whether it is; electing a fenced broker would break what everybody relies on.
    fn last_known_leader(&self) -> Option<BrokerId> {
        match self.partition.last_known_elr() {
            [last] if self.elr_enabled && self.isr.is_empty() && self.elr.is_empty() => {
                Some(*last).filter(|last| self.replicas.contains(last) && (self.acceptable)(*last))
            }
            _ => None,
        }
    }

    fn elect(&mut self, change: &mut PartitionChange) {
        let Elected { leader, unclean } = self.choose();
        if leader == self.partition.leader {
            return;
        }
        if self.elr.contains(&leader) && !unclean {
            self.isr = Replicas::from_slice(&[leader]);
            self.elr.retain(|r| *r != leader);
        }
        change.leader = Some(leader);
        if unclean {
            tracing::info!(topic = %self.topic_id, partition = self.index, leader, "unclean leader election: records may be lost");
            change.isr = Some(Replicas::from_slice(&[leader]));
            if !self.partition.recovering {
                change.recovering = Some(true);
            }
        }
    }

    fn set_elr(&mut self, change: &mut PartitionChange) {
        let unclean = change.isr.is_some();
        if unclean || !self.elr_enabled {
            self.elr.clear();
        }
        if self.elr[..] != *self.partition.elr() {
            change.elr = Some(self.elr.clone());
        }
    }

    fn set_last_known_leader(&self, change: &mut PartitionChange) {
        if !self.elr_enabled {
            return;
        }
        let (present, last_known) = (self.partition.leader, self.partition.last_known_elr());
        if change.isr.as_ref().is_some_and(|isr| isr.is_empty()) && last_known != [present] {
            // Only when the partition loses its leader, not when it stays without one.
            change.last_known_elr = Some(Replicas::from_slice(&[present]));
        } else if change.leader.unwrap_or(present) != NO_LEADER && !last_known.is_empty() {
            change.last_known_elr = Some(Replicas::new());
        }
    }

    fn set_assignment(&self, change: &mut PartitionChange) {
        if !self.replicas.is_empty() {
            let known = |replica: BrokerId| self.directories.iter().find(|(b, _)| *b == replica).map(|(_, dir)| *dir);
            let directories: Directories =
                self.replicas.iter().map(|r| known(*r).unwrap_or_else(|| (self.default_dir)(*r))).collect();
            if directories != self.partition.directories {
                change.directories = Some(directories);
            }
            if self.replicas != self.partition.replicas {
                change.replicas = Some(self.replicas.clone());
            }
        }
        if self.removing[..] != *self.partition.removing() {
            change.removing = Some(self.removing.clone());
        }
        if self.adding[..] != *self.partition.adding() {
            change.adding = Some(self.adding.clone());
        }
    }
}

#[cfg(test)]
mod tests;
