//! The state of one classic group, and the steps every request is made of. Pure.
//!
//! Invariants (as code in `invariants.rs`):
//! - `Empty` ⇔ no members, outside of a rebalance; a group with members has a leader, and the leader is a member;
//! - `awaiting_join = |members waiting for a JoinGroup answer|`; nobody waits for a SyncGroup answer but in CompletingRebalance;
//! - static instance ids ↔ static members one to one; pending members are no members; members pending sync are members;
//! - `supported[p] = |members that support p|`; outside of PreparingRebalance every member supports the chosen protocol;
//! - in Stable and Empty the group's record says what the group is; the generation never steps back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kafka_protocol::messages::{SyncGroupResponse, list_groups_response::ListedGroup};
use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::base::ids::{NO_TIMESTAMP, TimestampMs};
use crate::coordinator::group::record::{GroupMetadataValue, Record};
use crate::coordinator::group::shard::Step;
use crate::coordinator::shard::RequestId;

use super::member::{Member, Protocol};

/// What these groups are called among groups of all kinds (KIP-848).
pub const CLASSIC: &str = "classic";

/// See the diagram at the top of the folder. Kafka's fifth state, Dead, is a group that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    pub const ALL: [Self; 4] = [State::Empty, State::PreparingRebalance, State::CompletingRebalance, State::Stable];

    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// The first rebalance of an empty group waits for more members, again and again while they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    pub delay_ms: i32,
    /// What may still be waited after this delay.
    pub remaining_ms: i32,
}

#[derive(Clone, Debug)]
pub struct ClassicGroup {
    pub id: StrBytes,
    pub(super) state: State,
    pub(super) state_timestamp: Option<TimestampMs>,
    pub(super) protocol_type: Option<StrBytes>,
    pub(super) protocol_name: Option<StrBytes>,
    pub(super) generation: i32,
    pub(super) leader: Option<StrBytes>,
    pub(super) members: BTreeMap<StrBytes, Member>,
    /// Member ids by instance id.
    pub(super) static_members: BTreeMap<StrBytes, StrBytes>,
    /// Ids that were given out, but have not joined yet (KIP-394).
    pub(super) pending_join: BTreeSet<StrBytes>,
    pub(super) awaiting_join: usize,
    pub(super) pending_sync: BTreeSet<StrBytes>,
    /// How many members support a protocol.
    pub(super) supported: BTreeMap<StrBytes, usize>,
    /// What the members subscribe to; `None` if that cannot be known.
    pub(super) subscribed_topics: Option<BTreeSet<StrBytes>>,
    /// Present in the rebalance of a group that was empty.
    pub(super) initial_delay: Option<InitialDelay>,
    pub(super) new_member_added: bool,
    /// The group's last record: all of it that survives a restart. Set by replay alone.
    pub(super) stored: Option<Box<GroupMetadataValue>>,
}

impl ClassicGroup {
    /// An empty group without a record.
    pub fn new(id: StrBytes, state_timestamp: Option<TimestampMs>) -> Self {
        Self {
            id,
            state: State::Empty,
            state_timestamp,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            awaiting_join: 0,
            pending_sync: BTreeSet::new(),
            supported: BTreeMap::new(),
            subscribed_topics: None,
            initial_delay: None,
            new_member_added: false,
            stored: None,
        }
    }

    pub fn stored(&self) -> Option<&GroupMetadataValue> {
        self.stored.as_deref()
    }

    pub fn set_stored(&mut self, value: Box<GroupMetadataValue>) {
        self.stored = Some(value);
    }

    /// Makes the group what its record says, as a new coordinator does.
    pub fn restore(&mut self) {
        let Some(stored) = self.stored.take() else { return };
        *self = Self::new(self.id.clone(), (stored.state_timestamp != NO_TIMESTAMP).then_some(stored.state_timestamp));
        self.protocol_type = (!stored.protocol_type.is_empty()).then(|| stored.protocol_type.clone());
        self.protocol_name = stored.protocol.clone();
        self.generation = stored.generation;
        for member in &stored.members {
            let is_known_instance =
                member.instance_id.as_ref().is_some_and(|instance_id| self.static_members.contains_key(instance_id));
            if !is_known_instance && !self.members.contains_key(&member.member_id) {
                self.insert(Member::from_record(member, stored.protocol.as_ref()));
            }
        }
        if let Some(leader) = stored.leader.as_ref().filter(|leader| self.members.contains_key(*leader)) {
            self.leader = Some(leader.clone());
        }
        if !self.members.is_empty() {
            self.state = State::Stable;
        }
        self.subscribed_topics = self.compute_subscribed_topics();
        self.stored = Some(stored);
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn state_timestamp(&self) -> Option<TimestampMs> {
        self.state_timestamp
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    pub fn protocol_type(&self) -> Option<&StrBytes> {
        self.protocol_type.as_ref()
    }

    pub fn protocol_name(&self) -> Option<&StrBytes> {
        self.protocol_name.as_ref()
    }

    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub fn member(&self, id: &StrBytes) -> Option<&Member> {
        self.members.get(id)
    }

    pub fn has_pending_members(&self) -> bool {
        !self.pending_join.is_empty()
    }

    pub fn leader(&self) -> Option<&StrBytes> {
        self.leader.as_ref()
    }

    pub fn is_leader(&self, member: &StrBytes) -> bool {
        self.leader.as_ref() == Some(member)
    }

    pub(super) fn is_pending(&self, member: &StrBytes) -> bool {
        self.pending_join.contains(member)
    }

    pub(super) fn add_pending(&mut self, member: StrBytes) {
        self.pending_join.insert(member);
    }

    pub(super) fn static_member(&self, instance_id: &StrBytes) -> Option<&StrBytes> {
        self.static_members.get(instance_id)
    }

    pub(super) fn member_ids(&self) -> Vec<StrBytes> {
        self.members.keys().cloned().collect()
    }

    pub(super) fn member_mut(&mut self, id: &StrBytes) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    pub(super) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub(super) fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    pub(super) fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_join.is_empty()
    }

    /// The group waits for its members as long as the most patient of them wants, in milliseconds.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).fold(0, i32::max)
    }

    /// `UnknownMemberId`, or `FencedInstanceId` if the instance goes by another id by now (KIP-345).
    pub fn validate_member(&self, member: &StrBytes, instance_id: Option<&StrBytes>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Adds a member, which is not one yet; the first one makes the protocol type and leads.
    pub(super) fn add(&mut self, member: Member, protocol_type: &StrBytes) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.clone());
        }
        self.pending_join.remove(&member.id);
        self.insert(member);
    }

    fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.count_protocols(&member.protocols, 1);
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member or a pending one; another member leads if it was the leader. Returns it, so that who waits is answered.
    pub(super) fn remove(&mut self, id: &StrBytes) -> Option<Member> {
        self.pending_join.remove(id);
        self.pending_sync.remove(id);
        let member = self.members.remove(id)?;
        self.count_protocols(&member.protocols, -1);
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// A member joins again: what it says now counts, and its earlier JoinGroup, if it still waits, is returned.
    pub(super) fn update_member(
        &mut self,
        id: &StrBytes,
        protocols: Vec<Protocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
        awaiting_join: RequestId,
    ) -> Option<RequestId> {
        let member = self.members.get_mut(id).expect("callers validate the member");
        let old = std::mem::replace(&mut member.protocols, protocols.clone());
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        let superseded = member.awaiting_join.replace(awaiting_join);
        self.awaiting_join += usize::from(superseded.is_none());
        self.count_protocols(&old, -1);
        self.count_protocols(&protocols, 1);
        superseded
    }

    /// The member's JoinGroup that waits, which is then answered.
    pub(super) fn take_awaiting_join(&mut self, id: &StrBytes) -> Option<RequestId> {
        let request = self.members.get_mut(id)?.awaiting_join.take();
        self.awaiting_join -= usize::from(request.is_some());
        request
    }

    /// Gives a static member a new id. What waited under the old one is returned.
    pub(super) fn replace_static_member(&mut self, instance_id: &StrBytes, old: &StrBytes, new: StrBytes) -> Member {
        let was_leader = self.is_leader(old);
        let replaced = self.members.remove(old).expect("static instance ids name members");
        self.awaiting_join -= usize::from(replaced.awaiting_join.is_some());
        if self.pending_sync.remove(old) {
            self.pending_sync.insert(new.clone());
        }
        let member = Member { id: new.clone(), awaiting_join: None, awaiting_sync: None, is_new: false, ..replaced.clone() };
        self.members.insert(new.clone(), member);
        self.static_members.insert(instance_id.clone(), new.clone());
        if was_leader {
            self.leader = Some(new);
        }
        replaced
    }

    /// Makes sure that a member which has rejoined leads; false if none has.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &Member| member.awaiting_join.is_some();
        if self.leader.as_ref().and_then(|leader| self.members.get(leader)).is_some_and(joined) {
            return true;
        }
        let Some(elected) = self.members.values().find(|member| joined(member)).map(|member| member.id.clone()) else {
            return false;
        };
        tracing::info!(group = %self.id, leader = %elected, "the leader did not rejoin in time, another member leads");
        self.leader = Some(elected);
        true
    }

    pub(super) fn transition_to(&mut self, state: State, now: TimestampMs) {
        self.state = state;
        self.state_timestamp = Some(now);
    }

    /// Begins the next generation with the members that are here.
    pub(super) fn next_generation(&mut self, now: TimestampMs) {
        self.generation = self.generation.wrapping_add(1).max(0);
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        self.pending_sync.clear();
        self.transition_to(if self.members.is_empty() { State::Empty } else { State::CompletingRebalance }, now);
    }

    /// The members as the leader needs to see them.
    pub(super) fn joined_members(&self) -> Vec<JoinGroupResponseMember> {
        self.members
            .values()
            .map(|member| {
                JoinGroupResponseMember::default()
                    .with_member_id(member.id.clone())
                    .with_group_instance_id(member.instance_id.clone())
                    .with_metadata(member.metadata(self.protocol_name.as_ref()))
            })
            .collect()
    }

    /// The answer to a JoinGroup that succeeded; with the members for the leader.
    pub(super) fn joined(&self, member: &StrBytes, with_members: bool) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol_name.clone())
            .with_leader(self.leader.clone().unwrap_or_default())
            .with_member_id(member.clone())
            .with_members(if with_members { self.joined_members() } else { Vec::new() })
    }

    /// The answer to a SyncGroup that succeeded.
    pub(super) fn synced(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol_name.clone())
            .with_assignment(assignment)
    }

    /// The record that says what the group is now.
    pub(super) fn to_record(&self) -> Record {
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_timestamp: self.state_timestamp.unwrap_or(NO_TIMESTAMP),
            members: self.members.values().map(|member| member.to_record(self.protocol_name.as_ref())).collect(),
        };
        Record::GroupMetadata { group: self.id.clone(), value: Some(Box::new(value)) }
    }

    /// The record of a group that has just been made, before anybody is a member.
    pub fn new_record(&self) -> Record {
        let value = GroupMetadataValue {
            protocol_type: StrBytes::new(),
            generation: 0,
            protocol: None,
            leader: None,
            state_timestamp: self.state_timestamp.unwrap_or(NO_TIMESTAMP),
            members: Vec::new(),
        };
        Record::GroupMetadata { group: self.id.clone(), value: Some(Box::new(value)) }
    }

    pub fn listed(&self) -> ListedGroup {
        ListedGroup::default()
            .with_group_id(self.id.clone().into())
            .with_protocol_type(self.protocol_type.clone().unwrap_or_default())
            .with_group_state(StrBytes::from_static_str(self.state.name()))
            .with_group_type(StrBytes::from_static_str(CLASSIC))
    }

    /// Answers everybody who waits under the name of `member`, which is no longer a member, with `error`.
    pub(super) fn dismiss(step: &mut Step<'_>, member: &Member, member_id: &StrBytes, error: ErrorCode) {
        if let Some(request) = member.awaiting_join {
            step.reply(request, join_error(member_id, error));
        }
        if let Some(request) = member.awaiting_sync {
            step.reply(request, sync_error(error));
        }
    }
}

pub(super) fn join_error(member_id: &StrBytes, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse::default().with_member_id(member_id.clone()).with_error_code(error.code())
}

pub(super) fn sync_error(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}
