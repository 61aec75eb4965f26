//! `klamm transaction producers`: what `kafka-transactions.sh describe-producers` shows.

use clap::Args;
use serde::Serialize;

use crate::base::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs, TopicPartition};
use crate::base::time::Clock;
use crate::cli::connect::meant_partitions;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::tell_failures;
use crate::cli::output::{Format, Table, note, or_dash, report};
use crate::cli::partitions::TopicPartitions;
use crate::cli::when;
use crate::client::transactions::ActiveProducer;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm transaction producers orders
  klamm transaction producers orders:0,2 --output json")]
pub struct Producers {
    /// Topics, each with or without partitions
    #[arg(required = true, value_name = "TOPIC[:PARTITIONS]")]
    topics: Vec<TopicPartitions>,
}

/// A producer of a partition.
#[derive(Serialize)]
pub struct Row {
    pub topic: String,
    pub partition: i32,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub last_sequence: i32,
    pub last_timestamp: TimestampMs,
    pub coordinator_epoch: i32,
    /// Where its open transaction begins; null if it has none.
    pub transaction_start_offset: Option<Offset>,
}

impl Row {
    pub fn new(partition: &TopicPartition, producer: &ActiveProducer) -> Self {
        Self {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            last_sequence: producer.last_sequence,
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_start_offset: producer.transaction_start_offset,
        }
    }
}

impl Producers {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let partitions = meant_partitions(client, &self.topics).await?;
        let all = partitions.len();
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        for (partition, answer) in client.describe_producers(partitions).await? {
            match answer {
                Ok(producers) => rows.extend(producers.iter().map(|producer| Row::new(&partition, producer))),
                Err(code) => errors.push(CliError::from(ClientError::refused(partition.to_string(), code))),
            }
        }
        if rows.is_empty() && errors.is_empty() && !format.is_json() {
            note("No partition remembers a producer with an id.");
        }
        format.print(&rows, || table(&rows))?;
        errors.iter().for_each(report);
        tell_failures(errors.len(), all, "partitions")
    }
}

/// Producers with what is open of them.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let now = Clock::system().wall_ms();
    let mut table = Table::new(&[
        "TOPIC",
        ">PARTITION",
        ">PRODUCER-ID",
        ">EPOCH",
        ">LAST-SEQUENCE",
        "LAST-RECORD",
        ">COORDINATOR-EPOCH",
        ">START-OFFSET",
    ]);
    for row in rows {
        table.row([
            row.topic.clone(),
            row.partition.to_string(),
            row.producer_id.to_string(),
            row.producer_epoch.to_string(),
            row.last_sequence.to_string(),
            when::ago(row.last_timestamp, now),
            row.coordinator_epoch.to_string(),
            or_dash(row.transaction_start_offset),
        ]);
    }
    table.render()
}
