//! `klamm bench`: a load generator that speaks the wire itself, for any broker that speaks Kafka's protocol.
//!
//! It measures brokers, not client libraries: requests are encoded once and patched in place, answers are read as far as their error
//! codes, and the first error ends the run. [`engine`] drives connections, [`exchange`] knows what is said on them, [`load`] opens them
//! and takes the time; a workload is one file (`produce`, `fetch`, …); [`run`] alternates brokers over rounds; [`report`] tells.
//!
//! What it does not do: TLS, SASL, compression. All cost client and broker the same on every implementation.

mod admin;
mod answer;
mod api_versions;
mod batch;
mod connection;
mod engine;
mod error;
mod exchange;
mod fetch;
mod figure;
mod frame;
mod idle;
mod load;
mod made;
mod mixed;
mod options;
mod pace;
mod partitions;
mod process;
mod produce;
mod report;
mod run;
mod series;
mod start;
mod topic;
mod transactions;

use clap::{Args, Subcommand};

use error::Result;
use options::Common;
use run::{Workload, run as run_rounds};

pub use error::BenchError;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm bench produce
  klamm bench end-to-end --rate 1000 --output json
  klamm bench fetch --compare kafka=localhost:9092 klamm=localhost:9192 --rounds 5")]
pub struct BenchArgs {
    #[command(subcommand)]
    workload: WorkloadArgs,
}

#[derive(Args)]
struct With<W: Args> {
    #[command(flatten)]
    workload: W,
    #[command(flatten, next_help_heading = "How to measure")]
    common: Common,
}

#[derive(Subcommand)]
enum WorkloadArgs {
    /// The cheapest request: what a request costs before it does anything
    ApiVersions(With<api_versions::ApiVersions>),
    /// Batches to many partitions, as fast as the broker takes them or at a fixed rate
    Produce(With<produce::Produce>),
    /// Acknowledgements that stand for the disk
    Flush(With<produce::FlushBench>),
    /// Reads out of the page cache
    Fetch(With<fetch::Fetch>),
    /// Transactions of several producers, one after the other, and the time of a commit
    Transactions(With<transactions::Transactions>),
    /// The time of one record from producer to consumer
    EndToEnd(With<mixed::EndToEnd>),
    /// Producers and consumers at the same time, at a fixed rate
    Mixed(With<mixed::Mixed>),
    /// Many connections that say nothing
    Idle(With<idle::Idle>),
    /// Many partitions: time until they are led, memory
    Partitions(With<partitions::Partitions>),
    /// From the start of a broker's process to its first answer
    Start(With<start::Start>),
}

pub fn run(args: BenchArgs) -> Result<()> {
    fn go<W: Args + Workload>(with: &With<W>) -> Result<()> {
        run_rounds(&with.workload, &with.common)
    }
    made::with_interrupts(|| match args.workload {
        WorkloadArgs::ApiVersions(with) => go(&with),
        WorkloadArgs::Produce(with) => go(&with),
        WorkloadArgs::Flush(with) => run_rounds(&with.workload.into_produce(), &with.common),
        WorkloadArgs::Fetch(with) => go(&with),
        WorkloadArgs::Transactions(with) => go(&with),
        WorkloadArgs::EndToEnd(with) => go(&with),
        WorkloadArgs::Mixed(with) => go(&with),
        WorkloadArgs::Idle(with) => go(&with),
        WorkloadArgs::Partitions(with) => go(&with),
        WorkloadArgs::Start(with) => go(&with),
    })
}
