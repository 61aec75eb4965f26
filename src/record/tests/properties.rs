//! What holds for all records, and for all bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::base::ids::TimestampMs;
use crate::config::topic::{CompressionType, TimestampType, TopicConfig};
use crate::record::batch::{BatchHeader, CRC_START, HEADER_LEN, attributes};
use crate::record::batches::batches;
use crate::record::builder::{BatchBuilder, Producer};
use crate::record::compression::{Codec, decompress};
use crate::record::owned::{Record, decode};
use crate::record::validate::validate;

const NOW: TimestampMs = 1_700_000_000_000;
const LIMIT: usize = 1 << 20;

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    // Runs of one byte compress, noise does not.
    prop_oneof![vec(any::<u8>(), 0..max), (any::<u8>(), 0..max).prop_map(|(byte, len)| vec![byte; len])].prop_map(Bytes::from)
}

fn record() -> impl Strategy<Value = Record> {
    let timestamp = prop_oneof![8 => NOW - 1000..NOW + 1000, 1 => any::<i64>(), 1 => Just(-1)];
    let headers = vec((bytes(8), option::of(bytes(20))), 0..4);
    (timestamp, option::of(bytes(40)), option::of(bytes(400)), headers).prop_map(|(timestamp, key, value, headers)| Record {
        offset: 0,
        timestamp,
        key,
        value,
        headers,
    })
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL[..])
}

fn build(codec: Codec, records: &[Record]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.producer = Producer { id: 77, epoch: 1, base_sequence: i32::MAX - 1 };
    for record in records {
        let headers: Vec<_> = record.headers.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), headers.iter().copied());
    }
    builder.build()
}

/// Every topic configuration that changes what validation does.
fn topic() -> impl Strategy<Value = TopicConfig> {
    let compression =
        prop::sample::select(vec![CompressionType::Producer, CompressionType::Uncompressed, CompressionType::Lz4 { level: 9 }]);
    (compression, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(compression, log_append_time, cleanup_compact, any_time)| TopicConfig {
            compression,
            cleanup_compact,
            timestamp_type: if log_append_time { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
            timestamp_before_max_ms: if any_time { i64::MAX } else { 500 },
            timestamp_after_max_ms: if any_time { i64::MAX } else { 500 },
            ..TopicConfig::default()
        },
    )
}

/// A change of a batch: some bytes, and then its length.
fn mutation() -> impl Strategy<Value = (Vec<(Index, u8)>, Option<Index>)> {
    (vec((any::<Index>(), any::<u8>()), 0..4), option::weighted(0.2, any::<Index>()))
}

proptest! {
    #[test]
    fn what_is_built_is_read(codec in codec(), records in vec(record(), 1..20)) {
        let batch = build(codec, &records);
        let decoded = decode(&batch, LIMIT).next().unwrap().unwrap();
        let expected: Vec<Record> = records.iter().enumerate().map(|(i, r)| Record { offset: i as i64, ..r.clone() }).collect();
        let read: Vec<Record> = decoded.records().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read, expected);
        let max = records.iter().map(|r| r.timestamp).max().unwrap().max(-1);
        prop_assert_eq!(decoded.header.max_timestamp, max);
        prop_assert_eq!(decoded.header.record_count as usize, records.len());
    }

    #[test]
    fn what_is_accepted_is_consistent(
        codec in codec(),
        records in vec(record(), 1..10),
        config in topic(),
        (changes, cut) in mutation(),
        seal in any::<bool>(),
    ) {
        let mut batch = build(codec, &records).to_vec();
        for (at, value) in changes {
            let at = at.index(batch.len());
            batch[at] = value;
        }
        if let Some(cut) = cut {
            batch.truncate(cut.index(batch.len()));
        }
        if seal && batch.len() >= HEADER_LEN {
            let crc = crc32c::crc32c(&batch[CRC_START..]);
            batch[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let batch = Bytes::from(batch);
        let Ok(validated) = validate(Some(&batch), &config, 11, NOW) else { return Ok(()) };

        let written: Bytes = [&validated.stamped_header(1000, 3)[..], &validated.body()].concat().into();
        prop_assert_eq!(written.len(), validated.size());
        let all: Vec<_> = decode(&written, LIMIT).collect::<Result<_, _>>().expect("what is accepted can be read");
        prop_assert_eq!(all.len(), 1);
        let header = all[0].header;
        prop_assert_eq!(BatchHeader { base_offset: 0, leader_epoch: validated.header().leader_epoch, ..header }, *validated.header());
        let read: Vec<Record> = all[0].records().collect::<Result<_, _>>().expect("and so can its records");
        prop_assert!(!read.is_empty() && read.len() as i32 == header.record_count && header.last_offset_delta + 1 == header.record_count);
        for (i, record) in read.iter().enumerate() {
            prop_assert_eq!(record.offset, 1000 + i as i64);
            prop_assert!(!config.cleanup_compact || record.key.is_some());
        }
        prop_assert_eq!(header.max_timestamp, read.iter().map(|r| r.timestamp).max().unwrap().max(-1));
        prop_assert_eq!(header.is_log_append_time(), config.timestamp_type == TimestampType::LogAppendTime);
        prop_assert_eq!(header.attributes & attributes::CONTROL, 0);
        prop_assert!(!header.has_producer_id() || header.base_sequence >= 0);
    }

    #[test]
    fn any_bytes_are_walked_without_harm(bytes in vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let mut walk = batches(&bytes);
        let whole: usize = walk.by_ref().flatten().map(|batch| batch.bytes().len()).sum();
        prop_assert_eq!(whole, walk.position());
        for batch in decode(&bytes, LIMIT).flatten() {
            prop_assert!(batch.records().count() <= bytes.len() + 1);
        }
        let refused = validate(Some(&bytes), &TopicConfig::default(), 11, NOW).is_err();
        prop_assert!(refused, "random bytes have no right checksum");
    }

    #[test]
    fn decompressing_takes_no_more_memory_than_the_data_warrant(
        codec in codec(),
        contents in bytes(5000),
        (changes, cut) in mutation(),
        limit in prop_oneof![Just(64 << 20), 0usize..6000],
    ) {
        let damaged = !changes.is_empty() || cut.is_some();
        let mut stream = Vec::new();
        crate::record::compression::compress(codec.into(), &contents, &mut stream);
        for (at, value) in changes {
            if !stream.is_empty() {
                let at = at.index(stream.len());
                stream[at] = value;
            }
        }
        if let Some(cut) = cut && !stream.is_empty() {
            stream.truncate(cut.index(stream.len()));
        }
        let mut out = Vec::new();
        let result = decompress(codec, &stream, &mut out, limit);
        prop_assert!(out.len() <= limit);
        prop_assert!(result.is_err() || out == contents || damaged);
        // A zstd block of 4 bytes may truly stand for 128 KiB.
        let ratio = if codec == Codec::Zstd { (128 << 10) / 3 } else { 256 };
        let warranted = ratio * stream.len() + 4 * out.len() + (64 << 10);
        prop_assert!(out.capacity() <= warranted, "{} bytes of {codec:?} made a buffer of {}", stream.len(), out.capacity());
    }
}
