//! The command line: one file or folder a noun. What asks a broker speaks the wire, so it works against any Kafka.

mod base64;
pub mod bench;
mod bounds;
mod cluster;
mod completion;
mod config;
pub mod config_import;
mod connect;
mod consume;
mod dump;
mod error;
mod group;
mod man;
mod nearest;
mod outcome;
mod output;
mod partitions;
mod produce;
mod record_json;
#[cfg(test)]
mod reference;
mod runtime;
pub mod serve;
mod settings;
mod topic;
mod transaction;
mod version;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

const AFTER_HELP: &str = "\
Commands that ask a broker speak Kafka's protocol, so they work with any Kafka. They ask 127.0.0.1:9092 unless --bootstrap-server or the variable KLAMM_BOOTSTRAP_SERVER names another. serve, dump, completion, man, version, config keys and config import ask none. --output json makes output for programs.

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 done in part, 130 interrupted.

Examples:
  klamm serve                                       # a broker on 127.0.0.1:9092, data in ./klamm-data
  klamm topic create greetings
  echo hello | klamm produce greetings
  klamm consume greetings --from-beginning --exit-at-end";

/// A standalone distributed log broker that every Kafka client can use.
#[derive(Parser)]
#[command(name = "klamm", version, arg_required_else_help = true, max_term_width = 120, after_help = AFTER_HELP)]
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
    /// Show transactions, and end those that hang
    Transaction(transaction::TransactionArgs),
    /// Show and change the configuration of topics, brokers and groups
    Config(config::ConfigArgs),
    /// Show the cluster: its brokers, quorum, features and disks
    Cluster(cluster::ClusterArgs),
    /// Show or verify the files of a data directory, without a broker
    Dump(dump::DumpArgs),
    /// Measure a broker, or several in alternation, with load made on the wire
    Bench(bench::BenchArgs),
    /// Print the script by which a shell completes klamm's commands
    Completion(completion::CompletionArgs),
    /// Write the manual pages to a directory
    Man(man::ManArgs),
    /// Print which klamm this is
    Version(version::VersionArgs),
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
        Command::Transaction(args) => transaction::run(args),
        Command::Config(args) => config::run(args),
        Command::Cluster(args) => cluster::run(args),
        Command::Dump(args) => dump::run(args),
        Command::Bench(args) => bench::run(args).map_err(error::CliError::from),
        Command::Completion(args) => completion::run(args, Cli::command()),
        Command::Man(args) => man::run(args, Cli::command()),
        Command::Version(args) => version::run(args),
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
