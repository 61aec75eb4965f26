//! What the coming and going of brokers means for the partitions they hold (`ReplicationControlManager.generateLeaderAndIsrUpdates`).
//!
//! Partitions are found by walking the image: it holds no index from brokers to partitions, which would have to be kept in step with every
//! change, to save a millisecond a 10,000 partitions in events that come once in a broker's life.

use uuid::Uuid;

use super::Controller;
use super::partition_change::{Election, PartitionChangeBuilder};
use crate::base::ids::BrokerId;
use crate::metadata::{
    BrokerRegistration, DIRECTORY_UNASSIGNED, ELIGIBLE_LEADER_REPLICAS_VERSION, MetadataImage, MetadataRecord,
    PartitionRegistration, TopicImage,
};

/// What happens to whom. A broker named here counts as it will be, not as the image still has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Move {
    /// Leaves every ISR and leads nothing.
    pub remove: Option<BrokerId>,
    /// May lead, although it is still fenced.
    pub add: Option<BrokerId>,
    /// Leaves every ISR and ELR: it may have lost what it had not written.
    pub unclean: Option<BrokerId>,
}

/// How one topic's partitions are changed.
pub(super) struct TopicScope<'a> {
    pub draft: &'a MetadataImage,
    pub topic: &'a TopicImage,
    min_isr: usize,
    unclean_leader_election: bool,
    elr_enabled: bool,
}

impl<'a> TopicScope<'a> {
    pub fn is_unclean_allowed(&self) -> bool {
        self.unclean_leader_election
    }

    /// Builds the change of one partition; `active` tells which brokers may lead as far as their registrations go.
    pub fn change(
        &self,
        index: i32,
        partition: &PartitionRegistration,
        active: impl Fn(BrokerId) -> bool,
        shape: impl FnOnce(PartitionChangeBuilder<'_>) -> PartitionChangeBuilder<'_>,
    ) -> Option<MetadataRecord> {
        let acceptable = |id: BrokerId| active(id) && self.has_online_dir(partition, id);
        let default_dir = |id: BrokerId| default_dir(self.draft, id);
        let builder = PartitionChangeBuilder::new(
            partition,
            self.topic.id,
            index,
            &acceptable,
            &default_dir,
            self.min_isr,
            self.elr_enabled,
        );
        shape(builder).build().map(|change| MetadataRecord::PartitionChange(Box::new(change)))
    }

    fn has_online_dir(&self, partition: &PartitionRegistration, id: BrokerId) -> bool {
        match (self.draft.broker(id), partition.directory_of(id)) {
            (Some(broker), Some(directory)) => broker.has_online_dir(directory),
            _ => false,
        }
    }
}

/// The directory of a replica that is placed on a broker now.
pub(super) fn default_dir(draft: &MetadataImage, id: BrokerId) -> Uuid {
    draft.broker(id).map_or(DIRECTORY_UNASSIGNED, |broker| broker.default_dir())
}

impl Controller {
    pub(super) fn scope<'a>(&self, draft: &'a MetadataImage, topic: &'a TopicImage) -> TopicScope<'a> {
        let rules = self.topic_rules(draft, &topic.name);
        let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
        TopicScope {
            draft,
            topic,
            min_isr: usize::try_from(rules.min_insync_replicas).unwrap_or(0).min(replicas),
            unclean_leader_election: rules.unclean_leader_election,
            elr_enabled: draft.feature_level(ELIGIBLE_LEADER_REPLICAS_VERSION) > 0,
        }
    }

    /// Appends the changes of all partitions that `concerns` picks.
    pub(super) fn leader_and_isr_updates(
        &self,
        draft: &MetadataImage,
        moved: Move,
        concerns: impl Fn(&PartitionRegistration) -> bool,
        records: &mut Vec<MetadataRecord>,
    ) {
        let Move { remove, add, unclean } = moved;
        let active = |id: BrokerId| Some(id) != remove && Some(id) != unclean && (Some(id) == add || draft.is_active(id));
        for topic in draft.topics().iter_by_id() {
            let mut scope = None;
            for (index, partition) in topic.iter().filter(|(_, p)| concerns(p)) {
                let scope = scope.get_or_insert_with(|| self.scope(draft, topic));
                let election = if scope.is_unclean_allowed() { Election::Unclean } else { Election::Online };
                let isr = partition.isr.iter().copied().filter(|id| Some(*id) != remove && Some(*id) != unclean).collect();
                records
                    .extend(scope.change(index, partition, active, |b| b.election(election).unclean_shutdown(unclean).isr(isr)));
            }
        }
    }

    /// The broker is no longer in touch: it leaves the ISRs, then it is fenced.
    pub(super) fn fence(&self, draft: &MetadataImage, id: BrokerId, records: &mut Vec<MetadataRecord>) {
        let Some(broker) = draft.broker(id) else { return };
        self.leave_isrs(draft, id, records);
        records.push(flags(broker, Some(true), None));
    }

    /// The broker is unfenced, then partitions without a leader get one if it may lead them. If it was fenced while it shut down and is
    /// here again, it no longer shuts down; Kafka has no record for that and lets it lead with the flag set.
    pub(super) fn unfence(&self, draft: &MetadataImage, broker: &BrokerRegistration, records: &mut Vec<MetadataRecord>) {
        records.push(flags(broker, Some(false), broker.in_controlled_shutdown.then_some(false)));
        let moved = Move { add: Some(broker.id), ..Default::default() };
        self.leader_and_isr_updates(draft, moved, |p| !p.has_leader(), records);
    }

    /// The broker wants to stop: others take over what it leads.
    pub(super) fn begin_controlled_shutdown(
        &self,
        draft: &MetadataImage,
        broker: &BrokerRegistration,
        records: &mut Vec<MetadataRecord>,
    ) {
        if !broker.in_controlled_shutdown {
            records.push(flags(broker, None, Some(true)));
        }
        self.leave_isrs(draft, broker.id, records);
    }

    /// An incarnation of the broker has ended, cleanly or not.
    pub(super) fn end_incarnation(&self, draft: &MetadataImage, id: BrokerId, clean: bool, records: &mut Vec<MetadataRecord>) {
        if clean || draft.feature_level(ELIGIBLE_LEADER_REPLICAS_VERSION) == 0 {
            self.leave_isrs(draft, id, records);
        } else {
            let moved = Move { unclean: Some(id), ..Default::default() };
            self.leader_and_isr_updates(draft, moved, |p| p.isr.contains(&id) || p.elr().contains(&id), records);
        }
    }

    /// Some of the broker's log directories are gone.
    pub(super) fn directories_offline(
        &self,
        draft: &MetadataImage,
        broker: &BrokerRegistration,
        offline: &[Uuid],
        records: &mut Vec<MetadataRecord>,
    ) {
        let (gone, remaining): (Vec<Uuid>, Vec<Uuid>) = broker.log_dirs.iter().partition(|dir| offline.contains(dir));
        if gone.is_empty() {
            return;
        }
        tracing::warn!(broker = broker.id, ?gone, ?remaining, "log directories are offline");
        let moved = Move { remove: Some(broker.id), ..Default::default() };
        self.leader_and_isr_updates(
            draft,
            moved,
            |p| p.isr.contains(&broker.id) && p.directory_of(broker.id).is_some_and(|dir| gone.contains(&dir)),
            records,
        );
        records.push(MetadataRecord::BrokerRegistrationChange {
            broker_id: broker.id,
            broker_epoch: broker.epoch,
            fenced: None,
            in_controlled_shutdown: None,
            log_dirs: Some(remaining),
        });
    }

    fn leave_isrs(&self, draft: &MetadataImage, id: BrokerId, records: &mut Vec<MetadataRecord>) {
        let moved = Move { remove: Some(id), ..Default::default() };
        self.leader_and_isr_updates(draft, moved, |p| p.isr.contains(&id), records);
    }
}

fn flags(broker: &BrokerRegistration, fenced: Option<bool>, in_controlled_shutdown: Option<bool>) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        fenced,
        in_controlled_shutdown,
        log_dirs: None,
    }
}
