//! The group coordinator of this broker: finds the shard of a group, starts and stops shards with the leadership of their partitions, and
//! turns what goes wrong on the way into what clients are told (Kafka's `GroupCoordinatorService`).
//!
//! Every call puts its request into a shard's mailbox before it returns, so requests of one connection are decided in the order in which
//! they came; what it returns, a [`Later`], ends with the answer.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse,
    TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, TopicId};
use crate::base::time::Clock;
use crate::coordinator::log::CoordinatorLog;
use crate::coordinator::mailbox::{Mailbox, client_error};
use crate::coordinator::shard::EndOfTransaction;
use crate::coordinator::shards::Shards;
use crate::metrics::groups::GroupGauges;
use crate::storage::producer_state::VerificationGuard;

use super::classic::join::refuse_join;
use super::commit::{refuse_commit, refuse_transactional_commit};
use super::config::GroupConfig;
use super::describe::{GroupFilter, describe_error};
use super::fetch::group_error;
use super::request::{Client, DeletedTopic, GroupRequest, GroupResponse};
use super::shard::GroupShard;

/// An answer that may have to wait.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn now<T: Send + 'static>(answer: T) -> Later<T> {
    Box::pin(ready(answer))
}

pub struct GroupCoordinator {
    shards: Shards<GroupShard>,
    /// Whoever makes a shard asks it: a shard may be loaded again at any time, and has to know what is in force then.
    config: Arc<ArcSwap<GroupConfig>>,
}

impl GroupCoordinator {
    pub fn new(config: GroupConfig, clock: Clock) -> Self {
        Self { shards: Shards::new(config.offsets_topic_partitions, clock), config: Arc::new(ArcSwap::from_pointee(config)) }
    }

    /// The partition of the offsets topic that holds a group.
    pub fn partition_for(&self, group: &str) -> i32 {
        self.shards.partition_for(group)
    }

    /// The offsets topic has this many partitions. Until it exists, that is what it would be created with.
    pub fn set_partitions(&self, partitions: i32) {
        self.shards.set_partitions(partitions);
    }

    /// This broker has become the leader of a partition of the offsets topic: its shard starts to load.
    pub fn on_elected<L: CoordinatorLog>(&self, partition: i32, leader_epoch: LeaderEpoch, log: Arc<L>) {
        let config = self.config.clone();
        let write_timeout = Duration::from_millis(config.load().offsets_commit_timeout_ms.max(0) as u64);
        self.shards.on_elected(partition, leader_epoch, log, write_timeout, move || GroupShard::new(config.load_full()));
    }

    /// This broker no longer leads a partition of the offsets topic, as of `leader_epoch` (`None`: whatever the epoch, the replica is gone).
    pub fn on_resigned(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        self.shards.on_resigned(partition, leader_epoch);
    }

    /// Stops all shards; whoever waits is told to look for another coordinator.
    pub fn shutdown(&self) {
        self.shards.shutdown();
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<GroupConfig> {
        self.config.load_full()
    }

    /// New settings for all groups.
    pub fn reconfigure(&self, config: GroupConfig) {
        let config = Arc::new(config);
        self.config.store(config.clone());
        self.shards.notify_all(&GroupRequest::Reconfigure(config));
    }

    /// Offsets of topics that are gone go with them. Shards elsewhere hear of it from their own broker.
    pub fn on_topics_deleted(&self, topics: Vec<DeletedTopic>) {
        self.shards.notify_all(&GroupRequest::TopicsDeleted(topics.into()));
    }

    /// Puts a request into the mailbox of a partition; `failed` makes the answer if it cannot be decided.
    fn ask<T>(&self, partition: i32, request: GroupRequest, failed: impl FnOnce(ErrorCode) -> T + Send + 'static) -> Later<T>
    where
        T: From<GroupResponse> + Send + 'static,
    {
        let Some(mailbox) = self.shards.mailbox(partition) else { return now(failed(ErrorCode::NotCoordinator)) };
        let answer = mailbox.submit(request);
        Box::pin(async move { answer.await.map_or_else(failed, T::from) })
    }

    pub fn join(&self, client: Client, version: i16, request: JoinGroupRequest) -> Later<JoinGroupResponse> {
        let refused = JoinGroupResponse::default().with_member_id(request.member_id.clone());
        if let Some(error) = refuse_join(&request, &client, &self.config.load()) {
            return now(refused.with_error_code(error.code()));
        }
        let partition = self.partition_for(&request.group_id);
        let request = GroupRequest::Join { request, version, client, member_uuid: Uuid::new_v4() };
        self.ask(partition, request, |error| JoinGroupResponse::default().with_error_code(client_error(error).code()))
    }

    pub fn sync(&self, request: SyncGroupRequest) -> Later<SyncGroupResponse> {
        let failed = |error: ErrorCode| {
            let error = match client_error(error) {
                // The rebalance is forgotten, so the member has to join again. It would take the true reason for fatal.
                ErrorCode::CoordinatorLoadInProgress => ErrorCode::RebalanceInProgress,
                error => error,
            };
            SyncGroupResponse::default().with_error_code(error.code())
        };
        if request.group_id.is_empty() {
            return now(failed(ErrorCode::InvalidGroupId));
        }
        let partition = self.partition_for(&request.group_id);
        self.ask(partition, GroupRequest::Sync(request), failed)
    }

    pub fn heartbeat(&self, request: HeartbeatRequest) -> Later<HeartbeatResponse> {
        let failed = |error: ErrorCode| {
            let code = match client_error(error) {
                // The group is still being read; its member lives, and will be heard when it is asked for next.
                ErrorCode::CoordinatorLoadInProgress => 0,
                error => error.code(),
            };
            HeartbeatResponse::default().with_error_code(code)
        };
        if request.group_id.is_empty() {
            return now(failed(ErrorCode::InvalidGroupId));
        }
        let partition = self.partition_for(&request.group_id);
        self.ask(partition, GroupRequest::Heartbeat(request), failed)
    }

    /// `request` in the form of version 3 and later.
    pub fn leave(&self, request: LeaveGroupRequest) -> Later<LeaveGroupResponse> {
        let failed = |error: ErrorCode| LeaveGroupResponse::default().with_error_code(client_error(error).code());
        if request.group_id.is_empty() {
            return now(failed(ErrorCode::InvalidGroupId));
        }
        let partition = self.partition_for(&request.group_id);
        self.ask(partition, GroupRequest::Leave(request), failed)
    }

    /// Names in `request` are known, topics exist: the handler has seen to it. The empty group id is a group like any other here.
    pub fn commit_offsets(&self, version: i16, request: OffsetCommitRequest) -> Later<OffsetCommitResponse> {
        let partition = self.partition_for(&request.group_id);
        let refused = request.clone();
        let failed = move |error| refuse_commit(&refused, client_error(error));
        self.ask(partition, GroupRequest::OffsetCommit { request, version }, failed)
    }

    /// `topic_ids` are those of the topics that `request` names; the request has none. `guard` proves that the transaction includes the group's
    /// partition; `None` if its records there are known already.
    pub fn commit_transactional_offsets(
        &self,
        request: TxnOffsetCommitRequest,
        topic_ids: HashMap<TopicName, TopicId>,
        guard: Option<VerificationGuard>,
    ) -> Later<TxnOffsetCommitResponse> {
        if request.group_id.is_empty() {
            return now(refuse_transactional_commit(&request, ErrorCode::InvalidGroupId));
        }
        let partition = self.partition_for(&request.group_id);
        let refused = request.clone();
        let failed = move |error| refuse_transactional_commit(&refused, client_error(error));
        self.ask(partition, GroupRequest::TxnOffsetCommit { request, topic_ids, guard }, failed)
    }

    /// Writes the end of a transaction into a partition of the offsets topic, and lets its offsets count or not.
    pub fn complete_transaction(&self, partition: i32, end: EndOfTransaction) -> Later<Result<(), ErrorCode>> {
        let Some(mailbox) = self.shards.mailbox(partition) else { return now(Err(ErrorCode::NotCoordinator)) };
        let answer = mailbox.submit(GroupRequest::EndTransaction(end));
        Box::pin(async move { answer.await.map(<()>::from) })
    }

    /// What one group has committed; all of it if `request` names no topics.
    pub fn fetch_offsets(
        &self,
        version: i16,
        request: OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> Later<OffsetFetchResponseGroup> {
        let partition = self.partition_for(&request.group_id);
        let refused = request.clone();
        let failed = move |error| {
            let error = match client_error(error) {
                // Older consumers do not know the better code here, and would not retry.
                ErrorCode::CoordinatorNotAvailable => ErrorCode::NotCoordinator,
                error => error,
            };
            group_error(&refused, error, version)
        };
        self.ask(partition, GroupRequest::OffsetFetch { request, require_stable }, failed)
    }

    pub fn delete_offsets(&self, request: OffsetDeleteRequest) -> Later<OffsetDeleteResponse> {
        let failed = |error: ErrorCode| OffsetDeleteResponse::default().with_error_code(client_error(error).code());
        if request.group_id.is_empty() {
            return now(failed(ErrorCode::InvalidGroupId));
        }
        let partition = self.partition_for(&request.group_id);
        self.ask(partition, GroupRequest::OffsetDelete(request), failed)
    }

    pub fn describe_groups(&self, version: i16, groups: Vec<StrBytes>) -> Later<Vec<DescribedGroup>> {
        let mut answers = Vec::new();
        for (partition, groups) in self.by_partition(groups) {
            let refused = groups.clone();
            let failed = move |error| refused.iter().map(|group| describe_error(group, client_error(error))).collect::<Vec<_>>();
            answers.push(self.ask(partition, GroupRequest::Describe { groups, version }, failed));
        }
        Box::pin(async move { join_all(answers).await.concat() })
    }

    pub fn delete_groups(&self, groups: Vec<StrBytes>) -> Later<Vec<DeletableGroupResult>> {
        let mut answers = Vec::new();
        for (partition, groups) in self.by_partition(groups) {
            let refused = groups.clone();
            let failed = move |error| {
                let result = |group: &StrBytes| DeletableGroupResult::default().with_group_id(group.clone().into());
                refused.iter().map(|group| result(group).with_error_code(client_error(error).code())).collect::<Vec<_>>()
            };
            answers.push(self.ask(partition, GroupRequest::Delete(groups), failed));
        }
        Box::pin(async move { join_all(answers).await.concat() })
    }

    fn by_partition(&self, groups: Vec<StrBytes>) -> BTreeMap<i32, Vec<StrBytes>> {
        let mut by_partition: BTreeMap<i32, Vec<StrBytes>> = BTreeMap::new();
        for group in groups {
            by_partition.entry(self.partition_for(&group)).or_default().push(group);
        }
        by_partition
    }

    /// How the groups of this broker stand, for the metrics; those of shards that still load or just stop are missing.
    pub fn gauges(&self) -> Later<Vec<GroupGauges>> {
        let answers: Vec<_> = self.shards.mailboxes().iter().map(|mailbox| mailbox.submit(GroupRequest::Gauges)).collect();
        Box::pin(async move { join_all(answers).await.into_iter().flatten().flat_map(Vec::<GroupGauges>::from).collect() })
    }

    /// The groups this broker coordinates. An error if some of them cannot be known yet.
    pub fn list_groups(&self, states: &[StrBytes], types: &[StrBytes]) -> Later<Result<Vec<ListedGroup>, ErrorCode>> {
        let filter = Arc::new(GroupFilter::of(states, types));
        let submit = |mailbox: &Mailbox<GroupShard>| mailbox.submit(GroupRequest::List(filter.clone()));
        let answers: Vec<_> = self.shards.mailboxes().iter().map(submit).collect();
        Box::pin(async move {
            let mut groups = Vec::new();
            for answer in join_all(answers).await {
                match answer {
                    Ok(response) => groups.extend(Vec::<ListedGroup>::from(response)),
                    // Another broker will list them.
                    Err(ErrorCode::NotCoordinator) => {}
                    Err(error) => return Err(client_error(error)),
                }
            }
            Ok(groups)
        })
    }
}
