//! `bench produce` and `bench flush`: batches to many partitions, as fast as the broker takes them or at a fixed rate.

use clap::Args;
use kafka_protocol::messages::ApiKey;

use super::admin::Admin;
use super::batch;
use super::error::{BenchError, Result};
use super::exchange::{ProduceExchange, SharedJourney};
use super::figure::Figure;
use super::frame::ProduceFrame;
use super::load::{self, DEPTH, DEPTH_AT_RATE, Seat, Tempo};
use super::options::{Broker, Common, byte_size, rate};
use super::run::{Workload, plural};
use super::topic::{BenchTopic, Flush, Share, TopicOptions, deal};
use crate::base::ids::{ProducerEpoch, ProducerId};
use crate::base::time::Clock;

/// Produce v9–12: flexible encoding, topics by name.
pub const VERSIONS: (i16, i16) = (9, 12);

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  One small record a request, four connections, 64 partitions:
    klamm bench produce --connections 4 --partitions 64
  Batches of 16 KiB at 3,000 a second; latency counts from when a request was due:
    klamm bench produce --records 16 --record-size 1KiB --rate 3000
  Two brokers in turn, five rounds, ratios:
    klamm bench produce --compare kafka=localhost:9092 klamm=localhost:9192 --rounds 5")]
pub struct Produce {
    /// Records in each request
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub records: u32,
    /// Bytes of each record's value
    #[arg(long, default_value = "100", value_parser = byte_size)]
    pub record_size: u64,
    /// Connections
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Partitions of the topic; they are dealt out to the connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Requests that may wait for their answer on each connection [default: 5, at a fixed rate 64]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub depth: Option<u16>,
    /// Replicas that must have the records before the answer: -1 (all in sync), 1 or 0 (no answer)
    #[arg(long, default_value_t = -1, allow_hyphen_values = true, value_parser = clap::value_parser!(i16).range(-1..=1))]
    pub acks: i16,
    /// Requests a second over all connections, whether the broker keeps up or not [default: as many as it takes]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// Number the batches as an idempotent producer does (KIP-98)
    #[arg(long)]
    pub idempotent: bool,
    #[command(flatten)]
    pub topic: TopicOptions,
}

/// `bench flush`: the price of an acknowledgement that stands for the disk.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  Eight connections, one partition, every acknowledged record on the disk:
    klamm bench flush
  The same on two brokers, each in its own words (flush=on-ack, flush.messages=1):
    klamm bench flush --compare kafka=localhost:9092 klamm=localhost:9192")]
pub struct FlushBench {
    /// Bytes of each record's value
    #[arg(long, default_value = "100", value_parser = byte_size)]
    pub record_size: u64,
    /// Connections
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Partitions of the topic
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Requests that may wait for their answer on each connection
    #[arg(long, default_value_t = DEPTH as u16, value_parser = clap::value_parser!(u16).range(1..))]
    pub depth: u16,
}

impl FlushBench {
    pub fn into_produce(self) -> Produce {
        let topic = TopicOptions { topic: None, replication_factor: 1, flush: Flush::OnAck, topic_config: Vec::new() };
        Produce {
            records: 1,
            record_size: self.record_size,
            connections: self.connections,
            partitions: self.partitions,
            depth: Some(self.depth),
            acks: -1,
            rate: None,
            idempotent: false,
            topic,
        }
    }
}

/// What every producing connection of a run has in common.
pub struct Producer<'a> {
    pub topic: &'a str,
    pub version: i16,
    pub acks: i16,
    pub records: u32,
    pub record_size: usize,
}

impl Producer<'_> {
    pub fn new<'a>(admin: &Admin, topic: &'a str, acks: i16, records: u32, record_size: u64) -> Result<Producer<'a>> {
        let version = admin.version(ApiKey::Produce, VERSIONS.0, VERSIONS.1)?;
        let record_size = usize::try_from(record_size).ok().filter(|size| size.saturating_mul(records as usize) < 1 << 30);
        let record_size = record_size.ok_or_else(|| BenchError::Usage("a request cannot hold a GiB of records".to_owned()))?;
        Ok(Producer { topic, version, acks, records, record_size })
    }

    /// The conversation of one connection with the partitions of its share.
    pub fn exchange(
        &self,
        share: &Share,
        id: Option<(ProducerId, ProducerEpoch)>,
        journeys: Vec<SharedJourney>,
    ) -> ProduceExchange {
        let batch = batch::build(self.records, self.record_size, Clock::system().wall_ms(), id);
        ProduceExchange {
            frame: ProduceFrame::new(self.version, self.topic, self.acks, None, batch),
            partitions: share.partitions.clone(),
            acks: self.acks,
            records: self.records,
            record_size: self.record_size,
            sequences: id.map(|_| vec![0; share.partitions.len()]),
            journeys,
            lockstep: false,
            turn: 0,
        }
    }
}

impl Produce {
    fn depth(&self) -> usize {
        self.depth.map_or(if self.rate.is_some() { DEPTH_AT_RATE } else { DEPTH }, usize::from)
    }

    fn load(&self, broker: &Broker, common: &Common, topic: &BenchTopic) -> Result<Figure> {
        let connections = usize::from(self.connections);
        let shares = deal(&topic.leaders, connections)?;
        let mut admin = Admin::connect(&broker.address)?;
        let producer = Producer::new(&admin, &topic.name, self.acks, self.records, self.record_size)?;
        let ids =
            shares.iter().map(|_| self.idempotent.then(|| admin.init_producer_id()).transpose()).collect::<Result<Vec<_>>>()?;
        let threads = usize::from(common.threads);
        load::measure(broker, common, &[""], |thread| {
            let mine = shares.iter().zip(&ids).enumerate().filter(|(lane, _)| lane % threads == thread);
            mine.map(|(lane, (share, id))| {
                let tempo = self.rate.map_or(Tempo::Closed, |rate| Tempo::Rate { rate, lane, lanes: connections });
                Seat::open(&share.address, self.depth(), producer.exchange(share, *id, Vec::new()), tempo, 0)
            })
            .collect()
        })
    }
}

impl Workload for Produce {
    fn title(&self) -> String {
        let rate = self.rate.map_or(String::new(), |rate| format!(" at {rate} requests/s"));
        let disk = if self.topic.flush == Flush::OnAck { ", on the disk before the answer" } else { "" };
        format!(
            "produce: {} of {} B a request{rate}, {}, {}, depth {}, acks {}{disk}",
            plural(self.records, "record"),
            self.record_size,
            plural(self.connections.into(), "connection"),
            plural(self.partitions as u32, "partition"),
            self.depth(),
            self.acks,
        )
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        self.topic.with_topic(broker, self.partitions, |topic| self.load(broker, common, topic))
    }
}
