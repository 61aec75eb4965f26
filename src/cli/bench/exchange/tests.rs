//! Exchanges against answers that brokers give, and against those that none should.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchResponse, ResponseHeader};
use kafka_protocol::protocol::Encodable;

use super::*;
use crate::cli::bench::frame::FetchLimits;

/// Batches of two records each from offset 0 on, as they lie in a log.
fn log(batches: i64) -> Vec<u8> {
    let stamped = (0..batches).map(|n| {
        let mut batch = batch::build(2, 10, 0, None);
        batch[..8].copy_from_slice(&(n * 2).to_be_bytes());
        batch
    });
    stamped.flatten().collect()
}

fn answer(records: &[u8], high_watermark: Offset) -> Bytes {
    let partition = PartitionData::default()
        .with_log_start_offset(0)
        .with_high_watermark(high_watermark)
        .with_records(Some(Bytes::copy_from_slice(records)));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    let mut buf = BytesMut::new();
    ResponseHeader::default().encode(&mut buf, 1).expect("header v1");
    FetchResponse::default().with_responses(vec![topic]).encode(&mut buf, 12).expect("v12");
    buf.freeze().slice(4..)
}

fn consumer(at_end: AtEnd, check_crc: bool) -> FetchExchange {
    let limits = FetchLimits { max_bytes: 1000, min_bytes: 1, max_wait_ms: 500, committed: false };
    FetchExchange { frame: FetchFrame::new(12, "bench", 0, limits), offset: 0, at_end, check_crc }
}

#[test]
fn a_reader_counts_whole_batches_and_begins_again_at_the_end() {
    let (log, one) = (log(3), log(1).len());
    let mut reader = consumer(AtEnd::Rewind, true);
    let mut worth = Worth::default();
    reader.accept(&answer(&log[..2 * one + 7], 6), Instant::now(), &mut worth).expect("two batches and a part");
    assert_eq!((worth.records, worth.bytes, reader.offset), (4, 2 * one as u64, 4));
    worth.clear();
    reader.accept(&answer(&log[2 * one..], 6), Instant::now(), &mut worth).expect("the rest");
    assert_eq!((worth.records, reader.offset), (2, 0), "back at the start");
}

#[test]
fn what_cannot_be_right_ends_the_run() {
    let (mut log, one) = (log(2), log(1).len());
    let mut worth = Worth::default();
    let nothing_whole = consumer(AtEnd::Rewind, false).accept(&answer(&log[..one - 1], 4), Instant::now(), &mut worth);
    assert!(nothing_whole.expect_err("no progress").to_string().contains("no whole batch"));
    let mut ahead = consumer(AtEnd::Rewind, false);
    ahead.offset = 2;
    let old = ahead.accept(&answer(&log, 4), Instant::now(), &mut worth);
    assert!(old.expect_err("a batch from before").to_string().contains("a batch up to 1 where 2 was asked for"));
    log[one - 1] ^= 1;
    let damaged = consumer(AtEnd::Rewind, true).accept(&answer(&log, 4), Instant::now(), &mut worth);
    assert!(damaged.expect_err("a flipped bit").to_string().contains("does not match its CRC"));
}

#[test]
fn a_journey_ends_with_its_own_batch() {
    let journey = SharedJourney::default();
    let batch = batch::build(2, 10, 0, None);
    let mut producer = ProduceExchange {
        frame: ProduceFrame::new(12, "bench", -1, None, batch),
        partitions: vec![0],
        acks: -1,
        records: 2,
        record_size: 10,
        sequences: None,
        journeys: vec![journey.clone()],
        lockstep: true,
        turn: 0,
    };
    let mut waiting = consumer(AtEnd::Wait { journey, records: 2 }, false);
    let mut frame = producer.template().to_vec();
    let sent: Vec<Instant> = (0..3u64).map(|n| Instant::now() + std::time::Duration::from_millis(n)).collect();
    sent.iter().for_each(|at| producer.prepare(&mut frame, *at));
    assert!(!producer.may_send() && !waiting.is_caught_up(), "three are under way");
    let (log, one) = (log(3), log(1).len());
    let mut worth = Worth::default();
    waiting.accept(&answer(&log[..2 * one], 6), Instant::now(), &mut worth).expect("two of them");
    assert_eq!(worth.since, sent[..2]);
    worth.clear();
    waiting.accept(&answer(&log[2 * one..], 6), Instant::now(), &mut worth).expect("the third");
    assert_eq!(worth.since, sent[2..]);
    assert!(producer.may_send() && waiting.is_caught_up());
}
