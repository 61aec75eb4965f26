//! kill −9 at each named point of a transaction's life, and a start after it: the outcome is what was decided, whole, in every partition and
//! for the offsets; the producer goes on, and nothing hangs.
//!
//! The points are those of `base/crash_point.rs`, which only debug builds have.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;

use crate::by_hand::{Speaks, Txn, read_settled};
use crate::support::Client;
use crate::support::process::{BrokerProcess, Launch};

const PARTITIONS: i32 = 3;
const WAIT: Duration = Duration::from_secs(60);

/// From the first partition that joins a transaction to the last word about it. A marker is written to each of three partitions and to the
/// group's, so the third is in the middle of them.
const POINTS: &[&str] = &[
    "transaction-partitions-added",
    "transaction-ending",
    "transaction-prepared",
    "transaction-marker-appended",
    "transaction-marker-appended:3",
    "transaction-marker-written",
    "transaction-marker-written:4",
    "transaction-markers-written",
    "transaction-complete",
];

fn crashing_at(point: &str) -> BrokerProcess {
    Launch::with(&["num.partitions=3", "transaction.state.log.num.partitions=1", "offsets.topic.num.partitions=1"])
        .crashing_at(point)
        .start()
}

/// Waits until the broker has died of the kill at its point, and starts it again.
fn revive(broker: &mut BrokerProcess, point: &str) {
    let (status, said) = broker.wait();
    assert_eq!(status.signal(), Some(9), "the broker was to die at {point}:\n{said}");
    broker.start_again();
}

fn settings(broker: &BrokerProcess) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", broker.bootstrap())
        .set("retry.backoff.ms", "20")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100");
    settings
}

/// One transaction of librdkafka over all partitions and the offsets of a group; the broker dies at `point` meanwhile.
fn rdkafka_transaction(point: &str, commits: bool) {
    if !cfg!(debug_assertions) {
        return;
    }
    let mut broker = crashing_at(point);
    Client::connect(broker.address()).make_topic("out");
    let producer: BaseProducer = settings(&broker).set("transactional.id", "t").create().unwrap();
    let group = settings(&broker).set("group.id", "g").create::<BaseConsumer>().unwrap();
    let outcome = std::thread::spawn(move || {
        producer.init_transactions(WAIT).unwrap();
        producer.begin_transaction().unwrap();
        for partition in 0..PARTITIONS {
            producer.send(BaseRecord::<(), str>::to("out").payload("first").partition(partition)).unwrap();
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("out", 0, Offset::Offset(77)).unwrap();
        let metadata = group.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&offsets, &metadata, WAIT).unwrap();
        producer.flush(WAIT).unwrap();
        if commits {
            producer.commit_transaction(WAIT).unwrap()
        } else {
            producer.abort_transaction(WAIT).unwrap()
        }
        producer
    });
    revive(&mut broker, point);
    let producer = outcome.join().unwrap_or_else(|_| panic!("{point}: the producer got no outcome"));

    producer.begin_transaction().unwrap();
    for partition in 0..PARTITIONS {
        producer.send(BaseRecord::<(), str>::to("out").payload("second").partition(partition)).unwrap();
    }
    producer.commit_transaction(WAIT).unwrap();

    let expected: &[&str] = if commits { &["first", "second"] } else { &["second"] };
    let mut client = Client::connect(broker.address());
    for partition in 0..PARTITIONS {
        assert_eq!(read_settled(&mut client, "out", partition), expected, "{point}, partition {partition}");
        assert_eq!(consumed(&broker, partition, expected.len()), expected, "{point}, partition {partition}, by librdkafka");
    }
    let committed = client.committed("g", "out").unwrap();
    assert_eq!(committed, if commits { 77 } else { -1 }, "{point}: the offsets go with the records");
    broker.stop();
}

/// What librdkafka reads at read_committed.
fn consumed(broker: &BrokerProcess, partition: i32, wanted: usize) -> Vec<String> {
    let consumer: BaseConsumer =
        settings(broker).set("group.id", "reader").set("isolation.level", "read_committed").create().unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset("out", partition, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let mut values = Vec::new();
    while values.len() < wanted {
        let message = consumer.poll(WAIT).expect("it comes").unwrap();
        values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    values
}

#[test]
fn a_commit_survives_kill_9_at_every_point() {
    POINTS.iter().for_each(|point| rdkafka_transaction(point, true));
}

#[test]
fn an_abort_survives_kill_9_at_every_point() {
    POINTS.iter().for_each(|point| rdkafka_transaction(point, false));
}

/// The same by hand, with the protocol of KIP-890, whose retries are told by the epoch.
#[test]
fn an_end_of_version_2_survives_kill_9_at_every_point_and_can_be_asked_for_again() {
    if !cfg!(debug_assertions) {
        return;
    }
    for point in POINTS.iter().skip(1).filter(|point| !point.ends_with(":4")) {
        for commits in [true, false] {
            let mut broker = crashing_at(point);
            let mut client = Client::connect(broker.address());
            client.make_topic("out");
            let mut txn = Txn::init(&mut client, "t", Speaks::V2);
            for partition in 0..PARTITIONS {
                txn.send(&mut client, "out", partition, "first").unwrap();
            }
            let (version, end) = txn.request_end(commits);
            // The answer may come before the broker dies or not: the producer cannot rely on it.
            let _ = client.try_call(version, &end);
            revive(&mut broker, point);

            let mut client = Client::connect(broker.address());
            txn.end(&mut client, commits);
            assert_eq!(txn.epoch, 1, "{point}: one end, asked for twice, is one bump");
            for partition in 0..PARTITIONS {
                txn.send(&mut client, "out", partition, "second").unwrap();
            }
            txn.end(&mut client, true);
            assert_eq!(txn.epoch, 2);
            let expected: &[&str] = if commits { &["first", "second"] } else { &["second"] };
            for partition in 0..PARTITIONS {
                assert_eq!(read_settled(&mut client, "out", partition), expected, "{point}, partition {partition}");
            }
            broker.stop();
        }
    }
}
