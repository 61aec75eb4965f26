//! `docs/protocol.md` is made from the table of APIs and held against what Apache Kafka 4.3.1 told of itself in ApiVersions.
//!
//! `KLAMM_REGENERATE=1 cargo test --test every_api documentation` writes it anew. Whatever differs from Kafka has a note that says why;
//! a note without a difference is out of date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use klamm::api::table::APIS;
use klamm::metadata::features::SUPPORTED;

const KAFKA_APIS: &str = include_str!("kafka-4.3.1-apis.tsv");
const KAFKA_FEATURES: &str = include_str!("kafka-4.3.1-features.tsv");

const INTRODUCTION: &str = "\
# Protocol

This page is made from the table in `src/api/table.rs` by `KLAMM_REGENERATE=1 cargo test --test every_api documentation`; a test keeps
it true.

klamm speaks Kafka's protocol. A version that stands here is answered in full, with the errors and messages of Apache Kafka 4.3.1 unless
the last column says otherwise. Clients learn the versions from ApiVersions and choose for themselves, so nothing has to be
configured.

What holds for all APIs:

- A request of an API or version that is not listed closes the connection, except ApiVersions, which is answered in version 0 with
  UNSUPPORTED_VERSION (KIP-511). So does a body whose lengths do not fit its bytes.
- Answers on one connection come in the order of the requests. What changes topics or configuration is answered once the broker that
  was asked acts on the change, and later requests of the connection wait for it: the next request sees it. Kafka answers earlier, and
  its clients ask again.
- Every broker takes every request about the cluster and has the controller decide; a client may name any broker as the controller.
- `throttle_time_ms` is 0: there are no quotas yet.
- Without an authorizer, everybody may do everything, and authorized operations are all that there are.
";

/// What an API does differently, in versions or in what it answers.
const NOTES: &[(&str, &str)] = &[
    (
        "Produce",
        "Versions 0 to 2 are told but close the connection, as in Kafka: old librdkafka compresses only if it sees them (KAFKA-18659).",
    ),
    (
        "Metadata",
        "A topic that is created by being asked for can be used when the answer is there; Kafka answers UNKNOWN_TOPIC_OR_PARTITION first.",
    ),
    (
        "DescribeConfigs",
        "A topic key that a broker key in other units sets names that key as its source, where Kafka says DEFAULT_CONFIG. A resource asked for twice is told once. Loggers (BROKER_LOGGER) are named after klamm's modules.",
    ),
    (
        "AlterConfigs",
        "A broker key that does not exist is refused; Kafka stores it. Client metrics subscriptions (CLIENT_METRICS) cannot be set.",
    ),
    (
        "IncrementalAlterConfigs",
        "As AlterConfigs. An unknown operation is INVALID_REQUEST for every resource, where Kafka answers UNKNOWN_SERVER_ERROR for topics.",
    ),
    ("DescribeLogDirs", "No directory is ever cordoned, and there are no future replicas."),
    (
        "DescribeTopicPartitions",
        "An empty topic name is INVALID_TOPIC_EXCEPTION for that name; Kafka answers UNKNOWN_SERVER_ERROR for all.",
    ),
    (
        "AddPartitionsToTxn",
        "A transaction that follows one whose markers are still being written waits for them, up to `add.partitions.to.txn.retry.backoff.max.ms`, before it is CONCURRENT_TRANSACTIONS; Kafka refuses explicit requests at once. Likewise AddOffsetsToTxn.",
    ),
    (
        "EndTxn",
        "A commit that comes after the coordinator has aborted the transaction is PRODUCER_FENCED, as since KAFKA-20785; Kafka 4.3.1 answers INVALID_TXN_STATE.",
    ),
    ("DescribeQuorum", "The voters' endpoints are left empty: the quorum is reached through the listeners of the brokers."),
];

/// APIs that are not served, and why.
const ABSENT: &[(&[&str], &str)] = &[
    (
        &["SaslHandshake", "SaslAuthenticate", "DescribeUserScramCredentials", "AlterUserScramCredentials"],
        "klamm does not speak SASL yet",
    ),
    (
        &["CreateDelegationToken", "RenewDelegationToken", "ExpireDelegationToken", "DescribeDelegationToken"],
        "klamm has no delegation tokens yet",
    ),
    (&["DescribeAcls", "CreateAcls", "DeleteAcls"], "klamm has no authorizer yet"),
    (&["DescribeClientQuotas", "AlterClientQuotas"], "klamm has no quotas yet"),
    (&["AlterReplicaLogDirs"], "klamm does not move replicas between directories yet"),
    (&["AlterPartitionReassignments"], "klamm does not replicate between nodes yet"),
    (&["AddRaftVoter", "RemoveRaftVoter"], "the quorum of klamm has one voter so far"),
    (
        &["ConsumerGroupHeartbeat", "ConsumerGroupDescribe"],
        "klamm has the classic group protocol only, so far; clients with `group.protocol=consumer` need to be set to `classic`",
    ),
    (
        &[
            "ShareGroupHeartbeat",
            "ShareGroupDescribe",
            "ShareFetch",
            "ShareAcknowledge",
            "InitializeShareGroupState",
            "ReadShareGroupState",
            "WriteShareGroupState",
            "DeleteShareGroupState",
            "ReadShareGroupStateSummary",
            "DescribeShareGroupOffsets",
            "AlterShareGroupOffsets",
            "DeleteShareGroupOffsets",
        ],
        "klamm has no share groups yet",
    ),
    (
        &["StreamsGroupHeartbeat", "StreamsGroupDescribe"],
        "klamm has no streams groups yet; Kafka Streams uses the classic protocol by default",
    ),
];

/// Features that klamm supports in fewer levels than Kafka, and why.
const ABSENT_FEATURES: &[(&str, &str)] = &[
    ("group.version", "comes with the consumer group protocol (KIP-848)"),
    ("kraft.version", "the quorum of klamm keeps its voters in its own log"),
    ("share.version", "comes with share groups (KIP-932)"),
    ("streams.version", "comes with streams groups (KIP-1071)"),
];

/// Name, lowest and highest version; by key.
fn kafka_apis() -> BTreeMap<i16, (&'static str, i16, i16)> {
    let row = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [key, name, min, max] = fields[..] else { panic!("{line}") };
        (key.parse().unwrap(), (name, min.parse().unwrap(), max.parse().unwrap()))
    };
    KAFKA_APIS.lines().skip(1).map(row).collect()
}

/// Lowest and highest level; by name.
fn kafka_features() -> BTreeMap<&'static str, (i16, i16)> {
    let row = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, min, max] = fields[..] else { panic!("{line}") };
        (name, (min.parse().unwrap(), max.parse().unwrap()))
    };
    KAFKA_FEATURES.lines().skip(1).map(row).collect()
}

fn range(min: i16, max: i16) -> String {
    if min == max { min.to_string() } else { format!("{min}–{max}") }
}

fn reason(name: &str) -> Option<&'static str> {
    ABSENT.iter().find(|(names, _)| names.contains(&name)).map(|(_, reason)| *reason)
}

fn protocol_md() -> String {
    let kafka = kafka_apis();
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## What is served\n\n| Key | API | klamm | Kafka 4.3.1 | Differences |\n|--:|---|---|---|---|\n");
    for api in APIS {
        let theirs = kafka.get(&api.key).map_or("—".to_owned(), |(_, min, max)| range(*min, *max));
        let note = NOTES.iter().find(|(name, _)| *name == api.name).map_or("", |(_, note)| note);
        writeln!(page, "| {} | {} | {} | {theirs} | {note} |", api.key, api.name, range(api.advertised_min, api.max)).unwrap();
    }
    page.push_str("\n## What is not served\n\n| Key | API | Kafka 4.3.1 | Why |\n|--:|---|---|---|\n");
    for (key, (name, min, max)) in kafka.iter().filter(|(key, _)| APIS.iter().all(|api| api.key != **key)) {
        writeln!(page, "| {key} | {name} | {} | {} |", range(*min, *max), reason(name).unwrap_or_default()).unwrap();
    }
    page.push_str("\nWhat brokers and controllers say to each other is klamm's own affair: a klamm node cannot be a broker of a Kafka cluster.\n");
    page.push_str("\n## Features\n\nLevels that can be finalized with `kafka-features` (KIP-584).\n\n");
    page.push_str("| Feature | klamm | Kafka 4.3.1 | Differences |\n|---|---|---|---|\n");
    for (name, (min, max)) in kafka_features() {
        let ours = SUPPORTED.iter().find(|f| f.name == name).map_or("—".to_owned(), |f| range(f.min, f.max));
        let note = ABSENT_FEATURES.iter().find(|(absent, _)| *absent == name).map_or("", |(_, note)| note);
        writeln!(page, "| `{name}` | {ours} | {} | {note} |", range(min, max)).unwrap();
    }
    page
}

#[test]
fn the_committed_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let expected = protocol_md();
    if std::env::var_os("KLAMM_REGENERATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/protocol.md is out of date: KLAMM_REGENERATE=1 cargo test --test every_api documentation");
}

#[test]
fn versions_are_those_of_kafka_or_there_is_a_note() {
    let kafka = kafka_apis();
    for api in APIS {
        let Some((name, min, max)) = kafka.get(&api.key) else { panic!("Kafka has no {}", api.name) };
        assert_eq!(api.name, *name);
        let same = (api.advertised_min, api.max) == (*min, *max);
        assert!(same || NOTES.iter().any(|(name, _)| *name == api.name), "{} needs a note on its versions", api.name);
    }
    for (name, _) in NOTES {
        assert!(APIS.iter().any(|api| api.name == *name), "there is a note on {name}, which is not served");
    }
}

#[test]
fn what_is_absent_has_a_reason_and_what_is_there_has_none() {
    let reasons: Vec<&str> = ABSENT.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    let kafka = kafka_apis();
    let absent: BTreeSet<&str> =
        kafka.iter().filter(|(key, _)| APIS.iter().all(|api| api.key != **key)).map(|(_, (name, ..))| *name).collect();
    assert_eq!(reasons.iter().copied().collect::<BTreeSet<_>>(), absent);
    assert_eq!(reasons.len(), absent.len(), "one reason each");
    let missing: BTreeSet<&str> = kafka_features()
        .into_iter()
        .filter(|(name, _)| SUPPORTED.iter().all(|f| f.name != *name))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(ABSENT_FEATURES.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), missing);
}

#[test]
fn cells_of_the_tables_hold_together() {
    for line in protocol_md().lines().filter(|line| line.starts_with('|')) {
        assert!(matches!(line.matches('|').count(), 5 | 6), "a cell contains a bar: {line}");
    }
}
