//! What DescribeConfigs of klamm says, compared with what Kafka 4.3.1 says. `testdata/DescribeConfigs.java` recorded the latter and
//! tells how to record it anew.

use std::collections::BTreeMap;

use super::def::{BROKER, GROUP, Scope, TOPIC};
use super::foreign;
use super::key::{Key, Update};

/// Keys that differ from Kafka, or that Kafka lacks, and how: for the reader of `docs/configuration.md`. The tests below refuse a
/// difference that is not in here and an entry that is none.
#[rustfmt::skip]
pub(super) const DIFFERENCES: &[(&str, &str)] = &[
    ("node.id", "Kafka has no default; here it is 1, so that a single node needs no configuration."),
    ("process.roles", "Kafka has no default; here every node is both broker and controller."),
    ("log.dir", "Kafka's default lies in `/tmp`, which many systems empty at boot."),
    ("listeners", "Kafka listens on every interface unless told otherwise, klamm on the loopback address alone. Cannot be changed while the broker runs."),
    ("listener.security.protocol.map", "Cannot be changed while the broker runs. Listeners can speak PLAINTEXT only, so far."),
    ("advertised.listeners", "A listener that takes every interface and is not named here advertises the address at which the client reached the node; in Kafka, the host name."),
    ("socket.send.buffer.bytes", "Kafka fixes 100 KiB; here the kernel adapts the buffer unless a size is set."),
    ("socket.receive.buffer.bytes", "Kafka fixes 100 KiB; here the kernel adapts the buffer unless a size is set."),
    ("queued.max.request.bytes", "−1 is no bound in Kafka and a quarter of the memory here."),
    ("offsets.topic.replication.factor", "Where there are fewer brokers Kafka refuses to create the topic; here it gets as many replicas as there are brokers."),
    ("add.partitions.to.txn.retry.backoff.max.ms", "Kafka tries again every `add.partitions.to.txn.retry.backoff.ms` in this time; klamm goes on as soon as the transaction before has ended. Explicit AddPartitionsToTxn and AddOffsetsToTxn wait likewise, instead of being refused at once."),
    ("log.flush.policy", "Only klamm has it: whether records reach the disk before they are acknowledged."),
    ("transaction.state.log.replication.factor", "Where there are fewer brokers Kafka refuses to create the topic; here it gets as many replicas as there are brokers."),
    ("flush", "Only klamm has it: whether records reach the disk before they are acknowledged."),
    ("log.dir.min.free.bytes", "Only klamm has it; Kafka fills the disk to its end, and then takes the directory offline."),
    ("http.listener", "Only klamm has it."),
    ("http.metrics.per.partition", "Only klamm has it."),
    ("shutdown.timeout.ms", "Only klamm has it."),
    ("retention.ms", "DescribeConfigs names `log.retention.hours` or `.minutes` as the source where they set the value; Kafka calls that a default. Likewise `segment.ms`, `segment.jitter.ms` and `flush.ms`."),
];

/// Differences that the recorded facts do not show.
const OF_MEANING: &[&str] = &[
    "queued.max.request.bytes",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "add.partitions.to.txn.retry.backoff.max.ms",
    "retention.ms",
];

struct Recorded {
    value_type: String,
    /// `None` where the recording broker had no default to tell.
    default: Option<String>,
    read_only: bool,
    synonyms: Vec<String>,
}

/// What Kafka says of the keys of one kind of resource.
fn recorded(kind: &str) -> BTreeMap<String, Recorded> {
    include_str!("testdata/kafka-4.3.1-configs.tsv")
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|fields| fields[0] == kind)
        .map(|fields| {
            let recorded = Recorded {
                value_type: fields[2].to_owned(),
                default: Some(fields[3].to_owned()).filter(|default| default != "?"),
                read_only: fields[4] == "read-only",
                synonyms: fields[5].split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            };
            (fields[1].to_owned(), recorded)
        })
        .collect()
}

fn resources() -> [(&'static Scope, BTreeMap<String, Recorded>); 3] {
    [(&BROKER, recorded("BROKER")), (&TOPIC, recorded("TOPIC")), (&GROUP, recorded("GROUP"))]
}

/// How a key differs from the recorded one.
fn difference(key: &Key, kafka: Option<&Recorded>, of_broker: bool) -> Option<String> {
    let Some(kafka) = kafka else { return Some("Kafka does not have it".into()) };
    let default = key.default.unwrap_or("\\N");
    if key.value_type.name() != kafka.value_type {
        return Some(format!("its type is {} in Kafka", kafka.value_type));
    }
    if kafka.default.as_deref() != Some(default) {
        return Some(format!("its default is {:?} in Kafka", kafka.default));
    }
    if of_broker && kafka.read_only != (key.update == Update::ReadOnly) {
        return Some(format!("whether it can be changed is {} in Kafka", !kafka.read_only));
    }
    None
}

#[test]
fn every_difference_from_kafka_is_explained() {
    for (scope, kafka) in resources() {
        for key in scope.keys() {
            // The recording broker had these configured, so its defaults do not show; both are null.
            if ["advertised.listeners", "log.dirs"].contains(&key.name) {
                assert_eq!((key.default, key.value_type.name()), (None, kafka[key.name].value_type.as_str()));
                continue;
            }
            let found = difference(key, kafka.get(key.name), std::ptr::eq(scope, &BROKER));
            let explained = DIFFERENCES.iter().any(|(name, _)| *name == key.name);
            let shows = explained && !OF_MEANING.contains(&key.name);
            assert_eq!(found.is_some(), shows, "{}: {}", key.name, found.unwrap_or_default());
        }
    }
}

#[test]
fn every_key_of_kafka_is_declared_or_its_absence_explained() {
    for (scope, kafka) in resources() {
        for name in kafka.keys() {
            assert!(scope.find(name).is_some() || foreign::why_absent(name).is_some(), "{} {name}", scope.name);
        }
    }
}

#[test]
fn topics_have_every_key_that_kafka_has() {
    let mut ours: Vec<&str> = TOPIC.keys().map(|key| key.name).filter(|name| *name != "flush").collect();
    ours.sort_unstable();
    assert_eq!(ours, recorded("TOPIC").keys().collect::<Vec<_>>());
}

#[test]
fn topics_and_groups_follow_the_broker_keys_that_they_follow_in_kafka() {
    for (scope, kafka) in resources().into_iter().skip(1) {
        for key in scope.keys() {
            // Where a default is null in the broker Kafka tells no synonym at all.
            let Some(first) = kafka.get(key.name).and_then(|kafka| kafka.synonyms.first()) else { continue };
            if foreign::why_absent(first).is_none() {
                assert_eq!(key.synonyms.first().map(|synonym| synonym.name), Some(first.as_str()), "{}", key.name);
            }
        }
    }
}
