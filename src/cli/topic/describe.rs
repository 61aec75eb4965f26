//! `klamm topic describe`.

use clap::Args;
use serde::Serialize;

use crate::cli::connect::no_topic;
use crate::cli::error::Result;
use crate::cli::output::{Format, Table, list, or_dash};
use crate::client::cluster::Topics;
use crate::client::configs::ConfigResource;
use crate::client::metadata::{Partition, Topic};
use crate::client::{Client, ClientError, kafka_name};
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
        }
    }
}

impl Describe {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let asked = if names.is_empty() { Topics::All } else { Topics::Named(&names) };
        let metadata = client.metadata(asked, false).await?;
        let filters = self.under_replicated_partitions || self.unavailable_partitions;
        let mut described = Vec::new();
        for topic in metadata.topics.values() {
            match topic.error {
                Some(crate::base::ErrorCode::UnknownTopicOrPartition) => return Err(no_topic(client, &topic.name).await?),
                Some(code) if topic.partitions.is_empty() => {
                    return Err(ClientError::refused(format!("topic {}", topic.name), code).into());
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
        format.print(&described, || text(&described, filters))
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
    let mut table =
        Table::new(&["TOPIC", ">PARTITION", ">LEADER", ">EPOCH", "REPLICAS", "ISR", "OFFLINE", "ERROR"][usize::from(!named)..]);
    let mut empty = true;
    for (topic, row) in rows {
        empty = false;
        let cells = [
            topic.name.clone(),
            row.partition.to_string(),
            or_dash(row.leader),
            row.leader_epoch.to_string(),
            list(&row.replicas),
            list(&row.isr),
            if row.offline_replicas.is_empty() { String::new() } else { list(&row.offline_replicas) },
            row.error.clone().unwrap_or_default(),
        ];
        table.row(cells.into_iter().skip(usize::from(!named)));
    }
    if empty { String::new() } else { table.render() }
}
