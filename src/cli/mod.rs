//! The command line: one file or folder a noun. Everything but `serve` and `dump` speaks the wire, so it works against any Kafka.

mod base64;
pub mod bench;
mod bounds;
mod cluster;
mod config;
pub mod config_import;
mod connect;
mod consume;
mod dump;
mod error;
mod group;
mod nearest;
mod outcome;
mod output;
mod partitions;
mod produce;
mod record_json;
mod runtime;
pub mod serve;
mod settings;
mod topic;
mod when;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A standalone distributed log broker that every Kafka client can use.
#[derive(Parser)]
#[command(name = "klamm", version, arg_required_else_help = true, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    /// Make, show, change and delete topics
    Topic(topic::TopicArgs),
    /// Write records to a topic
    Produce(produce::ProduceArgs),
    /// Read records of topics
    Consume(consume::ConsumeArgs),
    /// Show groups, their lag and their members, and move their offsets
    Group(group::GroupArgs),
    /// Show and change the configuration of topics, brokers and groups
    Config(config::ConfigArgs),
    /// Show the cluster: its brokers, quorum, features and disks
    Cluster(cluster::ClusterArgs),
    /// Show or verify the files of a data directory, without a broker
    Dump(dump::DumpArgs),
    /// Measure a broker, or several in alternation, with load made on the wire
    Bench(bench::BenchArgs),
}

/// Runs the command line of this process; errors go to stderr as one line that says what happened, to what.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(args) => return serve::run(args),
        Command::Topic(args) => topic::run(args),
        Command::Produce(args) => produce::run(args),
        Command::Consume(args) => consume::run(args),
        Command::Group(args) => group::run(args),
        Command::Config(args) => config::run(args),
        Command::Cluster(args) => cluster::run(args),
        Command::Dump(args) => dump::run(args),
        Command::Bench(args) => bench::run(args).map_err(error::CliError::from),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_broken_pipe() {
                output::report(&error);
            }
            error.exit_code()
        }
    }
}
