//! `klamm consume`: records of topics, to the standard output.

mod format;
mod latest;
mod membership;
mod printer;
mod reading;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::format::{Field, RecordFormat};
use self::latest::Latest;
use self::membership::Membership;
use self::printer::{Form, Printer};
use self::reading::Reading;
use self::start::{Start, positions};
use super::bounds::{bounds, offsets_at};
use super::connect::{Connect, existing_topic};
use super::error::{CliError, Result};
use super::output::{Format, note};
use super::partitions::numbers;
use super::runtime;
use super::when;
use crate::base::ids::{Offset, TimestampMs, TopicPartition};
use crate::base::time::Clock;
use crate::client::Client;
use crate::client::consumer::{Consumer, ConsumerOptions};
use crate::client::offsets::IsolationLevel;

#[derive(Args)]
#[command(after_help = "Without any of these options records are shown as they come, until Ctrl-C.

Format: %t topic, %p partition, %o offset, %T timestamp (ms), %d date, %k key, %v value, %h headers, %K and %V lengths of key and value,
%% percent sign; \\n, \\t, \\r, \\0, \\\\, \\xHH.

Examples:
  klamm consume orders
  klamm consume orders --from-beginning --exit-at-end
  klamm consume orders --last 10 --print key,timestamp
  klamm consume orders --since '1h ago' --until '30m ago' --output json
  klamm consume orders --partition 3 --offset 1000 --max-messages 1
  klamm consume orders payments --group billing --from-beginning
  klamm consume orders --format '%d %p:%o %k=%v\\n'")]
pub struct ConsumeArgs {
    /// Topics to read
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    begin: Begin,
    /// Read these partitions only, such as 0,2 or 0-3
    #[arg(long, short, value_name = "LIST", value_parser = partition_list, conflicts_with = "group")]
    partition: Option<Partitions>,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    membership: MembershipArgs,
    /// Whether records of transactions that are not committed are shown
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = IsolationName::ReadUncommitted)]
    isolation_level: IsolationName,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// Numbers of partitions; a type of its own, since clap would take a set for several values.
#[derive(Clone, Debug)]
struct Partitions(BTreeSet<i32>);

#[derive(Args)]
#[command(next_help_heading = "Where to begin")]
struct Begin {
    /// Begin with the first record there is; in a group, where the group has read nothing yet
    #[arg(long, conflicts_with_all = ["offset", "since", "last"])]
    from_beginning: bool,
    /// Begin at an offset, -N for N offsets before the end, earliest or latest
    #[arg(long, short, value_name = "OFFSET", allow_hyphen_values = true, conflicts_with_all = ["since", "last", "group"])]
    offset: Option<Start>,
    /// Begin with the first record at this time or later
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with_all = ["last", "group"])]
    since: Option<TimestampMs>,
    /// Show the last N records, and end
    #[arg(long, short = 'l', value_name = "N", conflicts_with_all = ["group", "until"], value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
}

#[derive(Args)]
#[command(next_help_heading = "Where to end")]
struct End {
    /// End behind the last record that is there now
    #[arg(long, short)]
    exit_at_end: bool,
    /// End with the last record before this time
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "group")]
    until: Option<TimestampMs>,
    /// End after N records
    #[arg(long, short = 'n', value_name = "N")]
    max_messages: Option<u64>,
    /// End when no record has come for so many milliseconds
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
}

#[derive(Args)]
#[command(next_help_heading = "Group")]
struct MembershipArgs {
    /// Read as a member of this group, and commit how far it has got
    #[arg(long, short)]
    group: Option<String>,
    /// Be the same member again after a restart
    #[arg(long, value_name = "ID", requires = "group")]
    group_instance_id: Option<String>,
}

#[derive(Args)]
#[command(next_help_heading = "How records look")]
struct Look {
    /// Fields before the value, with tabs between them
    #[arg(long, value_enum, value_name = "FIELDS", value_delimiter = ',', conflicts_with = "format_text")]
    print: Vec<Field>,
    /// Format of a record, see below
    #[arg(long = "format", short = 'f', value_name = "FORMAT", value_parser = RecordFormat::parse)]
    format_text: Option<RecordFormat>,
    /// What is shown for a key or a value that is null
    #[arg(long, value_name = "TEXT", default_value = "null")]
    null_marker: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IsolationName {
    #[value(alias = "read_uncommitted")]
    ReadUncommitted,
    #[value(alias = "read_committed")]
    ReadCommitted,
}

pub fn run(args: ConsumeArgs) -> Result {
    let client = args.connect.client();
    runtime::run_to_the_end(args.run(client))
}

impl ConsumeArgs {
    async fn run(self, client: Arc<Client>) -> Result {
        let partitions = self.partitions(&client).await?;
        let isolation = match self.isolation_level {
            IsolationName::ReadUncommitted => IsolationLevel::ReadUncommitted,
            IsolationName::ReadCommitted => IsolationLevel::ReadCommitted,
        };
        let form = match (self.format.is_json(), &self.look.format_text) {
            (true, _) => Form::Json,
            (false, Some(format)) => Form::Text(format.clone()),
            (false, None) => Form::Text(RecordFormat::of_fields(&self.look.print)),
        };
        let group = self.membership.group.clone().map(|group| {
            let (topics, instance_id) = (self.topics.clone(), self.membership.group_instance_id.clone());
            Membership::new(client.clone(), group, topics, instance_id, self.begin.from_beginning, isolation)
        });
        let options = ConsumerOptions { isolation, ..ConsumerOptions::default() };
        let mut reading = Reading {
            client: client.clone(),
            consumer: Consumer::new(client.clone(), options),
            printer: Printer::new(form, self.look.null_marker.clone(), self.end.max_messages),
            isolation,
            stop_at: None,
            exit_at_end: self.end.exit_at_end,
            ends: self.ends(),
            idle: self.end.timeout_ms.map(Duration::from_millis),
            latest: None,
            group,
        };
        if reading.group.is_none() {
            let bounds = bounds(&client, &partitions, isolation).await?;
            let positions = positions(&client, &bounds, self.start(), isolation).await?;
            let latest = bounds.iter().map(|(partition, bounds)| (partition.clone(), bounds.latest));
            reading.stop_at = match self.end.until {
                Some(until) => {
                    let found = offsets_at(&client, &partitions, until, isolation).await?;
                    let end =
                        |partition, latest| (found.get(&partition).copied().filter(|at| *at >= 0).unwrap_or(latest), partition);
                    Some(
                        latest
                            .map(|(partition, latest)| end(partition, latest))
                            .map(|(end, partition)| (partition, end))
                            .collect(),
                    )
                }
                None if self.end.exit_at_end || self.begin.last.is_some() => Some(latest.collect::<BTreeMap<_, Offset>>()),
                None => None,
            };
            reading.latest = self.begin.last.map(|count| Latest::new(count, &bounds));
            reading.assign(positions);
            if self.waits_at_the_end() && io::stdout().is_terminal() {
                note("Waiting for new records; --from-beginning shows those that are there. Ctrl-C ends.");
            }
        }
        reading.run().await
    }

    fn start(&self) -> Start {
        let Begin { from_beginning, offset, since, last } = &self.begin;
        match (from_beginning, offset, since, last) {
            (true, ..) => Start::Beginning,
            (_, Some(start), ..) => *start,
            (_, _, Some(at), _) => Start::Time(*at),
            (_, _, _, Some(count)) => Start::BeforeEnd(i64::from(*count)),
            // Reading up to a point makes sense only from the beginning.
            _ if self.end.until.is_some() => Start::Beginning,
            _ => Start::End,
        }
    }

    fn ends(&self) -> bool {
        let End { exit_at_end, until, max_messages, timeout_ms } = &self.end;
        *exit_at_end || until.is_some() || max_messages.is_some() || timeout_ms.is_some() || self.begin.last.is_some()
    }

    fn waits_at_the_end(&self) -> bool {
        self.start() == Start::End && !self.end.exit_at_end
    }

    /// Every partition that is meant, all of which are there.
    async fn partitions(&self, client: &Client) -> Result<Vec<TopicPartition>> {
        let mut all = Vec::new();
        for name in &self.topics {
            let topic = existing_topic(client, name).await?;
            let present: BTreeSet<i32> = topic.partitions.iter().map(|p| p.partition).collect();
            let wanted = self.partition.as_ref().map_or(&present, |partitions| &partitions.0);
            if let Some(missing) = wanted.difference(&present).next() {
                let last = present.len() - 1;
                return Err(CliError::failed(format!("topic {name} has no partition {missing}; they are 0 to {last}")));
            }
            all.extend(wanted.iter().map(|partition| TopicPartition::new(name.as_str(), *partition)));
        }
        Ok(all)
    }
}

fn moment(text: &str) -> Result<TimestampMs, String> {
    when::moment(text, Clock::system().wall_ms())
}

fn partition_list(text: &str) -> Result<Partitions, String> {
    numbers(text).map(Partitions)
}
