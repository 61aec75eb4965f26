//! The coordinator as its callers see it, with its one shard on a log in memory.

use super::*;
use crate::base::time::Clock;
use crate::coordinator::mailbox::Mailbox;
use crate::coordinator::memory_log::MemoryLog;
use crate::coordinator::transaction::coordinator::TransactionCoordinator;
use crate::coordinator::transaction::describe::TransactionFilter;
use TransactionResult::*;

/// Leads its one partition, and has loaded it.
async fn leading(config: TransactionConfig, log: Arc<MemoryLog>) -> (TransactionCoordinator, Mailbox<TransactionShard>) {
    let coordinator = TransactionCoordinator::new(TransactionConfig { log_partitions: 1, ..config }, Clock::system());
    let shard = coordinator.on_elected(0, 1, log).expect("nobody leads it yet");
    loaded(&coordinator).await;
    (coordinator, shard.mailbox)
}

async fn loaded(coordinator: &TransactionCoordinator) {
    while coordinator.list(TransactionFilter::default()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

async fn init(coordinator: &TransactionCoordinator, id: &str) -> Result<Producer, Refused> {
    let request = InitProducerId { id: text(id), timeout_ms: TIMEOUT_MS, expected: None, fresh: Some(1000) };
    coordinator.init_producer_id(request).await
}

async fn add(coordinator: &TransactionCoordinator, id: &str, producer: Producer, number: i32) -> Result<(), ErrorCode> {
    let partitions = (0..number).map(|n| TopicPartition::new("t", n)).collect();
    coordinator.add_partitions(AddPartitions { id: text(id), producer, partitions, transaction_version: 2 }).await
}

fn commit(id: &str, producer: Producer) -> EndTransaction {
    EndTransaction { id: text(id), producer, result: Commit, transaction_version: 2, fresh: None }
}

#[tokio::test]
async fn a_shard_that_is_loaded_again_decides_by_what_is_in_force_now() {
    let log = MemoryLog::new();
    let at_version = |transaction_version| TransactionConfig { transaction_version, ..TransactionConfig::default() };
    let (coordinator, _) = leading(at_version(0), log.clone()).await;
    coordinator.reconfigure(at_version(2));
    log.refuse_next_append(ErrorCode::KafkaStorageError);
    assert_eq!(init(&coordinator, "lost").await, Err(Refused::Error(ErrorCode::NotCoordinator)));
    loaded(&coordinator).await;
    let p = init(&coordinator, "t").await.unwrap();
    add(&coordinator, "t", p, 1).await.unwrap();
    assert_eq!(coordinator.end_transaction(commit("t", p)).await, Ok(producer(p.id, p.epoch + 1)), "every end bumps the epoch");
}

#[tokio::test]
async fn a_transaction_that_is_too_large_for_the_log_does_not_cost_the_shard() {
    let log = MemoryLog::with_max_batch_bytes(1000);
    let (coordinator, _) = leading(TransactionConfig::default(), log.clone()).await;
    let (large, small) = (init(&coordinator, "large").await.unwrap(), init(&coordinator, "small").await.unwrap());
    let (large, small) = (add(&coordinator, "large", large, 500), add(&coordinator, "small", small, 1));
    let (large, small) = tokio::join!(large, small);
    assert_eq!((large, small), (Err(ErrorCode::UnknownServerError), Ok(())));
    assert!(init(&coordinator, "next").await.is_ok(), "it was not loaded again");
}

#[tokio::test]
async fn decisions_that_share_a_batch_are_known_by_where_each_of_them_lies() {
    let log = MemoryLog::new();
    let (coordinator, mailbox) = leading(TransactionConfig::default(), log.clone()).await;
    let ids = ["a", "b", "c"];
    let mut commits = Vec::new();
    for id in ids {
        let p = init(&coordinator, id).await.unwrap();
        add(&coordinator, id, p, 1).await.unwrap();
        commits.push(commit(id, p));
    }
    let appends = log.appends();
    let ended: Vec<_> = commits.into_iter().map(|commit| coordinator.end_transaction(commit)).collect();
    for ended in ended {
        ended.await.unwrap();
    }
    assert_eq!(log.appends(), appends + 1);
    let work: Work = mailbox.submit(TransactionRequest::TakeWork { again: false }).await.unwrap().into();
    assert_eq!(work.markers.len(), ids.len());
    for markers in &work.markers {
        mailbox.submit(TransactionRequest::Finished(markers.finished())).await.unwrap();
    }
    let described = coordinator.describe(ids.map(text).to_vec()).await;
    assert!(described.iter().all(|it| &*it.transaction_state == "CompleteCommit"), "{described:?}");
}
