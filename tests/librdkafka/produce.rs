//! What was sent comes back as it was, at the place its acknowledgement named: with every codec, at every level of acknowledgement,
//! through a restart of the broker in the middle; and is found by its time.

use std::collections::BTreeMap;
use std::time::Instant;

use klamm::record::batches::batches;
use klamm::record::compression::Codec;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::*;

const T0: i64 = 1_700_000_000_000;

#[test]
fn every_codec_comes_back_as_it_was_sent_and_lies_on_disk_as_it_came() {
    let broker = broker(&[]);
    let admin = Admin::new(&broker);
    for codec in Codec::ALL {
        let name = format!("{codec:?}").to_lowercase();
        let topic = format!("codec-{name}");
        admin.create(&topic, 2, &[]);
        let sent: Vec<Record> = (0..600)
            .map(|n| Record {
                key: (n % 3 > 0).then(|| format!("key {n}").into_bytes()),
                value: (n % 7 > 0).then(|| format!("value {n} {}", "gorge ".repeat(n % 40)).into_bytes()),
                headers: (0..n % 4).map(|h| (format!("h{h}"), (h > 0).then(|| vec![h as u8; n % 9]))).collect(),
                timestamp: Some(T0 + n as i64),
                ..Record::value((n % 2) as i32, "")
            })
            .collect();
        let sender = Sender::new(&broker, &[("compression.codec", &name), ("linger.ms", "50")]);
        sent.iter().for_each(|record| sender.send(&topic, record));
        let acknowledged = sender.acknowledged();
        let mut expected: Vec<Record> = [0, 1]
            .into_iter()
            .flat_map(|partition| sent.iter().filter(move |record| record.partition == partition).cloned().zip(0..))
            .map(|(record, offset)| Record { offset, ..record })
            .collect();
        expected.sort_by_key(|record| (record.partition, record.offset));
        assert!(acknowledged == expected, "{name}: acknowledged in the order they were sent");
        assert!(read_all(&broker, &topic, 2) == expected, "{name}: read as they were sent");

        let segment = std::fs::read(broker.log_of(&topic, 0).join("00000000000000000000.log")).unwrap();
        let codecs: Vec<i16> = batches(&segment).map(|batch| batch.unwrap().header.compression_id()).collect();
        assert!(!codecs.is_empty() && codecs.iter().all(|id| *id == codec as i16), "{name}: {codecs:?}");
    }
}

#[test]
fn acknowledgements_name_what_they_promise_and_the_records_are_there() {
    let broker = broker(&[]);
    let admin = Admin::new(&broker);
    for acks in ["0", "1", "all"] {
        let topic = format!("acks-{acks}");
        admin.create(&topic, 1, &[]);
        let sender = Sender::new(&broker, &[("acks", acks)]);
        (0..1000).for_each(|n| sender.send(&topic, &Record::value(0, n)));
        let answered = sender.acknowledged();
        if acks != "0" {
            assert!(answered.iter().map(|record| record.offset).eq(0..1000), "acks={acks} names the offsets");
        }
        assert_eq!(answered.len(), 1000);
        let deadline = Instant::now() + PATIENCE;
        let mut there = Vec::new();
        while there.len() < 1000 {
            assert!(Instant::now() < deadline, "acks={acks}: {} records are there", there.len());
            there = read_all(&broker, &topic, 1);
        }
        let values: Vec<String> = there.iter().map(Record::text).collect();
        assert!(values.iter().map(|value| value.parse::<usize>().unwrap()).eq(0..1000), "acks={acks}: {values:?}");
    }
}

#[test]
fn a_record_that_is_too_large_is_refused_and_those_around_it_are_not() {
    let broker = broker(&[]);
    Admin::new(&broker).create("sizes", 1, &[("max.message.bytes", "10000")]);
    let sender = Sender::new(&broker, &[]);
    let mut told = Vec::new();
    for value in ["before".to_owned(), "x".repeat(20_000), "after".to_owned()] {
        sender.send("sizes", &Record::value(0, value));
        told.extend(sender.answers().into_iter().map(|answer| answer.map(|record| record.offset)));
    }
    assert_eq!(told, [Ok(0), Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)), Ok(1)]);
    assert!(read_all(&broker, "sizes", 1).iter().map(Record::text).eq(["before", "after"]));
}

/// An idempotent producer that does not stop while the broker goes, by `end`, and comes back.
fn once_and_in_order(end: fn(&mut crate::process::BrokerProcess)) {
    let mut broker = broker(&[]);
    Admin::new(&broker).create("once", 3, &[]);
    let sender = Sender::new(&broker, &[("enable.idempotence", "true"), ("batch.num.messages", "20")]);
    let mut next = 0;
    for _ in 0..3 {
        let (begin, deadline) = (sender.answered(), Instant::now() + PATIENCE);
        while sender.answered() < begin + 300 {
            assert!(Instant::now() < deadline, "the producer does not get on");
            (next..next + 30).for_each(|n| sender.send("once", &Record::value(n % 3, n)));
            next += 30;
        }
        (next..next + 300).for_each(|n| sender.send("once", &Record::value(n % 3, n)));
        next += 300;
        end(&mut broker);
        broker.start_again();
    }
    let acknowledged = sender.acknowledged();
    let there = read_all(&broker, "once", 3);
    let places = |records: &[Record]| -> Vec<(i32, i64, String)> {
        records.iter().map(|record| (record.partition, record.offset, record.text())).collect()
    };
    assert!(places(&acknowledged) == places(&there), "each record is there once, where its acknowledgement said");
    let mut numbers = BTreeMap::<i32, Vec<i32>>::new();
    there.iter().for_each(|record| numbers.entry(record.partition).or_default().push(record.text().parse().unwrap()));
    for partition in 0..3 {
        assert!(
            numbers[&partition].iter().copied().eq((partition..next).step_by(3)),
            "partition {partition} is whole and in order"
        );
    }
}

#[test]
fn an_idempotent_producer_outlives_stops_of_the_broker() {
    once_and_in_order(|broker| {
        broker.stop();
    });
}

#[test]
fn an_idempotent_producer_outlives_crashes_of_the_broker() {
    once_and_in_order(crate::process::BrokerProcess::kill);
}

#[test]
fn offsets_are_found_by_time_and_found_again_after_a_restart() {
    let mut broker = broker(&[]);
    Admin::new(&broker).create("times", 1, &[("segment.bytes", "1048576")]);
    let sender = Sender::new(&broker, &[("batch.num.messages", "10")]);
    // 3 MB, so the look-up has segments to choose from; one record a second.
    for n in 0..3000 {
        let record = Record { timestamp: Some(T0 + n * 1000), ..Record::value(0, format!("{n:>1000}")) };
        sender.send("times", &record);
    }
    sender.acknowledged();
    let files = broker.log_of("times", 0).read_dir().unwrap().map(|file| file.unwrap().path());
    assert!(files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).count() > 2, "there are several segments");
    for round in ["as written", "after a restart"] {
        let consumer = consumer(&broker, &[("group.id", "times")]);
        let at = |time: i64| {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset("times", 0, Offset::Offset(time)).unwrap();
            consumer.offsets_for_times(asked, PATIENCE).unwrap().elements()[0].offset()
        };
        for n in [0, 1, 9, 10, 999, 1000, 1700, 2998, 2999] {
            assert_eq!(at(T0 + n * 1000), Offset::Offset(n), "{round}: at the time of {n}");
            assert_eq!(at(T0 + n * 1000 - 999), Offset::Offset(n), "{round}: just after the one before {n}");
        }
        assert_eq!(at(0), Offset::Offset(0), "{round}: long before");
        assert_eq!(at(T0 + 3_000_000), Offset::End, "{round}: after the last");
        if round == "as written" {
            broker.stop();
            broker.start_again();
        }
    }
}
