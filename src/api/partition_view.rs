//! A partition as a client sees it, through the listener it came in on: a broker that is not registered with that listener does not exist
//! for it (`KRaftMetadataCache`).

use kafka_protocol::messages::BrokerId;

use crate::base::ids;
use crate::metadata::{MetadataImage, PartitionRegistration};

pub struct PartitionView<'a> {
    pub image: &'a MetadataImage,
    pub listener: &'a str,
    pub partition: &'a PartitionRegistration,
    /// This broker, if it hosts the partition without its log: it knows of that alone, and the metadata say that all is well.
    pub offline_at: Option<ids::BrokerId>,
}

impl PartitionView<'_> {
    /// Whether a broker is registered with the listener and unfenced.
    pub fn is_alive(&self, id: ids::BrokerId) -> bool {
        self.image.broker(id).is_some_and(|b| !b.fenced && b.endpoint(self.listener).is_some())
    }

    /// The leader, if the client can reach it.
    pub fn leader(&self) -> Option<BrokerId> {
        let leader = self.partition.leader;
        (self.is_alive(leader) && self.offline_at != Some(leader)).then_some(BrokerId(leader))
    }

    /// Whether there is a leader, be it out of reach.
    pub fn is_led(&self) -> bool {
        let leader = self.partition.leader;
        self.offline_at != Some(leader) && self.image.broker(leader).is_some_and(|b| !b.fenced)
    }

    /// Replicas that do not serve: on a broker that is not alive, or in a directory that is offline (KIP-112, KIP-858), or without a log.
    pub fn offline_replicas(&self) -> Vec<BrokerId> {
        let in_offline_dir = |id: ids::BrokerId| {
            let directory = self.partition.directory_of(id);
            directory.is_some_and(|directory| self.image.broker(id).is_some_and(|broker| !broker.has_online_dir(directory)))
        };
        let is_offline = |id: ids::BrokerId| !self.is_alive(id) || in_offline_dir(id) || self.offline_at == Some(id);
        ids(self.partition.replicas.iter().copied().filter(|id| is_offline(*id)))
    }
}

/// Broker ids in the form of responses.
pub fn ids(ids: impl IntoIterator<Item = ids::BrokerId>) -> Vec<BrokerId> {
    ids.into_iter().map(BrokerId).collect()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;
    use uuid::Uuid;

    use super::*;
    use crate::metadata::testing::{broker, claim, replay_all};
    use crate::metadata::{DIRECTORY_UNASSIGNED, MetadataRecord, PartitionRegistration};

    /// Brokers 1 (alive), 2 (fenced) and 3 (alive, not on the listener OUT) register; what is seen through a listener.
    fn seen(listener: &str, leader: i32, directory_of_1: Uuid) -> (Option<i32>, bool, Vec<i32>) {
        seen_from(None, listener, leader, directory_of_1)
    }

    fn seen_from(offline_at: Option<i32>, listener: &str, leader: i32, directory_of_1: Uuid) -> (Option<i32>, bool, Vec<i32>) {
        let mut brokers = [broker(1), broker(2), broker(3)];
        brokers[1].fenced = true;
        let mut out = brokers[0].endpoints[0].clone();
        out.name = "OUT".into();
        brokers.iter_mut().take(2).for_each(|broker| broker.endpoints.push(out.clone()));
        let mut registrations = claim(1);
        registrations.records.extend(brokers.map(|broker| MetadataRecord::RegisterBroker(Box::new(broker))));
        let image = replay_all(MetadataImage::default(), &[registrations]);
        let directories = smallvec![directory_of_1, DIRECTORY_UNASSIGNED, DIRECTORY_UNASSIGNED, DIRECTORY_UNASSIGNED];
        let mut partition = PartitionRegistration::new(smallvec![1, 2, 3, 4], directories, smallvec![1, 3]);
        partition.leader = leader;
        let view = PartitionView { image: &image, listener, partition: &partition, offline_at };
        (view.leader().map(|id| id.0), view.is_led(), view.offline_replicas().into_iter().map(|id| id.0).collect())
    }

    #[test]
    fn a_partition_is_seen_through_the_listener() {
        let online = Uuid::from_u128(501);
        assert_eq!(seen("PLAINTEXT", 3, online), (Some(3), true, vec![2, 4]));
        assert_eq!(seen("OUT", 3, online), (None, true, vec![2, 3, 4]), "the leader cannot be reached there");
        assert_eq!(seen("OUT", 1, online), (Some(1), true, vec![2, 3, 4]));
        assert_eq!(seen("PLAINTEXT", 2, online), (None, false, vec![2, 4]), "a fenced broker does not lead");
        assert_eq!(seen("PLAINTEXT", -1, online), (None, false, vec![2, 4]));
    }

    #[test]
    fn a_replica_in_a_directory_that_its_broker_lost_is_offline() {
        assert_eq!(seen("PLAINTEXT", 1, Uuid::from_u128(999)).2, [1, 2, 4]);
        assert_eq!(seen("PLAINTEXT", 1, DIRECTORY_UNASSIGNED).2, [2, 4]);
    }

    #[test]
    fn a_replica_without_its_log_is_offline_and_does_not_lead() {
        assert_eq!(seen_from(Some(1), "PLAINTEXT", 1, DIRECTORY_UNASSIGNED), (None, false, vec![1, 2, 4]));
        assert_eq!(seen_from(Some(1), "PLAINTEXT", 3, DIRECTORY_UNASSIGNED), (Some(3), true, vec![1, 2, 4]));
    }
}
