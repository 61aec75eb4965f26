//! `klamm topic add-partitions`.

use clap::Args;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use serde::Serialize;

use super::timeout_ms;
use crate::cli::connect::existing_topic;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::{Outcome, conclude};
use crate::cli::output::{Format, plural};
use crate::client::cluster::topic_name;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(
    after_help = "Keys move to other partitions when the number of partitions changes: records of one key that were produced before stay where they are. If one of the topics does not exist, none is changed.

Examples:
  klamm topic add-partitions orders --num 3
  klamm topic add-partitions orders payments --num 1 --dry-run"
)]
pub struct AddPartitions {
    /// Topics that get more partitions
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// How many more partitions each topic gets
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    num: i32,
    /// Ask the broker whether it would do it, without doing it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Grown {
    partitions_before: i32,
    partitions: i32,
}

impl AddPartitions {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        // All are looked up before any is changed: whoever corrects a name and tries again must not give the others partitions twice.
        let mut topics = Vec::new();
        for name in &self.topics {
            topics.push((name, existing_topic(client, name).await?.partitions.len() as i32));
        }
        let mut outcomes = Vec::new();
        for (name, before) in topics {
            let result = match grow(client, name, before + self.num, self.dry_run).await {
                Ok(()) => Ok(Grown { partitions_before: before, partitions: before + self.num }),
                Err(CliError::Client(error)) => Err(error),
                Err(other) => return Err(other),
            };
            outcomes.push(Outcome { name: name.clone(), result });
        }
        conclude(format, "topics", outcomes, |name, grown| {
            let (has, partitions) = (if self.dry_run { "would have" } else { "has" }, plural(grown.partitions, "partition"));
            format!("Topic {name} {has} {partitions}, {} before.", grown.partitions_before)
        })
    }
}

/// Gives a topic `count` partitions in all.
pub async fn grow(client: &Client, name: &str, count: i32, dry_run: bool) -> Result {
    let topic = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(timeout_ms(client))
        .with_validate_only(dry_run);
    let response = client.send_controller(&request).await?;
    match response.results.first().and_then(|row| row.error_code.err().map(|code| (code, row))) {
        Some((code, row)) => Err(ClientError::refused_with(format!("topic {name}"), code, row.error_message.as_deref()).into()),
        None => Ok(()),
    }
}
