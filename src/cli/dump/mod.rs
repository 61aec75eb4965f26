//! `klamm dump`: what is in the files of a data directory, klamm's or Kafka's, without a broker.

mod kind;
mod log;
mod offsets_records;
mod quorum;
mod sink;
mod small;
mod transaction_records;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::kind::{Kind, Records};
use self::log::Depth;
use self::sink::Sink;
use super::error::{CliError, Result};
use super::output::Format;

#[derive(Args)]
#[command(
    after_help = "Files are known by their names: *.log, *.index, *.timeindex, *.txnindex, *.snapshot, *.checkpoint, leader-epoch-checkpoint,
the offset checkpoints, partition.metadata, meta.properties, and klamm's metadata (metadata/*.log, *.snapshot, voter, committed).
With --output json every batch or entry is an object on a line of its own.

Examples:
  klamm dump klamm-data/orders-0/00000000000000000000.log
  klamm dump klamm-data/orders-0/*.log --print-data-log
  klamm dump klamm-data/__consumer_offsets-3/*.log --print-data-log --output json
  klamm dump klamm-data/__transaction_state-7/*.log --print-data-log
  klamm dump klamm-data/orders-0/00000000000000000000.index
  klamm dump klamm-data/metadata/*.log
  klamm dump --verify klamm-data
  klamm dump --verify klamm-data/orders-0 --deep"
)]
pub struct DumpArgs {
    /// Files to show, or directories to verify
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Scrub directories: check every checksum, and every index against its log
    #[arg(long)]
    verify: bool,
    /// Show, or check, records too
    #[arg(long, alias = "deep-iteration")]
    deep: bool,
    /// Show keys and values too
    #[arg(long, alias = "print-data", conflicts_with = "verify")]
    print_data_log: bool,
    /// What records are [default: known by the name of the directory]
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "verify")]
    decoder: Option<Decoder>,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Decoder {
    /// Text, or bytes
    Plain,
    /// Records of __consumer_offsets
    Offsets,
    /// Records of __transaction_state
    Transactions,
    /// Records of Kafka's metadata log, by their types
    ClusterMetadata,
}

pub fn run(args: DumpArgs) -> Result {
    if args.verify {
        if let Some(file) = args.paths.iter().find(|path| path.is_file()) {
            let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let message = format!("{} is a file; a log is verified with all that lies beside it", file.display());
            return Err(CliError::failed_with_tip(message, format!("name its directory: klamm dump --verify {}", dir.display())));
        }
        return verify::verify(&args.paths, args.deep, args.format);
    }
    let mut sink = Sink::new(args.format);
    let many = args.paths.len() > 1;
    for path in &args.paths {
        if many {
            sink.heading(|| format!("Dumping {}", path.display()))?;
        }
        args.dump(path, &mut sink)?;
    }
    sink.flush()
}

impl DumpArgs {
    fn dump(&self, path: &Path, sink: &mut Sink) -> Result {
        // Some readers take a file that is missing for one that is empty, as a broker does.
        if std::fs::metadata(path).map_err(CliError::file("open", path))?.is_dir() {
            let message = format!("{} is a directory", path.display());
            return Err(CliError::failed_with_tip(message, "name files in it, or check all of it with --verify"));
        }
        let Some(kind) = kind::of(path) else {
            let message = format!("{} is none of the files of a data directory", path.display());
            return Err(CliError::failed_with_tip(message, "'klamm dump --help' says which ones it can show"));
        };
        match kind {
            Kind::Log { base_offset, records } => {
                let meaning = match self.decoder {
                    None => records,
                    Some(Decoder::Plain) => Records::Plain,
                    Some(Decoder::Offsets) => Records::Offsets,
                    Some(Decoder::Transactions) => Records::Transactions,
                    Some(Decoder::ClusterMetadata) => Records::KafkaMetadata,
                };
                let depth = Depth { records: self.deep || self.print_data_log, data: self.print_data_log, meaning };
                log::dump(path, base_offset, depth, sink)
            }
            Kind::OffsetIndex { base_offset } => small::offset_index(path, base_offset, sink),
            Kind::TimeIndex { base_offset } => small::time_index(path, base_offset, sink),
            Kind::TransactionIndex { base_offset } => small::transaction_index(path, base_offset, sink),
            Kind::ProducerSnapshot => small::producer_snapshot(path, sink),
            Kind::LeaderEpochs => small::leader_epochs(path, sink),
            Kind::OffsetCheckpoint => small::offset_checkpoint(path, sink),
            Kind::PartitionMetadata => small::partition_metadata(path, sink),
            Kind::MetaProperties => small::meta_properties(path, sink),
            Kind::QuorumLog { first_index } => quorum::log(path, first_index, sink),
            Kind::QuorumSnapshot => quorum::snapshot(path, sink),
            Kind::QuorumState => quorum::state(path, sink),
        }
    }
}
