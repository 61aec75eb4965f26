//! `klamm group`: consumer groups, their members, offsets and lag.

mod delete;
mod delete_offsets;
mod describe;
mod lag;
mod list;
mod reset;

use clap::{Args, Subcommand};

use super::connect::Connect;
use super::error::{CliError, Result};
use super::nearest::nearest;
use super::output::Format;
use super::runtime;
use crate::base::ErrorCode;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm group list
  klamm group describe billing
  klamm group reset-offsets billing --all-topics --to-earliest
  klamm group reset-offsets billing --all-topics --to-earliest --execute")]
pub struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Subcommand)]
enum GroupCommand {
    /// List groups
    List(list::List),
    /// Show how far groups have got and how far they lag behind, or who their members are
    Describe(describe::Describe),
    /// Delete groups that have no members, with their offsets
    Delete(delete::Delete),
    /// Move a group's offsets; shows what would be done, and does it with --execute
    ResetOffsets(reset::ResetOffsets),
    /// Forget a group's offsets of topics that it does not read any more
    DeleteOffsets(delete_offsets::DeleteOffsets),
}

pub fn run(args: GroupArgs) -> Result {
    let client = args.connect.client();
    runtime::run(async {
        let (client, format) = (&*client, args.format);
        match args.command {
            GroupCommand::List(command) => command.run(client, format).await,
            GroupCommand::Describe(command) => command.run(client, format).await,
            GroupCommand::Delete(command) => command.run(client, format).await,
            GroupCommand::ResetOffsets(command) => command.run(client, format).await,
            GroupCommand::DeleteOffsets(command) => command.run(client, format).await,
        }
    })
}

/// Names the group that was probably meant, if the error is that there is none of that name.
async fn explain(client: &Client, group: &str, error: ClientError) -> CliError {
    if error.code() != Some(ErrorCode::GroupIdNotFound) {
        return error.into();
    }
    let message = format!("group {group:?} does not exist");
    match client.list_groups().await {
        Ok(groups) => match nearest(group, groups.iter().map(|listed| listed.group.as_str())) {
            Some(nearest) => CliError::failed_with_tip(message, format!("there is a group {nearest:?}")),
            None => CliError::failed_with_tip(message, "'klamm group list' shows the groups there are"),
        },
        Err(_) => CliError::failed(message),
    }
}

/// The groups that are meant: those named, or all that read partitions.
async fn groups_meant(client: &Client, named: &[String], all: bool) -> Result<Vec<String>> {
    if !all {
        return Ok(named.to_vec());
    }
    let listed = client.list_groups().await?;
    let consumers =
        listed.into_iter().filter(|listed| listed.group_type != "share" && ["consumer", ""].contains(&&*listed.protocol_type));
    Ok(consumers.map(|listed| listed.group).collect())
}
