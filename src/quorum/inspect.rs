//! The metadata files as a person looks at them without a node: nothing is opened for writing, nothing is cut, nothing is made up.

use std::path::Path;
use std::sync::Arc;

use openraft::EntryPayload;

use super::entry;
use super::error::QuorumError;
use super::files;
use super::log::format::{a_later_append_follows, parse_frame, scan};
use super::raft::{LogId, Membership, VoterKey};
use super::snapshot_file::SnapshotDir;
use crate::base::disk::Disk;
use crate::metadata::{DecodeError, MetadataImage, RecordBatch};

/// One segment of the metadata log.
#[derive(Debug)]
pub struct InspectedLog {
    pub entries: Vec<InspectedEntry>,
    /// Where the first frame lies that is not whole.
    pub broken_at: Option<u64>,
    /// Whether a later write follows what is broken: then that was acknowledged, and no crash explains it.
    pub acknowledged: bool,
}

#[derive(Debug)]
pub struct InspectedEntry {
    /// Where its frame begins in the file.
    pub position: u64,
    pub index: u64,
    pub term: u64,
    pub leader: VoterKey,
    pub payload: Payload,
}

#[derive(Debug)]
pub enum Payload {
    /// What a leader writes first, to learn what is committed.
    Blank,
    Records(Arc<RecordBatch>),
    /// The voters; several lists while one gives way to the next.
    Voters(Vec<Vec<VoterKey>>),
}

/// A snapshot: the image up to an entry.
#[derive(Debug)]
pub struct InspectedSnapshot {
    pub last_index: u64,
    pub last_term: u64,
    pub voters: Vec<Vec<VoterKey>>,
    pub image: MetadataImage,
}

/// For whom a node has voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InspectedVote {
    pub term: u64,
    pub voter: VoterKey,
    /// Whether a majority has voted so.
    pub committed: bool,
}

/// Reads the bytes of the segment whose name says `first_index`.
pub fn log(bytes: &[u8], first_index: u64) -> Result<InspectedLog, DecodeError> {
    let scanned = scan(bytes, first_index)?;
    let mut entries = Vec::with_capacity(scanned.positions.len());
    for position in &scanned.positions {
        let frame = parse_frame(&bytes[*position as usize..]).expect("the scan found it whole");
        let found = entry::decode(frame.entry)?;
        let LogId { leader_id, index } = found.log_id;
        let payload = match found.payload {
            EntryPayload::Blank => Payload::Blank,
            EntryPayload::Normal(batch) => Payload::Records(batch),
            EntryPayload::Membership(membership) => Payload::Voters(voters(&membership)),
        };
        let position = u64::from(*position);
        entries.push(InspectedEntry { position, index, term: leader_id.term, leader: leader_id.node_id, payload });
    }
    let acknowledged = scanned.broken_at.is_some_and(|at| a_later_append_follows(bytes, at));
    Ok(InspectedLog { entries, broken_at: scanned.broken_at, acknowledged })
}

/// Reads a snapshot, and loads the image in it.
pub fn snapshot(disk: Arc<dyn Disk>, path: &Path) -> Result<InspectedSnapshot, QuorumError> {
    let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
    let (meta, image) = SnapshotDir { disk, dir }.read(path)?;
    let (last_index, last_term) = meta.last_log_id.map_or((0, 0), |id| (id.index, id.leader_id.term));
    Ok(InspectedSnapshot { last_index, last_term, voters: voters(meta.last_membership.membership()), image })
}

/// The vote in a directory, if one was cast.
pub fn vote(disk: &dyn Disk, dir: &Path) -> Result<Option<InspectedVote>, QuorumError> {
    let voted = files::read_voter_file(disk, dir)?;
    Ok(voted.map(|(_, v)| InspectedVote { term: v.leader_id.term, voter: v.leader_id.node_id, committed: v.committed }))
}

/// The index up to which a directory knows its log to be committed, and its term; only a hint.
pub fn committed(disk: &dyn Disk, dir: &Path) -> Result<Option<(u64, u64)>, QuorumError> {
    Ok(files::read_committed_file(disk, dir)?.map(|id| (id.index, id.leader_id.term)))
}

fn voters(membership: &Membership) -> Vec<Vec<VoterKey>> {
    membership.get_joint_config().iter().map(|config| config.iter().copied().collect()).collect()
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;
    use crate::base::disk::RealDisk;
    use crate::quorum::log::MetadataLog;
    use crate::quorum::raft::Entry;

    #[test]
    fn a_log_is_read_as_it_was_written_and_nothing_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let leader = VoterKey { id: 1, dir: uuid::Uuid::from_u128(9) };
        let id = |index| LogId::new(CommittedLeaderId::new(3, leader), index);
        let batch = Arc::new(RecordBatch { claim_epoch: 1, seq: 0, records: vec![] });
        let mut log_files = MetadataLog::open(Arc::new(RealDisk), dir.path()).unwrap();
        let entries = vec![
            Entry { log_id: id(0), payload: EntryPayload::Blank },
            Entry { log_id: id(1), payload: EntryPayload::Normal(batch.clone()) },
        ];
        log_files.append(entries).unwrap();
        drop(log_files);
        let path = dir.path().join(format!("{:020}.log", 0));
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = log(&bytes, 0).unwrap();
        let found: Vec<_> = whole.entries.iter().map(|e| (e.index, e.term, e.leader)).collect();
        assert_eq!((found, whole.broken_at), (vec![(0, 3, leader), (1, 3, leader)], None));
        assert!(matches!(&whole.entries[1].payload, Payload::Records(found) if *found == batch));

        let len = bytes.len() as u64;
        bytes.extend_from_slice(b"kf\0\0");
        let torn = log(&bytes, 0).unwrap();
        assert_eq!((torn.entries.len(), torn.broken_at, torn.acknowledged), (2, Some(len), false));
    }
}
