//! kill −9 under load: every acknowledged record is there once and in order, through librdkafka's idempotent producer.

#[allow(unused)]
#[path = "support/process.rs"]
mod process;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process::BrokerProcess;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, message::DeliveryResult};

const PARTITIONS: i32 = 4;

/// Notes what was acknowledged: partition and number.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<Vec<(i32, u64, i64)>>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        if let Ok(message) = result {
            self.0.lock().unwrap().push((message.partition(), *number, message.offset()));
        }
    }
}

fn read_all(bootstrap: &str, topic: &str) -> Vec<Vec<(u64, i64)>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    let mut left = 0;
    let mut records = vec![Vec::new(); PARTITIONS as usize];
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(20)).unwrap();
        left += high - low;
    }
    consumer.assign(&assignment).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while left > 0 {
        assert!(Instant::now() < deadline, "{left} records could not be read");
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let number = std::str::from_utf8(message.payload().unwrap()).unwrap().trim().parse().unwrap();
                records[message.partition() as usize].push((number, message.offset()));
                left -= 1;
            }
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    records
}

fn crash_rounds(flush: &str, rounds: usize) {
    let mut broker =
        BrokerProcess::start(&[&format!("log.flush.policy={flush}"), "num.partitions=4", "log.segment.bytes=1048576"]);
    let bootstrap = broker.bootstrap();
    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let producing = std::thread::spawn({
        let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
        move || {
            let producer: BaseProducer<Acknowledged> = ClientConfig::new()
                .set("bootstrap.servers", &bootstrap)
                .set("enable.idempotence", "true")
                .set("linger.ms", "1")
                .set("batch.num.messages", "50")
                .set("message.timeout.ms", "120000")
                .set("retry.backoff.ms", "20")
                .set("reconnect.backoff.ms", "20")
                .set("reconnect.backoff.max.ms", "100")
                .create_with_context(acknowledged)
                .unwrap();
            let mut number = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let payload = format!("{number:>100}");
                let partition = (number % PARTITIONS as u64) as i32;
                let record = BaseRecord::<(), str, Box<u64>>::with_opaque_to("crash", Box::new(number))
                    .payload(&payload)
                    .partition(partition);
                if producer.send(record).is_ok() {
                    number += 1;
                }
                producer.poll(Duration::ZERO);
                if number % 64 == 0 {
                    producer.poll(Duration::from_millis(1));
                }
            }
            producer.flush(Duration::from_secs(60)).unwrap();
            number
        }
    });
    for round in 1..=rounds {
        let before = acknowledged.0.lock().unwrap().len();
        let deadline = Instant::now() + Duration::from_secs(60);
        while acknowledged.0.lock().unwrap().len() < before + 2000 {
            assert!(Instant::now() < deadline, "round {round}: the producer does not get on");
            std::thread::sleep(Duration::from_millis(5));
        }
        broker.kill();
        broker.start_again();
    }
    stop.store(true, Ordering::Relaxed);
    let sent = producing.join().unwrap();

    let records = read_all(&broker.bootstrap(), "crash");
    let acknowledged = acknowledged.0.lock().unwrap();
    assert_eq!(acknowledged.len() as u64, sent, "everything was acknowledged in the end");
    for (partition, records) in records.iter().enumerate() {
        let numbers: Vec<u64> = records.iter().map(|(number, _)| *number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "partition {partition} is in order and without duplicates");
    }
    let total: usize = records.iter().map(Vec::len).sum();
    assert_eq!(total as u64, sent, "nothing is there that was not sent");
    for (partition, number, offset) in acknowledged.iter() {
        let records = &records[*partition as usize];
        let at = records
            .binary_search_by_key(number, |(n, _)| *n)
            .unwrap_or_else(|_| panic!("record {number} was acknowledged and is lost"));
        assert_eq!(records[at].1, *offset, "record {number} is where its acknowledgement said");
    }
}

#[test]
fn acknowledged_records_survive_kill_9_when_acknowledgements_wait_for_the_disk() {
    crash_rounds("on-ack", 4);
}

#[test]
fn acknowledged_records_survive_kill_9_when_they_are_only_in_the_page_cache() {
    crash_rounds("background", 4);
}
