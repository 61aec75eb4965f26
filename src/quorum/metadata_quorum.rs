//! The quorum as the controller sees it: claim leadership, propose batches, read the image, see every change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::error::{CheckIsLeaderError, ClientWriteError, InitializeError, RaftError};
use openraft::{Raft, ServerState};
use tokio::sync::{mpsc, watch};

use super::error::QuorumError;
use super::files::Files;
use super::log::MetadataLog;
use super::log_store::LogStore;
use super::network::Alone;
use super::raft::{self, Meta, VoterKey, VoterNode};
use super::snapshot_file::SnapshotDir;
use super::state_machine::{MetadataChange, StateMachine};
use crate::base::disk::Disk;
use crate::base::ids::{BrokerId, Offset};
use crate::base::time::Mono;
use crate::metadata::{Applied, MetadataImage, RecordBatch};

#[derive(Clone, Debug)]
pub struct QuorumOptions {
    pub node_id: BrokerId,
    /// Directory of the metadata log, used by nothing else.
    pub dir: PathBuf,
    /// Where other voters reach this node.
    pub node: VoterNode,
    /// A snapshot is due after this many bytes of log (`metadata.log.max.record.bytes.between.snapshots`).
    pub max_bytes_between_snapshots: u64,
    /// A snapshot is due after this time if anything was logged (`metadata.log.max.snapshot.interval.ms`).
    pub max_snapshot_interval: Duration,
}

/// What DescribeQuorum tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDescription {
    pub leader: Option<VoterKey>,
    /// First offset that is not committed yet.
    pub high_watermark: Offset,
    /// First offset that this node's log does not have.
    pub log_end: Offset,
    pub voters: Vec<(VoterKey, VoterNode)>,
}

pub struct MetadataQuorum {
    key: VoterKey,
    raft: Raft<Meta>,
    machine: StateMachine,
    unsnapshotted: Arc<AtomicU64>,
    options: QuorumOptions,
    last_snapshot: Mono,
}

impl MetadataQuorum {
    /// Opens the log, and starts a cluster of this one voter if the directory is empty. A sole voter is the leader when this returns or a
    /// moment later.
    pub async fn open(disk: Arc<dyn Disk>, options: QuorumOptions, now: Mono) -> Result<Self, QuorumError> {
        let log = MetadataLog::open(disk.clone(), &options.dir)?;
        let files = Files::new(disk.clone(), &options.dir);
        let key = files.voter(options.node_id)?;
        let unsnapshotted = Arc::new(AtomicU64::new(0));
        let machine = StateMachine::open(SnapshotDir { disk, dir: options.dir.clone() }, unsnapshotted.clone())?;
        let store = LogStore::new(log, files, unsnapshotted.clone());
        unsnapshotted.store(store.bytes_behind(machine.snapshot_id()), Ordering::Relaxed);
        let config = Arc::new(raft::config("klamm"));
        let stopped = |e: &dyn std::fmt::Display| QuorumError::Stopped(e.to_string());
        let raft = Raft::new(key, config, Alone, store, machine.clone()).await.map_err(|e| stopped(&e))?;
        if raft.is_initialized().await.map_err(|e| stopped(&e))? {
            // A sole voter would elect itself at its next tick, which is far away.
            if raft.server_metrics().borrow().state != ServerState::Leader {
                raft.trigger().elect().await.map_err(|e| stopped(&e))?;
            }
        } else {
            let sole = BTreeMap::from([(key, options.node.clone())]);
            match raft.initialize(sole).await {
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(e) => return Err(stopped(&e)),
            }
        }
        Ok(Self { key, raft, machine, unsnapshotted, options, last_snapshot: now })
    }

    pub fn key(&self) -> VoterKey {
        self.key
    }

    /// Publishes the present image as a first change, and every later step. Once.
    pub fn publish(&self) -> (watch::Receiver<Arc<MetadataImage>>, mpsc::UnboundedReceiver<MetadataChange>) {
        self.machine.publish()
    }

    /// The image with everything committed and applied so far.
    pub fn image(&self) -> MetadataImage {
        self.machine.image()
    }

    /// Waits until this node leads and has applied everything that was committed before: then it may claim.
    pub async fn lead(&self) -> Result<MetadataImage, QuorumError> {
        let mut metrics = self.raft.server_metrics();
        loop {
            if metrics.borrow_and_update().current_leader == Some(self.key) {
                match self.raft.ensure_linearizable().await {
                    Ok(_) => return Ok(self.machine.image()),
                    Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_) | CheckIsLeaderError::QuorumNotEnough(_))) => {
                    }
                    Err(RaftError::Fatal(fatal)) => return Err(QuorumError::Stopped(fatal.to_string())),
                }
            }
            if metrics.changed().await.is_err() {
                return Err(QuorumError::Stopped("the node is shutting down".into()));
            }
        }
    }

    /// Appends a batch and waits until it is committed and applied here.
    ///
    /// # Errors
    /// [`QuorumError::NotLeader`]: the batch may or may not be committed later; the guard in the batch makes a repetition harmless.
    pub async fn propose(&self, batch: RecordBatch) -> Result<Applied, QuorumError> {
        match self.raft.client_write(Arc::new(batch)).await {
            Ok(response) => Ok(response.data),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(QuorumError::NotLeader { leader: to.leader_id })
            }
            Err(e) => Err(QuorumError::Stopped(e.to_string())),
        }
    }

    /// Starts writing a snapshot if one is due. The log is cut when it is written. While one is being written the next has to wait: what it
    /// does not hold stays counted, so it is asked for again.
    pub async fn maybe_snapshot(&mut self, now: Mono) -> Result<(), QuorumError> {
        let bytes = self.unsnapshotted.load(Ordering::Relaxed);
        let due = bytes >= self.options.max_bytes_between_snapshots || self.snapshot_deadline().is_some_and(|at| at <= now);
        if bytes > 0 && due {
            self.last_snapshot = now;
            self.raft.trigger().snapshot().await.map_err(|e| QuorumError::Stopped(e.to_string()))?;
        }
        Ok(())
    }

    /// When a snapshot is due by age; `None` while nothing was logged since the last.
    pub fn snapshot_deadline(&self) -> Option<Mono> {
        (self.unsnapshotted.load(Ordering::Relaxed) > 0).then(|| self.last_snapshot + self.options.max_snapshot_interval)
    }

    pub fn describe(&self) -> QuorumDescription {
        let metrics = self.raft.metrics().borrow().clone();
        let next = |index: Option<u64>| index.map_or(0, |i| i as i64 + 1);
        let membership = metrics.membership_config.membership();
        QuorumDescription {
            leader: metrics.current_leader,
            high_watermark: next(self.machine.last_applied().map(|id| id.index)),
            log_end: next(metrics.last_log_index),
            voters: membership.voter_ids().map(|key| (key, membership.get_node(&key).cloned().unwrap_or_default())).collect(),
        }
    }

    /// Stops, and lets go of the directory.
    pub async fn shutdown(self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the metadata quorum did not stop cleanly");
        }
        self.machine.written().await;
    }
}

#[cfg(test)]
mod tests;
