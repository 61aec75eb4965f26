//! The task that ends transactions, with a shard on a log in memory; what is written to partitions is left out.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Barrier;

use futures_util::FutureExt;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{Notify, mpsc};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::*;
use crate::base::ids::ProducerId;
use crate::base::time::Clock;
use crate::coordinator::memory_log::MemoryLog;
use crate::coordinator::shard::{Producer, TransactionResult};
use crate::coordinator::transaction::config::TransactionConfig;
use crate::coordinator::transaction::coordinator::TransactionCoordinator;
use crate::coordinator::transaction::describe::TransactionFilter;
use crate::coordinator::transaction::request::{AddPartitions, EndTransaction, InitProducerId};

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// A coordinator of one shard, which has loaded its log.
async fn coordinator(log: Arc<MemoryLog>) -> (TransactionCoordinator, Started<TransactionShard>) {
    let config = TransactionConfig { log_partitions: 1, ..TransactionConfig::default() };
    let coordinator = TransactionCoordinator::new(config, Clock::system());
    let shard = coordinator.on_elected(0, 1, log).expect("nobody leads it yet");
    while coordinator.list(TransactionFilter::default()).await.is_err() {
        tokio::task::yield_now().await;
    }
    (coordinator, shard)
}

/// A producer of version 1, which keeps its epoch.
struct Client<'a> {
    coordinator: &'a TransactionCoordinator,
    id: StrBytes,
    producer: Producer,
}

impl<'a> Client<'a> {
    async fn init(coordinator: &'a TransactionCoordinator, id: &'static str, producer_id: ProducerId) -> Self {
        let id = StrBytes::from_static_str(id);
        let request = InitProducerId { id: id.clone(), timeout_ms: 60_000, expected: None, fresh: Some(producer_id) };
        let producer = coordinator.init_producer_id(request).await.expect("the id can be had");
        Self { coordinator, id, producer }
    }

    /// A transaction of one partition, as far as it is decided.
    async fn commit(&self) {
        let partitions = BTreeSet::from([TopicPartition::new("t", 0)]);
        let (id, producer) = (self.id.clone(), self.producer);
        let added =
            self.coordinator.add_partitions(AddPartitions { id: id.clone(), producer, partitions, transaction_version: 0 });
        assert_eq!(added.await, Ok(()));
        let result = TransactionResult::Commit;
        let ended =
            self.coordinator.end_transaction(EndTransaction { id, producer, result, transaction_version: 0, fresh: None });
        assert_eq!(ended.await, Ok(producer));
    }

    async fn state(&self) -> String {
        self.coordinator.describe(vec![self.id.clone()]).await[0].transaction_state.to_string()
    }

    async fn is_complete(&self) {
        let complete = async {
            while self.state().await != "CompleteCommit" {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, complete).await.expect("the transaction of this producer is never ended");
    }
}

/// Where an end stands still, in the middle of what does not wait: as for the lock of a partition, or a disk.
struct Stall {
    goes_on: Notify,
    stands: Barrier,
    released: Barrier,
}

impl Stall {
    fn new() -> Self {
        Self { goes_on: Notify::new(), stands: Barrier::new(2), released: Barrier::new(2) }
    }

    /// An end that comes to stand still when it is told to go on, and does not come to its end afterwards.
    async fn end(&self) -> Option<Finished> {
        self.goes_on.notified().await;
        block_in_place(|| {
            self.stands.wait();
            self.released.wait();
        });
        pending().await
    }
}

/// Three ends are under way: one stands still, and while it does the two others are woken. When it goes on, the task looks at both of them.
/// The end of `quick` tells the shard that it is over, which its producer makes use of at once: it has decided its next transaction before the
/// third end, which stands still, lets the task see the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_transaction_of_a_producer_is_ended_though_the_end_of_the_last_was_not_seen_yet() {
    let (coordinator, shard) = coordinator(MemoryLog::new()).await;
    let [first, quick, last] =
        [("first", 1), ("quick", 2), ("last", 3)].map(|(id, producer)| Client::init(&coordinator, id, producer));
    let (first, quick, last) = (first.await, quick.await, last.await);
    for client in [&first, &quick, &last] {
        client.commit().await;
    }

    let stalls = Arc::new([Stall::new(), Stall::new()]);
    let quick_goes_on = Arc::new(Notify::new());
    let (begun, mut all_begun) = mpsc::unbounded_channel();
    let (mailbox, stop) = (shard.mailbox.clone(), shard.stop.clone());
    let start = {
        let (stalls, quick_goes_on) = (stalls.clone(), quick_goes_on.clone());
        move |job| -> Done {
            let Job::End(markers) = job else { panic!("nothing times out") };
            let (mailbox, begun) = (mailbox.clone(), begun.clone());
            let (stalls, quick_goes_on) = (stalls.clone(), quick_goes_on.clone());
            Box::pin(async move {
                begun.send(()).expect("the test listens");
                match &*markers.id {
                    "first" => stalls[0].end().await,
                    "last" => stalls[1].end().await,
                    _ => {
                        quick_goes_on.notified().await;
                        tell_finished(&mailbox, &markers.finished()).await;
                        Some(markers.finished())
                    }
                }
            })
        }
    };
    let task = tokio::spawn(serve(shard, start));
    for _ in 0..3 {
        all_begun.recv().await.expect("the ends are begun");
    }

    stalls[0].goes_on.notify_one();
    stalls[0].stands.wait();
    quick_goes_on.notify_one();
    stalls[1].goes_on.notify_one();
    stalls[0].released.wait();

    stalls[1].stands.wait();
    quick.is_complete().await;
    quick.commit().await;
    // An answer that comes after the one with which the task was told of it.
    assert_eq!(quick.state().await, "PrepareCommit");
    stalls[1].released.wait();

    quick_goes_on.notify_one();
    quick.is_complete().await;
    stop.cancel();
    task.await.expect("the task ends with its shard");
}

#[tokio::test]
async fn a_mailbox_that_is_full_does_not_leave_a_transaction_without_its_end() {
    let (coordinator, Started { mailbox, .. }) = coordinator(MemoryLog::new()).await;
    let client = Client::init(&coordinator, "id", 1).await;
    client.commit().await;
    let work: Work = mailbox.submit(TransactionRequest::TakeWork { again: false }).await.expect("there is some").into();
    // The shard does not get its turn before something is awaited.
    let mut waiting = Vec::new();
    let full = loop {
        let mut answer = mailbox.submit(TransactionRequest::Describe(Vec::new()));
        match (&mut answer).now_or_never() {
            None => waiting.push(answer),
            Some(answer) => break answer,
        }
    };
    assert_eq!(full, Err(ErrorCode::CoordinatorNotAvailable));
    timeout(DEADLINE, tell_finished(&mailbox, &work.markers[0].finished())).await.expect("there is room again");
    assert_eq!(client.state().await, "CompleteCommit");
}

#[tokio::test]
async fn an_end_that_the_log_did_not_take_is_known_to_the_shard_that_is_loaded_again() {
    let log = MemoryLog::new();
    let (coordinator, Started { mailbox, .. }) = coordinator(log.clone()).await;
    let client = Client::init(&coordinator, "id", 1).await;
    client.commit().await;
    let work: Work = mailbox.submit(TransactionRequest::TakeWork { again: false }).await.expect("there is some").into();
    log.refuse_next_append(ErrorCode::KafkaStorageError);
    timeout(DEADLINE, tell_finished(&mailbox, &work.markers[0].finished())).await.expect("the shard is loaded again");
    assert_eq!(client.state().await, "CompleteCommit");
}
