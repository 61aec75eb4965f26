//! `klamm group delete-offsets`.

use clap::Args;
use serde::Serialize;

use super::explain;
use crate::base::ErrorCode;
use crate::base::ids::TopicPartition;
use crate::cli::error::{CliError, Result};
use crate::cli::nearest::nearest;
use crate::cli::outcome::{Outcome, conclude};
use crate::cli::output::Format;
use crate::cli::partitions::TopicPartitions;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm group delete-offsets billing --topic orders
  klamm group delete-offsets billing --topic orders:0-3")]
pub struct DeleteOffsets {
    /// Group that is to forget
    #[arg(value_name = "GROUP")]
    group: String,
    /// Topics, each with or without partitions
    #[arg(long, short, required = true, value_name = "TOPIC[:PARTITIONS]")]
    topic: Vec<TopicPartitions>,
}

#[derive(Serialize)]
struct Deleted {
    topic: String,
    partition: i32,
}

impl DeleteOffsets {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        if let Err(error) = client.describe_group(&self.group).await {
            return Err(explain(client, &self.group, error).await);
        }
        // What a group has committed in a topic that was deleted can be forgotten too, so its commits say which partitions there are.
        let committed = client.committed_offsets(&self.group).await?;
        let mut partitions = Vec::new();
        for wanted in &self.topic {
            match &wanted.partitions {
                Some(numbers) => partitions.extend(numbers.iter().map(|n| TopicPartition::new(wanted.topic.as_str(), *n))),
                None => {
                    let before = partitions.len();
                    partitions.extend(committed.keys().filter(|partition| *partition.topic == wanted.topic).cloned());
                    if partitions.len() == before {
                        let message = format!("group {} has no offsets in topic {:?}", self.group, wanted.topic);
                        let topics = committed.keys().map(|partition| &*partition.topic);
                        return Err(match nearest(&wanted.topic, topics) {
                            Some(nearest) => CliError::failed_with_tip(message, format!("it has in {nearest:?}")),
                            None => CliError::failed_with_tip(message, "'klamm group describe' shows where it has some"),
                        });
                    }
                }
            }
        }
        let answers = client.delete_offsets(&self.group, &partitions).await?;
        let outcome = |(partition, answer): (TopicPartition, Result<(), ErrorCode>)| Outcome {
            name: partition.to_string(),
            result: match answer {
                Ok(()) => Ok(Deleted { topic: partition.topic.to_string(), partition: partition.partition }),
                Err(code) => Err(ClientError::refused(format!("offset of group {} in {partition}", self.group), code)),
            },
        };
        let outcomes = answers.into_iter().map(outcome).collect();
        conclude(format, "offsets", outcomes, |name, _| format!("Group {} forgot its offset in {name}.", self.group))
    }
}
