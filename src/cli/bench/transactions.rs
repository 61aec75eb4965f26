//! `bench transactions`: producers that begin a transaction, write a batch, commit, and begin the next, each on a thread of its own.
//!
//! A producer speaks the newest protocol that the broker has turned on, as clients do: with `transaction.version` 2 the write adds its
//! partition itself and every commit bumps the epoch (KIP-890); before, the partition is added by a request of its own. A broker that still
//! writes the markers of the last transaction answers CONCURRENT_TRANSACTIONS; the producer comes back after 20 ms, as Kafka's does.

use std::time::{Duration, Instant};

use clap::Args;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, ApiKey, ApiVersionsRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest,
    ProduceRequest, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::admin::{Admin, refused};
use super::batch;
use super::error::{BenchError, Result};
use super::figure::Figure;
use super::frame::{ProduceFrame, topic_name};
use super::load;
use super::options::{Broker, Common, byte_size, rate};
use super::produce;
use super::run::{Workload, plural};
use super::series::{Series, Window};
use super::topic::{BenchTopic, TopicOptions};
use crate::base::ids::{ProducerEpoch, ProducerId};
use crate::base::time::Clock;

/// Series of a run: from the request to commit to its answer, and from the first record of a transaction to that answer.
const NAMES: [&str; 2] = ["commit", "transaction"];
const TRANSACTION_VERSION: &str = "transaction.version";
/// Level of the feature, and versions of the requests, with which the write adds its partition and the end bumps the epoch.
const BUMPING: (i16, i16, i16) = (2, 12, 5);
const TIMEOUT_MS: i32 = 60_000;
const RETRY_AFTER: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, NOT_ENOUGH_REPLICAS, CONCURRENT_TRANSACTIONS.
const PASSING: [i16; 5] = [14, 15, 16, 19, 51];

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  Eight producers, 100 records of 1 KiB a transaction:
    klamm bench transactions
  The same at 300 a second, to see what a commit takes when nobody is in a hurry:
    klamm bench transactions --rate 300
  The price of a commit, with hardly anything in it:
    klamm bench transactions --records 1 --record-size 100 --producers 1
  Two brokers in turn, five rounds, ratios:
    klamm bench transactions --compare kafka=localhost:9092 klamm=localhost:9192 --rounds 5")]
pub struct Transactions {
    /// Producers, each with a transactional id and a thread of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub producers: u16,
    /// Records in each transaction, in one batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub records: u32,
    /// Bytes of each record's value
    #[arg(long, default_value = "1KiB", value_parser = byte_size)]
    pub record_size: u64,
    /// Partitions of the topic; each producer writes to one
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub partitions: i32,
    /// Transactions a second over all producers, as far as the broker keeps up [default: as many as it takes]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    #[command(flatten)]
    pub topic: TopicOptions,
}

/// One producer between two requests.
struct Producer {
    transactional_id: StrBytes,
    topic: String,
    partition: i32,
    leader: Admin,
    coordinator: Admin,
    bumps: bool,
    produce_version: i16,
    frame: ProduceFrame,
    id: (ProducerId, ProducerEpoch),
    sequence: i32,
    records: u32,
}

/// Whether the broker's cluster has turned on transactions whose every end bumps the epoch.
fn bumps_epochs(admin: &mut Admin) -> Result<bool> {
    let (level, produce, end) = BUMPING;
    if admin.version(ApiKey::Produce, produce, produce).and(admin.version(ApiKey::EndTxn, end, end)).is_err() {
        return Ok(false);
    }
    let software = StrBytes::from_static_str("klamm-bench");
    let request = ApiVersionsRequest::default()
        .with_client_software_name(software)
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let answer = admin.call(&request, 3, 4)?;
    refused(ApiKey::ApiVersions, answer.error_code, None)?;
    let finalized = answer.finalized_features.iter().find(|feature| &*feature.name == TRANSACTION_VERSION);
    Ok(finalized.is_some_and(|feature| feature.max_version_level >= level))
}

/// Asks until the answer's error is none that passes.
fn persistently<T>(api: ApiKey, mut ask: impl FnMut() -> Result<(i16, T)>) -> Result<T> {
    let start = Instant::now();
    loop {
        let (code, answer) = ask()?;
        if !PASSING.contains(&code) || start.elapsed() > PATIENCE {
            return refused(api, code, None).map(|()| answer);
        }
        std::thread::sleep(RETRY_AFTER);
    }
}

impl Producer {
    /// Finds the coordinator, takes the transactional id.
    fn start(broker: &Broker, topic: &BenchTopic, number: usize, options: &Transactions) -> Result<Self> {
        let mut admin = Admin::connect(&broker.address)?;
        let transactional_id = StrBytes::from_string(format!("{}-{number}", topic.name));
        let find = FindCoordinatorRequest::default().with_key(transactional_id.clone()).with_key_type(1);
        let address = persistently(ApiKey::FindCoordinator, || {
            let answer = admin.call(&find, 1, 3)?;
            Ok((answer.error_code, format!("{}:{}", answer.host, answer.port)))
        })?;
        let mut coordinator = Admin::connect(&address)?;
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(transactional_id.clone())))
            .with_transaction_timeout_ms(TIMEOUT_MS)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let id = persistently(ApiKey::InitProducerId, || {
            let answer = coordinator.call(&request, 0, 5)?;
            Ok((answer.error_code, (answer.producer_id.0, answer.producer_epoch)))
        })?;
        let leader = &topic.leaders[number % topic.leaders.len()];
        let bumps = bumps_epochs(&mut admin)?;
        let (partition, leader) = (leader.partition, Admin::connect(&leader.address)?);
        let newest = if bumps { produce::VERSIONS.1 } else { BUMPING.1 - 1 };
        let produce_version = leader.version(ApiKey::Produce, produce::VERSIONS.0, newest)?;
        let size =
            usize::try_from(options.record_size).ok().filter(|size| size.saturating_mul(options.records as usize) < 1 << 30);
        let size = size.ok_or_else(|| BenchError::Usage("a request cannot hold a GiB of records".to_owned()))?;
        let batch = batch::build(options.records, size, Clock::system().wall_ms(), Some(id));
        Ok(Self {
            frame: ProduceFrame::new(produce_version, &topic.name, -1, Some(&*transactional_id), batch),
            transactional_id,
            topic: topic.name.clone(),
            partition,
            leader,
            coordinator,
            bumps,
            produce_version,
            id,
            sequence: 0,
            records: options.records,
        })
    }

    fn write(&mut self) -> Result<()> {
        if !self.bumps {
            self.add_partition()?;
        }
        let mut bytes = std::mem::take(&mut self.frame.bytes);
        self.frame.set_partition(&mut bytes, self.partition);
        batch::set_transaction(self.frame.batch_mut(&mut bytes), self.id, self.sequence);
        let written = persistently(ApiKey::Produce, || {
            let answer = self.leader.send::<ProduceRequest>(&bytes, self.produce_version)?;
            Ok((answer.responses.first().and_then(|topic| topic.partition_responses.first()).map_or(0, |it| it.error_code), ()))
        });
        self.frame.bytes = bytes;
        self.sequence = self.sequence.wrapping_add(self.records as i32) & i32::MAX;
        written
    }

    fn add_partition(&mut self) -> Result<()> {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(&self.topic)).with_partitions(vec![self.partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(self.transactional_id.clone()))
            .with_v3_and_below_producer_id(self.id.0.into())
            .with_v3_and_below_producer_epoch(self.id.1)
            .with_v3_and_below_topics(vec![topic]);
        persistently(ApiKey::AddPartitionsToTxn, || {
            let answer = self.coordinator.call(&request, 0, 3)?;
            let results = answer.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
            Ok((results.map(|it| it.partition_error_code).find(|code| *code != 0).unwrap_or(0), ()))
        })
    }

    fn commit(&mut self) -> Result<()> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(self.transactional_id.clone()))
            .with_producer_id(self.id.0.into())
            .with_producer_epoch(self.id.1)
            .with_committed(true);
        let newest = if self.bumps { BUMPING.2 } else { BUMPING.2 - 1 };
        let next = persistently(ApiKey::EndTxn, || {
            let answer = self.coordinator.call(&request, 0, newest)?;
            Ok((answer.error_code, (answer.producer_id.0, answer.producer_epoch)))
        })?;
        if self.bumps {
            self.id = next;
            self.sequence = 0;
        }
        Ok(())
    }

    /// Transactions, one after the other, until the window is over; each begins when it is `due`, or at once if that is past.
    fn work(mut self, window: Window, mut due: impl Iterator<Item = Instant>, series: &mut [Series]) -> Result<()> {
        let bytes = self.frame.batch_mut(&mut self.frame.bytes.clone()).len() as u64;
        loop {
            let due = due.next().unwrap_or(window.to).min(window.to);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let begun = Instant::now();
            if begun >= window.to {
                return Ok(());
            }
            self.write()?;
            let ending = Instant::now();
            self.commit()?;
            let ended = Instant::now();
            let [commit, transaction] = series else { unreachable!("a run has the series of its names") };
            if window.contains(ending) {
                commit.record_latency(ended - ending);
            }
            if window.contains(begun) {
                transaction.record_latency(ended - begun);
            }
            if window.contains(ended) {
                transaction.requests += 1;
                transaction.records += u64::from(self.records);
                transaction.bytes += bytes;
            }
        }
    }
}

impl Workload for Transactions {
    fn title(&self) -> String {
        let rate = self.rate.map_or(String::new(), |rate| format!(" at {rate} a second"));
        format!(
            "transactions: {} of {} B each{rate}, {}, {}",
            plural(self.records, "record"),
            self.record_size,
            plural(self.producers.into(), "producer"),
            plural(self.partitions as u32, "partition"),
        )
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        self.topic.with_topic(broker, self.partitions, |topic| {
            load::measure_by(broker, common, usize::from(self.producers), &NAMES, |number| {
                let producer = Producer::start(broker, topic, number, self)?;
                let (producers, rate) = (f64::from(self.producers), self.rate);
                // A producer's share of the rate; without one, everything is due at the start.
                let pause = rate.map_or(0.0, |rate| producers / rate);
                Ok(move |start, window, series: &mut [Series]| {
                    let at = |turn: u64| start + Duration::from_secs_f64(pause * (turn as f64 + number as f64 / producers));
                    producer.work(window, (0..).map(at), series)
                })
            })
        })
    }
}
