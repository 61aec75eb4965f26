//! The command line: one file or folder a noun. Everything but `serve` speaks the wire, so it works against any Kafka.

pub mod bench;
pub mod config_import;
pub mod serve;

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
    /// Measure a broker, or several in alternation, with load made on the wire
    Bench(bench::BenchArgs),
}

/// Runs the command line of this process; errors go to stderr as one line that says what happened, to what.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(args) => return serve::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("klamm: {error}");
            ExitCode::FAILURE
        }
    }
}
