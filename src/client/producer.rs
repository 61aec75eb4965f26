//! A producer of one topic: a task that gathers records into batches and sends them to the partitions' leaders.
//!
//! Invariants: one request is under way to a broker at a time; every record that was sent is told of once, in a [`Delivery`]; memory is
//! bounded by [`BUFFERED`] and one request a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::accumulator::{Accumulator, BatchLimits, NewRecord, SealedBatch};
use super::cluster::{Client, Topics, topic_name};
use super::error::ClientError;
use super::metadata::Topic;
use super::partitioner::{StickyPartitioner, partition_for_key};
use super::retry;
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, NO_LEADER, Offset, ProducerEpoch, ProducerId, TimestampMs, TopicId};
use crate::base::time::{Clock, Mono};
use crate::record::compression::Compression;

/// Bytes of records that wait to be sent before [`Producer::send`] waits too.
const BUFFERED: usize = 32 << 20;
/// Records between a sender and the task.
const QUEUE: usize = 1024;
/// Bytes of batches in one request; brokers take 100 MiB.
const REQUEST_BYTES: usize = 8 << 20;
/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;

/// What the broker must have done before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// It does not answer at all.
    None = 0,
    Leader = 1,
    All = -1,
}

#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    /// Lets the broker drop what arrives twice; for [`Acks::All`] only.
    pub idempotent: bool,
    pub compression: Compression,
    /// Bytes of a batch before compression.
    pub batch_bytes: usize,
    pub linger: Duration,
    /// Lets the broker make the topic if there is none.
    pub auto_create: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotent: true,
            compression: Compression::NONE,
            batch_bytes: 256 << 10,
            linger: Duration::from_millis(5),
            auto_create: false,
        }
    }
}

/// What became of a batch.
#[derive(Debug)]
pub struct Delivery {
    pub partition: i32,
    pub records: usize,
    pub result: Result<Delivered, ClientError>,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Offset of the first record; −1 if the broker did not say, as with acks=0.
    pub base_offset: Offset,
    /// Set where the broker stamps records itself.
    pub log_append_time: Option<TimestampMs>,
}

/// Takes records. Dropping it lets the deliveries end once everything has been sent.
pub struct Producer {
    records: mpsc::Sender<(Option<i32>, NewRecord)>,
    topic: Topic,
    stop: CancellationToken,
}

/// Tells of every record, batch by batch, in the order in which the broker answered.
pub struct Deliveries {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    _task: JoinSet<()>,
}

impl Producer {
    /// Looks the topic up, and asks for a producer id if the options want one.
    pub async fn open(client: Arc<Client>, topic: &str, options: ProducerOptions) -> Result<(Producer, Deliveries), ClientError> {
        let topic = client.topic(topic, options.auto_create).await?;
        let idempotent = options.idempotent && options.acks == Acks::All;
        let id = if idempotent { init_producer_id(&client).await? } else { None };
        let limits = BatchLimits { bytes: options.batch_bytes, linger: options.linger, compression: options.compression };
        let (records, received) = mpsc::channel(QUEUE);
        let (delivered, deliveries) = mpsc::unbounded_channel();
        let clock = Clock::system();
        let start = usize::try_from(clock.wall_ms()).unwrap_or(0);
        let stop = CancellationToken::new();
        let task = Task {
            client,
            acks: options.acks,
            sticky: StickyPartitioner::new(options.batch_bytes, start),
            leaders: Leaders::new(&topic),
            topic: topic.clone(),
            accumulator: Accumulator::new(limits, id),
            clock,
            busy: BTreeSet::new(),
            requests: JoinSet::new(),
            refresh: None,
            failures: 0,
            idempotent,
            needs_id: false,
            delivered,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run(received, stop.clone()));
        Ok((Producer { records, topic, stop }, Deliveries { deliveries, _task: tasks }))
    }

    /// The topic as it was when the producer began.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Hands a record over, to the given partition or to the one its key belongs to. Waits while too much is under way. False if no more
    /// records are taken.
    pub async fn send(&self, partition: Option<i32>, record: NewRecord) -> bool {
        self.records.send((partition, record)).await.is_ok()
    }

    /// The same from a thread that may wait.
    pub fn send_blocking(&self, partition: Option<i32>, record: NewRecord) -> bool {
        self.records.blocking_send((partition, record)).is_ok()
    }

    /// Makes the producer take no more records; what it has is still sent.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }
}

impl Deliveries {
    /// The next one; `None` when the producer was dropped and nothing is under way any more.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

impl Client {
    /// One topic with its partitions. A topic that is being made is given time.
    pub async fn topic(&self, name: &str, auto_create: bool) -> Result<Topic, ClientError> {
        let mut retry = self.retry();
        loop {
            let mut metadata = self.metadata(Topics::Named(&[name]), auto_create).await?;
            let code = match metadata.topics.remove(name) {
                Some(Topic { error: Some(code), .. }) => code,
                Some(topic) if topic.partitions.is_empty() => ErrorCode::LeaderNotAvailable,
                Some(topic) => return Ok(topic),
                None => ErrorCode::UnknownTopicOrPartition,
            };
            let error = ClientError::refused(format!("topic {name}"), code);
            // Kafka calls a missing topic retriable, but nobody makes it while we wait.
            if code == ErrorCode::UnknownTopicOrPartition && !auto_create {
                return Err(error);
            }
            retry.after(error).await?;
        }
    }
}

/// `None` where the broker knows no producer ids.
async fn init_producer_id(client: &Client) -> Result<Option<(ProducerId, ProducerEpoch)>, ClientError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let mut retry = client.retry();
    loop {
        let error = match client.send_any(&request).await {
            Ok(response) => match response.error_code.err() {
                None => return Ok(Some((response.producer_id.0, response.producer_epoch))),
                Some(code) => ClientError::refused("a producer id", code),
            },
            Err(ClientError::Version { .. }) => return Ok(None),
            Err(error) => error,
        };
        retry.after(error).await?;
    }
}

/// Who leads which partition, as far as it is known. Partitions without a leader belong to [`NO_LEADER`], which is always asked in vain.
struct Leaders {
    by_partition: BTreeMap<i32, BrokerId>,
    brokers: BTreeSet<BrokerId>,
    /// Partitions that records without a key go to: those that have a leader, or all if none has.
    available: Vec<i32>,
}

impl Leaders {
    fn new(topic: &Topic) -> Self {
        let by_partition: BTreeMap<_, _> =
            topic.partitions.iter().filter_map(|p| p.leader.map(|leader| (p.partition, leader))).collect();
        let led = by_partition.keys().copied();
        let available = if by_partition.is_empty() { (0..topic.partitions.len() as i32).collect() } else { led.collect() };
        let brokers = by_partition.values().copied().chain([NO_LEADER]).collect();
        Self { by_partition, brokers, available }
    }

    fn of(&self, partition: i32) -> BrokerId {
        self.by_partition.get(&partition).copied().unwrap_or(NO_LEADER)
    }
}

struct Task {
    client: Arc<Client>,
    topic: Topic,
    acks: Acks,
    accumulator: Accumulator,
    sticky: StickyPartitioner,
    leaders: Leaders,
    clock: Clock,
    /// Brokers that have not answered yet.
    busy: BTreeSet<BrokerId>,
    requests: JoinSet<Answered>,
    /// When leaders are to be looked up again; nothing is sent before.
    refresh: Option<Mono>,
    failures: u32,
    idempotent: bool,
    /// A batch was given up that may be in the log: its sequence numbers must not go to others.
    needs_id: bool,
    delivered: mpsc::UnboundedSender<Delivery>,
}

/// The fate of one request.
struct Answered {
    broker: BrokerId,
    batches: Vec<SealedBatch>,
    answer: Result<BTreeMap<i32, Result<Delivered, ClientError>>, ClientError>,
}

impl Task {
    async fn run(mut self, mut records: mpsc::Receiver<(Option<i32>, NewRecord)>, stop: CancellationToken) {
        let mut open = true;
        while open || !self.accumulator.is_empty() {
            self.send_what_is_due(!open).await;
            let could_go = |partition| !self.busy.contains(&self.leaders.of(partition));
            let wake = self.refresh.or_else(|| self.accumulator.next_due(could_go)).map(|at| self.clock.instant_of(at).into());
            tokio::select! {
                biased;
                Some(answered) = self.requests.join_next() => {
                    self.on_answer(answered.expect("a request neither panics nor is cancelled"));
                }
                received = records.recv(), if open && self.accumulator.bytes() < BUFFERED => match received {
                    Some((partition, record)) => {
                        self.push(partition, &record);
                        while self.accumulator.bytes() < BUFFERED && let Ok((partition, record)) = records.try_recv() {
                            self.push(partition, &record);
                        }
                    }
                    None => open = false,
                },
                () = stop.cancelled(), if !records.is_closed() => records.close(),
                () = async { sleep_until(wake.expect("guarded")).await }, if wake.is_some() => {}
            }
        }
    }

    fn push(&mut self, partition: Option<i32>, record: &NewRecord) {
        let partition = match (partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, self.topic.partitions.len() as i32),
            (None, None) => self.sticky.next(&self.leaders.available, record.size()),
        };
        self.accumulator.push(partition, record, self.clock.mono());
    }

    async fn send_what_is_due(&mut self, flush: bool) {
        let now = self.clock.mono();
        match self.refresh {
            Some(at) if now < at => return,
            Some(_) => {
                self.refresh = None;
                // What cannot be looked up now is still tried at the brokers that were known.
                if let Ok(topic) = self.client.topic(&self.topic.name, false).await {
                    self.leaders = Leaders::new(&topic);
                    self.topic = topic;
                }
            }
            None => {}
        }
        if self.needs_id {
            match init_producer_id(&self.client).await {
                Ok(id) => self.accumulator.renew(id),
                Err(error) => {
                    for (partition, records) in self.accumulator.give_up() {
                        self.tell(partition, records, Err(error.clone()));
                    }
                    return;
                }
            }
            self.needs_id = false;
        }
        for &broker in &self.leaders.brokers {
            if self.busy.contains(&broker) {
                continue;
            }
            let batches = self.accumulator.take(now, flush, REQUEST_BYTES, |partition| self.leaders.of(partition), broker);
            if batches.is_empty() {
                continue;
            }
            self.busy.insert(broker);
            let (client, name, id, acks) = (self.client.clone(), self.topic.name.clone(), self.topic.id, self.acks);
            self.requests.spawn(async move {
                let answer = produce(&client, broker, &name, id, acks, &batches).await;
                Answered { broker, batches, answer }
            });
        }
    }

    fn on_answer(&mut self, answered: Answered) {
        self.busy.remove(&answered.broker);
        let mut passing = false;
        for mut batch in answered.batches {
            let result = match &answered.answer {
                Ok(rows) => rows.get(&batch.partition).cloned().unwrap_or_else(|| {
                    let missing = format!("partition {}", batch.partition);
                    Err(ClientError::Incomplete { api: kafka_protocol::messages::ApiKey::Produce, missing })
                }),
                Err(error) => Err(error.clone()),
            };
            let result = match result {
                // It is in the log already; the answer of the first time was lost.
                Err(error) if error.code() == Some(ErrorCode::DuplicateSequenceNumber) => {
                    Ok(Delivered { base_offset: -1, log_append_time: None })
                }
                other => other,
            };
            match result {
                Ok(delivered) => {
                    self.accumulator.accepted(&batch);
                    self.tell(batch.partition, batch.records, Ok(delivered));
                }
                Err(error) if error.code() == Some(ErrorCode::MessageTooLarge) && self.accumulator.split(&batch) => {}
                Err(error) if self.is_worth_another(&error, &batch) => {
                    passing = true;
                    batch.in_doubt |= !says_that_nothing_was_written(&error);
                    self.accumulator.again(batch);
                }
                Err(error) => {
                    self.needs_id |= self.idempotent && (batch.in_doubt || !says_that_nothing_was_written(&error));
                    self.accumulator.refused(&batch);
                    self.tell(batch.partition, batch.records, Err(error));
                }
            }
        }
        self.failures = if passing { self.failures + 1 } else { 0 };
        if passing {
            self.refresh = Some(self.clock.mono() + retry::pause(self.failures - 1));
        }
    }

    fn is_worth_another(&self, error: &ClientError, batch: &SealedBatch) -> bool {
        let passes = error.is_retriable() || matches!(error, ClientError::Timeout { .. } | ClientError::UnknownBroker(_));
        passes && self.clock.mono().since(batch.sent) < self.client.options().operation_timeout
    }

    fn tell(&self, partition: i32, records: usize, result: Result<Delivered, ClientError>) {
        // Nobody may be listening any more; the records are where they are all the same.
        let _ = self.delivered.send(Delivery { partition, records, result });
    }
}

/// Whether an error leaves no doubt that the batch is not in the log: it was refused for what it is, or by somebody who does not lead. What
/// comes of a batch that was written, such as NOT_ENOUGH_REPLICAS_AFTER_APPEND, and of an attempt without an answer, nobody knows.
fn says_that_nothing_was_written(error: &ClientError) -> bool {
    use ErrorCode::*;
    let before_writing = |code| {
        matches!(
            code,
            UnknownTopicOrPartition
                | UnknownTopicId
                | LeaderNotAvailable
                | NotLeaderOrFollower
                | MessageTooLarge
                | RecordListTooLarge
                | CorruptMessage
                | InvalidRecord
                | InvalidTimestamp
                | InvalidTopicException
                | InvalidRequiredAcks
                | NotEnoughReplicas
                | TopicAuthorizationFailed
                | ClusterAuthorizationFailed
                | UnsupportedCompressionType
                | UnsupportedForMessageFormat
                | UnsupportedVersion
                | PolicyViolation
                | ThrottlingQuotaExceeded
        )
    };
    match error {
        ClientError::Refused { code, .. } => before_writing(*code),
        ClientError::Connect { .. }
        | ClientError::ConnectTimeout { .. }
        | ClientError::Lost(_)
        | ClientError::NoBroker(_)
        | ClientError::Advertised { .. }
        | ClientError::UnknownBroker(_)
        | ClientError::Version { .. }
        | ClientError::Inexpressible { .. } => true,
        _ => false,
    }
}

async fn produce(
    client: &Client,
    broker: BrokerId,
    topic: &str,
    id: TopicId,
    acks: Acks,
    batches: &[SealedBatch],
) -> Result<BTreeMap<i32, Result<Delivered, ClientError>>, ClientError> {
    if broker == NO_LEADER {
        let partition = batches.first().map_or(-1, |batch| batch.partition);
        return Err(ClientError::refused(format!("partition {topic}-{partition}"), ErrorCode::LeaderNotAvailable));
    }
    let connection = client.broker(broker).await?;
    // A topic without an id comes from a broker that knows none.
    let version = connection.version_at_most::<ProduceRequest>(if id.is_nil() { TOPIC_IDS - 1 } else { i16::MAX })?;
    let rows = batches
        .iter()
        .map(|batch| PartitionProduceData::default().with_index(batch.partition).with_records(Some(batch.bytes.clone())));
    let data = TopicProduceData::default().with_partition_data(rows.collect());
    let data = if version >= TOPIC_IDS { data.with_topic_id(id) } else { data.with_name(topic_name(topic)) };
    let wait = client.options().request_timeout;
    let request = ProduceRequest::default()
        .with_acks(acks as i16)
        .with_timeout_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_topic_data(vec![data]);
    if acks == Acks::None {
        connection.send_unanswered(&request, version).await?;
        let unknown = Delivered { base_offset: -1, log_append_time: None };
        return Ok(batches.iter().map(|batch| (batch.partition, Ok(unknown))).collect());
    }
    let response = connection.send_waiting(&request, version, wait).await?;
    let rows = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
    let result = |row: &kafka_protocol::messages::produce_response::PartitionProduceResponse| match row.error_code.err() {
        None => {
            Ok(Delivered { base_offset: row.base_offset, log_append_time: Some(row.log_append_time_ms).filter(|at| *at >= 0) })
        }
        Some(code) => {
            let first = row.record_errors.first().and_then(|error| error.batch_index_error_message.as_deref());
            let message = first.or(row.error_message.as_deref());
            Err(ClientError::refused_with(format!("partition {topic}-{}", row.index), code, message))
        }
    };
    Ok(rows.map(|row| (row.index, result(&row))).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::address::Address;

    #[test]
    fn only_an_answer_tells_that_a_batch_is_not_in_the_log() {
        let address = || Address::new("localhost", 9092);
        let refused = |code| ClientError::refused("t-0", code);
        let unreachable =
            ClientError::Connect { address: address(), source: Arc::new(std::io::ErrorKind::ConnectionRefused.into()) };
        for (error, nothing_was_written) in [
            (refused(ErrorCode::MessageTooLarge), true),
            (refused(ErrorCode::NotLeaderOrFollower), true),
            (refused(ErrorCode::NotEnoughReplicas), true),
            (refused(ErrorCode::NotEnoughReplicasAfterAppend), false),
            (refused(ErrorCode::RequestTimedOut), false),
            (refused(ErrorCode::KafkaStorageError), false),
            (refused(ErrorCode::UnknownServerError), false),
            (unreachable.clone(), true),
            (ClientError::Lost(Box::new(unreachable)), true),
            (ClientError::Closed { address: address(), api: None }, false),
        ] {
            assert_eq!(says_that_nothing_was_written(&error), nothing_was_written, "{error}");
        }
    }
}
