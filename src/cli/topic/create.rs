//! `klamm topic create`.

use clap::Args;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::protocol::StrBytes;
use serde::Serialize;

use super::timeout_ms;
use crate::base::ErrorCode;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::{Outcome, conclude};
use crate::cli::output::{Format, plural};
use crate::cli::settings::{Setting, meant, topic_setting};
use crate::client::cluster::topic_name;
use crate::client::{Client, ClientError};
use crate::config::def::TOPIC;
use crate::storage::checkpoint::uuid_text;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm topic create orders
  klamm topic create orders --partitions 12 --replication-factor 3
  klamm topic create sessions --config cleanup.policy=compact --config segment.bytes=64MiB
  klamm topic create events --config retention.ms=7d --if-not-exists
  klamm topic create pinned --replica-assignment 1:2,2:3")]
pub struct Create {
    /// Topics to make
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Number of partitions [default: what the broker is configured for]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Number of replicas of each partition [default: what the broker is configured for]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// Configuration of the topic; sizes and times may have units
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = topic_setting)]
    config: Vec<Setting>,
    /// Brokers of each partition: replicas of one partition joined by ':', partitions by ','
    #[arg(long, value_name = "1:2,2:3", value_parser = assignment, conflicts_with_all = ["partitions", "replication_factor"])]
    replica_assignment: Option<Assignment>,
    /// Do nothing about topics that are there already
    #[arg(long)]
    if_not_exists: bool,
    /// Ask the broker whether it would make them, without making them
    #[arg(long)]
    dry_run: bool,
}

/// Brokers by partition.
type Assignment = Vec<Vec<i32>>;

#[derive(Serialize)]
struct Created {
    /// False where the topic was there already, and for a dry run.
    created: bool,
    id: Option<String>,
    partitions: Option<i32>,
    replication_factor: Option<i16>,
}

impl Create {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(timeout_ms(client))
            .with_validate_only(self.dry_run)
            .with_topics(self.topics.iter().map(|name| self.topic(name)).collect());
        let response = client.send_controller(&request).await?;
        let outcomes: Vec<_> = response.topics.iter().map(|row| self.outcome(row)).collect();
        let misspelt = outcomes.iter().any(|o| o.result.as_ref().is_err_and(|e| e.code() == Some(ErrorCode::InvalidConfig)));
        let meant = meant(&TOPIC, self.config.iter().map(|setting| &setting.key)).filter(|_| misspelt);
        let concluded = conclude(format, "topics", outcomes, |name, created| self.line(name, created));
        match (concluded, meant) {
            (Err(CliError::Client(error)), Some(meant)) => Err(CliError::failed_with_tip(error.to_string(), meant)),
            (other, _) => other,
        }
    }

    fn topic(&self, name: &str) -> CreatableTopic {
        let config = |setting: &Setting| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string(setting.key.clone()))
                .with_value(Some(StrBytes::from_string(setting.value.clone())))
        };
        let assigned = |(partition, brokers): (i32, &Vec<i32>)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(partition)
                .with_broker_ids(brokers.iter().map(|id| (*id).into()).collect())
        };
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(self.partitions.unwrap_or(-1))
            .with_replication_factor(self.replication_factor.unwrap_or(-1))
            .with_assignments((0..).zip(self.replica_assignment.iter().flatten()).map(assigned).collect())
            .with_configs(self.config.iter().map(config).collect())
    }

    fn outcome(&self, row: &CreatableTopicResult) -> Outcome<Created> {
        let name = row.name.to_string();
        let result = match row.error_code.err() {
            Some(ErrorCode::TopicAlreadyExists) if self.if_not_exists => {
                Ok(Created { created: false, id: None, partitions: None, replication_factor: None })
            }
            Some(code) => Err(ClientError::refused_with(format!("topic {name}"), code, row.error_message.as_deref())),
            None => Ok(Created {
                created: !self.dry_run,
                id: Some(row.topic_id).filter(|id| !id.is_nil()).map(uuid_text::format),
                partitions: Some(row.num_partitions).filter(|n| *n > 0),
                replication_factor: Some(row.replication_factor).filter(|n| *n > 0),
            }),
        };
        Outcome { name, result }
    }

    fn line(&self, name: &str, created: &Created) -> String {
        let shape = match (created.partitions, created.replication_factor) {
            (Some(partitions), Some(replicas)) => {
                format!(" with {}, {} each", plural(partitions, "partition"), plural(replicas, "replica"))
            }
            _ => String::new(),
        };
        match created.created {
            true => format!("Created topic {name}{shape}."),
            false if self.dry_run => format!("Topic {name} would be created{shape}."),
            false => format!("Topic {name} is there already."),
        }
    }
}

fn assignment(text: &str) -> Result<Assignment, String> {
    let brokers = |part: &str| part.split(':').map(|id| id.trim().parse::<i32>()).collect::<Result<Vec<i32>, _>>();
    text.split(',').map(brokers).collect::<Result<_, _>>().map_err(|_| "expected broker ids such as 1:2,2:3".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_written_as_for_kafkas_tool() {
        assert_eq!(assignment("1:2,2:3"), Ok(vec![vec![1, 2], vec![2, 3]]));
        assert_eq!(assignment("5"), Ok(vec![vec![5]]));
        assert!(assignment("1:2,").is_err() && assignment("a").is_err());
    }
}
