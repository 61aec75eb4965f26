//! Kafka's tools read klamm's files, klamm opens what Kafka wrote, and Kafka goes on with what klamm wrote into it.
//!
//! Needs Java and the jars of Apache Kafka 4.3.1: `KAFKA_JARS` names their directory. Without them there is nothing to compare with, and the
//! tests say so.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm::base::disk::RealDisk;
use klamm::base::ids::*;
use klamm::base::time::Clock;
use klamm::config::BrokerConfig;
use klamm::config::def::cleaner::CleanerConfig;
use klamm::config::topic::TopicConfig;
use klamm::record::batches::batches;
use klamm::record::builder::{BatchBuilder, Producer};
use klamm::record::compression::{Codec, decompress};
use klamm::record::control::{EndTransactionMarker, TransactionResult};
use klamm::record::records::records;
use klamm::storage::cleaner::{LogCleaner, LogOwner, OffsetMap};
use klamm::storage::producer_state::AppendOrigin;
use klamm::storage::{LastStop, Log, LogManager, LogManagerConfig, LogSettings, Opened};

const NOW: TimestampMs = 1_700_000_000_000;
const CLUSTER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

/// Kafka's classes, if they are there.
fn jars() -> Option<String> {
    let dir = std::env::var_os("KAFKA_JARS").map(PathBuf::from).filter(|dir| dir.is_dir());
    let java = Command::new("java").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match (dir, java) {
        (Some(dir), Ok(status)) if status.success() => Some(format!("{}/*", dir.display())),
        _ => {
            eprintln!("skipped: set KAFKA_JARS to the libs of Apache Kafka 4.3.1, and have java in the path");
            None
        }
    }
}

fn java(jars: &str, class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", jars, class]);
    command
}

/// Runs a tool to its end; what it printed.
fn tool(jars: &str, class: &str, args: &[&str]) -> (String, String) {
    let output = java(jars, class).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{class} {args:?}: {out}\n{err}");
    (out, err)
}

/// What Kafka's dump tool says of all files of a log: the offsets of its records, segment by segment. A log that was compacted has gaps.
fn dump(jars: &str, dir: &Path, compacted: bool) -> Vec<Offset> {
    let mut names: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| {
        ["log", "index", "timeindex", "txnindex", "snapshot"].iter().any(|e| path.extension().is_some_and(|x| x == *e))
    });
    names.sort();
    let files: Vec<String> = names.iter().map(|path| path.display().to_string()).collect();
    let files = files.join(",");
    let mut offsets = Vec::new();
    for mode in ["--verify-index-only", "--index-sanity-check"] {
        let (out, err) = tool(jars, "org.apache.kafka.tools.DumpLogSegments", &["--deep-iteration", mode, "--files", &files]);
        // Of the first record of any segment, Kafka's own too, it says that −1 is followed by it.
        let is_gap = |line: &str| {
            let (before, after) = line.trim().split_once(" is followed by ")?;
            let (before, after): (Offset, Offset) = (before.parse().ok()?, after.parse().ok()?);
            Some(before == -1 || (compacted && before < after))
        };
        let err: String = err.lines().filter(|line| is_gap(line) != Some(true) && !line.contains("Non-consecutive")).collect();
        for complaint in ["ismatch", "is followed by", "not found", "xception", "corrupt", "Found "] {
            assert!(!out.contains(complaint) && !err.contains(complaint), "{mode} {}: {out}\n{err}", dir.display());
        }
        assert!(!out.contains("isvalid: false"), "{out}");
        let offset = |line: &str| line.strip_prefix("| offset: ")?.split(' ').next()?.parse::<Offset>().ok();
        offsets = out.lines().filter_map(offset).collect();
    }
    offsets
}

fn open(dir: &Path) -> Opened {
    let config = LogManagerConfig {
        log_dirs: vec![dir.to_owned()],
        node_id: 1,
        cluster_id: None,
        boot_id: "this boot".into(),
        threads_per_dir: 2,
        open_files: 100,
        settings: Arc::new(LogSettings { transaction_verification: false.into(), ..LogSettings::default() }),
    };
    let topic = Arc::new(TopicConfig { segment_bytes: 1 << 20, ..TopicConfig::default() });
    LogManager::open(Arc::new(RealDisk), config, &|_| topic.clone(), NOW).unwrap()
}

fn close(opened: Opened) {
    let owners: Vec<_> = opened.logs.into_iter().map(|opened| parking_lot::Mutex::new(opened.log)).collect();
    assert!(opened.manager.shutdown(&owners, |log| log.lock().close(), Some(5)));
}

fn builder(codec: Codec, n: i64, records: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec);
    for record in 0..records {
        let value = format!("value {n} {record} {}", "x".repeat((n % 50) as usize));
        builder.push_plain(NOW + n * 10 - record, Some(b"key"), Some(value.as_bytes()));
    }
    builder
}

fn append(log: &mut Log, batch: &Bytes) -> Offset {
    let epoch = log.latest_epoch().unwrap_or(0);
    let origin = AppendOrigin::Coordinator { transaction_version: 0 };
    log.append_built(batch, epoch, origin, None, NOW).unwrap().last_offset
}

/// Offsets of all records of a log, read through klamm.
fn offsets_of(log: &Log) -> Vec<Offset> {
    let end = log.log_end_offset();
    let (mut offset, mut all) = (log.log_start_offset(), Vec::new());
    while offset < end {
        let mut plan = log.read(offset, 100_000, true, end).unwrap();
        if !plan.is_resident() {
            plan.load().unwrap();
        }
        for batch in batches(&plan.finish().unwrap().records) {
            let batch = batch.unwrap();
            batch.verify_checksum().unwrap();
            let mut plain = Vec::new();
            let body = match Codec::from_id(batch.header.compression_id()).unwrap() {
                Codec::None => batch.body(),
                _ if batch.header.record_count == 0 => &[],
                codec => {
                    decompress(codec, batch.body(), &mut plain, 1 << 20).unwrap();
                    &plain
                }
            };
            all.extend(records(&batch.header, body).map(|record| record.unwrap().offset).filter(|at| *at >= offset));
            offset = offset.max(batch.header.next_offset());
        }
    }
    all
}

/// A log with a lock, as a partition has it.
struct Owner(parking_lot::Mutex<Log>);

impl LogOwner for Owner {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        visit(&mut self.0.lock());
        true
    }
}

/// Makes all of a log durable, and compacts it but for the active segment; nothing is dirty afterwards.
fn clean(manager: &LogManager, mut log: Log) -> Log {
    let end = log.log_end_offset();
    log.set_high_watermark(end);
    log.roll(NOW).unwrap();
    let before = log.size();
    while log.durable_end() < end {
        manager.checkpoint_recovery_points();
        std::thread::yield_now();
    }
    let config = CleanerConfig { backoff_ms: 0, ..BrokerConfig::default().cleaner };
    let cleaner = LogCleaner::new(Clock::manual(NOW).0, config);
    let owner = Arc::new(Owner(parking_lot::Mutex::new(log)));
    let owners: [Arc<dyn LogOwner>; 1] = [owner.clone()];
    assert!(cleaner.clean_filthiest(0, &mut OffsetMap::new(5), &owners), "{:?}", cleaner.state());
    assert!(!cleaner.clean_filthiest(0, &mut OffsetMap::new(5), &owners), "{:?}", cleaner.state());
    drop(owners);
    let log = Arc::into_inner(owner).expect("the cleaner is through with it").0.into_inner();
    assert!(log.size() < before / 2 && log.log_end_offset() == end);
    log
}

/// A batch of a compacted topic: 40 keys, some with tombstones.
fn keyed(codec: Codec, n: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec);
    for record in 0..3 {
        let (key, value) = (format!("key {}", (n * 7 + record * 11) % 40), format!("value {n} {record} {}", "x".repeat(90)));
        builder.push_plain(NOW + n * 10, Some(key.as_bytes()), ((n + record) % 9 > 0).then_some(value.as_bytes()));
    }
    builder
}

#[test]
fn kafkas_dump_tool_reads_klamms_files_without_complaint() {
    let Some(jars) = jars() else { return };
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let config = Arc::new(TopicConfig { segment_bytes: 15_000, index_interval_bytes: 500, ..TopicConfig::default() });
    let create = |name: &str| {
        let id = uuid::Uuid::from_u128(name.len() as u128 + 1000);
        opened.manager.create_log(&TopicPartition::new(name, 0), Some(id), &config, NOW).unwrap()
    };
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let mut logs = Vec::new();

    let mut log = create("every-codec");
    (0..400).for_each(|n| {
        append(&mut log, &builder(codecs[n as usize % 5], n, n % 4 + 1).build());
    });
    logs.push(log);

    let mut log = create("transactions");
    for n in 0..300 {
        let mut data = builder(Codec::None, n, 2);
        data.producer = Producer { id: 7 + n % 3, epoch: 0, base_sequence: -1 };
        data.transactional = true;
        append(&mut log, &data.build());
        let result = if n % 2 == 0 { TransactionResult::Abort } else { TransactionResult::Commit };
        let marker = EndTransactionMarker { result, coordinator_epoch: 1 };
        append(&mut log, &marker.batch(NOW + n * 10, 7 + n % 3, 0));
    }
    logs.push(log);

    let mut log = create("truncated");
    (0..300).for_each(|n| {
        append(&mut log, &builder(Codec::None, n, 1).build());
    });
    log.truncate_to(123, NOW).unwrap();
    log.assign_epoch(3, 123);
    (300..400).for_each(|n| {
        append(&mut log, &builder(Codec::Lz4, n, 1).build());
    });
    logs.push(log);

    let mut log = create("retained");
    (0..600).for_each(|n| {
        append(&mut log, &builder(Codec::None, n, 1).build());
    });
    log.set_high_watermark(600);
    log.maybe_increment_log_start_offset(550).unwrap();
    assert!(log.delete_oldest_segment(600, NOW).unwrap());
    logs.push(log);

    let config = Arc::new(TopicConfig { cleanup_compact: true, min_cleanable_dirty_ratio: 0.0, ..(*config).clone() });
    let log_id = Some(uuid::Uuid::from_u128(2000));
    let mut log = opened.manager.create_log(&TopicPartition::new("compacted", 0), log_id, &config, NOW).unwrap();
    for n in 0..600 {
        let mut batch = keyed(codecs[n as usize % 5], n);
        (batch.producer, batch.transactional) = (Producer { id: 7 + n % 3, epoch: 0, base_sequence: -1 }, n % 3 > 0);
        append(&mut log, &batch.build());
        if n % 3 > 0 {
            let result = if n % 4 == 0 { TransactionResult::Abort } else { TransactionResult::Commit };
            append(&mut log, &EndTransactionMarker { result, coordinator_epoch: 1 }.batch(NOW + n * 10, 7 + n % 3, 0));
        }
    }
    let mut log = clean(&opened.manager, log);
    (600..800).for_each(|n| {
        append(&mut log, &keyed(Codec::None, n).build());
    });
    let aborts = fs::read_dir(log.dir()).unwrap().map(|entry| entry.unwrap().path());
    assert!(aborts.filter(|path| path.extension().is_some_and(|e| e == "txnindex")).count() > 0, "aborts are left");
    logs.push(log);
    logs.push(create("empty"));

    let expected: BTreeMap<String, (PathBuf, Vec<Offset>, usize)> =
        logs.iter().map(|log| (log.partition().topic.to_string(), (log.dir(), offsets_of(log), log.segments().len()))).collect();
    let compare = || {
        for (topic, (path, offsets, segments)) in &expected {
            assert!(*segments >= 2 || topic == "empty", "{topic} has {segments} segments");
            let dumped: Vec<Offset> = dump(&jars, path, topic == "compacted")
                .into_iter()
                .filter(|at| offsets.first().is_none_or(|f| at >= f))
                .collect();
            assert_eq!(dumped, *offsets, "{topic}");
        }
    };
    compare(); // as a killed process leaves it, with the active segment's index in part in memory
    let owners: Vec<_> = logs.into_iter().map(parking_lot::Mutex::new).collect();
    assert!(opened.manager.shutdown(&owners, |log| log.lock().close(), Some(5)));
    compare();
}

/// Kafka's directory, formatted, and where its broker is to listen.
struct KafkaHome<'a> {
    jars: &'a str,
    dir: &'a Path,
    bootstrap: String,
}

impl<'a> KafkaHome<'a> {
    fn format(jars: &'a str, dir: &'a Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [bootstrap, controller] = free.map(|port| port.local_addr().unwrap().to_string());
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{controller}\n\
             listeners=PLAINTEXT://{bootstrap},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{bootstrap}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\noffsets.topic.num.partitions=1\ntransaction.state.log.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n",
            dir.join("data").display()
        );
        fs::File::create(dir.join("server.properties")).unwrap().write_all(properties.as_bytes()).unwrap();
        let file = dir.join("server.properties").display().to_string();
        tool(jars, "kafka.tools.StorageTool", &["format", "-t", CLUSTER, "-c", &file]);
        Self { jars, dir, bootstrap }
    }

    fn start(&self) -> Kafka {
        let log = fs::File::create(self.dir.join("kafka.log")).unwrap();
        let child = java(self.jars, "kafka.Kafka")
            .arg(self.dir.join("server.properties"))
            .current_dir(self.dir)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut kafka = Kafka { child, jars: self.jars.to_owned(), bootstrap: self.bootstrap.clone() };
        let deadline = Instant::now() + Duration::from_secs(120);
        // It listens before it serves, and answers who connected then once it does.
        while TcpStream::connect(&self.bootstrap).is_err() {
            let said = || fs::read_to_string(self.dir.join("kafka.log")).unwrap();
            assert!(kafka.child.try_wait().unwrap().is_none() && Instant::now() < deadline, "Kafka does not start: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
        kafka
    }
}

/// A real broker, on a directory that it may have to itself.
struct Kafka {
    child: Child,
    jars: String,
    bootstrap: String,
}

impl Kafka {
    fn tool(&self, class: &str, args: &[&str]) -> String {
        let args: Vec<&str> = args.iter().map(|arg| if *arg == "BOOTSTRAP" { self.bootstrap.as_str() } else { *arg }).collect();
        tool(&self.jars, class, &args).0
    }

    fn produce(&self, topic: &str, records: u32, extra: &[&str]) {
        let records = records.to_string();
        let mut args = vec!["--bootstrap-server", "BOOTSTRAP", "--topic", topic, "--num-records", &records];
        args.extend(["--record-size", "100", "--throughput", "-1", "--command-property", "batch.size=3000"]);
        args.extend(extra);
        self.tool("org.apache.kafka.tools.ProducerPerformance", &args);
    }

    /// End offsets by partition.
    fn ends(&self, topic: &str) -> BTreeMap<i32, Offset> {
        let out = self.tool("org.apache.kafka.tools.GetOffsetShell", &["--bootstrap-server", "BOOTSTRAP", "--topic", topic]);
        let parse = |line: &str| {
            let mut fields = line.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?))
        };
        out.lines().filter_map(parse).collect()
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().code().is_some());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Already gone unless a test failed.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().and_then(|()| self.child.wait().map(|_| ())).unwrap_or_default();
        }
    }
}

/// Opens the directory with klamm and compares each partition of the topic with what Kafka said of it.
fn compare(dir: &Path, topic: &str, ends: &BTreeMap<i32, Offset>, stop: LastStop) -> Opened {
    let opened = open(dir);
    assert_eq!(opened.manager.previous_run().stop, stop);
    assert_eq!(opened.manager.cluster_id(), CLUSTER);
    assert!(opened.manager.unopened_logs().is_empty());
    assert!(opened.logs.iter().all(|opened| opened.loss.is_none()));
    let ours: Vec<_> = opened.logs.iter().filter(|opened| &*opened.log.partition().topic == topic).collect();
    assert_eq!(ours.len(), ends.len());
    for opened in ours {
        let log = &opened.log;
        assert_eq!(log.log_end_offset(), ends[&log.partition().partition], "{}", log.partition());
        assert_eq!(offsets_of(log), (0..log.log_end_offset()).collect::<Vec<_>>());
        assert!(log.segments().len() >= 2 && log.topic_id().is_some() && log.latest_epoch().is_some());
        assert!(log.producers().producer_count() >= 1, "idempotent producers are known");
        let newest = log.search_timestamps().unwrap().max_timestamp().unwrap().unwrap();
        assert!(newest.offset < log.log_end_offset() && newest.timestamp > NOW);
    }
    opened
}

#[test]
fn klamm_opens_what_kafka_wrote_and_kafka_goes_on_with_what_klamm_adds() {
    let Some(jars) = jars() else { return };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let installed = KafkaHome::format(&jars, home.path());
    let kafka = installed.start();
    let create = ["--create", "--topic", "plain", "--partitions", "2", "--config", "segment.bytes=1048576"];
    kafka.tool("org.apache.kafka.tools.TopicCommand", &[&["--bootstrap-server", "BOOTSTRAP"][..], &create].concat());
    kafka.produce("plain", 30_000, &[]);
    let transactional =
        ["--transactional-id", "tx", "--transaction-duration-ms", "50", "--command-property", "compression.type=zstd"];
    kafka.produce("plain", 2_000, &transactional);
    let ends = kafka.ends("plain");
    kafka.stop();

    // A stop in order.
    let mut opened = compare(&data, "plain", &ends, LastStop::Clean);
    for opened in opened.logs.iter_mut().filter(|opened| &*opened.log.partition().topic == "plain") {
        for n in 0..200 {
            append(&mut opened.log, &builder(Codec::Lz4, n, 3).build());
        }
        opened.log.roll(NOW).unwrap();
        append(&mut opened.log, &builder(Codec::None, 200, 1).build());
        let end = opened.log.log_end_offset();
        opened.log.set_high_watermark(end);
    }
    close(opened);
    assert!(data.join("__cluster_metadata-0").is_dir() && data.join("bootstrap.checkpoint").is_file());

    // Kafka takes it back, with what klamm added, and is killed.
    let kafka = installed.start();
    let longer: BTreeMap<i32, Offset> = ends.iter().map(|(partition, end)| (*partition, end + 601)).collect();
    assert_eq!(kafka.ends("plain"), longer);
    let total: Offset = longer.values().sum();
    let consumed = kafka.tool(
        "org.apache.kafka.tools.ConsumerPerformance",
        &["--bootstrap-server", "BOOTSTRAP", "--topic", "plain", "--num-records", "33000", "--timeout", "30000"],
    );
    assert!(!consumed.contains("WARNING") && total > 33_000, "{consumed}");
    let log = fs::read_to_string(home.path().join("kafka.log")).unwrap();
    assert!(!log.contains("ERROR") && !log.contains("orrupt"), "{log}");
    kafka.produce("plain", 10_000, &[]);
    let ends = kafka.ends("plain");
    kafka.kill();
    let sparse = fs::read_dir(data.join("plain-0")).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
    assert_eq!(sparse.max(), Some(10 << 20), "the index files of a killed Kafka are preallocated");
    close(compare(&data, "plain", &ends, LastStop::Foreign));
    close(compare(&data, "plain", &ends, LastStop::Clean));
}

#[test]
fn kafka_opens_what_klamm_compacted_and_compacts_on() {
    let Some(jars) = jars() else { return };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let installed = KafkaHome::format(&jars, home.path());
    let properties = home.path().join("server.properties");
    let own = fs::read_to_string(&properties).unwrap() + "log.cleaner.backoff.ms=50\nlog.segment.delete.delay.ms=0\n";
    fs::write(&properties, own).unwrap();
    let kafka = installed.start();
    let create = ["--create", "--topic", "compacted", "--config", "cleanup.policy=compact", "--config", "segment.bytes=1048576"];
    kafka.tool(
        "org.apache.kafka.tools.TopicCommand",
        &[&["--bootstrap-server", "BOOTSTRAP"][..], &create, &["--config", "min.cleanable.dirty.ratio=0.01"]].concat(),
    );
    kafka.stop();

    let Opened { manager, logs } = open(&data);
    assert!(manager.unopened_logs().is_empty());
    let (mut ours, others): (Vec<_>, Vec<_>) =
        logs.into_iter().map(|opened| opened.log).partition(|log| &*log.partition().topic == "compacted");
    let mut log = ours.remove(0);
    let policy = TopicConfig { cleanup_compact: true, min_cleanable_dirty_ratio: 0.0, ..(**log.config()).clone() };
    log.set_config(Arc::new(policy));
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    (0..20_000).for_each(|n| {
        append(&mut log, &keyed(codecs[n as usize % 5], n).build());
    });
    let log = clean(&manager, log);
    let (left, end) = (offsets_of(&log), log.log_end_offset());
    assert!(left.len() < 1000 && log.segments().len() > 4, "{} left", left.len());
    let logs: Vec<_> = others.into_iter().chain([log]).map(parking_lot::Mutex::new).collect();
    assert!(manager.shutdown(&logs, |log| log.lock().close(), Some(5)));
    drop(manager);

    // Kafka knows how far klamm came, reads what is left, and goes on where klamm stopped.
    let kafka = installed.start();
    assert_eq!(kafka.ends("compacted"), BTreeMap::from([(0, end)]));
    let consumed = kafka.tool(
        "org.apache.kafka.tools.ConsumerPerformance",
        &[
            &["--bootstrap-server", "BOOTSTRAP", "--topic", "compacted", "--timeout", "30000", "--num-records"][..],
            &[&*left.len().to_string()],
        ]
        .concat(),
    );
    assert!(!consumed.contains("WARNING") && consumed.contains(&format!(", {},", left.len())), "{consumed}");
    let said = fs::read_to_string(home.path().join("kafka.log")).unwrap();
    assert!(!said.contains("ERROR") && !said.contains("orrupt") && !said.contains("Resetting first dirty offset"), "{said}");
    kafka.stop();

    // Klamm goes on where Kafka stopped.
    let Opened { manager, logs } = open(&data);
    assert!(manager.unopened_logs().is_empty() && logs.iter().all(|opened| opened.loss.is_none()));
    let (mut ours, others): (Vec<_>, Vec<_>) =
        logs.into_iter().map(|opened| opened.log).partition(|log| &*log.partition().topic == "compacted");
    let mut log = ours.remove(0);
    assert_eq!((offsets_of(&log), log.log_end_offset()), (left, end));
    (0..4000).for_each(|n| {
        append(&mut log, &keyed(codecs[n as usize % 5], n).build());
    });
    log.set_high_watermark(end + 12_000);
    log.roll(NOW).unwrap();
    let before = log.size();
    let logs: Vec<_> = others.into_iter().chain([log]).map(parking_lot::Mutex::new).collect();
    assert!(manager.shutdown(&logs, |log| log.lock().close(), Some(5)));
    drop(manager);
    let kafka = installed.start();
    let deadline = Instant::now() + Duration::from_secs(60);
    let size = || -> u64 {
        let files = fs::read_dir(data.join("compacted-0")).unwrap().map(|entry| entry.unwrap());
        files
            .filter(|file| file.path().extension().is_some_and(|e| e == "log"))
            .filter_map(|f| Some(f.metadata().ok()?.len()))
            .sum()
    };
    while size() > before / 2 {
        assert!(Instant::now() < deadline, "Kafka does not compact: {} of {before} bytes", size());
        std::thread::sleep(Duration::from_millis(100));
    }
    kafka.stop();
    let opened = open(&data);
    assert!(opened.manager.unopened_logs().is_empty() && opened.logs.iter().all(|opened| opened.loss.is_none()));
    let log = &opened.logs.iter().find(|opened| &*opened.log.partition().topic == "compacted").unwrap().log;
    assert_eq!(log.log_end_offset(), end + 12_000);
    assert!(offsets_of(log).len() < 1000);
    close(opened);
}
