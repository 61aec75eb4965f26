//! `klamm topic`: the topics of a cluster.

mod add_partitions;
mod alter;
mod create;
mod delete;
mod delete_records;
mod describe;
mod list;
mod offsets;

use clap::{Args, Subcommand};

use super::connect::Connect;
use super::error::Result;
use super::output::Format;
use super::runtime;
use crate::client::Client;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm topic create orders --partitions 6
  klamm topic list
  klamm topic describe orders
  klamm topic offsets orders --time '2h ago'
  klamm topic delete orders")]
pub struct TopicArgs {
    #[command(subcommand)]
    command: TopicCommand,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Subcommand)]
enum TopicCommand {
    /// List topics
    List(list::List),
    /// Make topics
    Create(create::Create),
    /// Show topics: their partitions, leaders, replicas and configuration
    Describe(describe::Describe),
    /// Change a topic's configuration, or its number of partitions
    Alter(alter::Alter),
    /// Delete topics and all their records
    Delete(delete::Delete),
    /// Give topics more partitions
    AddPartitions(add_partitions::AddPartitions),
    /// Show where partitions begin and end, or which offset belongs to a time
    Offsets(offsets::Offsets),
    /// Delete the oldest records of partitions, up to an offset
    DeleteRecords(delete_records::DeleteRecords),
}

pub fn run(args: TopicArgs) -> Result {
    let client = args.connect.client();
    runtime::run(async {
        let (client, format) = (&*client, args.format);
        match args.command {
            TopicCommand::List(command) => command.run(client, format).await,
            TopicCommand::Create(command) => command.run(client, format).await,
            TopicCommand::Describe(command) => command.run(client, format).await,
            TopicCommand::Alter(command) => command.run(client, format).await,
            TopicCommand::Delete(command) => command.run(client, format).await,
            TopicCommand::AddPartitions(command) => command.run(client, format).await,
            TopicCommand::Offsets(command) => command.run(client, format).await,
            TopicCommand::DeleteRecords(command) => command.run(client, format).await,
        }
    })
}

/// How long a broker may take over a request that changes the cluster, as such requests carry it.
fn timeout_ms(client: &Client) -> i32 {
    i32::try_from(client.options().request_timeout.as_millis()).unwrap_or(i32::MAX)
}
