//! `bench fetch`: reading what lies in the page cache, over and over from the start of the log.

use clap::Args;
use kafka_protocol::messages::ApiKey;

use super::admin::Admin;
use super::error::{BenchError, Result};
use super::exchange::{AtEnd, FetchExchange};
use super::figure::Figure;
use super::frame::{FetchFrame, FetchLimits};
use super::load::{self, DEPTH, Seat, Tempo};
use super::options::{Broker, Common, byte_size};
use super::produce::Producer;
use super::run::{Workload, plural};
use super::topic::{BenchTopic, Share, TopicOptions, deal};

/// Fetch v12: the last that names topics, so no topic id must be asked for first.
const VERSION: i16 = 12;
const MAX_WAIT_MS: i32 = 500;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  A consumer that is behind, 1 MiB at a time:
    klamm bench fetch
  Small reads, and check every batch:
    klamm bench fetch --max-bytes 16KiB --check-crc
  A topic that is there already:
    klamm bench fetch --topic orders --connections 2")]
pub struct Fetch {
    /// Bytes that one answer may hold
    #[arg(long, default_value = "1MiB", value_parser = byte_size)]
    pub max_bytes: u64,
    /// Connections; each reads one partition and waits for each answer
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Bytes that are written to each partition before it is read
    #[arg(long, default_value = "256MiB", value_parser = byte_size)]
    pub fill: u64,
    /// Records in each batch that is written
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub records: u32,
    /// Bytes of each record's value
    #[arg(long, default_value = "1KiB", value_parser = byte_size)]
    pub record_size: u64,
    /// Check the CRC of every batch that comes back; costs the generator CPU
    #[arg(long)]
    pub check_crc: bool,
    /// Read at read_committed: what is decided, with the aborted transactions named
    #[arg(long)]
    pub committed: bool,
    #[command(flatten)]
    pub topic: TopicOptions,
}

/// A consumer of one partition. Versions are asked of `admin`'s broker.
pub fn consumer(
    admin: &Admin,
    topic: &str,
    partition: i32,
    limits: FetchLimits,
    at_end: AtEnd,
    check_crc: bool,
) -> Result<FetchExchange> {
    let version = admin.version(ApiKey::Fetch, VERSION, VERSION)?;
    Ok(FetchExchange { frame: FetchFrame::new(version, topic, partition, limits), offset: 0, at_end, check_crc })
}

/// Limits of a fetch that answers as soon as there is anything.
pub fn limits(max_bytes: u64) -> Result<FetchLimits> {
    let max_bytes = i32::try_from(max_bytes).map_err(|_| BenchError::Usage("a fetch cannot ask for 2 GiB".to_owned()))?;
    Ok(FetchLimits { max_bytes, min_bytes: 1, max_wait_ms: MAX_WAIT_MS, committed: false })
}

impl Fetch {
    fn fill(&self, broker: &Broker, topic: &BenchTopic) -> Result<()> {
        let admin = Admin::connect(&broker.address)?;
        let producer = Producer::new(&admin, &topic.name, -1, self.records, self.record_size)?;
        let requests = (self.fill / (u64::from(self.records) * self.record_size).max(1)).max(1);
        let shares = deal(&topic.leaders, topic.leaders.len())?;
        let seat =
            |share: Share| Seat::open(&share.address, DEPTH, producer.exchange(&share, None, Vec::new()), Tempo::Closed, 0);
        load::fill(shares.into_iter().map(seat).collect::<Result<_>>()?, requests)
    }

    fn load(&self, broker: &Broker, common: &Common, topic: &BenchTopic) -> Result<Figure> {
        if self.topic.topic.is_none() {
            self.fill(broker, topic)?;
        }
        let admin = Admin::connect(&broker.address)?;
        let shares = deal(&topic.leaders, usize::from(self.connections))?;
        let limits = FetchLimits { committed: self.committed, ..limits(self.max_bytes)? };
        let threads = usize::from(common.threads);
        load::measure(broker, common, &[""], |thread| {
            let mine = shares.iter().enumerate().filter(|(lane, _)| lane % threads == thread);
            mine.map(|(_, share)| {
                let exchange = consumer(&admin, &topic.name, share.partitions[0], limits, AtEnd::Rewind, self.check_crc)?;
                Seat::open(&share.address, 1, exchange, Tempo::Closed, 0)
            })
            .collect()
        })
    }
}

impl Workload for Fetch {
    fn title(&self) -> String {
        let isolation = if self.committed { ", read_committed" } else { "" };
        format!("fetch: up to {} B a request, {}{isolation}", self.max_bytes, plural(self.connections.into(), "connection"))
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        self.topic.with_topic(broker, i32::from(self.connections), |topic| self.load(broker, common, topic))
    }
}
