//! A member of a classic group. Pure.

use std::collections::HashSet;

use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::protocol::StrBytes;

use crate::coordinator::group::record::{MemberMetadata, owned};
use crate::coordinator::shard::RequestId;

/// A way of assigning that a member supports, in its own words; opaque to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: StrBytes,
    pub metadata: Bytes,
}

/// The protocols of a JoinGroup in the member's order of preference: each name once, and copied, so that a member does not pin its request.
pub fn protocols(requested: &[JoinGroupRequestProtocol]) -> Vec<Protocol> {
    let mut seen = HashSet::with_capacity(requested.len());
    let distinct = requested.iter().filter(|protocol| seen.insert(protocol.name.as_str()));
    let copied = distinct.map(|it| Protocol { name: owned(&it.name), metadata: Bytes::copy_from_slice(&it.metadata) });
    copied.collect()
}

/// Bytes that a member keeps of the protocols of a JoinGroup, at most.
pub fn size_max(requested: &[JoinGroupRequestProtocol]) -> usize {
    requested.iter().map(|protocol| size_of::<Protocol>() + protocol.name.len() + protocol.metadata.len()).sum()
}

#[derive(Clone, Debug)]
pub struct Member {
    pub id: StrBytes,
    /// `group.instance.id`: makes the member static (KIP-345).
    pub instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
    /// Empty until the leader has assigned something.
    pub assignment: Bytes,
    /// Changed only through the group, which counts them.
    pub(super) awaiting_join: Option<RequestId>,
    pub(super) awaiting_sync: Option<RequestId>,
    /// Has not got the answer to its first JoinGroup: it cannot heartbeat, so waiting does not keep it alive.
    pub is_new: bool,
}

impl Member {
    pub fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// A member that waits for the others proves that it lives, unless it is new.
    pub fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// The member's metadata for a protocol; empty if it does not support it.
    pub fn metadata(&self, protocol: Option<&StrBytes>) -> Bytes {
        self.protocols.iter().find(|it| Some(&it.name) == protocol).map(|it| it.metadata.clone()).unwrap_or_default()
    }

    pub fn describe(&self) -> DescribedGroupMember {
        DescribedGroupMember::default()
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance_id.clone())
            .with_client_id(self.client_id.clone())
            .with_client_host(self.client_host.clone())
            .with_member_assignment(self.assignment.clone())
    }

    pub fn to_record(&self, protocol: Option<&StrBytes>) -> MemberMetadata {
        MemberMetadata {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    /// A member as its group's record tells of it: it supports the one protocol that had been chosen.
    pub fn from_record(record: &MemberMetadata, protocol: Option<&StrBytes>) -> Self {
        Self {
            id: record.member_id.clone(),
            instance_id: record.instance_id.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            session_timeout_ms: record.session_timeout_ms,
            protocols: protocol
                .map(|name| Protocol { name: name.clone(), metadata: record.subscription.clone() })
                .into_iter()
                .collect(),
            assignment: record.assignment.clone(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        }
    }
}
