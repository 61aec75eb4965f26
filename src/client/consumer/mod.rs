//! Reads partitions from given positions on, from all their leaders at once.
//!
//! Invariants: one fetch is under way to a broker at a time, so memory is bounded by one response a broker; the position of a partition
//! steps over what was handed out and never back, except by [`Consumer::seek`]; an answer to a fetch from another position is dropped.

mod fetch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::fetch_response::PartitionData;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::fetch::{fetch, read};
use super::cluster::Client;
use super::error::ClientError;
use super::offsets::IsolationLevel;
use super::retry;
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, NO_LEADER, Offset, TopicId, TopicPartition};
use crate::record::owned::Record;

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
