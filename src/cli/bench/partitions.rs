//! `bench partitions`: what many partitions cost before anybody uses them: time until all are led, memory, maps, descriptors.

use std::time::{Duration, Instant};

use clap::Args;

use super::admin::Admin;
use super::error::Result;
use super::figure::Figure;
use super::load::{self, DEPTH, Seat, Tempo};
use super::made;
use super::options::{Broker, Common};
use super::produce::Producer;
use super::run::Workload;
use super::topic::{TopicOptions, deal};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  Ten thousand partitions in topics of a thousand, one record in each:
    klamm bench partitions --count 10000 --write
  Leave them there, to see how long a restart takes (klamm bench start --await bench-partitions=10000):
    klamm bench partitions --count 10000 --keep --rounds 1")]
pub struct Partitions {
    /// Partitions in all
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i32).range(1..))]
    pub count: i32,
    /// Partitions of each topic
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i32).range(1..))]
    pub per_topic: i32,
    /// Write one record to each partition
    #[arg(long)]
    pub write: bool,
    /// Do not delete the topics
    #[arg(long)]
    pub keep: bool,
    /// Beginning of the topics' names; a number follows
    #[arg(long, value_name = "NAME", default_value = "bench-partitions")]
    pub prefix: String,
    #[command(flatten)]
    pub topic: TopicOptions,
}

impl Partitions {
    /// Names and sizes of the topics to make.
    fn topics(&self) -> Vec<(String, i32)> {
        let sizes = (0..self.count).step_by(self.per_topic as usize).map(|from| self.per_topic.min(self.count - from));
        sizes.enumerate().map(|(i, size)| (format!("{}-{i}", self.prefix), size)).collect()
    }

    /// One record to each partition; gives how long that took.
    fn write_once(&self, broker: &Broker, admin: &mut Admin, topics: &[(String, i32)]) -> Result<Duration> {
        let mut took = Duration::ZERO;
        for (name, size) in topics {
            let leaders = admin.wait_until_ready(name, *size)?;
            let producer = Producer::new(&Admin::connect(&broker.address)?, name, -1, 1, 100)?;
            let start = Instant::now();
            for share in deal(&leaders, leaders.len().min(4))? {
                let requests = share.partitions.len() as u64;
                load::fill(
                    vec![Seat::open(&share.address, DEPTH, producer.exchange(&share, None, Vec::new()), Tempo::Closed, 0)?],
                    requests,
                )?;
            }
            took += start.elapsed();
        }
        Ok(took)
    }
}

impl Workload for Partitions {
    fn title(&self) -> String {
        format!(
            "partitions: {} in topics of {}{}",
            self.count,
            self.per_topic,
            if self.write { ", one record in each" } else { "" }
        )
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        load::settle(common);
        let usage = || broker.process.map(|process| process.usage()).transpose();
        let mut admin = Admin::connect(&broker.address)?;
        let (topics, before) = (self.topics(), usage()?);
        let start = Instant::now();
        for (name, size) in &topics {
            if !self.keep {
                made::will_be(&broker.address, name);
            }
            self.topic.create(&mut admin, name, *size)?;
        }
        let created = start.elapsed();
        for (name, size) in &topics {
            admin.wait_until_ready(name, *size)?;
        }
        let ready = start.elapsed();
        let mut figure = Figure::default();
        figure.push("created_ms", "created ms", created.as_secs_f64() * 1e3);
        figure.push("ready_ms", "all led and answering ms", ready.as_secs_f64() * 1e3);
        if self.write {
            figure.push(
                "first_write_ms",
                "one record in each ms",
                self.write_once(broker, &mut admin, &topics)?.as_secs_f64() * 1e3,
            );
        }
        // What a broker does after it has answered counts as well.
        std::thread::sleep(common.warmup);
        if let (Some(before), Some(after)) = (before, usage()?) {
            figure.push_usage(&after);
            let grown = after.anonymous.saturating_sub(before.anonymous) as f64;
            figure.push("anonymous_kib_per_partition", "anonymous KiB/partition", grown / 1024.0 / f64::from(self.count));
        }
        if !self.keep {
            topics.iter().try_for_each(|(name, _)| made::delete(&broker.address, name))?;
        }
        Ok(figure)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        partitions: Partitions,
    }

    #[test]
    fn the_last_topic_holds_the_rest() {
        let line = Line::parse_from(["bench", "--count", "2500", "--prefix", "p"]);
        let topics = line.partitions.topics();
        assert_eq!(topics, [("p-0".to_owned(), 1000), ("p-1".to_owned(), 1000), ("p-2".to_owned(), 500)]);
    }
}
