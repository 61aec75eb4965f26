//! In which role a broker hosts a partition, and what it may answer in it.

use smallvec::SmallVec;

use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, LeaderEpoch, NO_LEADER_EPOCH};

#[derive(Clone, Debug)]
pub(super) enum Role {
    /// Not told yet, or led by nobody or another broker.
    NotLeader {
        leader_epoch: LeaderEpoch,
    },
    Leader(Leadership),
    /// The log cannot be had until the broker starts anew: it was not opened, or may lie in a directory that is missing. Whoever leads by the metadata,
    /// clients are told KAFKA_STORAGE_ERROR (Kafka's `HostedPartition.Offline`).
    Offline,
}

#[derive(Clone, Debug)]
pub(super) struct Leadership {
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) isr: SmallVec<[BrokerId; 4]>,
    pub(super) replicas: usize,
}

impl Role {
    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        match self {
            Role::NotLeader { leader_epoch } => *leader_epoch,
            Role::Leader(leadership) => leadership.leader_epoch,
            Role::Offline => NO_LEADER_EPOCH,
        }
    }

    pub(super) fn is_leader(&self) -> bool {
        matches!(self, Role::Leader(_))
    }

    pub(super) fn leadership(&self) -> Result<&Leadership, ErrorCode> {
        match self {
            Role::Leader(leadership) => Ok(leadership),
            Role::NotLeader { .. } => Err(ErrorCode::NotLeaderOrFollower),
            Role::Offline => Err(ErrorCode::KafkaStorageError),
        }
    }

    /// `Partition.checkCurrentLeaderEpoch`, then leadership: an old epoch is fenced, a newer one not known here yet; −1 is not checked.
    pub(super) fn check_epoch(&self, requested: LeaderEpoch) -> Result<&Leadership, ErrorCode> {
        if let Role::Offline = self {
            return self.leadership();
        }
        let current = self.leader_epoch();
        if requested >= 0 && requested < current {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if requested > current {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        self.leadership()
    }
}

impl Leadership {
    /// `min.insync.replicas` asks for no more than there are replicas (`Partition.effectiveMinIsr`).
    pub(super) fn is_under_min_isr(&self, min_insync_replicas: usize) -> bool {
        self.isr.len() < min_insync_replicas.min(self.replicas)
    }
}
