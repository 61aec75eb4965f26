//! The small files beside the log: who votes here, the vote, and how far the log is known to be committed.
//!
//! Each file is a magic number, a CRC32C of the rest, and the rest. `voter` and `vote` are replaced atomically and are on the disk before a
//! call returns; `committed` is only a hint that saves work at start, so it is written in place and never waited for.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::entry::{read_log_id, read_voter, write_log_id, write_voter};
use super::error::QuorumError;
use super::raft::{LogId, Vote, VoterKey};
use crate::base::disk::{Disk, DiskFile, OpenMode};
use crate::base::ids::BrokerId;
use crate::metadata::{DecodeError, WireReader, WireWriter, uuid64};

const VOTER: [u8; 4] = *b"klmV";
const VOTE: [u8; 4] = *b"klmE";
const COMMITTED: [u8; 4] = *b"klmC";
/// `committed` fits in one sector, so that a torn write is seen by its checksum and concerns nothing else.
const COMMITTED_LEN: usize = 128;

fn seal(magic: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&magic[..], &crc32c::crc32c(body).to_be_bytes(), body].concat()
}

fn unseal(magic: [u8; 4], bytes: &[u8]) -> Option<&[u8]> {
    let (head, body) = bytes.split_at_checked(8)?;
    (head[..4] == magic && head[4..] == crc32c::crc32c(body).to_be_bytes()).then_some(body)
}

pub struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    committed: Option<Arc<dyn DiskFile>>,
}

impl Files {
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned(), committed: None }
    }

    /// The voter this directory belongs to; a new one is made up for an empty directory.
    pub fn voter(&self, node_id: BrokerId) -> Result<VoterKey, QuorumError> {
        match self.read("voter", VOTER, read_voter)? {
            Some(voter) if voter.id == node_id => Ok(voter),
            Some(voter) => Err(QuorumError::OtherNode { dir: self.dir.clone(), found: voter.id, expected: node_id }),
            None => {
                let dir = std::iter::repeat_with(Uuid::new_v4).find(|id| uuid64::is_acceptable(*id)).expect("nearly every id is");
                let voter = VoterKey { id: node_id, dir };
                let mut body = Vec::new();
                write_voter(&mut WireWriter::new(&mut body), &voter);
                self.replace("voter", VOTER, &body)?;
                Ok(voter)
            }
        }
    }

    pub fn read_vote(&self) -> Result<Option<Vote>, QuorumError> {
        self.read("vote", VOTE, |r| {
            let (term, node, committed) = (r.uvarint()?, read_voter(r)?, r.bool()?);
            Ok(if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) })
        })
    }

    pub fn save_vote(&self, vote: &Vote) -> Result<(), QuorumError> {
        let mut body = Vec::new();
        let mut w = WireWriter::new(&mut body);
        w.uvarint(vote.leader_id.term);
        write_voter(&mut w, &vote.leader_id.node_id);
        w.bool(vote.committed);
        self.replace("vote", VOTE, &body)
    }

    /// The hint, if there is a readable one.
    pub fn read_committed(&self) -> Result<Option<LogId>, QuorumError> {
        let path = self.dir.join("committed");
        if !self.disk.exists(&path) {
            return Ok(None);
        }
        let bytes = self.disk.read(&path).map_err(QuorumError::io("read", &path))?;
        Ok(unseal(COMMITTED, &bytes).and_then(|body| read_log_id(&mut WireReader::new(body)).ok()))
    }

    pub fn save_committed(&mut self, committed: &LogId) -> Result<(), QuorumError> {
        let path = self.dir.join("committed");
        let file = match &self.committed {
            Some(file) => file,
            None => {
                let file = self.disk.open(&path, OpenMode::ReadWrite).map_err(QuorumError::io("open", &path))?;
                self.committed.insert(file)
            }
        };
        let mut body = Vec::with_capacity(COMMITTED_LEN);
        write_log_id(&mut body, committed);
        body.resize(COMMITTED_LEN - 8, 0);
        file.write_all_at(&[IoSlice::new(&seal(COMMITTED, &body))], 0).map_err(QuorumError::io("write", &path))
    }

    fn read<T>(
        &self,
        name: &str,
        magic: [u8; 4],
        decode: impl FnOnce(&mut WireReader<'_>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, QuorumError> {
        let path = self.dir.join(name);
        if !self.disk.exists(&path) {
            return Ok(None);
        }
        let bytes = self.disk.read(&path).map_err(QuorumError::io("read", &path))?;
        let damaged = |what: &str| QuorumError::Damaged { path: path.clone(), at: 0, what: what.to_owned() };
        let body = unseal(magic, &bytes).ok_or_else(|| damaged("its checksum does not match"))?;
        decode(&mut WireReader::new(body)).map(Some).map_err(|e| damaged(&e.to_string()))
    }

    fn replace(&self, name: &str, magic: [u8; 4], body: &[u8]) -> Result<(), QuorumError> {
        let path = self.dir.join(name);
        self.disk.replace(&path, &seal(magic, body)).map_err(QuorumError::io("replace", &path))
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;
    use crate::base::disk::RealDisk;

    #[test]
    fn a_directory_keeps_its_voter_and_refuses_another_node() {
        let dir = tempfile::tempdir().unwrap();
        let files = || Files::new(Arc::new(RealDisk), dir.path());
        let voter = files().voter(1).unwrap();
        assert_eq!(files().voter(1).unwrap(), voter);
        let error = files().voter(2).unwrap_err();
        assert!(error.to_string().ends_with("set node.id = 1 or use another directory"), "{error}");
    }

    #[test]
    fn votes_survive_and_a_damaged_vote_is_not_forgotten_silently() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(Arc::new(RealDisk), dir.path());
        let voter = files.voter(1).unwrap();
        assert_eq!(files.read_vote().unwrap(), None);
        for vote in [Vote::new(3, voter), Vote::new_committed(3, voter)] {
            files.save_vote(&vote).unwrap();
            assert_eq!(files.read_vote().unwrap(), Some(vote));
        }
        let path = dir.path().join("vote");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(files.read_vote(), Err(QuorumError::Damaged { .. })));
    }

    #[test]
    fn a_torn_hint_is_no_hint() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(Arc::new(RealDisk), dir.path());
        let id = |index| LogId::new(CommittedLeaderId::new(1, VoterKey::default()), index);
        for index in [1, 1 << 40, 2] {
            files.save_committed(&id(index)).unwrap();
            assert_eq!(files.read_committed().unwrap(), Some(id(index)));
        }
        let path = dir.path().join("committed");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[9] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(files.read_committed().unwrap(), None);
    }
}
