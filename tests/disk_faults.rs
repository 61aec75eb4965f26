//! Disks that are full, read-only, taken or damaged, under a real broker: what cannot be done is refused in clear words, everything else goes
//! on, nothing acknowledged is lost, and once there is room the broker goes on by itself.
//!
//! Some of it needs a file system of its own, made with `mount`; where that is not allowed, the test says so and ends.

#[path = "support/mod.rs"]
#[allow(unused)]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DescribeTopicPartitionsRequest, FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use klamm::base::ErrorCode;
use support::Client;
use support::everyday::{batch, error, topic_name};
use support::process::{BrokerProcess, Launch};
use tempfile::TempDir;

/// A small file system in memory.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn mount(bytes: usize) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = format!("size={bytes}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "klamm-test"]).arg(dir.path()).stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: a file system of a few MiB cannot be mounted here");
            return None;
        }
        Some(Self { dir })
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let status = Command::new("mount").args(["-o", &options]).arg(self.dir.path()).status().expect("it was there before");
        assert!(status.success(), "cannot remount {option}");
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Takes all the room that is left, as another program would.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.dir.path().join("ballast");
        let file = fs::File::create(&path).expect("there is room for a name");
        let mut at = 0;
        for size in [1 << 20, 4096, 1] {
            while let Ok(written @ 1..) = file.write_at(&vec![0; size], at) {
                at += written as u64;
            }
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

const STORAGE: Option<ErrorCode> = Some(ErrorCode::KafkaStorageError);

/// Writes until the broker refuses; how many records of 32 KiB it took.
fn write_until_refused(client: &mut Client, topic: &str, from: i64) -> i64 {
    for n in from..10_000 {
        match client.try_produce(topic, 0, -1, batch(&[&value(n)])) {
            Ok(offset) => assert_eq!(offset, n),
            Err(code) => {
                assert_eq!(Some(code), STORAGE);
                return n;
            }
        }
    }
    panic!("the disk is never full");
}

fn value(n: i64) -> Vec<u8> {
    let mut value = format!("record {n} ").into_bytes();
    value.resize(32 * 1024, b'.');
    value
}

fn assert_all_there(client: &mut Client, topic: &str, from: i64, to: i64) {
    let found = client.read_from(topic, 0, from);
    let expected: Vec<_> = (from..to).map(|n| (n, value(n))).collect();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "what was acknowledged is not what is there");
}

/// Waits until the broker takes the next record.
fn write_as_soon_as_possible(client: &mut Client, topic: &str, n: i64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match client.try_produce(topic, 0, -1, batch(&[&value(n)])) {
            Ok(offset) => return assert_eq!(offset, n),
            Err(code) => assert_eq!(Some(code), STORAGE),
        }
        assert!(Instant::now() < deadline, "there is room, and the broker does not use it");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_refuses_producers_and_serves_everything_else() {
    let Some(disk) = SmallDisk::mount(24 << 20) else { return };
    let mut broker = Launch::with(&["log.segment.bytes=1048576", "log.segment.delete.delay.ms=0"]).data(disk.data()).start();
    let mut client = Client::connect(broker.address());
    client.make_topic("t");
    client.make_topic("other");
    let count = write_until_refused(&mut client, "t", 0);
    assert!(count > 400, "only {count} records of 32 KiB on a disk of 24 MiB");

    // Reads, commits and new topics go on with what was kept for them.
    assert_all_there(&mut client, "t", 0, count);
    assert_eq!(client.commit("group", "t", count / 2), None);
    assert_eq!(client.committed("group", "t"), Ok(count / 2));
    assert_eq!(client.make_topic("while-full"), 1);
    assert_eq!(client.try_produce("other", 0, -1, batch(&[&value(0)])).err(), STORAGE);
    assert!(broker.said().contains("log.dir.min.free.bytes"), "{}", broker.said());

    // A deletion makes room, and writing goes on without a restart.
    assert_eq!(client.delete_records("t", count / 2), Ok(count / 2));
    write_as_soon_as_possible(&mut client, "t", count);
    let count = write_until_refused(&mut client, "t", count + 1);
    assert_all_there(&mut client, "t", count - 100, count);

    // Nor does a crash in this state lose anything.
    broker.kill();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    assert_all_there(&mut client, "t", count - 100, count);
    assert_eq!(client.delete_topic("t"), None);
    write_as_soon_as_possible(&mut client, "other", 0);
    assert!(broker.is_running());
}

#[test]
fn a_disk_that_others_have_filled_to_the_last_byte_is_waited_for() {
    let Some(disk) = SmallDisk::mount(24 << 20) else { return };
    let mut broker = Launch::with(&["log.segment.bytes=1048576"]).data(disk.data()).start();
    let mut client = Client::connect(broker.address());
    client.make_topic("t");
    for n in 0..50 {
        assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(n)])), Ok(n));
    }
    assert_eq!(client.commit("group", "t", 7), None);
    let ballast = disk.fill();
    let count = write_until_refused(&mut client, "t", 50);
    assert_all_there(&mut client, "t", 0, count);
    assert_eq!(client.committed("group", "t"), Ok(7));
    broker.kill();
    fs::remove_file(ballast).unwrap();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    write_as_soon_as_possible(&mut client, "t", count);
    let ballast = disk.fill();
    let count = write_until_refused(&mut client, "t", count + 1);
    fs::remove_file(ballast).unwrap();
    write_as_soon_as_possible(&mut client, "t", count);
    assert_eq!(client.commit("group", "t", 8), None);
    assert_all_there(&mut client, "t", 0, count + 1);
    broker.stop();
}

#[test]
fn partitions_that_there_is_no_room_for_are_made_once_there_is() {
    let Some(disk) = SmallDisk::mount(24 << 20) else { return };
    let first = tempfile::tempdir().unwrap();
    let settings = ["num.partitions=4", "offsets.topic.num.partitions=4"];
    let mut broker = Launch::with(&settings).data(first.path()).data(disk.data()).start();
    let mut client = Client::connect(broker.address());
    let ballast = disk.fill();
    assert_eq!(client.make_topic("t"), 4);
    broker.wait_until_it_says("cannot host a partition");
    let produce = |client: &mut Client, partition| client.try_produce("t", partition, -1, batch(&[&value(0)]));
    let absent: Vec<i32> = (0..4).filter(|p| produce(&mut client, *p).is_err()).collect();
    assert!(!absent.is_empty(), "both directories take logs in turn");
    assert_eq!(produce(&mut client, absent[0]), Err(ErrorCode::NotLeaderOrFollower), "there is such a partition");
    assert_eq!(produce(&mut client, 4), Err(ErrorCode::UnknownTopicOrPartition));
    // The coordinators' own topic is made on the same disks.
    let find = |n| FindCoordinatorRequest::default().with_key(StrBytes::from_string(format!("group {n}")));
    (0..8).for_each(|n| drop(client.call(3, &find(n))));
    std::thread::sleep(Duration::from_millis(2500));
    fs::remove_file(ballast).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    for partition in absent {
        while produce(&mut client, partition) != Ok(0) {
            assert!(Instant::now() < deadline, "there is room, and partition {partition} is not made");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for n in 0..8 {
        assert_eq!(client.commit(&format!("group {n}"), "t", n), None);
    }
    assert_eq!(broker.said().matches("cannot host a partition partition=t-").count(), 3, "it is said once\n{}", broker.said());
    broker.stop();
}

#[test]
fn a_broker_that_cannot_write_its_metadata_ends_with_its_logs_closed() {
    let Some(disk) = SmallDisk::mount(24 << 20) else { return };
    let second = tempfile::tempdir().unwrap();
    let mut broker = Launch::with(&["num.partitions=2"]).data(disk.data()).data(second.path()).start();
    let mut client = Client::connect(broker.address());
    client.make_topic("t");
    disk.fill();
    // What is decided still fits the last page for a while.
    let refused = (0..1000).find(|n| {
        let topic = CreatableTopic::default().with_name(topic_name(&format!("t{n}"))).with_num_partitions(2);
        let request = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]).with_timeout_ms(30_000);
        !client.try_call(5, &request).is_ok_and(|response| response.topics[0].error_code == 0)
    });
    assert!(refused.is_some());
    let (status, said) = broker.wait();
    assert!(!status.success() && said.contains("the controller failed"), "{said}");
    assert!(second.path().join(".kafka_cleanshutdown").exists(), "{said}");
}

#[test]
fn a_directory_that_fails_is_taken_offline_and_the_other_serves() {
    let (healthy, failing) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = failing.path().join("data");
    let settings = ["num.partitions=6", "log.segment.bytes=1048576"];
    let mut broker = Launch::with(&settings).data(healthy.path()).data(&data).start();
    let mut client = Client::connect(broker.address());
    assert_eq!(client.make_topic("t"), 6);
    let on_failing: Vec<i32> = (0..6).filter(|p| data.join(format!("t-{p}")).is_dir()).collect();
    assert!(!on_failing.is_empty() && on_failing.len() < 6, "both directories have partitions: {on_failing:?}");
    // The disk is gone: what is open still works, but no new file can be made.
    fs::rename(&data, failing.path().join("gone")).unwrap();
    let first = on_failing[0];
    let refused = (0..100).find_map(|n| client.try_produce("t", first, -1, batch(&[&value(n)])).err());
    assert_eq!(refused, STORAGE, "a new segment is due after 32 records");
    broker.wait_until_it_says("log directory is offline");
    for partition in 0..6 {
        let outcome = client.try_produce("t", partition, -1, batch(&[&value(0)]));
        match on_failing.contains(&partition) {
            true => assert_eq!(outcome.err(), STORAGE, "partition {partition}"),
            false => assert_eq!(outcome, Ok(0), "partition {partition}"),
        }
    }
    assert!(broker.is_running());
}

/// Where a partition ends.
fn end_of(client: &mut Client, topic: &str, partition: i32) -> Result<i64, ErrorCode> {
    let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let response = client.call(6, &request);
    let partition = &response.topics[0].partitions[0];
    error(partition.error_code).map_or(Ok(partition.offset), Err)
}

/// Asserts that a partition is neither written, nor read, nor looked at.
fn assert_not_served(client: &mut Client, topic: &str, partition: i32) {
    for acks in [1, -1] {
        assert_eq!(client.try_produce(topic, partition, acks, batch(&[&value(0)])).err(), STORAGE, "{topic}-{partition}");
    }
    assert_eq!(client.try_fetch(topic, partition, 0, 1 << 20).err(), STORAGE, "{topic}-{partition}");
    assert_eq!(end_of(client, topic, partition).err(), STORAGE, "{topic}-{partition}");
}

/// What a group has committed, once its coordinator has been loaded.
/// Asserts what clients are told of partition 0 of a topic: error, leader, and the replicas that are offline.
fn assert_seen(client: &mut Client, topic: &str, expected: (Option<ErrorCode>, i32, &[i32])) {
    for version in [0, 4, 5, 13] {
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let response = client.call(version, &request);
        let partition = &response.topics[0].partitions[0];
        let offline: Vec<i32> = partition.offline_replicas.iter().map(|id| id.0).collect();
        let (code, leader, of) = expected;
        let of = if version >= 5 { of } else { &[] };
        assert_eq!((error(partition.error_code), partition.leader_id.0, &*offline), (code, leader, of), "{topic}, v{version}");
    }
    let asked = TopicRequest::default().with_name(topic_name(topic));
    let request = DescribeTopicPartitionsRequest::default().with_topics(vec![asked]).with_response_partition_limit(10);
    let response = client.call(0, &request);
    let partition = &response.topics[0].partitions[0];
    let offline: Vec<i32> = partition.offline_replicas.iter().map(|id| id.0).collect();
    assert_eq!((partition.leader_id.0, &*offline), (expected.1, expected.2), "{topic}");
}

fn committed(client: &mut Client, group: &str, topic: &str) -> i64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match client.committed(group, topic) {
            Ok(offset) => return offset,
            Err(ErrorCode::CoordinatorLoadInProgress) => assert!(Instant::now() < deadline, "the coordinator is never loaded"),
            Err(code) => panic!("{code:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Names and contents of all files of a directory.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_lies_on_a_disk_that_is_missing_at_the_start_waits_for_it() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = second.path().join("data");
    let settings = ["num.partitions=6", "offsets.topic.num.partitions=4"];
    let mut broker = Launch::with(&settings).data(first.path()).data(&data).start();
    let mut client = Client::connect(broker.address());
    assert_eq!(client.make_topic("t"), 6);
    for partition in 0..6 {
        assert_eq!(client.try_produce("t", partition, -1, batch(&[&value(0)])), Ok(0));
    }
    for n in 0..8 {
        assert_eq!(client.commit(&format!("group {n}"), "t", n), None);
    }
    let missing: Vec<i32> = (0..6).filter(|p| data.join(format!("t-{p}")).is_dir()).collect();
    assert!(!missing.is_empty() && missing.len() < 6, "both directories have partitions: {missing:?}");
    broker.stop();

    let away = second.path().join("away");
    fs::rename(&data, &away).unwrap();
    fs::write(&data, "where the disk was").unwrap();
    broker.start_again();
    broker.wait_until_it_says("a log directory cannot be used");
    broker.wait_until_it_says("partitions without a log in the directories that can be used are not served");
    let mut client = Client::connect(broker.address());
    for partition in 0..6 {
        match missing.contains(&partition) {
            true => assert_not_served(&mut client, "t", partition),
            false => assert_eq!(client.try_produce("t", partition, -1, batch(&[&value(1)])), Ok(1)),
        }
    }
    assert_eq!(client.make_topic("made-meanwhile"), 6);
    for partition in 0..6 {
        assert_eq!(client.try_produce("made-meanwhile", partition, -1, batch(&[&value(0)])), Ok(0));
    }
    broker.stop();

    fs::remove_file(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    for partition in 0..6 {
        let records = if missing.contains(&partition) { 1 } else { 2 };
        let expected: Vec<_> = (0..records).map(|n| (n, value(n))).collect();
        assert!(client.read_from("t", partition, 0) == expected, "partition {partition}");
        assert_eq!(client.try_produce("t", partition, -1, batch(&[&value(records)])), Ok(records));
        assert_eq!(client.read_from("made-meanwhile", partition, 0), [(0, value(0))]);
    }
    for n in 0..8 {
        assert_eq!(committed(&mut client, &format!("group {n}"), "t"), n);
    }
    broker.stop();
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    Launch::default().data(&file).refused().says(&["file", "not a directory", "--data DIR"]);
    Launch::default().data(file.join("below")).refused().says(&["below"]);
    let second = dir.path().join("second");
    let refused = Launch::default().data(&file).data(second).refused();
    refused.says(&["the first log directory", "file", "not a directory", "the metadata of this node lie in it"]);

    let running = BrokerProcess::start(&[]);
    Launch::default().data(running.data()).refused().says(&["in use", &running.pid().to_string()]);

    let Some(disk) = SmallDisk::mount(1 << 20) else { return };
    disk.remount("ro");
    Launch::default().data(disk.data()).refused().says(&["data", "Read-only"]);
}

/// Everything below a directory, with the contents of files.
fn everything_below(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => found.extend(everything_below(&path)),
            false => drop(found.insert(path.clone(), Some(fs::read(&path).unwrap()))),
        }
        found.entry(path).or_default();
    }
    found
}

fn launch_on(dirs: &[&Path]) -> Launch {
    dirs.iter().fold(Launch::with(&["num.partitions=4"]), |launch, dir| launch.data(dir))
}

#[test]
fn a_node_starts_with_its_metadata_in_the_first_directory_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let [first, second, third, lost] = ["first", "second", "third", "lost"].map(|name| root.path().join(name));
    let mut broker = launch_on(&[&first, &second]).start();
    let mut client = Client::connect(broker.address());
    assert_eq!(client.make_topic("t"), 4);
    for partition in 0..4 {
        assert_eq!(client.try_produce("t", partition, -1, batch(&[&value(0)])), Ok(0));
    }
    assert!(!broker.said().contains("stop="), "nobody has stopped in a new directory: {}", broker.said());
    broker.stop();
    let before = everything_below(root.path());
    let refused = |dirs: &[&Path], words: &[&str]| {
        launch_on(dirs).refused().says(words);
        assert!(everything_below(root.path()) == before, "{dirs:?}: something was changed");
    };
    refused(
        &[&second, &first],
        &["the first of log.dirs is", "second", "metadata/, lie in", "first", "nothing has been changed"],
    );
    refused(&[&third, &first, &second], &["third", "metadata/, lie in"]);
    refused(&[&second], &["second holds no metadata of klamm", "belongs to cluster"]);
    refused(&[&lost, &second], &["lost holds no metadata of klamm", "mount or restore it"]);

    // One that was made by mistake, before starts with another order were refused.
    fs::create_dir(second.join("metadata")).unwrap();
    fs::write(second.join("metadata/voter"), "of another cluster").unwrap();
    launch_on(&[&first, &second]).refused().says(&["both hold metadata/", "the newer"]);
    fs::remove_dir_all(second.join("metadata")).unwrap();

    let mut broker = launch_on(&[&first, &second, &third]).start();
    broker.wait_until_it_says("stop=Clean");
    let mut client = Client::connect(broker.address());
    for partition in 0..4 {
        assert_eq!(client.read_from("t", partition, 0), [(0, value(0))]);
    }
    broker.stop();
}

#[test]
fn a_data_directory_of_kafka_is_refused_and_left_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("kafka");
    for (file, contents) in [
        ("meta.properties", "version=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\nnode.id=1\ndirectory.id=cqDiqdEb7TX1YNzhe0cCWw\n"),
        ("bootstrap.checkpoint", ""),
        ("recovery-point-offset-checkpoint", "0\n1\norders 0 0\n"),
        ("__cluster_metadata-0/00000000000000000000.log", ""),
        ("orders-0/00000000000000000000.log", ""),
        ("orders-0/partition.metadata", "version: 0\ntopic_id: u1ybRdRYTgmTnXkmvuSULg"),
    ] {
        fs::create_dir_all(data.join(file).parent().unwrap()).unwrap();
        fs::write(data.join(file), contents).unwrap();
    }
    let refused = |words: &[&str]| {
        let before = everything_below(root.path());
        Launch::default().data(&data).refused().says(&[&["docs/from-kafka.md"], words].concat());
        assert!(everything_below(root.path()) == before, "something was changed");
    };
    refused(&["kafka is a data directory of Kafka", "klamm cannot take it over"]);
    fs::remove_dir_all(data.join("__cluster_metadata-0")).unwrap();
    refused(&["kafka holds no metadata of klamm", "belongs to cluster MkU3OEVBNTcwNTJENDM2Qk already"]);
    fs::write(data.join("meta.properties"), "version=0\nbroker.id=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\n").unwrap();
    refused(&["version 0 is that of a Kafka with ZooKeeper"]);
    fs::remove_file(data.join("meta.properties")).unwrap();
    refused(&["kafka holds no metadata of klamm", "holds partitions"]);
}

#[test]
fn a_start_that_fails_leaves_the_data_as_it_found_them() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let fails = |listen: &str, data: &Path, word: &str| {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_klamm"));
        let ran = serve.args(["serve", "--listen", listen, "--data"]).arg(data).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(1) && said.contains(word), "{said}");
    };
    let root = tempfile::tempdir().unwrap();
    let addresses = [(&*port, "that port is in use"), ("no.such.host.invalid:9092", "cannot listen on no.such.host.invalid")];
    for (listen, word) in addresses {
        fails(listen, &root.path().join("new"), word);
        assert!(!root.path().join("new").exists());
    }

    let (mut broker, count) = stopped_with_records(|broker| {
        broker.stop();
    });
    let before = everything_below(broker.data());
    for (listen, word) in addresses {
        fails(listen, broker.data(), word);
        assert!(everything_below(broker.data()) == before, "{listen}: something was changed");
    }
    // The logs were opened when this is found out.
    let voter = broker.data().join("metadata/voter");
    let whole = fs::read(&voter).unwrap();
    fs::write(&voter, "damaged").unwrap();
    fails("127.0.0.1:0", broker.data(), "the metadata log cannot be opened");
    fs::write(&voter, whole).unwrap();
    broker.start_again();
    broker.wait_until_it_says("stop=Clean");
    let records = Client::connect(broker.address()).read_from("t", 0, 0);
    assert_eq!(records.len() as i64, count);
    broker.stop();
}

/// A broker with a topic of several segments that was stopped as `stop` does it; its records.
fn stopped_with_records(stop: impl Fn(&mut BrokerProcess)) -> (BrokerProcess, i64) {
    let mut broker = BrokerProcess::start(&["log.segment.bytes=1048576", "log.index.interval.bytes=4096"]);
    let mut client = Client::connect(broker.address());
    client.make_topic("t");
    let count = 120;
    for n in 0..count {
        assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(n)])), Ok(n));
    }
    stop(&mut broker);
    (broker, count)
}

fn segments(log: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    assert!(files.len() > 2 || extension != "log", "several segments: {files:?}");
    files
}

#[test]
fn indexes_that_are_gone_or_garbage_are_made_again() {
    for garbage in [None, Some(&b"garbage that is no index at all"[..])] {
        let (mut broker, count) = stopped_with_records(|broker| assert!(!broker.stop().is_zero()));
        let log = broker.log_of("t", 0);
        for path in segments(&log, "index").into_iter().chain(segments(&log, "timeindex")) {
            match garbage {
                None => fs::remove_file(path).unwrap(),
                Some(garbage) => fs::write(path, garbage).unwrap(),
            }
        }
        broker.start_again();
        let mut client = Client::connect(broker.address());
        assert_all_there(&mut client, "t", 0, count);
        assert_all_there(&mut client, "t", count - 5, count);
        assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(count)])), Ok(count));
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_nothing_acknowledged_goes_with_it() {
    let (mut broker, count) = stopped_with_records(BrokerProcess::kill);
    let last = segments(&broker.log_of("t", 0), "log").pop().unwrap();
    let mut torn = fs::read(&last).unwrap();
    let half_a_batch = torn[..2000].to_vec();
    torn.extend(half_a_batch);
    fs::write(&last, torn).unwrap();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    assert_all_there(&mut client, "t", 0, count);
    assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(count)])), Ok(count));
    assert_all_there(&mut client, "t", 0, count + 1);
}

#[test]
fn a_flipped_bit_harms_its_batch_and_no_other() {
    let (mut broker, count) = stopped_with_records(|broker| assert!(!broker.stop().is_zero()));
    let first = segments(&broker.log_of("t", 0), "log").remove(0);
    let file = fs::OpenOptions::new().read(true).write(true).open(&first).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 10_000).unwrap();
    file.write_all_at(&[byte[0] ^ 4], 10_000).unwrap();
    let verified =
        Command::new(env!("CARGO_BIN_EXE_klamm")).args(["dump", "--verify"]).arg(broker.log_of("t", 0)).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert!(!verified.status.success() && said.contains("batch is corrupt") && said.contains("offset 0"), "{said}");
    broker.start_again();
    let mut client = Client::connect(broker.address());
    // The broker hands out what it has, as Kafka does; the reader's check of the CRC finds the damage.
    assert_all_there(&mut client, "t", 1, count);
    let Ok(fetched) = client.try_fetch("t", 0, 0, 1 << 20) else { panic!("the broker judges records it has taken") };
    let damaged = klamm::record::batches::batches(&fetched.records).next().unwrap().unwrap();
    assert!(damaged.verify_checksum().is_err());
    assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(count)])), Ok(count));
}

#[test]
fn a_log_that_cannot_be_opened_is_neither_served_nor_touched() {
    let (mut broker, count) = stopped_with_records(|broker| assert!(!broker.stop().is_zero()));
    let log = broker.log_of("t", 0);
    // After a stop in order every file has to be whole.
    let damage = || fs::write(log.join("partition.metadata"), "version").unwrap();
    damage();
    let before = contents(&log);
    broker.start_again();
    broker.wait_until_it_says("a log cannot be opened");
    let mut client = Client::connect(broker.address());
    assert_not_served(&mut client, "t", 0);
    assert_eq!(client.make_topic("t"), 1, "it is still there");
    assert_seen(&mut client, "t", (Some(ErrorCode::LeaderNotAvailable), -1, &[1]));
    assert_eq!(client.make_topic("other"), 1);
    assert_seen(&mut client, "other", (None, 1, &[]));
    assert_eq!(client.try_produce("other", 0, -1, batch(&[&value(0)])), Ok(0));
    assert_not_served(&mut client, "t", 0);
    broker.stop();
    assert!(contents(&log) == before, "its files are as they were");

    // That directory was not closed in order, so the next start does not take the file's word for anything.
    broker.start_again();
    let mut client = Client::connect(broker.address());
    assert_all_there(&mut client, "t", 0, count);
    assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(count)])), Ok(count));
    broker.stop();

    // It is repaired for good.
    broker.start_again();
    let mut client = Client::connect(broker.address());
    assert_all_there(&mut client, "t", 0, count + 1);
    broker.stop();

    damage();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    assert_not_served(&mut client, "t", 0);
    assert_eq!(client.delete_topic("t"), None);
    assert_eq!(client.make_topic("t"), 1);
    assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(0)])), Ok(0));
    let names: Vec<String> =
        fs::read_dir(broker.data()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name.starts_with("t-0.") && name.ends_with("-delete")), "{names:?}");
    broker.stop();
}

#[test]
fn a_log_is_not_taken_for_one_of_a_topic_that_the_end_of_the_metadata_log_has_deleted() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(broker.address());
    client.make_topic("t");
    assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(0)])), Ok(0));
    // How far the metadata log is committed is noted without a flush: a loss of power may bring an old note back.
    let note = broker.data().join("metadata/committed");
    let old_note = fs::read(&note).unwrap();
    assert_eq!(client.delete_topic("t"), None);
    client.make_topic("t");
    for n in 0..3 {
        assert_eq!(client.try_produce("t", 0, -1, batch(&[&value(n)])), Ok(n));
    }
    broker.kill();
    assert_ne!(fs::read(&note).unwrap(), old_note);
    fs::write(&note, old_note).unwrap();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    assert_all_there(&mut client, "t", 0, 3);
}
