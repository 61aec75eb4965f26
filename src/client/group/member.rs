//! One member of a group: joins, keeps itself alive, commits, leaves.
//!
//! ```text
//!  outside ──join──▶ joining ──(all are there)──▶ syncing ──(the leader has assigned)──▶ stable
//!                       ▲                                                                  │ somebody comes or goes,
//!                       └──────────────────────────────────────────────────────────────────┘ or we were too slow
//! ```
//!
//! Invariants: heartbeats are sent while stable and only then; a commit carries the generation it belongs to, so one that comes too late is
//! refused by the coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::assignor::{self, Subscriber};
use super::offsets::{Membership, coordinator_moved};
use super::{group_id, protocol};
use crate::base::ErrorCode;
use crate::base::ids::{Offset, TopicPartition};
use crate::client::cluster::{Client, Topics};
use crate::client::coordinator::Coordinated;
use crate::client::error::ClientError;
use crate::client::leaders::PerPartition;

/// Name of the only assignor this member knows.
const ASSIGNOR: &str = "range";
/// First version of LeaveGroup that takes several members (KIP-345).
const LEAVE_MANY: i16 = 3;
/// First version of SyncGroup that says which protocol was chosen.
const SYNC_PROTOCOL: i16 = 5;

#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// Makes the member static (KIP-345).
    pub instance_id: Option<String>,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub heartbeat_interval: Duration,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self {
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
        }
    }
}

/// See the module.
pub struct Member {
    client: Arc<Client>,
    group: String,
    topics: Vec<String>,
    options: MemberOptions,
    membership: Membership,
    /// One task while stable; it ends with what the coordinator said.
    heartbeats: JoinSet<ClientError>,
}

impl Member {
    pub fn new(client: Arc<Client>, group: impl Into<String>, topics: Vec<String>, options: MemberOptions) -> Self {
        let membership = Membership { instance_id: options.instance_id.clone(), ..Membership::default() };
        Self { client, group: group.into(), topics, options, membership, heartbeats: JoinSet::new() }
    }

    /// Joins, or joins again, and returns what this member is to read.
    pub async fn join(&mut self) -> Result<Vec<TopicPartition>, ClientError> {
        self.heartbeats.abort_all();
        self.heartbeats = JoinSet::new();
        let mut retry = self.client.retry();
        loop {
            let error = match self.join_once().await {
                Ok(partitions) => {
                    self.heartbeats.spawn(keep_alive(
                        self.client.clone(),
                        self.group.clone(),
                        self.membership.clone(),
                        self.options.clone(),
                    ));
                    return Ok(partitions);
                }
                Err(error) => error,
            };
            match error.code() {
                // The id that came with it is to be used (KIP-394).
                Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => {}
                Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => self.membership.member_id.clear(),
                _ => retry.after(error).await?,
            }
        }
    }

    /// Waits until the group is to be joined again.
    pub async fn rebalance(&mut self) -> Result<(), ClientError> {
        let Some(ended) = self.heartbeats.join_next().await else { return Ok(()) };
        let error = ended.expect("the task neither panics nor is cancelled while it is waited for");
        match error.code() {
            Some(ErrorCode::RebalanceInProgress) => Ok(()),
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.membership.member_id.clear();
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Commits offsets of partitions that this member reads.
    pub async fn commit(&self, offsets: &BTreeMap<TopicPartition, Offset>) -> Result<PerPartition<()>, ClientError> {
        self.client.commit_offsets(&self.group, &self.membership, offsets).await
    }

    /// Leaves, so that others need not wait for the session to end. A static member stays, as it is expected back.
    pub async fn leave(mut self) -> Result<(), ClientError> {
        self.heartbeats.abort_all();
        if self.membership.instance_id.is_some() || self.membership.member_id.is_empty() {
            return Ok(());
        }
        let id = StrBytes::from_string(self.membership.member_id.clone());
        let request = |version| {
            let request = LeaveGroupRequest::default().with_group_id(group_id(&self.group));
            if version >= LEAVE_MANY {
                request.with_members(vec![MemberIdentity::default().with_member_id(id.clone())])
            } else {
                request.with_member_id(id.clone())
            }
        };
        let check = |response: &kafka_protocol::messages::LeaveGroupResponse| self.check(response.error_code);
        self.client.ask_coordinator::<LeaveGroupRequest>(Coordinated::Group(&self.group), i16::MAX, request, check).await?;
        Ok(())
    }

    async fn join_once(&mut self) -> Result<Vec<TopicPartition>, ClientError> {
        let joined = self.join_group().await?;
        self.membership.member_id = joined.member_id.to_string();
        self.membership.generation = joined.generation_id;
        self.check(joined.error_code)?;
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let assignments = if leads { self.assign(&joined).await? } else { Vec::new() };
        let synced = self.sync_group(&joined, assignments).await?;
        self.check(synced.error_code)?;
        protocol::decode_assignment(synced.assignment).map_err(|error| self.malformed(error))
    }

    async fn join_group(&self) -> Result<JoinGroupResponse, ClientError> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(ASSIGNOR))
            .with_metadata(protocol::encode_subscription(&self.topics));
        let request = JoinGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_session_timeout_ms(self.options.session_timeout.as_millis() as i32)
            .with_rebalance_timeout_ms(self.options.rebalance_timeout.as_millis() as i32)
            .with_member_id(StrBytes::from_string(self.membership.member_id.clone()))
            .with_group_instance_id(self.membership.instance_id.clone().map(StrBytes::from_string))
            .with_protocol_type(StrBytes::from_static_str(protocol::PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        let connection = self.client.coordinator(Coordinated::Group(&self.group)).await?;
        let version = connection.version_of::<JoinGroupRequest>()?;
        connection.send_waiting(&request, version, self.options.rebalance_timeout).await
    }

    /// What every member is to read: this one leads.
    async fn assign(&self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut subscribers = Vec::new();
        for member in &joined.members {
            subscribers.push(Subscriber {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_ref().map(|id| id.to_string()),
                topics: protocol::decode_subscription(member.metadata.clone()).map_err(|error| self.malformed(error))?,
            });
        }
        let names: BTreeSet<&str> = subscribers.iter().flat_map(|s| &s.topics).map(String::as_str).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let metadata = self.client.metadata(Topics::Named(&names), false).await?;
        let topics = metadata.topics.into_iter().filter(|(_, topic)| topic.error.is_none());
        let counts = topics.map(|(name, topic)| (name, topic.partitions.len() as i32)).collect();
        let assignment = |(member, partitions): (String, Vec<TopicPartition>)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member))
                .with_assignment(protocol::encode_assignment(&partitions))
        };
        Ok(assignor::assign(&subscribers, &counts).into_iter().map(assignment).collect())
    }

    async fn sync_group(
        &self,
        joined: &JoinGroupResponse,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> Result<SyncGroupResponse, ClientError> {
        let connection = self.client.coordinator(Coordinated::Group(&self.group)).await?;
        let version = connection.version_of::<SyncGroupRequest>()?;
        let mut request = SyncGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_group_instance_id(self.membership.instance_id.clone().map(StrBytes::from_string))
            .with_assignments(assignments);
        if version >= SYNC_PROTOCOL {
            request.protocol_type = Some(StrBytes::from_static_str(protocol::PROTOCOL_TYPE));
            request.protocol_name = Some(StrBytes::from_static_str(ASSIGNOR));
        }
        connection.send_waiting(&request, version, self.options.rebalance_timeout).await
    }

    fn check(&self, code: i16) -> Result<(), ClientError> {
        match code.err() {
            None => Ok(()),
            Some(code) => Err(ClientError::refused(format!("group {}", self.group), code)),
        }
    }

    fn malformed(&self, error: protocol::Malformed) -> ClientError {
        ClientError::GroupProtocol { group: self.group.clone(), reason: error.to_string() }
    }
}

/// Sends heartbeats until the coordinator says that something has changed, or has not been heard of for a whole session.
async fn keep_alive(client: Arc<Client>, group: String, membership: Membership, options: MemberOptions) -> ClientError {
    let request = HeartbeatRequest::default()
        .with_group_id(group_id(&group))
        .with_generation_id(membership.generation)
        .with_member_id(StrBytes::from_string(membership.member_id))
        .with_group_instance_id(membership.instance_id.map(StrBytes::from_string));
    let mut heard = Instant::now();
    loop {
        sleep(options.heartbeat_interval).await;
        let beat = async { client.coordinator(Coordinated::Group(&group)).await?.send(&request).await }.await;
        let error = match beat {
            Ok(response) => match response.error_code.err() {
                None => {
                    heard = Instant::now();
                    continue;
                }
                Some(code) => ClientError::refused(format!("group {group}"), code),
            },
            Err(error) => error,
        };
        let passes = error.code().map_or(error.is_retriable(), coordinator_moved);
        if !passes || heard.elapsed() > options.session_timeout {
            return error;
        }
    }
}
