//! `klamm transaction find-hanging`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;

use super::producers::{Row, table};
use crate::base::ErrorCode;
use crate::base::ids::{ProducerId, TopicPartition};
use crate::base::time::Clock;
use crate::cli::connect::meant_partitions;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::tell_failures;
use crate::cli::output::{Format, note, report};
use crate::cli::partitions::TopicPartitions;
use crate::cli::when;
use crate::client::cluster::Topics;
use crate::client::transactions::{ActiveProducer, TransactionDescription, TransactionFilter, hanging};
use crate::client::{Client, ClientError};

/// Partitions that are asked about in one request.
const AT_ONCE: usize = 500;

#[derive(Args)]
#[command(
    after_help = "A transaction hangs in a partition if no coordinator knows it to include the partition: nobody will end it there, and
consumers at read_committed wait before it. What this finds, 'klamm transaction abort' ends.

Examples:
  klamm transaction find-hanging
  klamm transaction find-hanging orders payments:0 --max-transaction-timeout 1h"
)]
pub struct FindHanging {
    /// Topics to look at, each with or without partitions [default: all, the cluster's own too]
    #[arg(value_name = "TOPIC[:PARTITIONS]")]
    topics: Vec<TopicPartitions>,
    /// Longest time that any transaction may take: what has got no record for that long is looked at
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = when::duration)]
    max_transaction_timeout: Duration,
}

impl FindHanging {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let partitions = match &self.topics[..] {
            [] => everything(client).await?,
            topics => meant_partitions(client, topics).await?,
        };
        let all = partitions.len();
        let (open, errors) = self.open_for_long(client, partitions).await?;
        let producers: BTreeSet<ProducerId> = open.iter().map(|(_, producer)| producer.producer_id).collect();
        let known = if producers.is_empty() { BTreeMap::new() } else { transactions_of(client, producers).await? };
        let found = hanging(open, &known);
        let rows: Vec<Row> = found.iter().map(|(partition, producer)| Row::new(partition, producer)).collect();
        if rows.is_empty() && errors.is_empty() && !format.is_json() {
            note("No transaction hangs.");
        }
        format.print(&rows, || table(&rows))?;
        errors.iter().for_each(report);
        tell_failures(errors.len(), all, "partitions")
    }

    /// Transactions that are open in partitions and have been quiet for so long that they should have ended; and what could not be asked.
    async fn open_for_long(
        &self,
        client: &Client,
        partitions: Vec<TopicPartition>,
    ) -> Result<(Vec<(TopicPartition, ActiveProducer)>, Vec<CliError>)> {
        let longest = i64::try_from(self.max_transaction_timeout.as_millis()).unwrap_or(i64::MAX);
        let latest = Clock::system().wall_ms().saturating_sub(longest);
        let (mut open, mut errors) = (Vec::new(), Vec::new());
        for some in partitions.chunks(AT_ONCE) {
            for (partition, answer) in client.describe_producers(some.iter().cloned()).await? {
                let producers = match answer {
                    Ok(producers) => producers,
                    Err(code) => {
                        errors.push(ClientError::refused(partition.to_string(), code).into());
                        continue;
                    }
                };
                let quiet =
                    producers.into_iter().filter(|it| it.transaction_start_offset.is_some() && it.last_timestamp < latest);
                open.extend(quiet.map(|producer| (partition.clone(), producer)));
            }
        }
        Ok((open, errors))
    }
}

async fn everything(client: &Client) -> Result<Vec<TopicPartition>, ClientError> {
    let metadata = client.metadata(Topics::All, false).await?;
    let topics = metadata.topics.into_values();
    Ok(topics
        .flat_map(|topic| topic.partitions.into_iter().map(move |it| TopicPartition::new(topic.name.as_str(), it.partition)))
        .collect())
}

/// What coordinators know of these producers.
async fn transactions_of(
    client: &Client,
    producers: BTreeSet<ProducerId>,
) -> Result<BTreeMap<ProducerId, TransactionDescription>, ClientError> {
    let filter = TransactionFilter { producer_ids: producers.into_iter().collect(), ..Default::default() };
    let mut known = BTreeMap::new();
    for listed in client.list_transactions(&filter).await? {
        match client.describe_transaction(&listed.transactional_id).await {
            Ok(description) => drop(known.insert(listed.producer_id, description)),
            // Forgotten meanwhile.
            Err(error) if error.code() == Some(ErrorCode::TransactionalIdNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}
