//! The way to other voters. A quorum of one has none: whoever is asked for is unreachable.

use std::future::Future;
use std::io;

use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{OptionalSend, RaftTypeConfig};

use super::raft::{Meta, Snapshot, Vote, VoterKey, VoterNode};

/// No voter but this node.
pub struct Alone;

/// A voter that this node has no connection to.
pub struct Absent(VoterKey);

impl Absent {
    fn unreachable(&self) -> Unreachable {
        Unreachable::new(&io::Error::new(io::ErrorKind::NotConnected, format!("voter {} has no connection", self.0)))
    }
}

type RpcError = RPCError<VoterKey, VoterNode, RaftError<VoterKey>>;

impl RaftNetworkFactory<Meta> for Alone {
    type Network = Absent;

    async fn new_client(&mut self, target: VoterKey, _node: &VoterNode) -> Absent {
        Absent(target)
    }
}

impl RaftNetwork<Meta> for Absent {
    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<Meta>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<<Meta as RaftTypeConfig>::NodeId>, RpcError> {
        Err(self.unreachable().into())
    }

    async fn vote(&mut self, _rpc: VoteRequest<VoterKey>, _option: RPCOption) -> Result<VoteResponse<VoterKey>, RpcError> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<VoterKey>, StreamingError<Meta, Fatal<VoterKey>>> {
        Err(self.unreachable().into())
    }
}
