//! `klamm topic delete-records`: what `kafka-delete-records` does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use serde::{Deserialize, Serialize};

use super::timeout_ms;
use crate::base::ids::{Offset, TimestampMs, TopicPartition};
use crate::base::time::Clock;
use crate::cli::connect::meant_partitions;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::{Outcome, conclude};
use crate::cli::output::Format;
use crate::cli::partitions::TopicPartitions;
use crate::cli::when;
use crate::client::cluster::topic_name;
use crate::client::offsets::{IsolationLevel, OffsetSpec, all_found};
use crate::client::{Client, ClientError, Connection};

#[derive(Args)]
#[command(
    after_help = "Records are deleted from the beginning of a partition up to, and without, the offset. They cannot be brought back. If one of the partitions does not exist, nothing is deleted.

Examples:
  klamm topic delete-records orders:0 --offset 1000
  klamm topic delete-records orders --all
  klamm topic delete-records orders --before '30d ago'
  klamm topic delete-records --offset-json-file offsets.json"
)]
pub struct DeleteRecords {
    /// Topic, with or without partitions
    #[arg(value_name = "TOPIC[:PARTITIONS]", required_unless_present = "offset_json_file")]
    topic: Option<TopicPartitions>,
    #[command(flatten)]
    upto: UpTo,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct UpTo {
    /// Delete records before this offset
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<Offset>,
    /// Delete records before the first one at this time or later
    #[arg(long, value_name = "TIME", value_parser = |text: &str| when::moment(text, Clock::system().wall_ms()))]
    before: Option<TimestampMs>,
    /// Delete all records there are
    #[arg(long)]
    all: bool,
    /// Take partitions and offsets from a file, in the form of Kafka's tool:
    /// {"partitions": [{"topic": "t", "partition": 0, "offset": 5}], "version": 1}
    #[arg(long, value_name = "FILE", conflicts_with = "topic")]
    offset_json_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct OffsetFile {
    partitions: Vec<OffsetRow>,
    #[serde(default = "first_version")]
    version: i32,
}

fn first_version() -> i32 {
    1
}

#[derive(Deserialize)]
struct OffsetRow {
    topic: String,
    partition: i32,
    offset: Offset,
}

#[derive(Serialize)]
struct Deleted {
    topic: String,
    partition: i32,
    /// The first offset that is still there.
    low_watermark: Offset,
}

/// Stands for the end of what consumers may read.
const HIGH_WATERMARK: Offset = -1;

impl DeleteRecords {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let wanted = self.wanted(client).await?;
        let timeout = timeout_ms(client);
        let answers = client.ask_leaders(wanted, async |connection, rows| ask(connection, rows, timeout).await).await?;
        let outcome = |(partition, answer): (TopicPartition, Result<Offset, crate::base::ErrorCode>)| Outcome {
            name: partition.to_string(),
            result: match answer {
                Ok(low_watermark) => {
                    Ok(Deleted { topic: partition.topic.to_string(), partition: partition.partition, low_watermark })
                }
                Err(code) => Err(ClientError::refused(format!("partition {partition}"), code)),
            },
        };
        conclude(format, "partitions", answers.into_iter().map(outcome).collect(), |name, deleted| {
            format!("Partition {name} begins at offset {}.", deleted.low_watermark)
        })
    }

    async fn wanted(&self, client: &Client) -> Result<Vec<(TopicPartition, Offset)>> {
        if let Some(path) = &self.upto.offset_json_file {
            let text = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
            return offsets_of(&text).map_err(|why| CliError::Usage(format!("{}: {why}", path.display())));
        }
        let partitions = meant_partitions(client, self.topic.as_slice()).await?;
        let Some(before) = self.upto.before else {
            let offset = self.upto.offset.unwrap_or(HIGH_WATERMARK);
            return Ok(partitions.into_iter().map(|partition| (partition, offset)).collect());
        };
        let spec = OffsetSpec::Timestamp(before);
        let asked = partitions.into_iter().map(|partition| (partition, spec)).collect();
        let found = all_found(client.list_offsets(asked, IsolationLevel::ReadUncommitted).await?)?;
        // Where no record is as late as that, all of them are older.
        Ok(found.into_iter().map(|(partition, offset)| (partition, if offset < 0 { HIGH_WATERMARK } else { offset })).collect())
    }
}

fn offsets_of(text: &str) -> Result<Vec<(TopicPartition, Offset)>, String> {
    let file: OffsetFile = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if file.version != 1 {
        return Err(format!("version {} is not supported, only 1", file.version));
    }
    let mut offsets = BTreeMap::new();
    for row in file.partitions {
        let partition = TopicPartition::new(row.topic, row.partition);
        if offsets.insert(partition.clone(), row.offset).is_some() {
            return Err(format!("partition {partition} appears twice"));
        }
    }
    Ok(offsets.into_iter().collect())
}

async fn ask(
    connection: Arc<Connection>,
    rows: Vec<(TopicPartition, Offset)>,
    timeout_ms: i32,
) -> Result<BTreeMap<TopicPartition, Result<Offset, crate::base::ErrorCode>>, ClientError> {
    let mut topics = BTreeMap::<&str, Vec<DeleteRecordsPartition>>::new();
    for (partition, offset) in &rows {
        let row = DeleteRecordsPartition::default().with_partition_index(partition.partition).with_offset(*offset);
        topics.entry(&partition.topic).or_default().push(row);
    }
    let topic = |(name, rows)| DeleteRecordsTopic::default().with_name(topic_name(name)).with_partitions(rows);
    let request =
        DeleteRecordsRequest::default().with_topics(topics.into_iter().map(topic).collect()).with_timeout_ms(timeout_ms);
    let response = connection.send(&request).await?;
    let mut answers = BTreeMap::new();
    for topic in response.topics {
        for row in topic.partitions {
            let partition = TopicPartition::new(&**topic.name, row.partition_index);
            answers.insert(partition, row.error_code.err().map_or(Ok(row.low_watermark), Err));
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_that_of_kafkas_tool() {
        let text = r#"{"partitions": [{"topic": "b", "partition": 1, "offset": 5}, {"topic": "a", "partition": 0, "offset": -1}], "version": 1}"#;
        let offsets = offsets_of(text).expect("a file as Kafka's documentation has it");
        assert_eq!(offsets, [(TopicPartition::new("a", 0), -1), (TopicPartition::new("b", 1), 5)]);
        for wrong in [
            "",
            r#"{"partitions": [{"topic": "a", "partition": 0}]}"#,
            r#"{"partitions": [], "version": 2}"#,
            r#"{"partitions": [{"topic": "a", "partition": 0, "offset": 1}, {"topic": "a", "partition": 0, "offset": 2}]}"#,
        ] {
            assert!(offsets_of(wrong).is_err(), "{wrong}");
        }
    }
}
