//! kill −9 at each named point of a transaction's life, and a start after it: the outcome is what was decided, whole, in every partition and
//! for the offsets; the producer goes on, and nothing hangs.
//!
//! The points are those of `base/crash_point.rs`, which only debug builds have.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use klamm::base::ErrorCode::{self, *};
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;

use crate::by_hand::*;
use crate::support::Client;
use crate::support::process::{BrokerProcess, Launch};

const PARTITIONS: i32 = 3;
const WAIT: Duration = Duration::from_secs(60);

/// Before the outcome is durable: a broker that dies here has decided nothing.
const UNDECIDED: &[&str] =
    &["transaction-id-taken", "transaction-partitions-added", "transaction-offsets-staged", "transaction-ending"];

/// From the durable decision to the last word about it. A marker is written to each of three partitions and to the group's, so the third is
/// in the middle of them.
const DECIDED: &[&str] = &[
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
        .in_memory()
        .crashing_at(point)
        .start()
}

/// Waits until the broker has died of the kill at its point, and starts it again.
fn revive(broker: &mut BrokerProcess, point: &str) {
    let (status, said) = broker.wait();
    assert_eq!(status.signal(), Some(9), "the broker was to die at {point}:\n{said}");
    broker.start_again();
}

/// Writes `value` to every partition in one transaction, and an offset, and asks for its end.
fn transact(txn: &mut Txn, client: &mut Client, value: &str, offset: i64, commits: bool) -> Result<(), ErrorCode> {
    for partition in 0..PARTITIONS {
        txn.send(client, "out", partition, value)?;
    }
    txn.commit_offset(client, "g", "out", offset)?;
    patiently(|| txn.try_end(client, commits))
}

fn assert_outcome(client: &mut Client, values: &[&str], offset: i64, when: &str) {
    for partition in 0..PARTITIONS {
        assert_eq!(read_settled(client, "out", partition), values, "{when}, partition {partition}");
    }
    assert_eq!(patiently(|| stable_offset(client, "g", "out")), Ok(offset), "{when}: the offsets go with the records");
}

/// The producer dies with the broker. Another takes its place: it finds one outcome, and the former is fenced.
fn newcomer_finds_one_outcome(point: &str, speaks: Speaks, commits: bool) {
    let when = format!("{point}, {speaks:?}, {}", if commits { "commit" } else { "abort" });
    let mut broker = crashing_at(point);
    let mut client = Client::connect(broker.address());
    client.make_topic("out");
    let mut former = Txn::try_init(&mut client, "t", speaks);
    if let Ok(former) = &mut former {
        // The answer may come before the broker dies or not.
        let answer = transact(&mut former.clone(), &mut client, "first", 77, commits);
        assert!(matches!(answer, Ok(()) | Err(NetworkException)), "{when}: {answer:?}");
    }
    revive(&mut broker, &when);

    let mut client = Client::connect(broker.address());
    let mut newcomer = Txn::init(&mut client, "t", speaks);
    let held = former.as_ref().map_or((newcomer.producer_id, 0), |former| (former.producer_id, former.epoch));
    assert!(newcomer.producer_id == held.0 && newcomer.epoch > held.1, "{when}: {newcomer:?} comes after {held:?}");
    let (mut values, offset) = if DECIDED.contains(&point) && commits { (vec!["first"], 77) } else { (vec![], -1) };
    assert_outcome(&mut client, &values, offset, &when);
    if let Ok(former) = &mut former {
        let late = former.batch("out", 0, "late");
        let produced = former.produce_as(&mut client, if speaks == Speaks::V1 { 11 } else { 12 }, "out", 0, late);
        assert_eq!(produced, Err(InvalidProducerEpoch), "{when}: it is fenced");
        assert_eq!(former.try_end(&mut client, true), Err(ProducerFenced), "{when}: it is fenced");
    }
    assert_eq!(transact(&mut newcomer, &mut client, "second", 78, true), Ok(()), "{when}");
    values.push("second");
    assert_outcome(&mut client, &values, 78, &when);
    broker.stop();
}

fn newcomers_find_one_outcome(speaks: Speaks, commits: bool) {
    if cfg!(debug_assertions) {
        UNDECIDED.iter().chain(DECIDED).for_each(|point| newcomer_finds_one_outcome(point, speaks, commits));
    }
}

#[test]
fn a_commit_of_version_1_is_found_as_it_was_decided() {
    newcomers_find_one_outcome(Speaks::V1, true);
}

#[test]
fn an_abort_of_version_1_is_found_as_it_was_decided() {
    newcomers_find_one_outcome(Speaks::V1, false);
}

#[test]
fn a_commit_of_version_2_is_found_as_it_was_decided() {
    newcomers_find_one_outcome(Speaks::V2, true);
}

#[test]
fn an_abort_of_version_2_is_found_as_it_was_decided() {
    newcomers_find_one_outcome(Speaks::V2, false);
}

/// The producer outlives the broker, and asks again for the end it got no answer to: by version 2 it can tell that this is a retry.
#[test]
fn an_end_of_version_2_can_be_asked_for_again() {
    if !cfg!(debug_assertions) {
        return;
    }
    for point in ["transaction-ending"].iter().chain(DECIDED) {
        for commits in [true, false] {
            let mut broker = crashing_at(point);
            let mut client = Client::connect(broker.address());
            client.make_topic("out");
            let mut txn = Txn::init(&mut client, "t", Speaks::V2);
            let answer = transact(&mut txn.clone(), &mut client, "first", 77, commits);
            assert!(matches!(answer, Ok(()) | Err(NetworkException)), "{point}: {answer:?}");
            revive(&mut broker, point);

            let mut client = Client::connect(broker.address());
            txn.end(&mut client, commits);
            assert_eq!(txn.epoch, 1, "{point}: one end, asked for twice, is one bump");
            assert_eq!(transact(&mut txn, &mut client, "second", 78, true), Ok(()), "{point}");
            assert_eq!(txn.epoch, 2);
            assert_outcome(&mut client, if commits { &["first", "second"] } else { &["second"] }, 78, point);
            broker.stop();
        }
    }
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

/// One transaction of librdkafka over all partitions and the offsets of a group; the broker dies at `point` meanwhile, and the producer does
/// not notice more than that it takes longer.
fn librdkafka_goes_on(point: &str, commits: bool) {
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
    assert_outcome(&mut client, expected, if commits { 77 } else { -1 }, point);
    let consumed = consumed(&broker, PARTITIONS as usize * expected.len());
    for partition in 0..PARTITIONS {
        let values = consumed.iter().filter(|(of, _)| *of == partition).map(|(_, value)| &**value);
        assert_eq!(values.collect::<Vec<_>>(), expected, "{point}, partition {partition}, by librdkafka");
    }
    broker.stop();
}

/// What librdkafka reads at read_committed: partition and value.
fn consumed(broker: &BrokerProcess, wanted: usize) -> Vec<(i32, String)> {
    let consumer: BaseConsumer =
        settings(broker).set("group.id", "reader").set("isolation.level", "read_committed").create().unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset("out", partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut values = Vec::new();
    while values.len() < wanted {
        let message = consumer.poll(WAIT).expect("it comes").unwrap();
        values.push((message.partition(), String::from_utf8(message.payload().unwrap().to_vec()).unwrap()));
    }
    values
}

#[test]
fn librdkafka_commits_through_kill_9() {
    librdkafka_goes_on("transaction-partitions-added", true);
    librdkafka_goes_on("transaction-prepared", true);
    librdkafka_goes_on("transaction-marker-appended:3", true);
}

#[test]
fn librdkafka_aborts_through_kill_9() {
    librdkafka_goes_on("transaction-offsets-staged", false);
    librdkafka_goes_on("transaction-ending", false);
    librdkafka_goes_on("transaction-marker-written", false);
}
