//! `bench idle`: what a connection costs that says nothing, and what many of them do to the others.

use clap::Args;

use super::admin::Admin;
use super::error::{BenchError, Result};
use super::figure::Figure;
use super::load::{self, DEPTH_AT_RATE, Seat, Tempo};
use super::options::{Broker, Common, raise_descriptor_limit, rate};
use super::process::Usage;
use super::produce::Producer;
use super::run::Workload;
use super::topic::{BenchTopic, Flush, TopicOptions, deal};

/// Descriptors this process needs beside the idle connections.
const DESCRIPTORS_SPARE: u64 = 64;
const PROBE_RECORD_SIZE: u64 = 100;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  Ten thousand connections that have asked for ApiVersions and now wait:
    klamm bench idle --connections 10000")]
pub struct Idle {
    /// Connections that are opened, say ApiVersions, and are held
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// Requests a second (one record of 100 B each) whose latency is taken before, and while the connections are held
    #[arg(long, default_value = "1000", value_parser = rate)]
    pub rate: f64,
}

impl Idle {
    /// Latency of the few who speak, at a rate that is no burden.
    fn probe(&self, broker: &Broker, common: &Common, topic: &BenchTopic) -> Result<Figure> {
        let admin = Admin::connect(&broker.address)?;
        let share = deal(&topic.leaders, 1)?.remove(0);
        let producer = Producer::new(&admin, &topic.name, -1, 1, PROBE_RECORD_SIZE)?;
        let single = Common { threads: 1, ..common.clone() };
        load::measure(broker, &single, &[""], |_| {
            let tempo = Tempo::Rate { rate: self.rate, lane: 0, lanes: 1 };
            Ok(vec![Seat::open(&share.address, DEPTH_AT_RATE, producer.exchange(&share, None, Vec::new()), tempo, 0)?])
        })
    }

    fn load(&self, broker: &Broker, common: &Common, topic: &BenchTopic) -> Result<Figure> {
        let process =
            broker.process.ok_or_else(|| BenchError::Usage("memory is measured through /proc: give --pid".to_owned()))?;
        let alone = self.probe(broker, common, topic)?;
        let before = process.usage()?;
        let held = (0..self.connections).map(|_| Admin::connect(&broker.address)).collect::<Result<Vec<_>>>()?;
        let among = self.probe(broker, common, topic)?;
        let during = process.usage()?;
        drop(held);
        Ok(self.figure(alone, among, &before, &during))
    }

    fn figure(&self, alone: Figure, among: Figure, before: &Usage, during: &Usage) -> Figure {
        let mut figure = Figure::default();
        let grown = during.anonymous.saturating_sub(before.anonymous) as f64;
        figure.push(
            "anonymous_kib_per_connection",
            "anonymous KiB/idle connection",
            grown / 1024.0 / f64::from(self.connections),
        );
        figure.push_usage(during);
        for (name, part) in [("alone", &alone), ("among idle", &among)] {
            for (key, label) in [("p50_us", "p50 µs"), ("p99_us", "p99 µs"), ("p99_9_us", "p99.9 µs")] {
                let value = part.get(key).expect("every series has its percentiles");
                figure.push(format!("{}_{key}", name.replace(' ', "_")), format!("{name} {label}"), value);
            }
            figure.push(
                format!("{}_cpu_percent", name.replace(' ', "_")),
                format!("{name} CPU %"),
                part.get("cpu_percent").unwrap_or(0.0),
            );
        }
        for (name, mut part) in [("alone", alone), ("among idle", among)] {
            part.series.iter_mut().for_each(|series| series.name = name);
            figure.series.append(&mut part.series);
        }
        figure
    }
}

impl Workload for Idle {
    fn title(&self) -> String {
        format!("idle: {} connections held, one other at {} requests/s", self.connections, self.rate)
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        raise_descriptor_limit(u64::from(self.connections) + DESCRIPTORS_SPARE)?;
        let options = TopicOptions { topic: None, replication_factor: 1, flush: Flush::Background, topic_config: Vec::new() };
        options.with_topic(broker, 1, |topic| self.load(broker, common, topic))
    }
}
