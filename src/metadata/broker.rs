//! A broker as it registered, and what the controller decided about it since.
//!
//! Invariants: a new incarnation has a larger epoch · a fenced broker leads nothing, and is in an ISR only as its last member, without ELR.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::base::ids::{BrokerId, Offset};

/// The replica is where it was before directories were tracked (`DirectoryId.MIGRATING`).
pub const DIRECTORY_MIGRATING: Uuid = Uuid::from_u128(0);
/// The broker has yet to choose a directory (`DirectoryId.UNASSIGNED`).
pub const DIRECTORY_UNASSIGNED: Uuid = Uuid::from_u128(1);
/// The replica's directory is offline (`DirectoryId.LOST`).
pub const DIRECTORY_LOST: Uuid = Uuid::from_u128(2);

/// Where one listener of a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Listener name, as in `listeners`.
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
    /// Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// Feature levels a node can work with, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    pub min: i16,
    pub max: i16,
}

impl VersionRange {
    /// A feature the node does not know: only "off" is supported.
    pub const DISABLED: VersionRange = VersionRange { min: 0, max: 0 };

    pub fn contains(self, level: i16) -> bool {
        self.min <= level && level <= self.max
    }
}

/// State of a broker (Kafka's `BrokerRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    pub id: BrokerId,
    /// Given by the controller to this incarnation; every request of the broker to the controller carries it.
    pub epoch: i64,
    /// Drawn by the process at start.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub features: BTreeMap<Arc<str>, VersionRange>,
    pub rack: Option<Arc<str>>,
    /// Ids of the log directories that are online (KIP-858).
    pub log_dirs: Vec<Uuid>,
    /// A fenced broker is not shown to clients and may not lead.
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// Offset of the record that registered this incarnation: a broker that has read it may be unfenced.
    pub registered_at: Offset,
}

impl BrokerRegistration {
    /// Active: may lead and may be in an ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| &*e.name == listener)
    }

    /// Whether replicas in `directory` are usable. A replica that has no directory yet counts as online.
    pub fn has_online_dir(&self, directory: Uuid) -> bool {
        directory == DIRECTORY_UNASSIGNED || directory == DIRECTORY_MIGRATING || self.log_dirs.contains(&directory)
    }

    /// The directory of a replica that is placed here: the only one, or "not assigned yet" when the broker has to choose.
    pub fn default_dir(&self) -> Uuid {
        match self.log_dirs[..] {
            [only] => only,
            _ => DIRECTORY_UNASSIGNED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_not_yet_assigned_counts_as_online_and_a_lost_one_does_not() {
        let mut broker = crate::metadata::testing::broker(1);
        broker.log_dirs = vec![Uuid::from_u128(500), Uuid::from_u128(501)];
        assert!(broker.has_online_dir(DIRECTORY_UNASSIGNED) && broker.has_online_dir(Uuid::from_u128(501)));
        assert!(!broker.has_online_dir(DIRECTORY_LOST) && !broker.has_online_dir(Uuid::from_u128(502)));
        assert_eq!(broker.default_dir(), DIRECTORY_UNASSIGNED);
        broker.log_dirs.pop();
        assert_eq!(broker.default_dir(), Uuid::from_u128(500));
    }
}
