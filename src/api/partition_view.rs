//! A partition as a client sees it, through the listener it came in on: a broker that is not registered with that listener does not exist
//! for it (`KRaftMetadataCache`).

use kafka_protocol::messages::BrokerId;

use crate::base::ids;
use crate::metadata::{MetadataImage, PartitionRegistration};

pub struct PartitionView<'a> {
    pub image: &'a MetadataImage,
    pub listener: &'a str,
    pub partition: &'a PartitionRegistration,
}

impl PartitionView<'_> {
    /// Whether a broker is registered with the listener and unfenced.
    pub fn is_alive(&self, id: ids::BrokerId) -> bool {
        self.image.broker(id).is_some_and(|b| !b.fenced && b.endpoint(self.listener).is_some())
    }

    /// The leader, if the client can reach it.
    pub fn leader(&self) -> Option<BrokerId> {
        let leader = self.partition.leader;
        self.is_alive(leader).then_some(BrokerId(leader))
    }

    /// Whether there is a leader, be it out of reach.
    pub fn is_led(&self) -> bool {
        self.image.broker(self.partition.leader).is_some_and(|b| !b.fenced)
    }

    /// Replicas that do not serve: on a broker that is not alive, or in a directory that is offline (KIP-112, KIP-858).
    pub fn offline_replicas(&self) -> Vec<BrokerId> {
        let in_offline_dir = |id: ids::BrokerId| {
            let directory = self.partition.directory_of(id);
            directory.is_some_and(|directory| self.image.broker(id).is_some_and(|broker| !broker.has_online_dir(directory)))
        };
        ids(self.partition.replicas.iter().copied().filter(|id| !self.is_alive(*id) || in_offline_dir(*id)))
    }
}

/// Broker ids in the form of responses.
pub fn ids(ids: impl IntoIterator<Item = ids::BrokerId>) -> Vec<BrokerId> {
    ids.into_iter().map(BrokerId).collect()
}
