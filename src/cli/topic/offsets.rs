//! `klamm topic offsets`: what `kafka-get-offsets` shows.

use clap::Args;
use serde::Serialize;

use crate::base::ids::{Offset, TimestampMs, TopicPartition};
use crate::base::time::Clock;
use crate::cli::connect::meant_partitions;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::{Problem, tell_failures};
use crate::cli::output::{Format, Table, or_dash, report};
use crate::cli::partitions::TopicPartitions;
use crate::cli::when;
use crate::client::offsets::{FoundOffset, IsolationLevel, OffsetSpec};
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm topic offsets orders
  klamm topic offsets orders:0-3 payments
  klamm topic offsets orders --time 2024-05-01T10:00:00
  klamm topic offsets orders --time '2h ago'
  klamm topic offsets orders --time max-timestamp")]
pub struct Offsets {
    /// Topics, each with or without partitions
    #[arg(required = true, value_name = "TOPIC[:PARTITIONS]")]
    topics: Vec<TopicPartitions>,
    /// Show the first offset at this time or later: a time, earliest, latest or max-timestamp [default: earliest and latest]
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    time: Option<OffsetSpec>,
    /// Do not count records of transactions that are not committed
    #[arg(long)]
    read_committed: bool,
}

#[derive(Serialize)]
struct Row {
    topic: String,
    partition: i32,
    #[serde(flatten)]
    found: Found,
    error: Option<Problem>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Found {
    Range {
        earliest: Option<Offset>,
        latest: Option<Offset>,
    },
    /// Null where no record is as late as that.
    At {
        offset: Option<Offset>,
        timestamp: Option<TimestampMs>,
    },
}

impl Offsets {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let isolation = if self.read_committed { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted };
        let (mut partitions, mut errors) = (Vec::new(), Vec::new());
        for topic in &self.topics {
            match meant_partitions(client, std::slice::from_ref(topic)).await {
                Ok(meant) => partitions.extend(meant),
                // What is not there is no reason to hide the rest; a broker that does not answer has nothing to show of it either.
                Err(error @ (CliError::NoTopic { .. } | CliError::Failed { .. })) if self.topics.len() > 1 => errors.push(error),
                Err(error) => return Err(error),
            }
        }
        let ask = async |spec| -> Result<_> {
            let wanted = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
            Ok(client.list_offsets(wanted, isolation).await?)
        };
        let rows: Vec<Row> = match self.time {
            Some(spec) => {
                let found = ask(spec).await?;
                found.into_iter().map(|(partition, answer)| row(partition, [answer].into(), at)).collect()
            }
            None => {
                let (earliest, mut latest) = tokio::try_join!(ask(OffsetSpec::Earliest), ask(OffsetSpec::Latest))?;
                let both =
                    earliest.into_iter().filter_map(|(partition, first)| Some((latest.remove(&partition)?, partition, first)));
                both.map(|(last, partition, first)| row(partition, [first, last].into(), range)).collect()
            }
        };
        let failed = rows.iter().filter(|row| row.error.is_some()).count();
        format.print(&rows, || if rows.is_empty() { String::new() } else { self.text(&rows) })?;
        errors.iter().for_each(report);
        if !errors.is_empty() {
            return tell_failures(errors.len(), self.topics.len(), "topics");
        }
        tell_failures(failed, rows.len(), "partitions")
    }

    fn text(&self, rows: &[Row]) -> String {
        let mut table = match self.time {
            None => Table::new(&["TOPIC", ">PARTITION", ">EARLIEST", ">LATEST", ">OFFSETS", "ERROR"]),
            Some(_) => Table::new(&["TOPIC", ">PARTITION", ">OFFSET", "TIMESTAMP", "ERROR"]),
        };
        for row in rows {
            let mut cells = vec![row.topic.clone(), row.partition.to_string()];
            match row.found {
                Found::Range { earliest, latest } => {
                    let count = earliest.zip(latest).map(|(earliest, latest)| latest - earliest);
                    cells.extend([or_dash(earliest), or_dash(latest), or_dash(count)]);
                }
                Found::At { offset, timestamp } => cells.extend([or_dash(offset), or_dash(timestamp.map(when::shown))]),
            }
            cells.push(row.error.as_ref().map(|error| error.message.clone()).unwrap_or_default());
            table.row(cells);
        }
        table.render()
    }
}

type Answer = Result<FoundOffset, crate::base::ErrorCode>;

fn row(partition: TopicPartition, answers: Vec<Answer>, found: impl FnOnce(&[Answer]) -> Found) -> Row {
    let refused = answers.iter().find_map(|answer| answer.err());
    Row {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        found: found(&answers),
        error: refused.map(|code| Problem::from(&ClientError::refused(partition.to_string(), code))),
    }
}

fn range(answers: &[Answer]) -> Found {
    let offset = |at: usize| answers[at].ok().map(|found| found.offset);
    Found::Range { earliest: offset(0), latest: offset(1) }
}

fn at(answers: &[Answer]) -> Found {
    let found = answers[0].ok().filter(|found| found.offset >= 0);
    Found::At { offset: found.map(|f| f.offset), timestamp: found.map(|f| f.timestamp).filter(|at| *at >= 0) }
}

/// Reads `earliest`, `latest`, `max-timestamp` or a moment; −1, −2 and −3 are what Kafka's tool calls them.
pub fn time(text: &str) -> Result<OffsetSpec, String> {
    match text {
        "latest" | "-1" => Ok(OffsetSpec::Latest),
        "earliest" | "-2" => Ok(OffsetSpec::Earliest),
        "max-timestamp" | "-3" => Ok(OffsetSpec::MaxTimestamp),
        _ => when::moment(text, Clock::system().wall_ms()).map(OffsetSpec::Timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_kafkas_names_and_numbers() {
        for (text, spec) in [
            ("earliest", OffsetSpec::Earliest),
            ("-1", OffsetSpec::Latest),
            ("max-timestamp", OffsetSpec::MaxTimestamp),
            ("1700000000000", OffsetSpec::Timestamp(1_700_000_000_000)),
        ] {
            assert_eq!(time(text), Ok(spec), "{text}");
        }
        assert!(time("-4").is_err());
    }
}
