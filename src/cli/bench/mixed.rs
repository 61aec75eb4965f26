//! `bench end-to-end` and `bench mixed`: producers and waiting consumers at the same time, and the time a record takes from one to the
//! other. All on one thread: the clock that starts a journey is the one that ends it, and no hand-over between threads is measured.

use std::rc::Rc;

use clap::Args;

use super::admin::Admin;
use super::error::{BenchError, Result};
use super::exchange::{AtEnd, SharedJourney};
use super::fetch::{consumer, limits};
use super::figure::Figure;
use super::load::{self, DEPTH_AT_RATE, Seat, Tempo};
use super::options::{Broker, Common, byte_size, rate};
use super::produce::Producer;
use super::run::{Workload, plural};
use super::topic::{BenchTopic, TopicOptions, deal};

/// Series of these runs: from due to acknowledged, from due to consumed, and fetches of those who read from the start.
const NAMES: [&str; 3] = ["ack", "end to end", "catch-up"];
const CONSUMER_MAX_BYTES: u64 = 1 << 20;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  The next record leaves when the last has been consumed:
    klamm bench end-to-end
  A thousand records a second, whatever becomes of them:
    klamm bench end-to-end --rate 1000")]
pub struct EndToEnd {
    /// Bytes of each record's value
    #[arg(long, default_value = "100", value_parser = byte_size)]
    pub record_size: u64,
    /// Records a second [default: one at a time, the next when the last has been consumed]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    #[command(flatten)]
    pub topic: TopicOptions,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  Four producers and four consumers at 20,000 requests a second, and one consumer that is far behind:
    klamm bench mixed --rate 20000 --catch-up 1")]
pub struct Mixed {
    /// Connections that produce; each writes partitions of its own
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub producers: u16,
    /// Partitions; each has a consumer that waits at its end
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub partitions: i32,
    /// Consumers that read a partition from its start, over and over
    #[arg(long, default_value_t = 0)]
    pub catch_up: u16,
    /// Records in each request
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub records: u32,
    /// Bytes of each record's value
    #[arg(long, default_value = "1KiB", value_parser = byte_size)]
    pub record_size: u64,
    /// Requests a second over all producers
    #[arg(long, default_value = "10000", value_parser = rate)]
    pub rate: f64,
    #[command(flatten)]
    pub topic: TopicOptions,
}

/// The shape that both commands are.
struct Plan<'a> {
    producers: usize,
    catch_up: usize,
    records: u32,
    record_size: u64,
    /// `None`: in lockstep.
    rate: Option<f64>,
    topic: &'a TopicOptions,
}

impl Plan<'_> {
    fn seats(&self, admin: &Admin, topic: &BenchTopic) -> Result<Vec<Seat>> {
        let producer = Producer::new(admin, &topic.name, -1, self.records, self.record_size)?;
        let limits = limits(CONSUMER_MAX_BYTES)?;
        let journeys: Vec<SharedJourney> = topic.leaders.iter().map(|_| Rc::default()).collect();
        let mut seats = Vec::new();
        // Consumers first: they shall be waiting when the first record leaves.
        for leader in &topic.leaders {
            let journey = journeys[leader.partition as usize].clone();
            let at_end = AtEnd::Wait { journey, records: self.records };
            let exchange = consumer(admin, &topic.name, leader.partition, limits, at_end, false)?;
            seats.push(Seat::open(&leader.address, 1, exchange, Tempo::Follow, 1)?);
        }
        for leader in topic.leaders.iter().cycle().take(self.catch_up) {
            let exchange = consumer(admin, &topic.name, leader.partition, limits, AtEnd::Rewind, false)?;
            seats.push(Seat::open(&leader.address, 1, exchange, Tempo::Follow, 2)?);
        }
        for (lane, share) in deal(&topic.leaders, self.producers)?.iter().enumerate() {
            let own = share.partitions.iter().map(|p| journeys[*p as usize].clone()).collect();
            let mut exchange = producer.exchange(share, None, own);
            exchange.lockstep = self.rate.is_none();
            let tempo = self.rate.map_or(Tempo::Closed, |rate| Tempo::Rate { rate, lane, lanes: self.producers });
            seats.push(Seat::open(&share.address, DEPTH_AT_RATE, exchange, tempo, 0)?);
        }
        Ok(seats)
    }

    fn measure(&self, broker: &Broker, common: &Common, partitions: i32) -> Result<Figure> {
        if common.threads != 1 || self.topic.topic.is_some() || self.producers > partitions as usize {
            let what = "journeys need one thread, a fresh topic, and no more producers than partitions";
            return Err(BenchError::Usage(what.to_owned()));
        }
        let names = if self.catch_up > 0 { &NAMES[..] } else { &NAMES[..2] };
        self.topic.with_topic(broker, partitions, |topic| {
            load::measure(broker, common, names, |_| self.seats(&Admin::connect(&broker.address)?, topic))
        })
    }
}

impl Workload for EndToEnd {
    fn title(&self) -> String {
        let rate = self.rate.map_or("the next when the last was consumed".to_owned(), |rate| format!("{rate} a second"));
        format!("end to end: one record of {} B at a time, {rate}", self.record_size)
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        let plan =
            Plan { producers: 1, catch_up: 0, records: 1, record_size: self.record_size, rate: self.rate, topic: &self.topic };
        plan.measure(broker, common, 1)
    }
}

impl Workload for Mixed {
    fn title(&self) -> String {
        format!(
            "mixed: {} of {} B a request at {} requests/s, {}, {} with a consumer each, {} catching up",
            plural(self.records, "record"),
            self.record_size,
            self.rate,
            plural(self.producers.into(), "producer"),
            plural(self.partitions as u32, "partition"),
            self.catch_up,
        )
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        let plan = Plan {
            producers: self.producers.into(),
            catch_up: self.catch_up.into(),
            records: self.records,
            record_size: self.record_size,
            rate: Some(self.rate),
            topic: &self.topic,
        };
        plan.measure(broker, common, self.partitions)
    }
}
