//! `klamm transaction`: what `kafka-transactions.sh` does.

mod abort;
mod describe;
mod fence;
mod find_hanging;
mod list;
mod producers;

use clap::{Args, Subcommand};

use super::connect::Connect;
use super::error::{CliError, Result};
use super::nearest::nearest;
use super::output::Format;
use super::runtime;
use crate::base::ErrorCode;
use crate::client::transactions::TransactionFilter;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm transaction list --state ongoing
  klamm transaction describe payments-1
  klamm transaction find-hanging
  klamm transaction abort orders:0 --start-offset 1234")]
pub struct TransactionArgs {
    #[command(subcommand)]
    command: TransactionCommand,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Subcommand)]
enum TransactionCommand {
    /// List transactional ids
    List(list::List),
    /// Show what coordinators know of transactional ids
    Describe(describe::Describe),
    /// Show the producers that partitions remember
    Producers(producers::Producers),
    /// Look for transactions that nobody will end
    FindHanging(find_hanging::FindHanging),
    /// Abort a transaction that hangs in a partition
    Abort(abort::Abort),
    /// Abort what a transactional id has open, and fence its producer
    Fence(fence::Fence),
}

pub fn run(args: TransactionArgs) -> Result {
    let client = args.connect.client();
    runtime::run(async {
        let (client, format) = (&*client, args.format);
        match args.command {
            TransactionCommand::List(command) => command.run(client, format).await,
            TransactionCommand::Describe(command) => command.run(client, format).await,
            TransactionCommand::Producers(command) => command.run(client, format).await,
            TransactionCommand::FindHanging(command) => command.run(client, format).await,
            TransactionCommand::Abort(command) => command.run(client, format).await,
            TransactionCommand::Fence(command) => command.run(client, format).await,
        }
    })
}

/// Names the id that was probably meant, if the error is that there is none of that name.
async fn explain(client: &Client, id: &str, error: ClientError) -> CliError {
    if error.code() != Some(ErrorCode::TransactionalIdNotFound) {
        return error.into();
    }
    let message = format!("transactional id {id:?} does not exist");
    let known = client.list_transactions(&TransactionFilter::default()).await.unwrap_or_default();
    match nearest(id, known.iter().map(|it| it.transactional_id.as_str())) {
        Some(nearest) => CliError::failed_with_tip(message, format!("there is {nearest:?}")),
        None => CliError::failed_with_tip(message, "'klamm transaction list' shows those there are"),
    }
}
