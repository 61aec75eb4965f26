//! `klamm produce`: lines, files or JSON into a topic.

mod input;
mod source;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use self::input::{InputForm, Template, header};
use self::source::Source;
use super::connect::{Connect, no_topic};
use super::error::{CliError, Result};
use super::output::{Format, note, plural};
use super::runtime;
use super::when;
use crate::base::ErrorCode;
use crate::base::ids::{Offset, TimestampMs};
use crate::base::time::Clock;
use crate::client::producer::{Acks, Delivery, ProducerOptions};
use crate::client::{Client, ClientError, Producer};
use crate::record::compression::{Codec, Compression};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm produce orders                                          # a line is a record; Ctrl-D ends
  echo 'hello' | klamm produce orders
  klamm produce orders -K : < keys-and-values.txt               # key:value
  klamm produce orders access.log --compression zstd --rate 1000
  klamm produce images photo.jpg --input whole --key photo -H type=image/jpeg
  klamm consume orders --from-beginning -e --output json | klamm produce copy --input json")]
pub struct ProduceArgs {
    /// Topic that gets the records
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Files to read [default: the standard input]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the input is read
    #[arg(long, value_enum, value_name = "FORM", default_value_t = InputForm::Lines)]
    input: InputForm,
    /// What stands between key and value in a line
    #[arg(long, short = 'K', value_name = "TEXT", conflicts_with = "key", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// Key of all records
    #[arg(long, short)]
    key: Option<String>,
    /// Header of all records; without '=' its value is null
    #[arg(long, short = 'H', value_name = "KEY=VALUE", value_parser = header)]
    header: Vec<(Bytes, Option<Bytes>)>,
    /// Text of a line, or of its key, that stands for null
    #[arg(long, value_name = "TEXT")]
    null_marker: Option<String>,
    /// Partition of all records [default: by the key as the Java client does it, or batch by batch without one]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Leave out the partitions that JSON lines name
    #[arg(long)]
    ignore_partitions: bool,
    /// Timestamp of all records [default: now]
    #[arg(long, value_name = "TIME", value_parser = |text: &str| when::moment(text, Clock::system().wall_ms()))]
    timestamp: Option<TimestampMs>,
    /// How batches are compressed
    #[arg(long, short = 'z', value_enum, value_name = "CODEC", default_value_t = CodecName::None)]
    compression: CodecName,
    /// What must have happened before a record counts as produced
    #[arg(long, value_enum, default_value_t = AcksName::All)]
    acks: AcksName,
    /// Records a second, at most
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Bytes of a batch before compression
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = batch_size)]
    batch_size: usize,
    /// Milliseconds a batch waits for more records
    #[arg(long, value_name = "MS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=60_000))]
    linger_ms: u64,
    /// Do without sequence numbers, by which the broker drops what arrives twice
    #[arg(long)]
    no_idempotence: bool,
    /// Let the broker make the topic, if it is configured to
    #[arg(long)]
    allow_auto_topic_creation: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CodecName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AcksName {
    /// All in-sync replicas have it
    #[value(alias = "-1")]
    All,
    /// The leader has it
    #[value(name = "1")]
    One,
    /// It was sent
    #[value(name = "0")]
    Zero,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Summary {
    topic: String,
    records: u64,
    failed: u64,
    partitions: Vec<PartitionSummary>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct PartitionSummary {
    partition: i32,
    records: u64,
    /// Null where the broker was not asked to tell (acks=0).
    first_offset: Option<Offset>,
    last_offset: Option<Offset>,
}

pub fn run(args: ProduceArgs) -> Result {
    let client = args.connect.client();
    runtime::run_to_the_end(args.run(client))
}

impl ProduceArgs {
    async fn run(self, client: Arc<Client>) -> Result {
        let (producer, mut deliveries) = match Producer::open(client.clone(), &self.topic, self.options()).await {
            Err(ClientError::Refused { code: ErrorCode::UnknownTopicOrPartition, .. }) => {
                return Err(no_topic(&client, &self.topic).await?);
            }
            opened => opened?,
        };
        let partitions = producer.topic().partitions.len() as i32;
        if let Some(partition) = self.partition.filter(|partition| *partition >= partitions) {
            let last = partitions - 1;
            return Err(CliError::failed(format!("topic {} has no partition {partition}; they are 0 to {last}", self.topic)));
        }
        if self.files.is_empty() && io::stdin().is_terminal() && io::stderr().is_terminal() {
            note("Every line is a record. Ctrl-D ends.");
        }
        let progress = self.progress()?;
        let source = Source {
            template: self.template(),
            files: self.files.clone(),
            rate: self.rate,
            partitions,
            progress: progress.clone(),
        };
        let stop = producer.stopper();
        let feeding = thread::spawn(move || source.feed(producer));

        let mut tally = Tally::default();
        let mut interrupted = false;
        let mut ctrl_c = pin!(runtime::interrupted());
        loop {
            tokio::select! {
                delivery = deliveries.next() => match delivery {
                    Some(delivery) => tally.add(delivery),
                    None => break,
                },
                () = &mut ctrl_c => {
                    // Who presses it again does not want to wait for what is under way.
                    if interrupted {
                        break;
                    }
                    interrupted = true;
                    stop.cancel();
                    ctrl_c.set(runtime::interrupted());
                }
            }
        }
        progress.finish_and_clear();
        // A thread that still waits for its input will be told to stop by the producer, and ends with the process.
        let waits = (stop.is_cancelled() || tally.failures.is_some()) && !feeding.is_finished();
        let fed = if waits { Ok(()) } else { feeding.join().expect("the reader does not panic") };
        self.finish(tally, fed, interrupted)
    }

    fn finish(&self, tally: Tally, fed: Result, interrupted: bool) -> Result {
        let Tally { partitions, records, failed, failures } = tally;
        let summary = Summary { topic: self.topic.clone(), records, failed, partitions: partitions.into_values().collect() };
        if self.format.is_json() {
            self.format.print(&summary, String::new)?;
        } else if records > 0 {
            note(sentence(&summary));
        }
        match (fed, failures) {
            (Ok(()), None) if interrupted => Err(CliError::Interrupted),
            (Ok(()), None) => Ok(()),
            (fed, failure) if records == 0 => Err(fed.err().or(failure.map(CliError::from)).expect("one of them failed")),
            (fed, failure) => {
                let error = fed.err().or(failure.map(CliError::from)).expect("one of them failed");
                super::output::report(&error);
                Err(CliError::Stopped { done: records, what: "records" })
            }
        }
    }

    fn options(&self) -> ProducerOptions {
        ProducerOptions {
            acks: match self.acks {
                AcksName::All => Acks::All,
                AcksName::One => Acks::Leader,
                AcksName::Zero => Acks::None,
            },
            idempotent: !self.no_idempotence,
            compression: Compression::from(match self.compression {
                CodecName::None => Codec::None,
                CodecName::Gzip => Codec::Gzip,
                CodecName::Snappy => Codec::Snappy,
                CodecName::Lz4 => Codec::Lz4,
                CodecName::Zstd => Codec::Zstd,
            }),
            batch_bytes: self.batch_size,
            linger: Duration::from_millis(self.linger_ms),
            auto_create: self.allow_auto_topic_creation,
        }
    }

    fn template(&self) -> Template {
        Template {
            form: self.input,
            key_separator: self.key_separator.clone(),
            key: self.key.clone().map(Bytes::from),
            headers: self.header.clone(),
            partition: self.partition,
            timestamp: self.timestamp,
            null_marker: self.null_marker.clone(),
            keep_partition: !self.ignore_partitions,
        }
    }

    /// A bar over the bytes of the files; none for the standard input, whose size nobody knows, and none without a terminal.
    fn progress(&self) -> Result<ProgressBar> {
        if self.files.is_empty() {
            return Ok(ProgressBar::hidden());
        }
        let mut total = 0;
        for path in &self.files {
            total += std::fs::metadata(path).map_err(CliError::file("open", path))?.len();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        Ok(bar.with_style(ProgressStyle::with_template(style).expect("the template is well-formed")))
    }
}

/// What the broker has answered so far.
#[derive(Debug, Default)]
struct Tally {
    partitions: BTreeMap<i32, PartitionSummary>,
    records: u64,
    failed: u64,
    /// The first failure: the others usually repeat it.
    failures: Option<ClientError>,
}

impl Tally {
    fn add(&mut self, delivery: Delivery) {
        let count = delivery.records as u64;
        match delivery.result {
            Err(error) => {
                self.failed += count;
                self.failures.get_or_insert(error);
            }
            Ok(delivered) => {
                self.records += count;
                let partition = delivery.partition;
                let row = self.partitions.entry(partition).or_insert(PartitionSummary { partition, ..Default::default() });
                row.records += count;
                if delivered.base_offset >= 0 {
                    row.first_offset.get_or_insert(delivered.base_offset);
                    row.last_offset = Some(delivered.base_offset + count as i64 - 1);
                }
            }
        }
    }
}

fn sentence(summary: &Summary) -> String {
    let Summary { topic, records, partitions, .. } = summary;
    let wrote = format!("Produced {} to {topic}", plural(*records as i64, "record"));
    match partitions.as_slice() {
        [PartitionSummary { partition, first_offset: Some(first), last_offset: Some(last), .. }] if first == last => {
            format!("{wrote}, partition {partition}, offset {first}.")
        }
        [PartitionSummary { partition, first_offset: Some(first), last_offset: Some(last), .. }] => {
            format!("{wrote}, partition {partition}, offsets {first} to {last}.")
        }
        many => format!("{wrote}, in {}.", plural(many.len() as i64, "partition")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate| (0.001..=1e9).contains(rate)).ok_or("expected records a second, such as 100 or 0.5".into())
}

fn batch_size(text: &str) -> Result<usize, String> {
    /// Brokers take requests of up to 100 MiB.
    const MOST: u64 = 64 << 20;
    let size = text.parse::<bytesize::ByteSize>().map_err(|_| "expected a size such as 16KiB or 1MiB".to_owned())?;
    if (1..=MOST).contains(&size.as_u64()) { Ok(size.as_u64() as usize) } else { Err("expected 1 byte to 64MiB".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::producer::Delivered;

    fn delivery(partition: i32, records: usize, base_offset: Offset) -> Delivery {
        Delivery { partition, records, result: Ok(Delivered { base_offset, log_append_time: None }) }
    }

    fn summary(deliveries: Vec<Delivery>) -> Summary {
        let mut tally = Tally::default();
        deliveries.into_iter().for_each(|delivery| tally.add(delivery));
        let Tally { partitions, records, failed, .. } = tally;
        Summary { topic: "t".into(), records, failed, partitions: partitions.into_values().collect() }
    }

    #[test]
    fn the_summary_says_where_records_went() {
        for (deliveries, expected) in [
            (vec![delivery(0, 1, 7)], "Produced 1 record to t, partition 0, offset 7."),
            (vec![delivery(1, 2, 7), delivery(1, 1, 9)], "Produced 3 records to t, partition 1, offsets 7 to 9."),
            (vec![delivery(0, 2, 7), delivery(1, 1, 0)], "Produced 3 records to t, in 2 partitions."),
            (vec![delivery(0, 2, -1)], "Produced 2 records to t, in 1 partition."),
        ] {
            assert_eq!(sentence(&summary(deliveries)), expected);
        }
    }

    #[test]
    fn failures_are_counted() {
        let refused = ClientError::refused("partition t-0", ErrorCode::InvalidRecord);
        let all = vec![delivery(0, 5, 0), Delivery { partition: 0, records: 2, result: Err(refused) }];
        let summary = summary(all);
        assert_eq!((summary.records, summary.failed), (5, 2));
    }

    #[test]
    fn sizes_and_rates_are_sane() {
        assert_eq!((batch_size("16KiB"), rate("0.5")), (Ok(16_384), Ok(0.5)));
        assert!(batch_size("0").is_err() && batch_size("1GiB").is_err() && rate("0").is_err() && rate("x").is_err());
    }
}
