//! `klamm cluster`: the cluster as a whole.

mod api_versions;
mod brokers;
mod features;
mod info;
mod log_dirs;
mod quorum;

use clap::{Args, Subcommand};

use super::connect::Connect;
use super::error::Result;
use super::output::Format;
use super::runtime;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm cluster info
  klamm cluster brokers --bootstrap-server broker.example:9092
  klamm cluster log-dirs --output json")]
pub struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Subcommand)]
enum ClusterCommand {
    /// Show the cluster in a few lines
    Info(info::Info),
    /// List the brokers, and what each of them leads and holds
    Brokers(brokers::Brokers),
    /// Show the metadata quorum: its leader, its voters, and how far each has got
    Quorum(quorum::Quorum),
    /// List the features that the cluster has agreed on
    Features(features::Features),
    /// Show the brokers' log directories, or the space that topics take in them
    LogDirs(log_dirs::LogDirs),
    /// List the requests that a broker understands, and their versions
    ApiVersions(api_versions::ApiVersions),
}

pub fn run(args: ClusterArgs) -> Result {
    let client = args.connect.client();
    runtime::run(async {
        let (client, format) = (&*client, args.format);
        match args.command {
            ClusterCommand::Info(command) => command.run(client, format).await,
            ClusterCommand::Brokers(command) => command.run(client, format).await,
            ClusterCommand::Quorum(command) => command.run(client, format).await,
            ClusterCommand::Features(command) => command.run(client, format).await,
            ClusterCommand::LogDirs(command) => command.run(client, format).await,
            ClusterCommand::ApiVersions(command) => command.run(client, format).await,
        }
    })
}
