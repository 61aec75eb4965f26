//! `klamm cluster log-dirs`: what `kafka-log-dirs` shows.

use std::collections::BTreeSet;

use clap::Args;
use futures_util::future::join_all;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use serde::Serialize;

use crate::base::ids::BrokerId;
use crate::cli::connect::existing_topic;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::Problem;
use crate::cli::output::{Format, Table, or_dash, report, size};
use crate::client::cluster::{Topics, topic_name};
use crate::client::{Client, ClientError};
use crate::protocol::supplement::DescribeLogDirsResponse;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm cluster log-dirs
  klamm cluster log-dirs --topic orders --topic payments
  klamm cluster log-dirs --broker 1 --output json")]
pub struct LogDirs {
    /// Brokers to ask [default: all]
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    broker: Vec<BrokerId>,
    /// Show the partitions of these topics instead of whole directories
    #[arg(long, short, value_name = "TOPIC")]
    topic: Vec<String>,
}

#[derive(Serialize)]
struct Dir {
    broker: BrokerId,
    log_dir: String,
    /// Size and free space of the volume in bytes; null where the broker is too old to tell.
    total_bytes: Option<i64>,
    usable_bytes: Option<i64>,
    /// Takes no new replicas (KIP-1066).
    cordoned: bool,
    error: Option<Problem>,
    partitions: Vec<Replica>,
}

#[derive(Serialize)]
struct Replica {
    topic: String,
    partition: i32,
    size_bytes: i64,
    /// Records between this replica and the end that its broker knows.
    offset_lag: i64,
    /// Is being moved to this directory, and will replace the replica in another one.
    future: bool,
}

impl LogDirs {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let request = DescribeLogDirsRequest::default().with_topics(self.topics(client).await?);
        let brokers = self.brokers(client).await?;
        let asked = brokers.iter().map(async |id| {
            let answer = async { client.broker(*id).await?.send(&request).await }.await;
            answer.map(|response| dirs(*id, response)).map_err(CliError::from)
        });
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for answer in join_all(asked).await {
            match answer {
                Ok(dirs) => all.extend(dirs),
                Err(error) => errors.push(error),
            }
        }
        if errors.len() == 1 && brokers.len() == 1 {
            return Err(errors.remove(0));
        }
        format.print(&all, || if self.topic.is_empty() { dirs_table(&all) } else { replicas_table(&all) })?;
        errors.iter().for_each(report);
        match errors.len() {
            0 => Ok(()),
            failed if failed == brokers.len() => Err(CliError::failed("no broker could be asked")),
            failed => Err(CliError::Partly { failed, all: brokers.len(), what: "brokers" }),
        }
    }

    async fn brokers(&self, client: &Client) -> Result<BTreeSet<BrokerId>> {
        let present: BTreeSet<BrokerId> = client.metadata(Topics::None, false).await?.brokers.keys().copied().collect();
        let wanted: BTreeSet<BrokerId> = self.broker.iter().copied().collect();
        match wanted.difference(&present).next() {
            Some(missing) => Err(ClientError::UnknownBroker(*missing).into()),
            None if wanted.is_empty() => Ok(present),
            None => Ok(wanted),
        }
    }

    /// `None` asks for all.
    async fn topics(&self, client: &Client) -> Result<Option<Vec<DescribableLogDirTopic>>> {
        let mut topics = Vec::new();
        for name in &self.topic {
            let partitions = existing_topic(client, name).await?.partitions.iter().map(|p| p.partition).collect();
            topics.push(DescribableLogDirTopic::default().with_topic(topic_name(name)).with_partitions(partitions));
        }
        Ok(Some(topics).filter(|topics| !topics.is_empty()))
    }
}

fn dirs(broker: BrokerId, answer: DescribeLogDirsResponse) -> Vec<Dir> {
    let known = |bytes: i64| Some(bytes).filter(|bytes| *bytes >= 0);
    let cordoned = answer.is_cordoned;
    let results = answer.response.results.into_iter().enumerate();
    results
        .map(|(at, result)| {
            let log_dir = result.log_dir.to_string();
            let problem = |code| Problem::from(&ClientError::refused(format!("broker {broker}, {log_dir}"), code));
            let error = result.error_code.err().map(problem);
            let replicas = result.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|p| Replica {
                    topic: topic.name.to_string(),
                    partition: p.partition_index,
                    size_bytes: p.partition_size,
                    offset_lag: p.offset_lag,
                    future: p.is_future_key,
                })
            });
            let mut partitions: Vec<Replica> = replicas.collect();
            partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
            Dir {
                broker,
                total_bytes: known(result.total_bytes),
                usable_bytes: known(result.usable_bytes),
                cordoned: cordoned.get(at).copied().unwrap_or_default(),
                error,
                partitions,
                log_dir,
            }
        })
        .collect()
}

fn dirs_table(dirs: &[Dir]) -> String {
    let mut table = Table::new(&[">BROKER", "DIRECTORY", ">PARTITIONS", ">SIZE", ">FREE", ">VOLUME", "STATE"]);
    for dir in dirs {
        let state = match &dir.error {
            Some(error) => error.message.clone(),
            None if dir.cordoned => "cordoned".into(),
            None => "ok".into(),
        };
        table.row([
            dir.broker.to_string(),
            dir.log_dir.clone(),
            dir.partitions.len().to_string(),
            size(dir.partitions.iter().map(|p| p.size_bytes).sum()),
            or_dash(dir.usable_bytes.map(size)),
            or_dash(dir.total_bytes.map(size)),
            state,
        ]);
    }
    table.render()
}

fn replicas_table(dirs: &[Dir]) -> String {
    let mut table = Table::new(&["TOPIC", ">PARTITION", ">BROKER", "DIRECTORY", ">SIZE", ">LAG", "STATE"]);
    let mut rows: Vec<_> = dirs.iter().flat_map(|dir| dir.partitions.iter().map(move |p| (p, dir))).collect();
    rows.sort_by(|(a, d), (b, e)| (&a.topic, a.partition, d.broker).cmp(&(&b.topic, b.partition, e.broker)));
    for (p, dir) in rows {
        table.row([
            p.topic.clone(),
            p.partition.to_string(),
            dir.broker.to_string(),
            dir.log_dir.clone(),
            size(p.size_bytes),
            p.offset_lag.to_string(),
            if p.future { "moving here".into() } else { String::new() },
        ]);
    }
    table.render()
}
