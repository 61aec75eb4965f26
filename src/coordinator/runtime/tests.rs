//! The runtime with a shard of words, on a log in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::*;
use crate::base::ids::ProducerId;
use crate::coordinator::log::Authority;
use crate::coordinator::memory_log::MemoryLog;
use crate::coordinator::shard::{
    At, Effects, EndOfTransaction, Position, Producer, RequestId, TransactionResult, Undecodable, Write,
};
use crate::record::builder::BatchBuilder;
use crate::record::compression::Codec;

/// A shard that remembers words. Durable are the words; what it waits for is not.
#[derive(Debug, Default)]
pub struct Words {
    words: Vec<String>,
    pending: Vec<(ProducerId, String)>,
    waiting: Option<(RequestId, Mono)>,
}

#[derive(Clone, Debug)]
pub enum Ask {
    /// Adds a word; answered with the number of words.
    Add(&'static str),
    AddFor(ProducerId, &'static str),
    End(ProducerId, TransactionResult),
    Read,
    /// Answered after some time.
    WaitMs(u64),
}

impl Shard for Words {
    type Record = String;
    type Request = Ask;
    type Response = Vec<String>;

    fn encode(record: &String) -> (Bytes, Option<Bytes>) {
        (Bytes::from(record.clone()), Some(Bytes::new()))
    }

    fn decode(key: &[u8], _value: Option<&[u8]>) -> Result<String, Undecodable> {
        String::from_utf8(key.to_vec()).map_err(|_| Undecodable::Malformed("a word"))
    }

    fn replay(&mut self, position: Position, record: String) {
        match position.transaction {
            None => {
                assert_eq!(position.offset, self.words.len() as Offset, "only plain records count on offsets here");
                self.words.push(record);
            }
            Some(producer) => self.pending.push((producer, record)),
        }
    }

    fn replay_end_transaction(&mut self, producer: ProducerId, result: TransactionResult) {
        let (ended, open) = std::mem::take(&mut self.pending).into_iter().partition(|(id, _)| *id == producer);
        self.pending = open;
        if result == TransactionResult::Commit {
            self.words.extend(Vec::into_iter(ended).map(|(_, word)| word));
        }
    }

    fn loaded(&mut self, _at: &At) -> Effects<Self> {
        Effects::default()
    }

    fn handle(&mut self, at: &At, id: RequestId, request: Ask) -> Effects<Self> {
        let mut effects = Effects::default();
        match request {
            Ask::Add(word) => effects.write = Write::Records(vec![word.into()]),
            Ask::AddFor(producer, word) => {
                effects.write = Write::Transactional {
                    producer: Producer { id: producer, epoch: 0 },
                    records: vec![word.into()],
                    guard: None,
                };
            }
            Ask::End(producer, result) => {
                let producer = Producer { id: producer, epoch: 0 };
                effects.write =
                    Write::Marker(EndOfTransaction { producer, coordinator_epoch: 0, transaction_version: 0, result });
            }
            Ask::Read => {}
            Ask::WaitMs(ms) => {
                self.waiting = Some((id, at.now + Duration::from_millis(ms)));
                return effects;
            }
        }
        effects.replies.push((id, self.words.clone()));
        effects
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.waiting.map(|(_, deadline)| deadline)
    }

    fn on_time(&mut self, _at: &At) -> Effects<Self> {
        let (id, _) = self.waiting.take().expect("called when due");
        Effects::reply(id, self.words.clone())
    }
}

struct Running {
    log: Arc<MemoryLog>,
    mailbox: Mailbox<Words>,
    stop: CancellationToken,
}

impl Running {
    fn on(log: Arc<MemoryLog>) -> Self {
        Self::with_timeout(log, Duration::from_secs(60))
    }

    fn with_timeout(log: Arc<MemoryLog>, write_timeout: Duration) -> Self {
        let stop = CancellationToken::new();
        let place = Place { log: log.clone(), leader_epoch: 1, clock: Clock::system(), write_timeout };
        let mailbox = spawn(place, Words::default, stop.clone());
        Self { log, mailbox, stop }
    }

    /// Asks until the shard is loaded.
    async fn ask(&self, ask: Ask) -> Result<Vec<String>, ErrorCode> {
        loop {
            match self.mailbox.submit(ask.clone()).await {
                Err(ErrorCode::CoordinatorLoadInProgress) => tokio::task::yield_now().await,
                answer => return answer,
            }
        }
    }
}

fn words(words: &[&str]) -> Result<Vec<String>, ErrorCode> {
    Ok(words.iter().map(|word| word.to_string()).collect())
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let running = Running::on(MemoryLog::new());
    assert_eq!(running.ask(Ask::Add("a")).await, words(&[]));
    assert_eq!(running.ask(Ask::Add("b")).await, words(&["a"]));
    running.stop.cancel();
    let again = Running::on(MemoryLog::of(running.log.batches()));
    assert_eq!(again.ask(Ask::Read).await, words(&["a", "b"]));
}

#[tokio::test]
async fn an_answer_waits_until_all_that_was_decided_before_it_is_committed() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Read).await.unwrap();
    running.log.withhold_commits();
    let mut add = running.mailbox.submit(Ask::Add("a"));
    let mut read = running.mailbox.submit(Ask::Read);
    while running.log.appends() == 0 {
        tokio::task::yield_now().await;
    }
    assert!((&mut add).now_or_never().is_none(), "not committed");
    assert!((&mut read).now_or_never().is_none(), "a read would show what may be lost");
    running.log.commit();
    assert_eq!((add.await, read.await), (words(&[]), words(&["a"])));
}

#[tokio::test]
async fn requests_that_wait_together_share_a_batch() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Read).await.unwrap();
    let answers = ["a", "b", "c"].map(|word| running.mailbox.submit(Ask::Add(word)));
    for answer in answers {
        answer.await.unwrap();
    }
    assert_eq!(running.ask(Ask::Read).await, words(&["a", "b", "c"]));
    assert_eq!(running.log.appends(), 1);
}

#[tokio::test]
async fn a_batch_is_no_larger_than_the_log_takes() {
    let log = MemoryLog::with_max_batch_bytes(100);
    let running = Running::on(log);
    running.ask(Ask::Read).await.unwrap();
    let answers = ["a", "b", "c", "d", "e", "f"].map(|word| running.mailbox.submit(Ask::Add(word)));
    for answer in answers {
        answer.await.unwrap();
    }
    assert!(running.log.appends() > 1 && running.log.appends() < 6, "{} appends", running.log.appends());
    assert_eq!(running.ask(Ask::Read).await, words(&["a", "b", "c", "d", "e", "f"]));
}

#[tokio::test]
async fn while_it_loads_requests_are_turned_away_and_notices_kept() {
    let former = Running::on(MemoryLog::new());
    former.ask(Ask::Add("a")).await.unwrap();
    let log = MemoryLog::of(former.log.batches());
    log.hold_reads();
    let running = Running::on(log);
    assert_eq!(running.mailbox.submit(Ask::Read).await, Err(ErrorCode::CoordinatorLoadInProgress));
    running.mailbox.notify(Ask::Add("b"));
    assert_eq!(running.mailbox.submit(Ask::Read).await, Err(ErrorCode::CoordinatorLoadInProgress));
    running.log.release_reads();
    assert_eq!(running.ask(Ask::Read).await, words(&["a", "b"]));
}

#[tokio::test]
async fn a_failed_append_is_told_to_those_it_concerns_and_the_shard_is_loaded_again() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Add("a")).await.unwrap();
    let waiting = running.mailbox.submit(Ask::WaitMs(3_600_000));
    running.log.refuse_next_append(ErrorCode::NotEnoughReplicas);
    let (lost, read) = (running.mailbox.submit(Ask::Add("b")), running.mailbox.submit(Ask::Read));
    assert_eq!(lost.await, Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(read.await, Err(ErrorCode::NotEnoughReplicas), "it may have seen what is not there");
    assert_eq!(waiting.await, Err(ErrorCode::NotEnoughReplicas), "the shard that held it is gone");
    let answer = loop {
        match running.mailbox.submit(Ask::Read).await {
            Err(ErrorCode::NotEnoughReplicas | ErrorCode::CoordinatorLoadInProgress) => tokio::task::yield_now().await,
            answer => break answer,
        }
    };
    assert_eq!(answer, words(&["a"]));
}

#[tokio::test]
async fn what_was_appended_before_a_failure_is_still_answered_when_committed() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Read).await.unwrap();
    running.log.withhold_commits();
    let committed = running.mailbox.submit(Ask::Add("a"));
    while running.log.appends() == 0 {
        tokio::task::yield_now().await;
    }
    running.log.commit();
    running.log.refuse_next_append(ErrorCode::KafkaStorageError);
    assert_eq!(running.mailbox.submit(Ask::Add("b")).await, Err(ErrorCode::KafkaStorageError));
    assert_eq!(committed.await, words(&[]));
}

#[tokio::test]
async fn a_lost_leadership_ends_it_for_everybody() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Add("a")).await.unwrap();
    running.log.withhold_commits();
    let uncommitted = running.mailbox.submit(Ask::Add("b"));
    let waiting = running.mailbox.submit(Ask::WaitMs(3_600_000));
    while running.log.appends() == 1 {
        tokio::task::yield_now().await;
    }
    running.log.lose_leadership();
    assert_eq!(uncommitted.await, Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(waiting.await, Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(running.mailbox.submit(Ask::Read).await, Err(ErrorCode::NotLeaderOrFollower));
    running.stop.cancel();
    while running.mailbox.submit(Ask::Read).await != Err(ErrorCode::NotCoordinator) {}
}

#[tokio::test]
async fn who_stops_it_leaves_nobody_waiting() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Read).await.unwrap();
    let waiting = running.mailbox.submit(Ask::WaitMs(3_600_000));
    running.ask(Ask::Read).await.unwrap();
    let undecided = running.mailbox.submit(Ask::Read);
    running.stop.cancel();
    assert_eq!((waiting.await, undecided.await), (Err(ErrorCode::NotCoordinator), Err(ErrorCode::NotCoordinator)));
}

#[tokio::test]
async fn an_answer_that_waits_too_long_for_its_commit_is_given_up() {
    let running = Running::with_timeout(MemoryLog::new(), Duration::from_millis(20));
    running.ask(Ask::Read).await.unwrap();
    running.log.withhold_commits();
    assert_eq!(running.mailbox.submit(Ask::Add("a")).await, Err(ErrorCode::RequestTimedOut));
    running.log.commit();
    assert_eq!(running.ask(Ask::Read).await, words(&["a"]), "but it was written");
}

#[tokio::test]
async fn a_deadline_of_the_shard_wakes_it() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Add("a")).await.unwrap();
    assert_eq!(running.ask(Ask::WaitMs(5)).await, words(&["a"]));
}

#[tokio::test]
async fn a_transaction_counts_when_its_marker_is_written() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::AddFor(7, "a")).await.unwrap();
    running.ask(Ask::AddFor(8, "b")).await.unwrap();
    assert_eq!(running.ask(Ask::Read).await, words(&[]));
    running.ask(Ask::End(7, TransactionResult::Commit)).await.unwrap();
    running.ask(Ask::End(8, TransactionResult::Abort)).await.unwrap();
    assert_eq!(running.ask(Ask::Read).await, words(&["a"]));
    let again = Running::on(MemoryLog::of(running.log.batches()));
    assert_eq!(again.ask(Ask::Read).await, words(&["a"]), "a load goes through the same");
}

#[tokio::test]
async fn a_producer_that_the_log_refuses_does_not_cost_the_shard() {
    let running = Running::on(MemoryLog::new());
    running.ask(Ask::Add("a")).await.unwrap();
    let mut waiting = running.mailbox.submit(Ask::WaitMs(3_600_000));
    running.log.refuse_next_append(ErrorCode::InvalidProducerEpoch);
    assert_eq!(running.ask(Ask::AddFor(7, "b")).await, Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(running.ask(Ask::Read).await, words(&["a"]));
    assert!((&mut waiting).now_or_never().is_none(), "who waited still does");
    running.ask(Ask::End(7, TransactionResult::Commit)).await.unwrap();
    assert_eq!(running.ask(Ask::Read).await, words(&["a"]), "nothing of it was taken");
}

#[tokio::test]
async fn records_that_nobody_understands_are_skipped() {
    let mut batch = BatchBuilder::new(Codec::None);
    batch.push_plain(0, Some(b"a"), Some(b""));
    let log = MemoryLog::new();
    log.append_batch(batch.build(), Authority::Records { guard: None }, 1, 0).unwrap();
    let mut unknown = BatchBuilder::new(Codec::None);
    unknown.push_plain(0, Some(&[0xff]), Some(b""));
    log.append_batch(unknown.build(), Authority::Records { guard: None }, 1, 0).unwrap();
    let running = Running::on(log);
    assert_eq!(running.ask(Ask::Read).await, words(&["a"]));
}

#[tokio::test]
async fn compressed_batches_are_read() {
    let log = MemoryLog::new();
    for (codec, word) in [(Codec::Gzip, b"a"), (Codec::Zstd, b"b"), (Codec::Lz4, b"c"), (Codec::Snappy, b"d")] {
        let mut batch = BatchBuilder::new(codec);
        batch.push_plain(0, Some(word), Some(b""));
        log.append_batch(batch.build(), Authority::Records { guard: None }, 1, 0).unwrap();
    }
    let running = Running::on(log);
    assert_eq!(running.ask(Ask::Read).await, words(&["a", "b", "c", "d"]));
}
