//! `klamm group reset-offsets`: what `kafka-consumer-groups --reset-offsets` does.

mod csv;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde::Serialize;

use self::csv::Plan;
use self::target::{Facts, Target};
use super::{explain, groups_meant};
use crate::base::ErrorCode;
use crate::base::ids::{Offset, TimestampMs, TopicPartition};
use crate::base::time::Clock;
use crate::cli::bounds::{bounds, offsets_at};
use crate::cli::connect::meant_partitions;
use crate::cli::error::{CliError, Result};
use crate::cli::output::{Format, Table, note, or_dash, print, report};
use crate::cli::partitions::TopicPartitions;
use crate::cli::when;
use crate::client::group::offsets::{CommittedOffset, Membership};
use crate::client::offsets::IsolationLevel;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(group = ArgGroup::new("what").args(["topic", "all_topics", "from_file"]).required(true).multiple(true))]
#[command(
    after_help = "The members of the group must be stopped. Without --execute nothing is changed, and nothing either if a topic that is named does not exist.

Examples:
  klamm group reset-offsets billing --all-topics --to-earliest
  klamm group reset-offsets billing --topic orders:0,2 --to-offset 1000 --execute
  klamm group reset-offsets billing --topic orders --to-datetime 2024-05-01T10:00:00 --execute
  klamm group reset-offsets billing --all-topics --by-duration PT2H --execute
  klamm group reset-offsets billing --all-topics --shift-by -10 --execute
  klamm group reset-offsets billing --all-topics --to-current --export > offsets.csv
  klamm group reset-offsets billing --from-file offsets.csv --execute"
)]
pub struct ResetOffsets {
    /// Groups whose offsets are moved
    #[arg(required_unless_present = "all_groups", value_name = "GROUP")]
    groups: Vec<String>,
    /// Move the offsets of every group
    #[arg(long, conflicts_with = "groups")]
    all_groups: bool,
    /// Topics, each with or without partitions
    #[arg(long, short, value_name = "TOPIC[:PARTITIONS]")]
    topic: Vec<TopicPartitions>,
    /// Every topic that the group has committed offsets of
    #[arg(long, conflicts_with = "topic")]
    all_topics: bool,
    #[command(flatten)]
    to: To,
    /// Only show what would be done; this is the default
    #[arg(long, conflicts_with_all = ["execute", "export"])]
    dry_run: bool,
    /// Do it
    #[arg(long, conflicts_with = "export")]
    execute: bool,
    /// Print the new offsets as CSV for --from-file, and do nothing else
    #[arg(long)]
    export: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "Where to")]
struct To {
    /// The first record there is
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record
    #[arg(long)]
    to_latest: bool,
    /// Where the group stands now; the end where it has not been
    #[arg(long)]
    to_current: bool,
    /// An offset
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    to_offset: Option<Offset>,
    /// N records on, or back if N is negative
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// The first record at this time or later (UTC unless it names an offset)
    #[arg(long, value_name = "TIME", value_parser = |text: &str| when::moment(text, Clock::system().wall_ms()))]
    to_datetime: Option<TimestampMs>,
    /// The first record of the last while, such as PT2H or 2h
    #[arg(long, value_name = "DURATION", value_parser = when::duration)]
    by_duration: Option<std::time::Duration>,
    /// What a file says, as --export writes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topic", "all_topics"])]
    from_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    group: String,
    topic: String,
    partition: i32,
    current_offset: Option<Offset>,
    new_offset: Option<Offset>,
    /// Whether it was done.
    executed: bool,
    error: Option<String>,
}

impl ResetOffsets {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        if self.export && format.is_json() {
            return Err(CliError::Usage(
                "--export prints CSV, as --from-file reads it; leave out one of --export and --output json".into(),
            ));
        }
        let groups = groups_meant(client, &self.groups, self.all_groups).await?;
        let target = self.target();
        let file = self.file(&groups)?;
        let mut rows = Vec::new();
        let mut errors = Vec::new();
        for group in &groups {
            match self.reset(client, group, target, &file).await {
                Ok(more) => rows.extend(more),
                Err(error) => errors.push(error),
            }
        }
        if errors.len() == 1 && groups.len() == 1 {
            return Err(errors.remove(0));
        }
        if self.export {
            print(&csv::write(&plan_of(&rows), groups.len() == 1))?;
        } else {
            format.print(&rows, || table(&rows))?;
        }
        errors.iter().for_each(report);
        let failed = rows.iter().filter(|row| row.error.is_some()).count();
        match errors.len() + failed {
            0 => {
                if !self.execute && !self.export && !format.is_json() && !rows.is_empty() {
                    note("Nothing was changed. Pass --execute to do it.");
                }
                Ok(())
            }
            n if n == groups.len().max(rows.len()) => Err(CliError::failed("no offset was moved")),
            n => Err(CliError::Partly { failed: n, all: groups.len().max(rows.len()), what: "offsets" }),
        }
    }

    fn target(&self) -> Target {
        let To { to_earliest, to_latest, to_current, to_offset, shift_by, to_datetime, by_duration, from_file } = &self.to;
        match (to_offset, shift_by, to_datetime, by_duration) {
            (Some(offset), ..) => Target::Offset(*offset),
            (_, Some(by), ..) => Target::ShiftBy(*by),
            (_, _, Some(at), _) => Target::Time(*at),
            (_, _, _, Some(ago)) => Target::Time(Clock::system().wall_ms() - ago.as_millis() as i64),
            _ if *to_earliest => Target::Earliest,
            _ if *to_latest => Target::Latest,
            _ if *to_current => Target::Current,
            _ => {
                assert!(from_file.is_some(), "clap lets one of the targets through");
                Target::File
            }
        }
    }

    fn file(&self, groups: &[String]) -> Result<Plan> {
        let Some(path) = &self.to.from_file else { return Ok(Plan::new()) };
        let text = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
        let single = match groups {
            [single] => Some(single.as_str()),
            _ => None,
        };
        csv::read(&text, single).map_err(|why| CliError::Usage(format!("{}: {why}", path.display())))
    }

    async fn reset(&self, client: &Client, group: &str, target: Target, file: &Plan) -> Result<Vec<Row>> {
        refuse_if_active(client, group).await?;
        let committed = client.committed_offsets(group).await?;
        let in_file = file.get(group);
        if target == Target::File && in_file.is_none() {
            return Err(CliError::failed(format!("the file has no offsets for group {group}")));
        }
        if self.all_topics && !self.all_groups && in_file.is_none() && committed.is_empty() {
            let message = format!("group {group} has committed no offsets");
            return Err(CliError::failed_with_tip(
                message,
                "name topics with --topic; 'klamm group list' shows the groups there are",
            ));
        }
        let partitions = self.partitions(client, &committed, in_file).await?;
        let bounds = bounds(client, &partitions, IsolationLevel::ReadUncommitted).await?;
        let at_time = match target {
            Target::Time(at) => offsets_at(client, &partitions, at, IsolationLevel::ReadUncommitted).await?,
            _ => BTreeMap::new(),
        };
        let mut new = BTreeMap::new();
        let mut rows = Vec::new();
        for (partition, bounds) in bounds {
            let current_offset = committed.get(&partition).map(|committed| committed.offset);
            let (at_time, in_file) = (at_time.get(&partition).copied(), in_file.and_then(|file| file.get(&partition)).copied());
            let found = target.new_offset(Facts { bounds, committed: current_offset, at_time, in_file });
            let row = Row {
                group: group.to_owned(),
                topic: partition.topic.to_string(),
                partition: partition.partition,
                current_offset,
                new_offset: found.ok().map(|new| new.offset),
                executed: false,
                error: found.err().map(str::to_owned),
            };
            if let Ok(found) = found {
                if let Some(asked) = found.instead_of {
                    note(format!("warning: {partition} has no offset {asked}; taking {} instead", found.offset));
                }
                new.insert(partition, found.offset);
            }
            rows.push(row);
        }
        if self.execute && !new.is_empty() {
            execute(client, group, &new, &mut rows).await?;
        }
        Ok(rows)
    }

    async fn partitions(
        &self,
        client: &Client,
        committed: &BTreeMap<TopicPartition, CommittedOffset>,
        in_file: Option<&BTreeMap<TopicPartition, Offset>>,
    ) -> Result<Vec<TopicPartition>> {
        if let Some(in_file) = in_file {
            return Ok(in_file.keys().cloned().collect());
        }
        if self.all_topics {
            return Ok(committed.keys().cloned().collect());
        }
        let unique: BTreeSet<_> = meant_partitions(client, &self.topic).await?.into_iter().collect();
        Ok(unique.into_iter().collect())
    }
}

/// Members would go on from where they are, and commit over it. A group that is not there yet may be given offsets to begin with.
async fn refuse_if_active(client: &Client, group: &str) -> Result {
    match client.describe_group(group).await {
        Ok(description) if ["Empty", "Dead"].contains(&description.state.as_str()) => Ok(()),
        Ok(description) => Err(CliError::failed_with_tip(
            format!("the offsets of group {group} cannot be moved: its state is {}", description.state),
            format!("stop its members first; 'klamm group describe {group} --members' shows them"),
        )),
        Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => Ok(()),
        Err(error) => Err(explain(client, group, error).await),
    }
}

async fn execute(client: &Client, group: &str, new: &BTreeMap<TopicPartition, Offset>, rows: &mut [Row]) -> Result {
    let answers = client.commit_offsets(group, &Membership::default(), new).await?;
    for row in rows.iter_mut().filter(|row| row.new_offset.is_some()) {
        let partition = TopicPartition::new(row.topic.as_str(), row.partition);
        match answers.get(&partition) {
            Some(Ok(())) => row.executed = true,
            Some(Err(code)) => row.error = Some(ClientError::refused(partition.to_string(), *code).to_string()),
            None => row.error = Some("the broker did not answer for it".into()),
        }
    }
    Ok(())
}

fn plan_of(rows: &[Row]) -> Plan {
    let mut plan = Plan::new();
    for row in rows {
        if let Some(offset) = row.new_offset {
            let partition = TopicPartition::new(row.topic.as_str(), row.partition);
            plan.entry(row.group.clone()).or_default().insert(partition, offset);
        }
    }
    plan
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "There is no offset to move.\n".into();
    }
    let mut table = Table::new(&["GROUP", "TOPIC", ">PARTITION", ">CURRENT-OFFSET", ">NEW-OFFSET", "ERROR"]);
    for row in rows {
        table.row([
            row.group.clone(),
            row.topic.clone(),
            row.partition.to_string(),
            or_dash(row.current_offset),
            or_dash(row.new_offset),
            row.error.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}
