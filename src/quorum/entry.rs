//! A log entry as bytes: index, term, leader, kind, payload. What openraft keeps for itself (blank entries, memberships) lies in the same
//! log as the records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openraft::{CommittedLeaderId, EntryPayload};
use uuid::Uuid;

use super::raft::{Entry, LogId, Membership, StoredMembership, VoterKey, VoterNode};
use crate::metadata::{DecodeError, Endpoint, RecordBatch, WireReader, WireWriter};

mod kind {
    pub const BLANK: u8 = 0;
    pub const RECORDS: u8 = 1;
    pub const MEMBERSHIP: u8 = 2;
}

pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    write_log_id(out, &entry.log_id);
    match &entry.payload {
        EntryPayload::Blank => out.push(kind::BLANK),
        EntryPayload::Normal(batch) => {
            out.push(kind::RECORDS);
            batch.encode(out);
        }
        EntryPayload::Membership(membership) => {
            out.push(kind::MEMBERSHIP);
            write_membership(out, membership);
        }
    }
}

pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    let mut r = WireReader::new(bytes);
    let log_id = read_log_id(&mut r)?;
    let payload = match r.u8()? {
        kind::BLANK => EntryPayload::Blank,
        kind::RECORDS => EntryPayload::Normal(Arc::new(RecordBatch::decode(r.bytes(r.remaining())?)?)),
        kind::MEMBERSHIP => EntryPayload::Membership(read_membership(&mut r)?),
        other => return Err(DecodeError::UnknownType(u64::from(other))),
    };
    Ok(Entry { log_id, payload })
}

pub fn decode_log_id(bytes: &[u8]) -> Result<LogId, DecodeError> {
    read_log_id(&mut WireReader::new(bytes))
}

pub fn write_log_id(out: &mut Vec<u8>, id: &LogId) {
    let mut w = WireWriter::new(out);
    w.uvarint(id.index);
    w.uvarint(id.leader_id.term);
    write_voter(&mut w, &id.leader_id.node_id);
}

pub fn read_log_id(r: &mut WireReader<'_>) -> Result<LogId, DecodeError> {
    let (index, term) = (r.uvarint()?, r.uvarint()?);
    Ok(LogId::new(CommittedLeaderId::new(term, read_voter(r)?), index))
}

pub fn write_voter(w: &mut WireWriter<'_>, voter: &VoterKey) {
    w.i64(i64::from(voter.id));
    w.uuid(voter.dir);
}

pub fn read_voter(r: &mut WireReader<'_>) -> Result<VoterKey, DecodeError> {
    Ok(VoterKey { id: r.i32()?, dir: r.uuid()? })
}

/// A voter takes at least its id and directory.
const VOTER_SIZE: usize = 1 + size_of::<Uuid>();

fn write_membership(out: &mut Vec<u8>, membership: &Membership) {
    let mut w = WireWriter::new(out);
    let configs: Vec<Vec<VoterKey>> = membership.get_joint_config().iter().map(|c| c.iter().copied().collect()).collect();
    w.list(&configs, |w, config| w.list(config, write_voter));
    let nodes: Vec<(&VoterKey, &VoterNode)> = membership.nodes().collect();
    w.list(&nodes, |w, (key, node)| {
        write_voter(w, key);
        w.list(&node.endpoints, |w, e| {
            w.str(&e.name);
            w.str(&e.host);
            w.uvarint(u64::from(e.port));
            w.i64(i64::from(e.security_protocol));
        });
    });
    w.tagged(&[]);
}

fn read_membership(r: &mut WireReader<'_>) -> Result<Membership, DecodeError> {
    let configs: Vec<BTreeSet<VoterKey>> = r.list(1, |r| r.list(VOTER_SIZE, read_voter))?;
    let nodes: BTreeMap<VoterKey, VoterNode> = r.list(VOTER_SIZE + 1, |r| {
        let key = read_voter(r)?;
        let endpoints = r.list(4, |r| {
            Ok(Endpoint {
                name: r.text()?,
                host: r.text()?,
                port: u16::try_from(r.uvarint()?).map_err(|_| DecodeError::OutOfRange)?,
                security_protocol: r.i16()?,
            })
        })?;
        Ok((key, VoterNode { endpoints }))
    })?;
    r.tagged(|_, _| Ok(()))?;
    Ok(Membership::new(configs, nodes))
}

/// A membership with the entry it was set by, as a snapshot keeps it.
pub fn write_stored_membership(out: &mut Vec<u8>, stored: &StoredMembership) {
    let id = stored.log_id();
    WireWriter::new(out).bool(id.is_some());
    if let Some(id) = id {
        write_log_id(out, id);
    }
    write_membership(out, stored.membership());
}

pub fn read_stored_membership(r: &mut WireReader<'_>) -> Result<StoredMembership, DecodeError> {
    let id = r.option(read_log_id)?;
    Ok(StoredMembership::new(id, read_membership(r)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_every_kind_survive() {
        let voters = [1, 2, 3].map(|id| VoterKey { id, dir: Uuid::from_u128(1000 + id as u128) });
        let node =
            VoterNode { endpoints: vec![Endpoint { name: "C".into(), host: "h".into(), port: 9093, security_protocol: 1 }] };
        let joint = vec![BTreeSet::from([voters[0]]), BTreeSet::from(voters)];
        let membership = Membership::new(joint, BTreeMap::from(voters.map(|v| (v, node.clone()))));
        let log_id = LogId::new(CommittedLeaderId::new(7, voters[1]), 300);
        let batch = RecordBatch { claim_epoch: 3, seq: 9, records: vec![] };
        for payload in [EntryPayload::Blank, EntryPayload::Normal(Arc::new(batch)), EntryPayload::Membership(membership.clone())]
        {
            let mut bytes = Vec::new();
            encode(&Entry { log_id, payload: payload.clone() }, &mut bytes);
            assert_eq!(decode(&bytes), Ok(Entry { log_id, payload }));
            assert_eq!(decode_log_id(&bytes), Ok(log_id));
        }
        for id in [None, Some(log_id)] {
            let stored = StoredMembership::new(id, membership.clone());
            let mut bytes = Vec::new();
            write_stored_membership(&mut bytes, &stored);
            assert_eq!(read_stored_membership(&mut WireReader::new(&bytes)), Ok(stored));
        }
    }
}
