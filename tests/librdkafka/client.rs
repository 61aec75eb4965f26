//! librdkafka in the words of these tests: a producer that keeps what it was told of each record, a reader of whole partitions, and an
//! administrator whose calls end before the next one begins.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::process::BrokerProcess;

/// How long anything may take, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A broker whose groups do not wait for members to gather.
pub fn broker(settings: &[&str]) -> BrokerProcess {
    BrokerProcess::start(&[&["group.initial.rebalance.delay.ms=0"], settings].concat())
}

pub fn config(broker: &BrokerProcess, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "100").set("retry.backoff.ms", "20");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

/// A record as a client sees it; the offset of what was not acknowledged with one is −1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
}

impl Record {
    fn of(message: &impl Message) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
            timestamp: message.timestamp().to_millis(),
        }
    }

    /// A record with a value alone.
    pub fn value(partition: i32, value: impl ToString) -> Self {
        let value = Some(value.to_string().into_bytes());
        Self { partition, offset: -1, key: None, value, headers: Vec::new(), timestamp: None }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.value.clone().expect("it has a value")).expect("it is text")
    }
}

/// What became of the records that were sent.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<Vec<Result<Record, KafkaError>>>>);

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let answer = match result {
            Ok(message) => Ok(Record::of(message)),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().unwrap().push(answer);
    }
}

/// A producer and what it was answered.
pub struct Sender {
    producer: BaseProducer<Answers>,
    answers: Answers,
}

impl Sender {
    pub fn new(broker: &BrokerProcess, settings: &[(&str, &str)]) -> Self {
        let answers = Answers::default();
        let config = config(broker, &[&[("linger.ms", "1")], settings].concat());
        Self { producer: config.create_with_context(answers.clone()).unwrap(), answers }
    }

    pub fn send(&self, topic: &str, record: &Record) {
        let mut sent = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition);
        sent.key = record.key.as_deref();
        sent.payload = record.value.as_deref();
        sent.timestamp = record.timestamp;
        if !record.headers.is_empty() {
            let insert = |headers: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| {
                headers.insert(Header { key, value: value.as_ref() })
            };
            sent.headers = Some(record.headers.iter().fold(OwnedHeaders::new(), insert));
        }
        if let Err((error, _)) = self.producer.send(sent) {
            panic!("{topic}: {error}");
        }
        self.producer.poll(Duration::ZERO);
    }

    /// Waits for the answers to all that was sent since the last call.
    pub fn answers(&self) -> Vec<Result<Record, KafkaError>> {
        self.producer.flush(PATIENCE).expect("every record is answered in time");
        std::mem::take(&mut self.answers.0.lock().unwrap())
    }

    /// As [`answers`](Self::answers), where nothing may be refused; in the order of partitions and offsets.
    pub fn acknowledged(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.answers().into_iter().map(|answer| answer.expect("it is acknowledged")).collect();
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// How many answers have come since they were taken last.
    pub fn answered(&self) -> usize {
        self.producer.poll(Duration::from_millis(1));
        self.answers.0.lock().unwrap().len()
    }
}

/// Sends values to the partitions of a topic in turn.
pub fn send_numbers(broker: &BrokerProcess, topic: &str, partitions: i32, numbers: std::ops::Range<i32>) {
    let sender = Sender::new(broker, &[]);
    numbers.for_each(|number| sender.send(topic, &Record::value(number % partitions, number)));
    sender.acknowledged();
}

/// Every record of a topic, in the order of partitions and offsets: from their beginnings to where their ends are now, or fewer than
/// `PATIENCE` brings, which fails the test.
pub fn read_all(broker: &BrokerProcess, topic: &str, partitions: i32) -> Vec<Record> {
    let consumer = consumer(broker, &[("group.id", "reader"), ("enable.auto.commit", "false")]);
    let mut assignment = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap();
        if low < high {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
            ends.insert(partition, high);
        }
    }
    consumer.assign(&assignment).unwrap();
    let mut records = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !ends.is_empty() {
        assert!(Instant::now() < deadline, "{topic} is not read to its ends {ends:?}, only {} records", records.len());
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let record = Record::of(&message.unwrap());
        if ends.get(&record.partition).is_some_and(|end| record.offset + 1 >= *end) {
            ends.remove(&record.partition);
        }
        records.push(record);
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

pub fn consumer(broker: &BrokerProcess, settings: &[(&str, &str)]) -> BaseConsumer {
    config(broker, settings).create().unwrap()
}

/// An administrator; each call is waited for.
pub struct Admin {
    pub client: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Admin {
    pub fn new(broker: &BrokerProcess) -> Self {
        let client = AdminClient::from_config(&config(broker, &[])).unwrap();
        Self { client, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    /// The whole of an answer; the calls themselves must succeed, what they ask for may be refused within.
    pub fn done<T>(&self, call: impl Future<Output = KafkaResult<T>>) -> T {
        self.runtime.block_on(call).unwrap()
    }

    /// As [`done`](Self::done), for a call about one thing.
    pub fn one<T>(&self, call: impl Future<Output = KafkaResult<Vec<T>>>) -> T {
        let mut answers = self.done(call);
        assert_eq!(answers.len(), 1, "one thing was asked about");
        answers.remove(0)
    }

    pub fn create(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        let asked = configs.iter().fold(new_topic(topic, partitions), |topic, (key, value)| topic.set(key, value));
        assert_eq!(self.one(self.client.create_topics([&asked], &options())), Ok(topic.to_owned()));
    }
}

pub fn new_topic(name: &str, partitions: i32) -> NewTopic<'_> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(1))
}

pub fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}
