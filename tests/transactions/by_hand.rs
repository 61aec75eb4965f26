//! A transactional producer made of single requests, at the versions of either protocol, so that a test can stop between any two of them.

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_response::AbortedTransaction;
use kafka_protocol::messages::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use kafka_protocol::messages::*;
use klamm::base::ErrorCode;
use klamm::base::time::Clock;
use klamm::protocol::ApiRequest;
use klamm::record::batches::batches;
use klamm::record::builder::{BatchBuilder, Producer as BatchProducer};
use klamm::record::compression::Codec;
use klamm::record::records::records;

use crate::support::Client;
use crate::support::everyday::{error, fetch_request, produce_request, text, topic_name};

/// Which of the two protocols a producer speaks (`transaction.version`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Adds partitions itself; its epoch stays.
    V1,
    /// Partitions are added by what is written to them; every end bumps the epoch (KIP-890).
    V2,
}

/// Who produces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    pub id: String,
    pub producer_id: i64,
    pub epoch: i16,
    pub speaks: Speaks,
    sequences: std::collections::HashMap<(String, i32), i32>,
}

/// Asks until the coordinator has loaded, created its topic, or ended the transaction before: what every client does.
pub fn patiently<T>(mut ask: impl FnMut() -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    loop {
        match ask() {
            Err(
                ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
                | ErrorCode::ConcurrentTransactions
                | ErrorCode::NotEnoughReplicas
                | ErrorCode::UnstableOffsetCommit,
            ) if std::time::Instant::now() < deadline => std::thread::sleep(std::time::Duration::from_millis(5)),
            answer => return answer,
        }
    }
}

fn checked<T>(code: i16, answer: T) -> Result<T, ErrorCode> {
    error(code).map_or(Ok(answer), Err)
}

/// Asks; NETWORK_EXCEPTION if the broker dies meanwhile, as clients call it.
fn ask<R: ApiRequest>(client: &mut Client, version: i16, request: &R) -> Result<R::Response, ErrorCode> {
    client.try_call(version, request).map_err(|_| ErrorCode::NetworkException)
}

/// Looks for the coordinator of a group (0) or a transactional id (1), which makes the topic that holds it.
fn find_coordinator(client: &mut Client, key: &str, key_type: i8) -> Result<(), ErrorCode> {
    let find = FindCoordinatorRequest::default().with_key(text(key)).with_key_type(key_type);
    patiently(|| checked(ask(client, 3, &find)?.error_code, ()))
}

impl Txn {
    /// Takes a transactional id.
    pub fn init(client: &mut Client, id: &str, speaks: Speaks) -> Self {
        Self::try_init(client, id, speaks).expect("the id can be had")
    }

    pub fn try_init(client: &mut Client, id: &str, speaks: Speaks) -> Result<Self, ErrorCode> {
        find_coordinator(client, id, 1)?;
        let held = patiently(|| init(client, id, 60_000, None))?;
        Ok(Self { id: id.into(), producer_id: held.0, epoch: held.1, speaks, sequences: Default::default() })
    }

    pub fn add(&self, client: &mut Client, topic: &str, partitions: &[i32]) -> Result<(), ErrorCode> {
        let added = AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(partitions.to_vec());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(text(&self.id).into())
            .with_v3_and_below_producer_id(self.producer_id.into())
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![added]);
        let response = ask(client, 3, &request)?;
        let results = response.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
        results.map(|result| result.partition_error_code).find_map(error).map_or(Ok(()), Err)
    }

    /// The batch of one value that comes next in a partition.
    pub fn batch(&mut self, topic: &str, partition: i32, value: &str) -> bytes::Bytes {
        let sequence = self.sequences.entry((topic.to_owned(), partition)).or_default();
        let mut batch = BatchBuilder::new(Codec::None);
        batch.producer = BatchProducer { id: self.producer_id, epoch: self.epoch, base_sequence: *sequence };
        batch.transactional = true;
        // As old as the marker that follows: a log does not put years into one segment.
        batch.push_plain(Clock::system().wall_ms(), None, Some(value.as_bytes()));
        *sequence += 1;
        batch.build()
    }

    /// Writes a batch, at a version of Produce.
    pub fn produce_as(
        &self,
        client: &mut Client,
        version: i16,
        topic: &str,
        partition: i32,
        batch: bytes::Bytes,
    ) -> Result<i64, ErrorCode> {
        let request = produce_request(topic, partition, -1, batch).with_transactional_id(Some(text(&self.id).into()));
        let response = ask(client, version, &request)?;
        let partition = &response.responses[0].partition_responses[0];
        checked(partition.error_code, partition.base_offset)
    }

    /// Writes a value, as a client of its protocol does.
    pub fn send(&mut self, client: &mut Client, topic: &str, partition: i32, value: &str) -> Result<i64, ErrorCode> {
        let batch = self.batch(topic, partition, value);
        let version = match self.speaks {
            Speaks::V1 => {
                patiently(|| self.add(client, topic, &[partition]))?;
                11
            }
            Speaks::V2 => 12,
        };
        patiently(|| self.produce_as(client, version, topic, partition, batch.clone()))
    }

    /// Commits an offset of partition 0 for a group with the transaction, at a version of TxnOffsetCommit.
    pub fn commit_offset_as(
        &self,
        client: &mut Client,
        version: i16,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> Result<(), ErrorCode> {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_group_id(text(group).into())
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_topics(vec![topic]);
        let response = ask(client, version, &request)?;
        checked(response.topics[0].partitions[0].error_code, ())
    }

    /// Adds a group's offsets to the transaction.
    pub fn add_offsets(&self, client: &mut Client, group: &str) -> Result<(), ErrorCode> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_group_id(text(group).into());
        checked(ask(client, 3, &request)?.error_code, ())
    }

    /// Commits an offset, as a client of its protocol does.
    pub fn commit_offset(&self, client: &mut Client, group: &str, topic: &str, offset: i64) -> Result<(), ErrorCode> {
        find_coordinator(client, group, 0)?;
        let version = match self.speaks {
            Speaks::V1 => {
                patiently(|| self.add_offsets(client, group))?;
                3
            }
            Speaks::V2 => 5,
        };
        patiently(|| self.commit_offset_as(client, version, group, topic, offset))
    }

    /// Asks for the end of the transaction.
    pub fn request_end(&self, commits: bool) -> (i16, EndTxnRequest) {
        let request = EndTxnRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_committed(commits);
        (if self.speaks == Speaks::V2 { 5 } else { 4 }, request)
    }

    pub fn try_end(&mut self, client: &mut Client, commits: bool) -> Result<(), ErrorCode> {
        let (version, request) = self.request_end(commits);
        let response = ask(client, version, &request)?;
        checked(response.error_code, ())?;
        if self.speaks == Speaks::V2 {
            (self.producer_id, self.epoch) = (response.producer_id.0, response.producer_epoch);
            self.sequences.clear();
        }
        Ok(())
    }

    pub fn end(&mut self, client: &mut Client, commits: bool) {
        patiently(|| self.try_end(client, commits)).unwrap_or_else(|code| panic!("{self:?} cannot be ended: {code:?}"));
    }
}

/// Asks for a producer id and epoch.
pub fn init(client: &mut Client, id: &str, timeout_ms: i32, expected: Option<(i64, i16)>) -> Result<(i64, i16), ErrorCode> {
    let (producer_id, epoch) = expected.unwrap_or((-1, -1));
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(text(id).into()))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(producer_id.into())
        .with_producer_epoch(epoch);
    let response = ask(client, 5, &request)?;
    checked(response.error_code, (response.producer_id.0, response.producer_epoch))
}

/// A group's offset of partition 0, for who wants to know only what is decided; −1 if there is none.
pub fn stable_offset(client: &mut Client, group: &str, topic: &str) -> Result<i64, ErrorCode> {
    use offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
    find_coordinator(client, group, 0)?;
    let topic = OffsetFetchRequestTopics::default().with_name(topic_name(topic)).with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default().with_group_id(text(group).into()).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true);
    let response = ask(client, 8, &request)?;
    checked(response.groups[0].error_code, ())?;
    let partition = &response.groups[0].topics[0].partitions[0];
    checked(partition.error_code, partition.committed_offset)
}

/// What a reader of committed records gets of a partition, and where it ends for them and for everybody.
#[derive(Debug, PartialEq, Eq)]
pub struct Committed {
    pub values: Vec<String>,
    pub last_stable_offset: i64,
    pub high_watermark: i64,
}

/// Reads as a consumer at read_committed does: leaves out what the aborted transactions of the answer name.
pub fn read_committed(client: &mut Client, topic: &str, partition: i32) -> Committed {
    let response = client.call(11, &fetch_request(topic, partition, 0, 1 << 20).with_isolation_level(1));
    let partition = &response.responses[0].partitions[0];
    assert_eq!(error(partition.error_code), None, "{topic} cannot be read");
    let mut aborted: Vec<AbortedTransaction> = partition.aborted_transactions.clone().expect("read_committed is told");
    let (mut skipped, mut values) = (std::collections::HashSet::new(), Vec::new());
    for batch in batches(partition.records.as_ref().unwrap_or(&bytes::Bytes::new())).map_while(Result::ok) {
        let header = batch.header;
        aborted.retain(|txn| txn.first_offset > header.last_offset() || !skipped.insert(txn.producer_id.0));
        if header.is_control() {
            skipped.remove(&header.producer_id);
        } else if !header.is_transactional() || !skipped.contains(&header.producer_id) {
            let of_batch =
                records(&header, batch.body()).map(|it| String::from_utf8(it.unwrap().value.unwrap().to_vec()).unwrap());
            values.extend(of_batch);
        }
    }
    let (last_stable_offset, high_watermark) = (partition.last_stable_offset, partition.high_watermark);
    Committed { values, last_stable_offset, high_watermark }
}

/// Reads until no transaction is open in a partition any more.
pub fn read_settled(client: &mut Client, topic: &str, partition: i32) -> Vec<String> {
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    loop {
        let read = read_committed(client, topic, partition);
        if read.last_stable_offset == read.high_watermark {
            return read.values;
        }
        assert!(std::time::Instant::now() < deadline, "a transaction hangs in {topic}-{partition}: {read:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
