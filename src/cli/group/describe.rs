//! `klamm group describe`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::lag::{Progress, partitions, progress, total};
use super::{explain, groups_meant};
use crate::base::ids::Offset;
use crate::cli::error::{CliError, Result};
use crate::cli::output::{Format, Table, list, note, or_dash, report};
use crate::client::Client;
use crate::client::coordinator::Coordinated;
use crate::client::group::admin::GroupMember;
use crate::client::offsets::{IsolationLevel, OffsetSpec};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm group describe billing
  klamm group describe billing --members
  klamm group describe --all-groups --output json")]
pub struct Describe {
    /// Groups to show
    #[arg(required_unless_present = "all_groups", value_name = "GROUP")]
    groups: Vec<String>,
    /// Show every group that reads partitions
    #[arg(long, conflicts_with = "groups")]
    all_groups: bool,
    /// Show the members instead of the partitions
    #[arg(long)]
    members: bool,
    /// Show only the summary of each group
    #[arg(long, conflicts_with = "members")]
    state: bool,
}

#[derive(Serialize)]
struct Described {
    group: String,
    state: String,
    #[serde(rename = "type")]
    group_type: &'static str,
    assignor: String,
    coordinator: String,
    /// Null if it is known of no partition.
    total_lag: Option<i64>,
    member_count: usize,
    /// Left out where only the summary is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<Member>>,
    /// Left out where only the summary, or only the members are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<Vec<Progress>>,
}

#[derive(Serialize)]
struct Member {
    consumer_id: String,
    group_instance_id: Option<String>,
    client_id: String,
    host: String,
    assignment: BTreeMap<String, Vec<i32>>,
}

impl Member {
    fn new(member: &GroupMember) -> Self {
        let mut assignment = BTreeMap::<String, Vec<i32>>::new();
        for partition in &member.assignment {
            assignment.entry(partition.topic.to_string()).or_default().push(partition.partition);
        }
        Self {
            consumer_id: member.member_id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            host: member.host.clone(),
            assignment,
        }
    }
}

impl Describe {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let groups = groups_meant(client, &self.groups, self.all_groups).await?;
        let (mut described, mut errors) = (Vec::new(), Vec::new());
        for group in &groups {
            match describe(client, group).await {
                Ok(one) => described.push(self.asked_for(one)),
                Err(error) => errors.push(error),
            }
        }
        if groups.is_empty() && !format.is_json() {
            note("There are no groups.");
        }
        if errors.len() == 1 && groups.len() == 1 {
            return Err(errors.remove(0));
        }
        format.print(&described, || described.iter().map(Self::text).collect::<Vec<_>>().join("\n"))?;
        errors.iter().for_each(report);
        match errors.len() {
            0 => Ok(()),
            failed if failed == groups.len() => Err(CliError::failed("none of the groups can be shown")),
            failed => Err(CliError::Partly { failed, all: groups.len(), what: "groups" }),
        }
    }

    fn asked_for(&self, described: Described) -> Described {
        Described {
            members: described.members.filter(|_| !self.state),
            offsets: described.offsets.filter(|_| !self.state && !self.members),
            ..described
        }
    }

    fn text(described: &Described) -> String {
        let Described { group, state, group_type, assignor, coordinator, total_lag, member_count, members, offsets } = described;
        let summary = format!(
            "{group}\n  state        {state}\n  type         {group_type}\n  assignor     {}\n  coordinator  {coordinator}\n  \
             members      {}\n  lag          {}\n",
            if assignor.is_empty() { "-" } else { assignor },
            member_count,
            or_dash(*total_lag),
        );
        let table = match (offsets, members) {
            (Some(offsets), _) => offsets_table(offsets),
            (None, Some(members)) => members_table(members),
            (None, None) => String::new(),
        };
        if table.is_empty() { summary } else { format!("{summary}\n{table}") }
    }
}

async fn describe(client: &Client, group: &str) -> Result<Described> {
    let description = match client.describe_group(group).await {
        Ok(description) => description,
        Err(error) => return Err(explain(client, group, error).await),
    };
    let committed = client.committed_offsets(group).await?;
    let wanted = partitions(&description.members, &committed);
    let wanted = wanted.into_iter().map(|partition| (partition, OffsetSpec::Latest)).collect();
    // A partition that is gone has no end; that is no reason to hide the others.
    let ends: BTreeMap<_, Offset> = client
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await?
        .into_iter()
        .filter_map(|(partition, answer)| Some((partition, answer.ok()?.offset)))
        .collect();
    let offsets = progress(&description.members, &committed, &ends);
    Ok(Described {
        group: description.group,
        state: description.state,
        group_type: description.group_type,
        assignor: description.assignor,
        coordinator: client.coordinator(Coordinated::Group(group)).await?.address().to_string(),
        total_lag: total(&offsets),
        member_count: description.members.len(),
        members: Some(description.members.iter().map(Member::new).collect()),
        offsets: Some(offsets),
    })
}

fn offsets_table(rows: &[Progress]) -> String {
    if rows.is_empty() {
        return "The group has committed no offsets and has no partitions.\n".into();
    }
    let headings = ["TOPIC", ">PARTITION", ">CURRENT-OFFSET", ">LOG-END-OFFSET", ">LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"];
    let mut table = Table::new(&headings);
    for row in rows {
        table.row([
            row.topic.clone(),
            row.partition.to_string(),
            or_dash(row.current_offset),
            or_dash(row.log_end_offset),
            or_dash(row.lag),
            or_dash(row.consumer_id.as_ref()),
            or_dash(row.host.as_ref()),
            or_dash(row.client_id.as_ref()),
        ]);
    }
    table.render()
}

fn members_table(members: &[Member]) -> String {
    if members.is_empty() {
        return "The group has no members.\n".into();
    }
    let mut table = Table::new(&["CONSUMER-ID", "HOST", "CLIENT-ID", "INSTANCE-ID", ">PARTITIONS", "ASSIGNMENT"]);
    for member in members {
        let count: usize = member.assignment.values().map(Vec::len).sum();
        let assignment = member.assignment.iter().map(|(topic, partitions)| format!("{topic}({})", list(partitions)));
        table.row([
            member.consumer_id.clone(),
            member.host.clone(),
            member.client_id.clone(),
            or_dash(member.group_instance_id.as_ref()),
            count.to_string(),
            list(assignment),
        ]);
    }
    table.render()
}
