//! Reads partitions from given positions on, from all their leaders at once.
//!
//! Invariants: one fetch is under way to a broker at a time, so memory is bounded by one response a broker; the position of a partition
//! steps over what was handed out and never back, except by [`Consumer::seek`]; an answer to a fetch from another position is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::aborted::AbortedTransactions;
use super::cluster::{Client, topic_name};
use super::error::ClientError;
use super::offsets::IsolationLevel;
use super::retry;
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, NO_LEADER, NO_LEADER_EPOCH, Offset, TopicId, TopicPartition};
use crate::record::owned::{self, Record};

/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// A batch may not decompress to more than this.
const DECOMPRESSED_LIMIT: usize = 1 << 30;

#[derive(Clone, Copy, Debug)]
pub struct ConsumerOptions {
    pub isolation: IsolationLevel,
    /// How long a broker may hold a fetch back while there is nothing new.
    pub max_wait: Duration,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            isolation: IsolationLevel::ReadUncommitted,
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
        }
    }
}

/// What came of a partition.
#[derive(Debug)]
pub enum Polled {
    Records(Fetched),
    /// The position lies outside the log. Nothing is read of the partition until [`Consumer::seek`].
    OutOfRange {
        partition: TopicPartition,
        offset: Offset,
    },
}

/// Records of one partition, which may be none: then the position moved over markers and aborted records.
#[derive(Debug)]
pub struct Fetched {
    pub partition: TopicPartition,
    pub records: Vec<Record>,
    /// Behind everything that was read: what the next fetch begins with.
    pub position: Offset,
    pub high_watermark: Offset,
}

/// See the module.
pub struct Consumer {
    client: Arc<Client>,
    options: ConsumerOptions,
    partitions: BTreeMap<TopicPartition, Reading>,
    topic_ids: BTreeMap<Arc<str>, TopicId>,
    /// Brokers that have not answered yet.
    busy: BTreeSet<BrokerId>,
    requests: JoinSet<Answered>,
    ready: VecDeque<Polled>,
    turn: u64,
    /// When leaders are to be looked up again.
    refresh: Option<Instant>,
    /// Failures in a row, and since when.
    failing: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    position: Offset,
    leader: BrokerId,
    /// When records came last, so that those who waited longest are asked for first.
    served: u64,
    out_of_range: bool,
}

struct Answered {
    broker: BrokerId,
    asked: BTreeMap<TopicPartition, Offset>,
    answer: Result<Vec<(TopicPartition, PartitionData)>, ClientError>,
}

impl Consumer {
    pub fn new(client: Arc<Client>, options: ConsumerOptions) -> Self {
        Self {
            client,
            options,
            partitions: BTreeMap::new(),
            topic_ids: BTreeMap::new(),
            busy: BTreeSet::new(),
            requests: JoinSet::new(),
            ready: VecDeque::new(),
            turn: 0,
            refresh: None,
            failing: None,
        }
    }

    /// Reads these partitions from these offsets on, and no others.
    pub fn assign(&mut self, positions: impl IntoIterator<Item = (TopicPartition, Offset)>) {
        let reading = |position| Reading { position, leader: NO_LEADER, served: 0, out_of_range: false };
        self.partitions = positions.into_iter().map(|(partition, position)| (partition, reading(position))).collect();
        self.ready.clear();
        self.refresh = Some(Instant::now());
    }

    /// Goes on reading a partition at another offset.
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(reading) = self.partitions.get_mut(partition) {
            reading.position = offset;
            reading.out_of_range = false;
        }
    }

    /// Stops reading a partition.
    pub fn remove(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
        self.ready.retain(|polled| polled.partition() != partition);
    }

    /// Whether no partition is read.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The next that came, of any partition. May be dropped while it waits and called again; without partitions it waits for ever.
    pub async fn poll(&mut self) -> Result<Polled, ClientError> {
        loop {
            if let Some(polled) = self.ready.pop_front() {
                return Ok(polled);
            }
            if !self.partitions.is_empty() && self.refresh.is_some_and(|at| at <= Instant::now()) {
                self.look_up_leaders().await?;
            }
            self.fetch();
            tokio::select! {
                Some(answered) = self.requests.join_next() => {
                    self.on_answer(answered.expect("a request neither panics nor is cancelled"))?;
                    self.fetch();
                }
                () = until(self.refresh), if !self.partitions.is_empty() && self.refresh.is_some() => {}
                else => std::future::pending().await,
            }
        }
    }

    async fn look_up_leaders(&mut self) -> Result<(), ClientError> {
        let names: BTreeSet<Arc<str>> = self.partitions.keys().map(|partition| partition.topic.clone()).collect();
        for name in names {
            let topic = self.client.topic(&name, false).await?;
            for partition in &topic.partitions {
                let key = TopicPartition::new(name.clone(), partition.partition);
                if let Some(reading) = self.partitions.get_mut(&key) {
                    reading.leader = partition.leader.unwrap_or(NO_LEADER);
                }
            }
            self.topic_ids.insert(name, topic.id);
        }
        self.refresh = None;
        let (led, lost): (Vec<_>, Vec<_>) = self.partitions.iter().partition(|(_, reading)| reading.leader != NO_LEADER);
        match lost.first() {
            Some((partition, _)) if led.is_empty() => {
                let error = ClientError::refused(partition.to_string(), ErrorCode::LeaderNotAvailable);
                self.try_again_after(error)
            }
            // Those that have a leader are read; the others are looked for beside that.
            Some(_) => {
                self.refresh = Some(Instant::now() + retry::LONGEST_PAUSE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Gives `error` back if it is not worth another attempt or has lasted too long.
    fn try_again_after(&mut self, error: ClientError) -> Result<(), ClientError> {
        let now = Instant::now();
        let (failures, since) = self.failing.unwrap_or((0, now));
        let passes = error.is_retriable() || matches!(error, ClientError::Timeout { .. } | ClientError::UnknownBroker(_));
        if !passes || now - since > self.client.options().operation_timeout {
            return Err(error);
        }
        self.failing = Some((failures + 1, since));
        self.refresh = Some(now + retry::pause(failures));
        Ok(())
    }

    /// Asks every leader that is not busy, unless leaders are in doubt.
    fn fetch(&mut self) {
        if self.failing.is_some() && self.refresh.is_some() {
            return;
        }
        let mut asked = BTreeMap::<BrokerId, Vec<(&TopicPartition, &Reading)>>::new();
        let readable =
            |reading: &Reading| !reading.out_of_range && reading.leader != NO_LEADER && !self.busy.contains(&reading.leader);
        for (partition, reading) in self.partitions.iter().filter(|(_, reading)| readable(reading)) {
            asked.entry(reading.leader).or_default().push((partition, reading));
        }
        let mut requests = Vec::new();
        for (broker, mut partitions) in asked {
            partitions.sort_by_key(|(_, reading)| reading.served);
            let wanted: Vec<_> = partitions.iter().map(|(partition, reading)| ((*partition).clone(), reading.position)).collect();
            requests.push((broker, wanted));
        }
        for (broker, wanted) in requests {
            self.busy.insert(broker);
            let (client, options, ids) = (self.client.clone(), self.options, self.topic_ids.clone());
            self.requests.spawn(async move {
                let answer = fetch(&client, broker, &options, &wanted, &ids).await;
                Answered { broker, asked: wanted.into_iter().collect(), answer }
            });
        }
    }

    fn on_answer(&mut self, answered: Answered) -> Result<(), ClientError> {
        self.busy.remove(&answered.broker);
        let rows = match answered.answer {
            Ok(rows) => rows,
            Err(error) => return self.try_again_after(error),
        };
        let mut passing = None;
        for (partition, data) in rows {
            let Some(reading) =
                self.partitions.get_mut(&partition).filter(|r| answered.asked.get(&partition) == Some(&r.position))
            else {
                continue;
            };
            match data.error_code.err() {
                None => {}
                Some(ErrorCode::OffsetOutOfRange) => {
                    reading.out_of_range = true;
                    self.ready.push_back(Polled::OutOfRange { partition, offset: reading.position });
                    continue;
                }
                Some(code) => {
                    passing = Some(ClientError::refused(format!("fetching {partition}"), code));
                    continue;
                }
            }
            if let Some(fetched) = read(&partition, reading.position, data, self.options.isolation)? {
                self.turn += 1;
                reading.served = self.turn;
                reading.position = fetched.position;
                self.ready.push_back(Polled::Records(fetched));
            }
        }
        match passing {
            Some(error) => self.try_again_after(error),
            None => {
                self.failing = None;
                Ok(())
            }
        }
    }
}

impl Polled {
    pub fn partition(&self) -> &TopicPartition {
        match self {
            Polled::Records(fetched) => &fetched.partition,
            Polled::OutOfRange { partition, .. } => partition,
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn fetch(
    client: &Client,
    broker: BrokerId,
    options: &ConsumerOptions,
    wanted: &[(TopicPartition, Offset)],
    ids: &BTreeMap<Arc<str>, TopicId>,
) -> Result<Vec<(TopicPartition, PartitionData)>, ClientError> {
    let connection = client.broker(broker).await?;
    let id_of = |topic: &str| ids.get(topic).copied().unwrap_or_default();
    let named_only = wanted.iter().any(|(partition, _)| id_of(&partition.topic).is_nil());
    let version = connection.version_at_most::<FetchRequest>(if named_only { TOPIC_IDS - 1 } else { i16::MAX })?;
    // A topic may appear twice: the order of partitions is the order in which they are served.
    let mut topics: Vec<(&Arc<str>, Vec<FetchPartition>)> = Vec::new();
    for (partition, position) in wanted {
        let row = FetchPartition::default()
            .with_partition(partition.partition)
            .with_current_leader_epoch(NO_LEADER_EPOCH)
            .with_fetch_offset(*position)
            .with_partition_max_bytes(options.partition_max_bytes);
        match topics.iter_mut().find(|(topic, _)| **topic == partition.topic) {
            Some((_, rows)) => rows.push(row),
            None => topics.push((&partition.topic, vec![row])),
        }
    }
    let topic = |(name, rows): (&Arc<str>, Vec<FetchPartition>)| {
        let topic = FetchTopic::default().with_partitions(rows);
        if version >= TOPIC_IDS { topic.with_topic_id(id_of(name)) } else { topic.with_topic(topic_name(name)) }
    };
    let request = FetchRequest::default()
        .with_replica_id(WireBrokerId(-1))
        .with_max_wait_ms(i32::try_from(options.max_wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(options.min_bytes)
        .with_max_bytes(options.max_bytes)
        .with_isolation_level(options.isolation as i8)
        .with_session_epoch(-1)
        .with_topics(topics.into_iter().map(topic).collect());
    let response = connection.send_waiting(&request, version, options.max_wait).await?;
    if let Some(code) = response.error_code.err() {
        return Err(ClientError::refused(format!("fetching from broker {broker}"), code));
    }
    let mut rows = Vec::new();
    for topic in response.responses {
        let by_id = || ids.iter().find(|(_, id)| **id == topic.topic_id).map(|(name, _)| name.clone());
        let name = if version >= TOPIC_IDS { by_id() } else { Some(Arc::from(&**topic.topic)) };
        let Some(name) = name else { continue };
        let row = |data: PartitionData| (TopicPartition::new(name.clone(), data.partition_index), data);
        rows.extend(topic.partitions.into_iter().map(row));
    }
    Ok(rows)
}

/// The records of one partition from `position` on; `None` if nothing came.
fn read(
    partition: &TopicPartition,
    position: Offset,
    data: PartitionData,
    isolation: IsolationLevel,
) -> Result<Option<Fetched>, ClientError> {
    let bytes = data.records.unwrap_or_default();
    let mut aborted = AbortedTransactions::default();
    if isolation == IsolationLevel::ReadCommitted {
        let transactions = data.aborted_transactions.unwrap_or_default();
        aborted = AbortedTransactions::new(transactions.iter().map(|txn| (txn.first_offset, txn.producer_id.0)));
    }
    let damaged = |reason: String| ClientError::Records { partition: partition.clone(), reason };
    let mut records = Vec::new();
    let mut next = position;
    for batch in owned::decode(&bytes, DECOMPRESSED_LIMIT) {
        let batch = batch.map_err(|error| damaged(format!("behind offset {next}: {error}")))?;
        if !aborted.skips(&batch) {
            for record in batch.records() {
                let record = record.map_err(|error| damaged(format!("batch at offset {}: {error}", batch.header.base_offset)))?;
                if record.offset >= position {
                    records.push(record);
                }
            }
        }
        next = next.max(batch.header.next_offset());
    }
    Ok((next > position).then_some(Fetched {
        partition: partition.clone(),
        records,
        position: next,
        high_watermark: data.high_watermark,
    }))
}
