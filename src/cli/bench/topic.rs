//! The topic of one figure: fresh, so that nothing an earlier one left behind counts, and gone afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use super::admin::{Admin, Leader, NewTopic};
use super::error::{BenchError, Result};
use super::made;
use super::options::{Broker, key_value};

#[derive(Args, Clone, Debug)]
pub struct TopicOptions {
    /// Use this topic as it is; by default each figure makes one and deletes it
    #[arg(long, value_name = "NAME")]
    pub topic: Option<String>,
    /// Replicas of each partition of the topic that is made
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i16).range(1..))]
    pub replication_factor: i16,
    /// What an acknowledgement promises about the disk
    #[arg(long, value_enum, default_value_t = Flush::Background)]
    pub flush: Flush,
    /// Further configuration of the topic that is made
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub topic_config: Vec<(String, String)>,
}

/// The promise behind an acknowledgement. Brokers name it differently, and have different defaults: to compare them, ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Flush {
    /// The page cache; the disk follows: `flush=background`, or nothing where that is not known, as in Kafka
    Background,
    /// The disk: `flush=on-ack`, or `flush.messages=1` where that is not known, as in Kafka
    OnAck,
    /// Whatever the broker does by itself
    Default,
}

impl Flush {
    /// Topic configs that say it, best first; a broker refuses names it does not know.
    fn configs(self) -> &'static [&'static [(&'static str, &'static str)]] {
        match self {
            Flush::Background => &[&[("flush", "background")], &[]],
            Flush::OnAck => &[&[("flush", "on-ack")], &[("flush.messages", "1")]],
            Flush::Default => &[&[]],
        }
    }
}

/// A topic that is ready to be written and read.
pub struct BenchTopic {
    pub name: String,
    pub leaders: Vec<Leader>,
}

/// What one connection works on: partitions of one leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub address: String,
    pub partitions: Vec<i32>,
}

impl TopicOptions {
    /// Runs `measure` with a topic of `partitions` partitions on `broker`; deletes it afterwards if it was made here.
    pub fn with_topic<T>(&self, broker: &Broker, partitions: i32, measure: impl FnOnce(&BenchTopic) -> Result<T>) -> Result<T> {
        let mut admin = Admin::connect(&broker.address)?;
        let name = match &self.topic {
            Some(name) => {
                let leaders =
                    admin.leaders(name)?.ok_or_else(|| BenchError::Usage(format!("{}: no topic {name}", broker.address)))?;
                return measure(&BenchTopic { name: name.clone(), leaders });
            }
            None => fresh_name(),
        };
        made::will_be(&broker.address, &name);
        self.create(&mut admin, &name, partitions)?;
        let outcome =
            admin.wait_until_ready(&name, partitions).and_then(|leaders| measure(&BenchTopic { name: name.clone(), leaders }));
        let deleted = made::delete(&broker.address, &name);
        let value = outcome?;
        deleted.map(|()| value)
    }

    /// Makes a topic in the first way that the broker understands.
    pub fn create(&self, admin: &mut Admin, name: &str, partitions: i32) -> Result<()> {
        // Kafka keeps the files of a deleted topic for a minute: a disk full of those would slow the next figure down.
        let quick: &[(&str, &str)] = &[("file.delete.delay.ms", "1000")];
        for housekeeping in [quick, &[]] {
            for promise in self.flush.configs() {
                let known = promise.iter().chain(housekeeping).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
                let configs = known.chain(self.topic_config.iter().cloned()).collect();
                let topic = NewTopic { name: name.to_owned(), partitions, replication_factor: self.replication_factor, configs };
                if admin.create_topic(&topic)? {
                    return Ok(());
                }
            }
        }
        Err(BenchError::Usage(format!(
            "the broker knows none of the ways to make a topic with {:?} and {:?}",
            self.flush, self.topic_config
        )))
    }
}

/// A name that no earlier figure had, in this process or another.
fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    format!("bench-{now:x}-{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Deals partitions out to connections: every connection speaks to one leader, and no partition has two connections unless there are
/// more connections than partitions.
pub fn deal(leaders: &[Leader], connections: usize) -> Result<Vec<Share>> {
    let mut by_address: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for leader in leaders {
        by_address.entry(&leader.address).or_default().push(leader.partition);
    }
    let groups: Vec<(&str, Vec<i32>)> = by_address.into_iter().collect();
    if groups.is_empty() || connections < groups.len() {
        return Err(BenchError::Usage(format!("{} brokers lead the partitions: as many connections are needed", groups.len())));
    }
    let share = |connection: usize| {
        let (address, partitions) = &groups[connection % groups.len()];
        let (rank, peers) = (connection / groups.len(), (connections - connection % groups.len()).div_ceil(groups.len()));
        let mine = if rank < partitions.len() {
            partitions.iter().skip(rank).step_by(peers).copied().collect()
        } else {
            vec![partitions[rank % partitions.len()]]
        };
        Share { address: (*address).to_owned(), partitions: mine }
    };
    Ok((0..connections).map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaders(addresses: &[&str]) -> Vec<Leader> {
        addresses.iter().enumerate().map(|(i, a)| Leader { partition: i as i32, address: (*a).to_owned() }).collect()
    }

    fn check(addresses: &[&str], connections: usize, expected: &[(&str, &[i32])]) {
        let shares = deal(&leaders(addresses), connections).expect("enough connections");
        let shares: Vec<_> = shares.iter().map(|s| (s.address.as_str(), s.partitions.as_slice())).collect();
        assert_eq!(shares, expected);
    }

    #[test]
    fn partitions_are_dealt_in_turn() {
        check(&["a", "a", "a", "a", "a"], 2, &[("a", &[0, 2, 4]), ("a", &[1, 3])]);
        check(&["a", "a"], 3, &[("a", &[0]), ("a", &[1]), ("a", &[0])]);
        check(&["a", "b", "a", "b", "a"], 3, &[("a", &[0, 4]), ("b", &[1, 3]), ("a", &[2])]);
    }

    #[test]
    fn each_leader_needs_a_connection() {
        assert!(deal(&leaders(&["a", "b"]), 1).is_err());
        assert!(deal(&[], 1).is_err());
    }
}
