//! The types openraft is built with.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::snapshot_file::SnapshotFile;
use crate::base::ids::BrokerId;
use crate::metadata::{Applied, Endpoint, RecordBatch, uuid64};

/// A voter: a node and the disk it votes with. A node that comes back with an empty disk is another voter, because it has forgotten what it
/// promised (KIP-853).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoterKey {
    pub id: BrokerId,
    pub dir: Uuid,
}

impl fmt::Display for VoterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, uuid64::to_string(self.dir))
    }
}

/// Where a voter is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterNode {
    pub endpoints: Vec<Endpoint>,
}

openraft::declare_raft_types!(
    pub Meta:
        D = Arc<RecordBatch>,
        R = Applied,
        NodeId = VoterKey,
        Node = VoterNode,
        SnapshotData = SnapshotFile,
);

pub type Entry = openraft::Entry<Meta>;
pub type LogId = openraft::LogId<VoterKey>;
pub type Vote = openraft::Vote<VoterKey>;
pub type Membership = openraft::Membership<VoterKey, VoterNode>;
pub type StoredMembership = openraft::StoredMembership<VoterKey, VoterNode>;
pub type SnapshotMeta = openraft::SnapshotMeta<VoterKey, VoterNode>;
pub type Snapshot = openraft::Snapshot<Meta>;
pub type StorageError = openraft::StorageError<VoterKey>;
pub type StorageIOError = openraft::StorageIOError<VoterKey>;

/// openraft's timing and log policy.
///
/// A sole voter elects itself and hears from nobody: its ticks are far apart, so that an idle broker sleeps. Snapshots are asked for by bytes
/// and age (`MetadataQuorum::maybe_snapshot`), not by number of entries.
pub fn config(cluster: &str) -> openraft::Config {
    const IDLE_MS: u64 = 60_000;
    openraft::Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: IDLE_MS,
        election_timeout_min: 2 * IDLE_MS,
        election_timeout_max: 3 * IDLE_MS,
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        ..Default::default()
    }
}
