//! The coordinator as its callers see it: routing, leadership, and what is said when things go wrong.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{subscription, text};
use crate::base::ErrorCode;
use crate::base::time::Clock;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::coordinator::GroupCoordinator;
use crate::coordinator::group::request::{Client, DeletedTopic};
use crate::coordinator::memory_log::MemoryLog;
use crate::coordinator::shard::{EndOfTransaction, Producer, TransactionResult};

fn coordinator() -> GroupCoordinator {
    let config = GroupConfig { initial_rebalance_delay_ms: 0, offsets_topic_partitions: 4, ..GroupConfig::default() };
    GroupCoordinator::new(config, Clock::system())
}

/// Leads all partitions, and has loaded them.
async fn leading() -> (GroupCoordinator, Vec<Arc<MemoryLog>>) {
    let coordinator = coordinator();
    let logs: Vec<_> = (0..4).map(|_| MemoryLog::new()).collect();
    for (partition, log) in logs.iter().enumerate() {
        coordinator.on_elected(partition as i32, 1, log.clone());
    }
    loaded(&coordinator).await;
    (coordinator, logs)
}

async fn loaded(coordinator: &GroupCoordinator) {
    while coordinator.list_groups(&[], &[]).await == Err(ErrorCode::CoordinatorLoadInProgress) {
        tokio::task::yield_now().await;
    }
}

fn join(group: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription("t"));
    JoinGroupRequest::default()
        .with_group_id(text(group).into())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn client() -> Client {
    Client { id: text("me"), host: text("/127.0.0.1") }
}

fn commit(group: &str, topic: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text(topic).into())
        .with_topic_id(Uuid::from_u128(1))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default().with_group_id(text(group).into()).with_topics(vec![topic])
}

fn fetch(group: &str, topic: &str) -> OffsetFetchRequestGroup {
    let topic = OffsetFetchRequestTopics::default().with_name(text(topic).into()).with_partition_indexes(vec![0]);
    OffsetFetchRequestGroup::default().with_group_id(text(group).into()).with_topics(Some(vec![topic]))
}

async fn committed(coordinator: &GroupCoordinator, group: &str, topic: &str) -> i64 {
    coordinator.fetch_offsets(9, fetch(group, topic), false).await.topics[0].partitions[0].committed_offset
}

#[test]
fn groups_lie_where_kafka_puts_them() {
    let coordinator = coordinator();
    coordinator.set_partitions(50);
    // `Utils.abs("…".hashCode()) % 50`; the last one hashes to Integer.MIN_VALUE, whose absolute value Kafka takes for 0.
    let places = [("", 0), ("g", 3), ("console-consumer-12345", 6), ("grüße", 23), ("🦀", 2), ("polygenelubricants", 0)];
    assert_eq!(places.map(|(group, _)| (group, coordinator.partition_for(group))), places);
}

#[tokio::test]
async fn a_member_lives_through_it_all() {
    let (coordinator, _) = leading().await;
    let required = coordinator.join(client(), 9, join("g")).await;
    assert_eq!(required.error_code, ErrorCode::MemberIdRequired.code());
    assert!(required.member_id.starts_with("me-"));
    let joined = coordinator.join(client(), 9, join("g").with_member_id(required.member_id)).await;
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (0, 1, 1));
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"all of it"));
    let sync = SyncGroupRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(1)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment]);
    assert_eq!(coordinator.sync(sync).await.assignment, "all of it");
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(1)
        .with_member_id(joined.member_id.clone());
    assert_eq!(coordinator.heartbeat(heartbeat).await.error_code, 0);
    let by_member = commit("g", "t", 5).with_generation_id_or_member_epoch(1).with_member_id(joined.member_id.clone());
    assert_eq!(coordinator.commit_offsets(9, by_member).await.topics[0].partitions[0].error_code, 0);
    assert_eq!(committed(&coordinator, "g", "t").await, 5);
    let leaving = MemberIdentity::default().with_member_id(joined.member_id);
    let leave = LeaveGroupRequest::default().with_group_id(text("g").into()).with_members(vec![leaving]);
    assert_eq!(coordinator.leave(leave).await.members[0].error_code, 0);
    assert_eq!(coordinator.delete_groups(vec![text("g")]).await[0].error_code, 0);
    assert_eq!(committed(&coordinator, "g", "t").await, -1);
}

#[tokio::test]
async fn requests_are_checked_before_any_shard_is_asked() {
    let coordinator = coordinator();
    let refused = |response: JoinGroupResponse| response.error_code;
    let session = |ms| join("g").with_session_timeout_ms(ms).with_member_id(text("m"));
    assert_eq!(refused(coordinator.join(client(), 9, join("")).await), ErrorCode::InvalidGroupId.code());
    assert_eq!(refused(coordinator.join(client(), 9, session(5999)).await), ErrorCode::InvalidSessionTimeout.code());
    let response = coordinator.join(client(), 9, session(1_800_001)).await;
    assert_eq!((response.error_code, response.member_id), (ErrorCode::InvalidSessionTimeout.code(), text("m")));
    let long = StrBytes::from_string("x".repeat(40_000));
    let response = coordinator.join(client(), 9, join("g").with_group_id(long.into())).await;
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
    let names = (0..20_000).map(|n| JoinGroupRequestProtocol::default().with_name(text(&n.to_string())));
    let response = coordinator.join(client(), 9, join("g").with_protocols(names.collect())).await;
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code(), "names are luggage, too");
    assert_eq!(coordinator.sync(SyncGroupRequest::default()).await.error_code, ErrorCode::InvalidGroupId.code());
    assert_eq!(coordinator.heartbeat(HeartbeatRequest::default()).await.error_code, ErrorCode::InvalidGroupId.code());
    assert_eq!(coordinator.leave(LeaveGroupRequest::default()).await.error_code, ErrorCode::InvalidGroupId.code());
    assert_eq!(coordinator.delete_offsets(OffsetDeleteRequest::default()).await.error_code, ErrorCode::InvalidGroupId.code());
    // The empty group commits and fetches for itself, since ever.
    let response = coordinator.commit_offsets(9, commit("", "t", 1)).await;
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NotCoordinator.code());
}

#[tokio::test]
async fn who_does_not_lead_says_so() {
    let coordinator = coordinator();
    let code = ErrorCode::NotCoordinator.code();
    assert_eq!(coordinator.join(client(), 9, join("g")).await.error_code, code);
    assert_eq!(coordinator.commit_offsets(9, commit("g", "t", 1)).await.topics[0].partitions[0].error_code, code);
    assert_eq!(coordinator.fetch_offsets(9, fetch("g", "t"), false).await.error_code, code);
    let before_groups_had_errors = coordinator.fetch_offsets(1, fetch("g", "t"), false).await;
    assert_eq!((before_groups_had_errors.error_code, before_groups_had_errors.topics[0].partitions[0].error_code), (0, code));
    assert_eq!(coordinator.describe_groups(6, vec![text("g")]).await[0].error_code, code);
    assert_eq!(coordinator.delete_groups(vec![text("g")]).await[0].error_code, code);
    assert_eq!(coordinator.list_groups(&[], &[]).await, Ok(Vec::new()), "there is nothing here, and that is true");
    let producer = Producer { id: 1, epoch: 0 };
    let end = EndOfTransaction { producer, coordinator_epoch: 0, transaction_version: 0, result: TransactionResult::Commit };
    assert_eq!(coordinator.complete_transaction(0, end).await, Err(ErrorCode::NotCoordinator));
}

#[tokio::test]
async fn groups_of_all_shards_are_listed_described_and_deleted() {
    let (coordinator, _) = leading().await;
    let names: Vec<_> = (0..20).map(|n| format!("group-{n}")).collect();
    for name in &names {
        coordinator.commit_offsets(9, commit(name, "t", 1)).await;
    }
    let mut listed: Vec<_> = coordinator.list_groups(&[], &[]).await.unwrap();
    listed.sort_by_key(|group| group.group_id.to_string());
    assert_eq!(listed.len(), 20);
    assert!(coordinator.list_groups(&[text("Stable")], &[]).await.unwrap().is_empty());
    assert_eq!(coordinator.list_groups(&[text("EMPTY")], &[text("Classic")]).await.unwrap().len(), 20);
    assert!(coordinator.list_groups(&[], &[text("consumer")]).await.unwrap().is_empty());
    let described = coordinator.describe_groups(6, names.iter().map(|name| text(name)).collect()).await;
    assert!(described.len() == 20 && described.iter().all(|group| group.group_state == *"Empty"));
    let deleted = coordinator.delete_groups(names.iter().map(|name| text(name)).collect()).await;
    assert!(deleted.len() == 20 && deleted.iter().all(|group| group.error_code == 0));
    assert!(coordinator.list_groups(&[], &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_shard_follows_the_leadership_of_its_partition() {
    let (coordinator, logs) = leading().await;
    let partition = coordinator.partition_for("g");
    coordinator.commit_offsets(9, commit("g", "t", 7)).await;
    let waiting = coordinator.join(client(), 3, join("g").with_group_instance_id(Some(text("i"))));
    // What is not newer than what it leads does not concern it.
    coordinator.on_resigned(partition, Some(1));
    coordinator.on_elected(partition, 1, MemoryLog::new());
    assert_eq!(waiting.await.error_code, 0);
    let waiting = coordinator.join(client(), 3, join("g"));
    coordinator.on_resigned(partition, Some(2));
    assert_eq!(waiting.await.error_code, ErrorCode::NotCoordinator.code());
    assert_eq!(coordinator.heartbeat(HeartbeatRequest::default().with_group_id(text("g").into())).await.error_code, 16);
    // Elected again, it knows what was committed.
    let log = MemoryLog::of(logs[partition as usize].batches());
    coordinator.on_elected(partition, 3, log.clone());
    log.lead(3);
    loaded(&coordinator).await;
    assert_eq!(committed(&coordinator, "g", "t").await, 7);
    coordinator.on_resigned(partition, None);
    assert_eq!(coordinator.fetch_offsets(9, fetch("g", "t"), true).await.error_code, ErrorCode::NotCoordinator.code());
}

#[tokio::test]
async fn while_it_loads_heartbeats_are_taken_on_trust() {
    let (former, logs) = leading().await;
    let partition = former.partition_for("g");
    former.commit_offsets(9, commit("g", "t", 1)).await;
    let log = MemoryLog::of(logs[partition as usize].batches());
    log.hold_reads();
    let coordinator = coordinator();
    coordinator.on_elected(partition, 1, log.clone());
    let heartbeat = HeartbeatRequest::default().with_group_id(text("g").into()).with_member_id(text("m"));
    assert_eq!(coordinator.heartbeat(heartbeat).await.error_code, 0);
    let code = ErrorCode::CoordinatorLoadInProgress.code();
    assert_eq!(coordinator.join(client(), 9, join("g")).await.error_code, code);
    assert_eq!(coordinator.fetch_offsets(9, fetch("g", "t"), false).await.error_code, code);
    assert_eq!(coordinator.list_groups(&[], &[]).await, Err(ErrorCode::CoordinatorLoadInProgress));
    // Settings and deletions that come meanwhile are not missed.
    coordinator.reconfigure(GroupConfig { max_size: 1, offsets_topic_partitions: 4, ..GroupConfig::default() });
    coordinator.on_topics_deleted(vec![DeletedTopic { id: Uuid::from_u128(1), name: text("t") }]);
    assert_eq!(coordinator.fetch_offsets(9, fetch("g", "t"), false).await.error_code, code);
    log.release_reads();
    loaded(&coordinator).await;
    assert_eq!(coordinator.config().max_size, 1);
    assert_eq!(committed(&coordinator, "g", "t").await, -1);
    assert_eq!(coordinator.join(client(), 3, join("g")).await.error_code, 0);
    assert_eq!(coordinator.join(client(), 3, join("g")).await.error_code, ErrorCode::GroupMaxSizeReached.code());
}

#[tokio::test]
async fn offsets_of_a_topic_go_with_it() {
    let (coordinator, _) = leading().await;
    for group in ["g", "h"] {
        coordinator.commit_offsets(9, commit(group, "t", 1)).await;
        coordinator.commit_offsets(9, commit(group, "u", 2)).await;
    }
    // Another topic of that name, gone long ago.
    coordinator.on_topics_deleted(vec![DeletedTopic { id: Uuid::from_u128(9), name: text("t") }]);
    assert_eq!(committed(&coordinator, "g", "t").await, 1);
    // Both at once.
    let deleted = [1, 9].map(|id| DeletedTopic { id: Uuid::from_u128(id), name: text("t") });
    coordinator.on_topics_deleted(deleted.to_vec());
    for group in ["g", "h"] {
        assert_eq!((committed(&coordinator, group, "t").await, committed(&coordinator, group, "u").await), (-1, 2));
    }
}

#[tokio::test]
async fn a_shard_that_is_loaded_again_decides_by_what_is_in_force_now() {
    let (coordinator, logs) = leading().await;
    coordinator.reconfigure(GroupConfig { max_size: 1, ..GroupConfig::clone(&coordinator.config()) });
    logs[coordinator.partition_for("g") as usize].refuse_next_append(ErrorCode::KafkaStorageError);
    let response = coordinator.commit_offsets(9, commit("g", "t", 1)).await;
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NotCoordinator.code());
    loaded_again(&coordinator).await;
    assert_eq!(coordinator.join(client(), 3, join("g")).await.error_code, 0);
    assert_eq!(coordinator.join(client(), 3, join("g")).await.error_code, ErrorCode::GroupMaxSizeReached.code());
}

#[tokio::test]
async fn clients_are_told_what_they_understand() {
    let (coordinator, logs) = leading().await;
    let partition = coordinator.partition_for("g");
    let log = &logs[partition as usize];
    for (of_the_log, told) in [
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
    ] {
        loaded_again(&coordinator).await;
        log.refuse_next_append(of_the_log);
        let response = coordinator.commit_offsets(9, commit("g", "t", 1)).await;
        assert_eq!(response.topics[0].partitions[0].error_code, told.code(), "{of_the_log:?}");
    }
    loaded_again(&coordinator).await;
    log.refuse_next_append(ErrorCode::InvalidProducerEpoch);
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()]);
    let request = TxnOffsetCommitRequest::default().with_group_id(text("g").into()).with_topics(vec![topic]);
    let response = coordinator.commit_transactional_offsets(request, HashMap::new(), None).await;
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::InvalidProducerEpoch.code());
}

#[tokio::test]
async fn offsets_of_a_transaction_are_not_those_of_the_next_topic_of_the_name() {
    let (coordinator, _) = leading().await;
    let of_topic = |id: u128| {
        let mut request = fetch("g", "t");
        request.topics.iter_mut().flatten().for_each(|topic| topic.topic_id = Uuid::from_u128(id));
        request
    };
    let producer = Producer { id: 7, epoch: 0 };
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![txn_offset_commit_request::TxnOffsetCommitRequestPartition::default().with_committed_offset(5)]);
    let request = TxnOffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_producer_id(producer.id.into())
        .with_producer_epoch(producer.epoch)
        .with_generation_id(-1)
        .with_topics(vec![topic]);
    let ids = HashMap::from([(text("t").into(), Uuid::from_u128(1))]);
    let response = coordinator.commit_transactional_offsets(request, ids, None).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    let end = EndOfTransaction { producer, coordinator_epoch: 0, transaction_version: 0, result: TransactionResult::Commit };
    assert_eq!(coordinator.complete_transaction(coordinator.partition_for("g"), end).await, Ok(()));
    for (id, offset) in [(1, 5), (2, -1)] {
        let fetched = coordinator.fetch_offsets(10, of_topic(id), false).await;
        assert_eq!(fetched.topics[0].partitions[0].committed_offset, offset, "{id}");
    }
}

/// Waits until the shard of group `g` serves again.
async fn loaded_again(coordinator: &GroupCoordinator) {
    while coordinator.fetch_offsets(9, fetch("g", "t"), false).await.error_code != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn commits_of_one_connection_are_decided_in_order() {
    let (coordinator, _) = leading().await;
    let answers: Vec<_> = (0..3000).map(|offset| coordinator.commit_offsets(9, commit("g", "t", offset))).collect();
    for answer in answers.into_iter().rev() {
        assert_eq!(answer.await.topics[0].partitions[0].error_code, 0);
    }
    assert_eq!(committed(&coordinator, "g", "t").await, 2999);
}

#[tokio::test]
async fn shutdown_leaves_nobody_waiting() {
    let (coordinator, _) = leading().await;
    let other = join("g").with_rebalance_timeout_ms(600_000);
    let first = coordinator.join(client(), 3, other).await;
    assert_eq!(first.error_code, 0);
    let mut waiting = coordinator.join(client(), 3, join("g"));
    assert!((&mut waiting).now_or_never().is_none());
    coordinator.shutdown();
    assert_eq!(waiting.await.error_code, ErrorCode::NotCoordinator.code());
}
