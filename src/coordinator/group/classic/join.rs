//! JoinGroup: becoming a member, and taking part in the next generation. Pure.
//!
//! Waiting for the other members is no blocked task: the member keeps the request's id, and the end of the join phase answers them all.

use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::base::ErrorCode;
use crate::coordinator::group::config::{GroupConfig, NEW_MEMBER_JOIN_TIMEOUT_MS};
use crate::coordinator::group::record::{STRING_MAX, owned};
use crate::coordinator::group::request::Client;
use crate::coordinator::group::shard::{Step, Timer};
use crate::coordinator::shard::RequestId;

use super::group::{ClassicGroup, State, join_error};
use super::member::{Member, Protocol, protocols, size_max};

/// From this version on a member has to know its id before it joins (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// From this version on a leader can be told that there is nothing to assign (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

/// A JoinGroup, taken apart.
pub struct Join {
    pub id: RequestId,
    pub version: i16,
    client: Client,
    member_uuid: Uuid,
    member_id: StrBytes,
    instance_id: Option<StrBytes>,
    protocol_type: StrBytes,
    protocols: Vec<Protocol>,
    rebalance_timeout_ms: i32,
    session_timeout_ms: i32,
    reason: StrBytes,
}

impl Join {
    pub fn new(id: RequestId, version: i16, client: Client, member_uuid: Uuid, request: JoinGroupRequest) -> Self {
        Self {
            id,
            version,
            client: Client { id: owned(&client.id), host: owned(&client.host) },
            member_uuid,
            member_id: request.member_id,
            instance_id: request.group_instance_id.as_deref().map(owned),
            protocol_type: owned(&request.protocol_type),
            protocols: protocols(&request.protocols),
            // Version 0 has one timeout for both.
            rebalance_timeout_ms: if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms },
            session_timeout_ms: request.session_timeout_ms,
            reason: request.reason.unwrap_or_default(),
        }
    }

    pub fn is_unknown_member(&self) -> bool {
        self.member_id.is_empty()
    }

    /// `clientId-uuid`, or `instanceId-uuid` for a static member.
    fn new_member_id(&self) -> StrBytes {
        let prefix = self.instance_id.as_ref().unwrap_or(&self.client.id);
        StrBytes::from_string(format!("{prefix}-{}", self.member_uuid))
    }
}

/// What a JoinGroup is refused for before any group is looked at.
pub fn refuse_join(request: &JoinGroupRequest, client: &Client, config: &GroupConfig) -> Option<ErrorCode> {
    if request.group_id.is_empty() {
        return Some(ErrorCode::InvalidGroupId);
    }
    if request.session_timeout_ms < config.min_session_timeout_ms || request.session_timeout_ms > config.max_session_timeout_ms {
        return Some(ErrorCode::InvalidSessionTimeout);
    }
    if size_max(&request.protocols) > config.member_metadata_max {
        return Some(ErrorCode::InvalidRequest);
    }
    // Records cannot hold longer ones; a member id is one of these and 37 characters more.
    let texts = [Some(&request.group_id.0), request.group_instance_id.as_ref(), Some(&request.protocol_type), Some(&client.id)];
    let texts = texts.into_iter().flatten().chain(request.protocols.iter().map(|protocol| &protocol.name));
    texts.into_iter().any(|text| text.len() > STRING_MAX - 64).then_some(ErrorCode::InvalidRequest)
}

impl ClassicGroup {
    pub fn join(&mut self, step: &mut Step<'_>, join: Join) {
        if !self.accepts(&join.member_id, step.config.max_size) {
            step.timers.cancel(&Timer::Session { group: self.id.clone(), member: join.member_id.clone() });
            if let Some(member) = self.remove(&join.member_id) {
                Self::dismiss(step, &member, &member.id, ErrorCode::GroupMaxSizeReached);
            }
            self.complete_join_if_ready(step);
            return step.reply(join.id, join_error(&StrBytes::new(), ErrorCode::GroupMaxSizeReached));
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            return step.reply(join.id, join_error(&join.member_id, ErrorCode::InconsistentGroupProtocol));
        }
        if join.is_unknown_member() { self.join_new_member(step, join) } else { self.join_known_member(step, join) }
    }

    /// Whether there is room. While a rebalance waits for members, those count that have come, so that a group which has grown too large
    /// loses the last to come.
    fn accepts(&self, member: &StrBytes, max_size: usize) -> bool {
        match self.state() {
            State::Empty => true,
            State::PreparingRebalance => {
                self.member(member).is_some_and(|it| it.awaiting_join.is_some()) || self.awaiting_join() < max_size
            }
            State::CompletingRebalance | State::Stable => self.member(member).is_some() || self.members().len() < max_size,
        }
    }

    fn join_new_member(&mut self, step: &mut Step<'_>, join: Join) {
        let member_id = join.new_member_id();
        if let Some(instance_id) = &join.instance_id {
            return match self.static_member(instance_id).cloned() {
                Some(old) => self.join_replacing_static_member(step, join, old, member_id),
                None => self.add_member(step, join, member_id),
            };
        }
        if join.version < MEMBER_ID_REQUIRED_SINCE {
            return self.add_member(step, join, member_id);
        }
        // A client whose answer is lost would leave a member behind each time it retries: it has to come back with its id first.
        self.schedule_session(step, &member_id, join.session_timeout_ms);
        self.add_pending(member_id.clone());
        step.reply(join.id, join_error(&member_id, ErrorCode::MemberIdRequired));
    }

    fn add_member(&mut self, step: &mut Step<'_>, join: Join, member_id: StrBytes) {
        let member = Member {
            id: member_id.clone(),
            instance_id: join.instance_id,
            client_id: join.client.id,
            client_host: join.client.host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
            assignment: Default::default(),
            awaiting_join: Some(join.id),
            awaiting_sync: None,
            is_new: true,
        };
        // Makes the first rebalance wait a little longer.
        self.new_member_added |= self.initial_delay.is_some();
        self.add(member, &join.protocol_type);
        // It does not know its id yet, so it cannot heartbeat, and a client that is gone cannot be told from a patient one.
        self.schedule_session(step, &member_id, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.prepare_rebalance_or_complete_join(step, &format!("new member {member_id}; client reason: {}", join.reason));
    }

    fn join_known_member(&mut self, step: &mut Step<'_>, join: Join) {
        let member_id = join.member_id.clone();
        if self.is_pending(&member_id) {
            // Ids of static members are never pending: this one claims an instance that is not its own.
            if join.instance_id.is_some() {
                return step.reply(join.id, join_error(&member_id, ErrorCode::UnknownMemberId));
            }
            return self.add_member(step, join, owned(&member_id));
        }
        if let Err(error) = self.validate_member(&member_id, join.instance_id.as_ref()) {
            return step.reply(join.id, join_error(&member_id, error));
        }
        let is_leader = self.is_leader(&member_id);
        let is_unchanged = self.member(&member_id).is_some_and(|member| member.protocols == join.protocols);
        match self.state() {
            // Its answer may have been lost: tell it again.
            State::CompletingRebalance if is_unchanged => step.reply(join.id, self.joined(&member_id, is_leader)),
            // A leader that joins again wants to assign anew, for reasons that its metadata need not show.
            State::Stable if is_unchanged && !is_leader => step.reply(join.id, self.joined(&member_id, false)),
            State::Empty => step.reply(join.id, join_error(&member_id, ErrorCode::UnknownMemberId)),
            _ => {
                let reason = format!("member {member_id} joins again; client reason: {}", join.reason);
                self.update_from(step, &member_id, join);
                self.prepare_rebalance_or_complete_join(step, &reason);
            }
        }
    }

    /// The member waits for the join phase to end. An earlier JoinGroup of it that still waits was given up by the client.
    fn update_from(&mut self, step: &mut Step<'_>, member_id: &StrBytes, join: Join) {
        let superseded =
            self.update_member(member_id, join.protocols, join.rebalance_timeout_ms, join.session_timeout_ms, join.id);
        if let Some(request) = superseded {
            step.reply(request, join_error(member_id, ErrorCode::RebalanceInProgress));
        }
    }

    /// A static member comes back without its id, after a restart: it takes its place under a new one, and the old one is fenced (KIP-345).
    fn join_replacing_static_member(&mut self, step: &mut Step<'_>, join: Join, old: StrBytes, new: StrBytes) {
        tracing::info!(group = %self.id, %old, %new, "static member replaced");
        let (id, version) = (join.id, join.version);
        let leader_before = self.leader().cloned().unwrap_or_default();
        let instance_id = join.instance_id.clone().expect("callers know the instance");
        let replaced = self.replace_static_member(&instance_id, &old, new.clone());
        Self::dismiss(step, &replaced, &old, ErrorCode::FencedInstanceId);
        step.timers.cancel(&Timer::Session { group: self.id.clone(), member: old });
        self.update_from(step, &new, join);
        self.renew_session(step, &new);
        match self.state() {
            State::Stable if self.select_protocol().as_ref() == self.protocol_name() && step.fits(&self.to_record()) => {
                self.take_awaiting_join(&new);
                step.records.push(self.to_record());
                step.reply(id, self.rejoined_static_member(&new, version, leader_before));
            }
            State::Stable => self.prepare_rebalance(step, "a static member came back with other protocols"),
            // The leader may be assigning to the old id just now.
            State::CompletingRebalance => self.prepare_rebalance(step, "a static member came back"),
            State::PreparingRebalance | State::Empty => self.complete_join_if_ready(step),
        }
    }

    /// Without a rebalance the leader has nothing to assign. Clients that cannot be told so are told that the leader is its own old self,
    /// whose id nobody has.
    fn rejoined_static_member(&self, member: &StrBytes, version: i16, leader_before: StrBytes) -> JoinGroupResponse {
        if version < SKIP_ASSIGNMENT_SINCE {
            return self.joined(member, false).with_leader(leader_before);
        }
        let is_leader = self.is_leader(member);
        self.joined(member, is_leader).with_skip_assignment(is_leader)
    }
}
