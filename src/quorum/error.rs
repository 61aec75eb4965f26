//! What can go wrong with the metadata quorum, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use openraft::AnyError;

use super::raft::VoterKey;
use crate::base::ids::BrokerId;
use crate::metadata::snapshot::LoadError;
use crate::metadata::{DecodeError, ReplayError};

#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    #[error("cannot {op} {}: {source}", path.display())]
    Io { op: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged at byte {at}, before its end: {what}. Records behind it were acknowledged, so the file is not cut; restore it \
             from a copy, or remove this node from the cluster and add it again with an empty directory", path.display())]
    Damaged { path: PathBuf, at: u64, what: String },
    #[error("the metadata log in {} has no entries {from} to {to}; restore the missing .log file, or remove this node from the cluster and \
             add it again with an empty directory", dir.display())]
    MissingEntries { dir: PathBuf, from: u64, to: u64 },
    #[error("{} belongs to node {found}, but this node is configured as {expected}; set node.id = {found} or use another directory",
            dir.display())]
    OtherNode { dir: PathBuf, found: BrokerId, expected: BrokerId },
    #[error("{} has a metadata log but no file named voter, which tells whose it is and what it has promised; restore the file, or remove \
             this node from the cluster and add it again with an empty directory", dir.display())]
    VoterMissing { dir: PathBuf },
    #[error("{} belongs to a voter but has neither metadata log nor snapshot; restore the files, or remove this node from the cluster and \
             add it again with an empty directory", dir.display())]
    LogMissing { dir: PathBuf },
    #[error("{} holds a record this version of klamm cannot read: {source}", path.display())]
    Decode { path: PathBuf, source: DecodeError },
    #[error("the snapshot {} does not hold together: {source}", path.display())]
    Snapshot { path: PathBuf, source: LoadError },
    #[error("metadata entry {offset} does not fit the state before it: {source}")]
    Replay { offset: i64, source: ReplayError },
    #[error("an earlier write to {} failed; what is on the disk is unknown until a restart", dir.display())]
    Poisoned { dir: PathBuf },
    #[error("{} {}", "this node is not the leader of the metadata quorum;", match leader { Some(k) => format!("{k} is"), None => "none is known".into() })]
    NotLeader { leader: Option<VoterKey> },
    #[error("the metadata quorum has stopped: {0}")]
    Stopped(String),
}

impl QuorumError {
    pub(super) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { op, path, source }
    }

    pub(super) fn any(&self) -> AnyError {
        AnyError::new(self)
    }
}
