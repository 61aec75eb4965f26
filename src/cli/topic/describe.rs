//! `klamm topic describe`.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use futures_util::future::join_all;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use serde::Serialize;

use crate::cli::connect::no_topic;
use crate::cli::error::Result;
use crate::cli::outcome::tell_failures;
use crate::cli::output::{Format, Table, list, or_dash, report, size};
use crate::client::cluster::{Topics, topic_name};
use crate::client::configs::ConfigResource;
use crate::client::metadata::{Partition, Topic};
use crate::client::{Client, ClientError, kafka_name};
use crate::protocol::supplement::{CompactionLag, DescribeLogDirsResponse};
use crate::storage::checkpoint::uuid_text;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm topic describe orders
  klamm topic describe orders payments --output json
  klamm topic describe --under-replicated-partitions
  klamm topic describe --unavailable-partitions")]
pub struct Describe {
    /// Topics to show [default: all but the cluster's own]
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// Show only partitions of which a replica has fallen behind
    #[arg(long)]
    under_replicated_partitions: bool,
    /// Show only partitions that nobody leads
    #[arg(long)]
    unavailable_partitions: bool,
}

#[derive(Serialize)]
struct Described {
    name: String,
    id: String,
    internal: bool,
    partition_count: usize,
    replication_factor: usize,
    /// What was set for this topic itself.
    configs: Vec<Config>,
    partitions: Vec<Row>,
}

#[derive(Serialize)]
struct Config {
    name: String,
    value: Option<String>,
}

#[derive(Serialize)]
struct Row {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    offline_replicas: Vec<i32>,
    error: Option<String>,
    /// Null of a partition that is not compacted, or whose leader does not tell.
    compaction: Option<Compaction>,
}

/// How much of the leader's log waits to be compacted.
#[derive(Serialize)]
struct Compaction {
    clean_bytes: u64,
    dirty_bytes: u64,
    /// The log is left alone because of an error.
    uncleanable: bool,
}

impl Row {
    fn new(p: &Partition) -> Self {
        Self {
            partition: p.partition,
            leader: p.leader,
            leader_epoch: p.leader_epoch,
            replicas: p.replicas.clone(),
            isr: p.isr.clone(),
            offline_replicas: p.offline.clone(),
            error: p.error.map(kafka_name),
            compaction: None,
        }
    }
}

impl Describe {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let asked = if names.is_empty() { Topics::All } else { Topics::Named(&names) };
        let metadata = client.metadata(asked, false).await?;
        let filters = self.under_replicated_partitions || self.unavailable_partitions;
        let (mut described, mut errors) = (Vec::new(), Vec::new());
        for topic in metadata.topics.values() {
            match topic.error {
                Some(crate::base::ErrorCode::UnknownTopicOrPartition) => {
                    errors.push(no_topic(client, &topic.name).await?);
                    continue;
                }
                Some(code) if topic.partitions.is_empty() => {
                    errors.push(ClientError::refused(format!("topic {}", topic.name), code).into());
                    continue;
                }
                _ => {}
            }
            if names.is_empty() && topic.internal && !filters {
                continue;
            }
            let partitions: Vec<Row> = topic.partitions.iter().filter(|p| self.shows(p)).map(Row::new).collect();
            if filters && partitions.is_empty() {
                continue;
            }
            described.push(Described { configs: configs(client, &topic.name).await?, ..describe(topic, partitions) });
        }
        if !filters {
            tell_compaction(client, &mut described).await;
        }
        if errors.len() == 1 && metadata.topics.len() == 1 {
            return Err(errors.remove(0));
        }
        format.print(&described, || text(&described, filters))?;
        errors.iter().for_each(report);
        tell_failures(errors.len(), metadata.topics.len(), "topics")
    }

    fn shows(&self, partition: &Partition) -> bool {
        let filtered = self.under_replicated_partitions || self.unavailable_partitions;
        !filtered
            || self.under_replicated_partitions && partition.is_under_replicated()
            || self.unavailable_partitions && partition.leader.is_none()
    }
}

fn describe(topic: &Topic, partitions: Vec<Row>) -> Described {
    Described {
        name: topic.name.clone(),
        id: uuid_text::format(topic.id),
        internal: topic.internal,
        partition_count: topic.partitions.len(),
        replication_factor: topic.partitions.first().map_or(0, |p| p.replicas.len()),
        configs: Vec::new(),
        partitions,
    }
}

/// What was set for the topic itself. A broker that keeps its configuration to itself has none to tell.
async fn configs(client: &Client, name: &str) -> Result<Vec<Config>> {
    let resource = ConfigResource::Topic(name.to_owned());
    let entries = match client.describe_configs(&resource, false).await {
        Ok(entries) => entries,
        Err(ClientError::Version { .. }) => return Ok(Vec::new()),
        Err(error) if error.code() == Some(crate::base::ErrorCode::TopicAuthorizationFailed) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let set = entries.into_iter().filter(|entry| entry.is_set_here(&resource));
    Ok(set.map(|entry| Config { name: entry.name, value: entry.value }).collect())
}

/// Asks the leaders how much waits to be compacted. A broker that does not tell leaves it open.
async fn tell_compaction(client: &Client, described: &mut [Described]) {
    let mut asked: BTreeMap<i32, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
    for topic in &*described {
        for row in &topic.partitions {
            if let Some(leader) = row.leader {
                asked.entry(leader).or_default().entry(&topic.name).or_default().push(row.partition);
            }
        }
    }
    let ask = asked.into_iter().map(async |(leader, topics)| {
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| DescribableLogDirTopic::default().with_topic(topic_name(name)).with_partitions(partitions));
        let request = DescribeLogDirsRequest::default().with_topics(Some(topics.collect()));
        let answer = async { client.broker(leader).await?.send(&request).await }.await;
        answer.map_or_else(|_: ClientError| Vec::new(), |answer: DescribeLogDirsResponse| answer.response.results)
    });
    let mut lags = HashMap::new();
    for result in join_all(ask).await.into_iter().flatten() {
        for topic in &result.topics {
            let told = topic.partitions.iter().filter_map(|p| Some((p.partition_index, CompactionLag::of(p)?)));
            lags.extend(told.map(|(partition, lag)| ((topic.name.to_string(), partition), lag)));
        }
    }
    for topic in described {
        for row in &mut topic.partitions {
            row.compaction = lags.remove(&(topic.name.clone(), row.partition)).map(|lag| Compaction {
                clean_bytes: lag.clean_bytes,
                dirty_bytes: lag.dirty_bytes,
                uncleanable: lag.uncleanable,
            });
        }
    }
}

impl Compaction {
    fn text(&self) -> String {
        let percent = 100.0 * self.dirty_bytes as f64 / (self.clean_bytes + self.dirty_bytes).max(1) as f64;
        let waits = format!("{} ({percent:.0} %)", size(i64::try_from(self.dirty_bytes).unwrap_or(i64::MAX)));
        if self.uncleanable { format!("{waits}, uncleanable") } else { waits }
    }
}

fn text(topics: &[Described], filtered: bool) -> String {
    if filtered {
        return partitions(topics.iter().flat_map(|topic| topic.partitions.iter().map(move |row| (topic, row))), true);
    }
    let text = |topic: &Described| {
        let configs = topic.configs.iter().map(|c| format!("{}={}", c.name, c.value.as_deref().unwrap_or("(null)")));
        format!(
            "{}\n  id                  {}\n  partitions          {}\n  replication factor  {}\n  configuration       {}\n\n{}",
            topic.name,
            topic.id,
            topic.partition_count,
            topic.replication_factor,
            list(configs),
            partitions(topic.partitions.iter().map(|row| (topic, row)), false),
        )
    };
    topics.iter().map(text).collect::<Vec<_>>().join("\n")
}

fn partitions<'a>(rows: impl Iterator<Item = (&'a Described, &'a Row)>, named: bool) -> String {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let compacted = rows.iter().any(|(_, row)| row.compaction.is_some());
    let columns = [">PARTITION", ">LEADER", ">EPOCH", "REPLICAS", "ISR", "OFFLINE", "ERROR"];
    let columns = named.then_some("TOPIC").into_iter().chain(columns).chain(compacted.then_some(">UNCOMPACTED"));
    let mut table = Table::new(&columns.collect::<Vec<_>>());
    for (topic, row) in rows {
        let cells = [
            row.partition.to_string(),
            or_dash(row.leader),
            row.leader_epoch.to_string(),
            list(&row.replicas),
            list(&row.isr),
            if row.offline_replicas.is_empty() { String::new() } else { list(&row.offline_replicas) },
            row.error.clone().unwrap_or_default(),
        ];
        let waits = compacted.then(|| or_dash(row.compaction.as_ref().map(Compaction::text)));
        table.row(named.then(|| topic.name.clone()).into_iter().chain(cells).chain(waits));
    }
    table.render()
}
