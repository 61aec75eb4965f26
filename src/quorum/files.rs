//! The small files beside the log: who votes here and for whom, and how far the log is known to be committed.
//!
//! Each file is a magic number, a CRC32C of the rest, and the rest. `voter` is replaced atomically and is on the disk before a call
//! returns; `committed` is only a hint that saves work at start, so it is written in place and never waited for.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::{read_log_id, read_voter, write_log_id, write_voter};
use super::error::QuorumError;
use super::raft::{LogId, Vote, VoterKey};
use crate::base::disk::{Disk, DiskFile, OpenMode};
use crate::base::ids::BrokerId;
use crate::metadata::{DecodeError, WireReader, WireWriter};

const VOTER: [u8; 4] = *b"klmV";
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
    key: VoterKey,
    vote: Vote,
    committed: Option<Arc<dyn DiskFile>>,
}

impl Files {
    /// Reads what is there; `None` if nobody has voted here yet.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, node_id: BrokerId) -> Result<Option<Self>, QuorumError> {
        let Some((key, vote)) = read_voter_file(&*disk, dir)? else { return Ok(None) };
        if key.id != node_id {
            return Err(QuorumError::OtherNode { dir: dir.to_owned(), found: key.id, expected: node_id });
        }
        Ok(Some(Self { disk, dir: dir.to_owned(), key, vote, committed: None }))
    }

    /// Makes the directory one of this voter.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, key: VoterKey, vote: Vote) -> Result<Self, QuorumError> {
        let mut files = Self { disk, dir: dir.to_owned(), key, vote: Vote::default(), committed: None };
        files.save_vote(&vote)?;
        Ok(files)
    }

    pub fn key(&self) -> VoterKey {
        self.key
    }

    pub fn vote(&self) -> Vote {
        self.vote
    }

    pub fn save_vote(&mut self, vote: &Vote) -> Result<(), QuorumError> {
        let mut body = Vec::new();
        let mut w = WireWriter::new(&mut body);
        write_voter(&mut w, &self.key);
        w.uvarint(vote.leader_id.term);
        write_voter(&mut w, &vote.leader_id.node_id);
        w.bool(vote.committed);
        let path = self.dir.join("voter");
        self.disk.replace(&path, &seal(VOTER, &body)).map_err(QuorumError::io("replace", &path))?;
        self.vote = *vote;
        Ok(())
    }

    /// The hint, if there is a readable one.
    pub fn read_committed(&self) -> Result<Option<LogId>, QuorumError> {
        read_committed_file(&*self.disk, &self.dir)
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
}

/// Who votes in a directory, and what it has voted; `None` if nobody has yet.
pub fn read_voter_file(disk: &dyn Disk, dir: &Path) -> Result<Option<(VoterKey, Vote)>, QuorumError> {
    let path = dir.join("voter");
    if !disk.exists(&path) {
        return Ok(None);
    }
    let bytes = disk.read(&path).map_err(QuorumError::io("read", &path))?;
    let damaged = |what: &str| QuorumError::Damaged { path: path.clone(), at: 0, what: what.to_owned() };
    let body = unseal(VOTER, &bytes).ok_or_else(|| damaged("its checksum does not match"))?;
    decode(body).map(Some).map_err(|e| damaged(&e.to_string()))
}

/// How far a directory knows its log to be committed, if that can be read.
pub fn read_committed_file(disk: &dyn Disk, dir: &Path) -> Result<Option<LogId>, QuorumError> {
    let path = dir.join("committed");
    if !disk.exists(&path) {
        return Ok(None);
    }
    let bytes = disk.read(&path).map_err(QuorumError::io("read", &path))?;
    Ok(unseal(COMMITTED, &bytes).and_then(|body| read_log_id(&mut WireReader::new(body)).ok()))
}

fn decode(body: &[u8]) -> Result<(VoterKey, Vote), DecodeError> {
    let mut r = WireReader::new(body);
    let key = read_voter(&mut r)?;
    let (term, node, committed) = (r.uvarint()?, read_voter(&mut r)?, r.bool()?);
    Ok((key, if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) }))
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;
    use uuid::Uuid;

    use super::*;
    use crate::base::disk::RealDisk;

    const KEY: VoterKey = VoterKey { id: 1, dir: Uuid::from_u128(700) };

    fn create(dir: &Path) -> Files {
        assert!(Files::open(Arc::new(RealDisk), dir, 1).unwrap().is_none());
        Files::create(Arc::new(RealDisk), dir, KEY, Vote::new_committed(1, KEY)).unwrap()
    }

    #[test]
    fn a_directory_keeps_its_voter_and_refuses_another_node() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path());
        assert_eq!(Files::open(Arc::new(RealDisk), dir.path(), 1).unwrap().unwrap().key(), KEY);
        let error = Files::open(Arc::new(RealDisk), dir.path(), 2).err().unwrap();
        assert!(error.to_string().ends_with("set node.id = 1 or use another directory"), "{error}");
    }

    #[test]
    fn votes_survive_and_a_damaged_vote_is_not_forgotten_silently() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = create(dir.path());
        let open = || Files::open(Arc::new(RealDisk), dir.path(), 1);
        assert_eq!(open().unwrap().unwrap().vote(), Vote::new_committed(1, KEY));
        for vote in [Vote::new(3, KEY), Vote::new_committed(3, VoterKey { id: 2, ..KEY })] {
            files.save_vote(&vote).unwrap();
            assert_eq!((files.vote(), open().unwrap().unwrap().vote()), (vote, vote));
        }
        let path = dir.path().join("voter");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(open(), Err(QuorumError::Damaged { .. })));
    }

    #[test]
    fn a_torn_hint_is_no_hint() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = create(dir.path());
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
