//! Compaction as users see it: the last record of each key stays, whatever happens to the broker, and what only coordinators write stays
//! small.

#[allow(unused)]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, OffsetCommitRequest};
use klamm::base::ErrorCode;
use klamm::record::builder::BatchBuilder;
use klamm::record::compression::Codec;
use klamm::record::owned;
use support::everyday::{text, topic_name};
use support::node::Client;
use support::process::Launch;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done` says so; what it asks takes its time.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it did not come to pass that {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn keyed(codec: Codec, records: &[(String, Option<String>)]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    for (key, value) in records {
        builder.push_plain(1_700_000_000_000, Some(key.as_bytes()), value.as_ref().map(|value| value.as_bytes()));
    }
    builder.build()
}

/// Offset, key and value of all records.
fn read_all(client: &mut Client, topic: &str) -> Vec<(i64, String, Option<String>)> {
    let (mut next, mut all) = (0, Vec::new());
    loop {
        let fetched = client.try_fetch(topic, 0, next, 1 << 20).unwrap();
        let before = next;
        for batch in owned::decode(&fetched.records, 1 << 24) {
            // The last one may be cut off.
            let batch = batch.unwrap();
            assert!(batch.header.base_offset >= next, "offsets go up");
            for record in batch.records().map(Result::unwrap) {
                let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                all.push((record.offset, text(record.key.unwrap()), record.value.map(text)));
            }
            next = batch.header.next_offset();
        }
        if next == before {
            assert_eq!(next, fetched.high_watermark, "every offset up to the end is told");
            return all;
        }
    }
}

/// Sets one key of a topic, or with an empty name of all brokers, while the broker runs.
fn set_config(client: &mut Client, topic: &str, key: &str, value: &str) {
    // Resource types of the protocol: broker, topic.
    let kind = if topic.is_empty() { 4 } else { 2 };
    let config = AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default().with_resource_type(kind).with_resource_name(text(topic));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])]);
    let response = client.call(1, &request);
    assert_eq!(response.responses[0].error_code, 0, "{:?}", response.responses[0].error_message);
}

/// Bytes of all files of a log.
fn size_of(dir: &Path) -> u64 {
    // A file may go while its directory is listed.
    std::fs::read_dir(dir).unwrap().filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

#[test]
fn the_last_record_of_each_key_survives_compaction_and_kills_in_its_middle() {
    let mut broker = Launch::with(&["log.cleaner.backoff.ms=20", "log.flush.policy=background", "log.segment.delete.delay.ms=0"])
        .in_memory()
        .start();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "0"),
    ];
    Client::connect(broker.address()).create_topic("keyed", &configs);
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let mut latest: BTreeMap<String, (i64, Option<String>)> = BTreeMap::new();
    let mut number = 0u64;
    for round in 0..4 {
        let mut client = Client::connect(broker.address());
        for n in 0..150 {
            let records: Vec<(String, Option<String>)> = (0..40)
                .map(|_| {
                    number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let value = !(number >> 40).is_multiple_of(10);
                    let filling: String = (0..60).map(|n| format!("{:04x}", (number >> (n % 48)) as u16)).collect();
                    (format!("key {}", (number >> 33) % 300), value.then(|| format!("{number} {filling}")))
                })
                .collect();
            let base = client.try_produce("keyed", 0, -1, keyed(codecs[n % codecs.len()], &records)).unwrap();
            for ((key, value), offset) in records.into_iter().zip(base..) {
                latest.insert(key, (offset, value));
            }
        }
        // The cleaner is at work all the time; it is cut off wherever it is.
        broker.kill();
        broker.start_again();
        let read = read_all(&mut Client::connect(broker.address()), "keyed");
        let at: BTreeMap<i64, (&String, &Option<String>)> =
            read.iter().map(|(offset, key, value)| (*offset, (key, value))).collect();
        for (key, (offset, value)) in latest.iter().filter(|(_, (_, value))| value.is_some()) {
            assert_eq!(at.get(offset), Some(&(key, value)), "round {round}: {key}");
        }
    }
    let mut client = Client::connect(broker.address());
    let dir = broker.log_of("keyed", 0);
    eventually("little more than the last values is left", || {
        // The last segment is not compacted before another begins.
        let filling = vec![("filling".to_owned(), Some("x".repeat(300_000)))];
        let offset = client.try_produce("keyed", 0, -1, keyed(Codec::None, &filling)).unwrap();
        latest.insert("filling".to_owned(), (offset, filling[0].1.clone()));
        size_of(&dir) < 3 << 20
    });
    eventually("tombstones are gone, too", || {
        let filling = vec![("filling".to_owned(), Some("x".repeat(300_000)))];
        client.try_produce("keyed", 0, -1, keyed(Codec::None, &filling)).unwrap();
        let read = read_all(&mut client, "keyed");
        read.iter().all(|(_, _, value)| value.is_some())
            && read.iter().filter(|(_, key, _)| key != "filling").count()
                == latest.iter().filter(|(key, (_, value))| *key != "filling" && value.is_some()).count()
    });
    assert!(dir.parent().unwrap().join("cleaner-offset-checkpoint").is_file());
    let describe = ["topic", "describe", "keyed", "--bootstrap-server", &broker.bootstrap(), "--output", "json"];
    let told = Command::new(env!("CARGO_BIN_EXE_klamm")).args(describe).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let compaction = &told[0]["partitions"][0]["compaction"];
    assert!(compaction["clean_bytes"].as_u64() > Some(0) && compaction["uncleanable"] == false, "{told}");
    broker.stop();
}

#[test]
fn a_kill_at_any_rename_loses_no_key() {
    let settings = ["log.cleaner.backoff.ms=20", "log.flush.policy=background", "log.segment.delete.delay.ms=0"];
    let data = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut broker = Launch::with(&settings).data(data.path()).start();
    let configs = [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "1")];
    Client::connect(broker.address()).create_topic("keyed", &configs);
    broker.stop();
    let mut latest: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let mut renames = 0;
    loop {
        renames += 1;
        let point = format!("segment-file-renamed:{renames}");
        let mut broker = Launch::with(&settings).data(data.path()).crashing_at(&point).start();
        let mut client = Client::connect(broker.address());
        // Three segments, of which the last is not compacted.
        for n in 0..50 {
            let record = (format!("key {}", n % 7), format!("{renames} {n} {}", "x".repeat(50_000)));
            let batch = keyed(Codec::None, &[(record.0.clone(), Some(record.1.clone()))]);
            latest.insert(record.0, (client.try_produce("keyed", 0, -1, batch).unwrap(), record.1));
        }
        set_config(&mut client, "keyed", "min.cleanable.dirty.ratio", "0.01");
        let dir = broker.log_of("keyed", 0);
        let (mut is_clean, mut crashed) = (false, false);
        eventually("the log is clean, or the broker is dead", || {
            is_clean = size_of(&dir) < 2 << 20;
            crashed = !broker.is_running();
            is_clean || crashed
        });
        if crashed {
            broker.kill();
            broker.start_again();
        }
        let mut client = Client::connect(broker.address());
        eventually("what was interrupted is done", || size_of(&dir) < 2 << 20);
        let left: BTreeMap<i64, (String, Option<String>)> =
            read_all(&mut client, "keyed").into_iter().map(|(offset, key, value)| (offset, (key, value))).collect();
        for (key, (offset, value)) in &latest {
            assert_eq!(left.get(offset), Some(&(key.clone(), Some(value.clone()))), "{point}: {key}");
        }
        set_config(&mut client, "keyed", "min.cleanable.dirty.ratio", "1");
        broker.stop();
        if !crashed {
            break;
        }
    }
    assert!(renames > 10, "only {renames}");
}

#[test]
fn a_topic_becomes_compacted_and_the_cleaner_is_woken_while_the_broker_runs() {
    let settings = ["log.cleaner.backoff.ms=3600000", "log.flush.policy=background", "log.segment.delete.delay.ms=0"];
    let mut broker = Launch::with(&settings).in_memory().start();
    let mut client = Client::connect(broker.address());
    client.create_topic("changing", &[("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0.01")]);
    for n in 0..60 {
        let record = (format!("key {}", n % 3), Some(format!("{n} {}", "x".repeat(50_000))));
        client.try_produce("changing", 0, -1, keyed(Codec::None, &[record])).unwrap();
    }
    set_config(&mut client, "changing", "cleanup.policy", "compact");
    let mut keyless = BatchBuilder::new(Codec::None);
    keyless.push_plain(1_700_000_000_000, None, Some(b"v"));
    let keyless = keyless.build();
    eventually("records without a key are refused", || {
        client.try_produce("changing", 0, -1, keyless.clone()) == Err(ErrorCode::InvalidRecord)
    });
    assert!(size_of(&broker.log_of("changing", 0)) > 5 << 19, "the cleaner rests for an hour");
    set_config(&mut client, "", "log.cleaner.backoff.ms", "20");
    let dir = broker.log_of("changing", 0);
    eventually("the cleaner has been woken", || size_of(&dir) < 2 << 20);
    broker.stop();
}

#[test]
fn a_million_commits_end_below_a_bound() {
    const PARTITIONS: i32 = 500;
    const REQUESTS: i64 = 2000;
    let settings = [
        "offsets.topic.num.partitions=1",
        "offsets.topic.segment.bytes=1048576",
        "log.cleaner.backoff.ms=50",
        "log.segment.delete.delay.ms=0",
        "log.flush.policy=background",
        "num.partitions=500",
    ];
    let mut broker = Launch::with(&settings).in_memory().start();
    let mut client = Client::connect(broker.address());
    assert_eq!(client.make_topic("committed"), PARTITIONS as usize);
    eventually("the coordinator is loaded", || client.commit("g", "committed", 0).is_none());
    let commit = |offset: i64| {
        let partitions = (0..PARTITIONS).map(|partition| {
            OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(offset)
        });
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name("committed")).with_partitions(partitions.collect());
        OffsetCommitRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic])
    };
    for offset in 1..=REQUESTS {
        let response = client.call(8, &commit(offset));
        assert!(response.topics[0].partitions.iter().all(|partition| partition.error_code == 0));
    }
    let dir = broker.log_of("__consumer_offsets", 0);
    eventually("a million commits take no more than four segments", || size_of(&dir) < 4 << 20);
    broker.kill();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    eventually("the coordinator is loaded", || client.commit("other", "committed", 0).is_none());
    assert_eq!(client.committed("g", "committed"), Ok(REQUESTS));
    broker.stop();
}
