//! `klamm group delete`.

use clap::Args;
use serde::Serialize;

use super::{explain, groups_meant};
use crate::base::ErrorCode;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::{Outcome, conclude};
use crate::cli::output::{Format, note};
use crate::client::Client;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm group delete billing
  klamm group delete billing shipping --if-exists")]
pub struct Delete {
    /// Groups to delete; they must have no members
    #[arg(required_unless_present = "all_groups", value_name = "GROUP")]
    groups: Vec<String>,
    /// Delete every group
    #[arg(long, conflicts_with = "groups")]
    all_groups: bool,
    /// Do nothing about groups that are not there
    #[arg(long)]
    if_exists: bool,
}

#[derive(Serialize)]
struct Deleted {
    deleted: bool,
}

impl Delete {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let groups = groups_meant(client, &self.groups, self.all_groups).await?;
        if groups.is_empty() && !format.is_json() {
            note("There are no groups.");
        }
        let mut outcomes = Vec::new();
        for group in groups {
            let result = match client.delete_group(&group).await {
                Ok(()) => Ok(Deleted { deleted: true }),
                Err(error) if self.if_exists && error.code() == Some(ErrorCode::GroupIdNotFound) => {
                    Ok(Deleted { deleted: false })
                }
                Err(error) => Err(error),
            };
            outcomes.push(Outcome { name: group, result });
        }
        let concluded = conclude(format, "groups", outcomes, |name, done| match done.deleted {
            true => format!("Deleted group {name}."),
            false => format!("Group {name} is not there."),
        });
        match concluded {
            Err(CliError::Client(error)) if self.groups.len() == 1 => Err(explain(client, &self.groups[0], error).await),
            other => other,
        }
    }
}
