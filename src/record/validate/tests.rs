//! The cases of Kafka's LogValidatorTest that concern format v2, of ProduceRequestTest and of UnifiedLogTest's append checks.

use bytes::Bytes;

use super::*;
use crate::base::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE};
use crate::config::topic::CompressionType;
use crate::record::owned::{Record, decode};
use crate::record::varint;

const NOW: TimestampMs = 1_700_000_000_000;
const VERSION: i16 = 11;

fn topic() -> TopicConfig {
    TopicConfig::default()
}

fn batch_of(compression: impl Into<Compression>, timestamps: &[TimestampMs]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for (i, timestamp) in timestamps.iter().enumerate() {
        builder.push_plain(*timestamp, Some(format!("key {i}").as_bytes()), Some(&[b'v'; 100]));
    }
    builder.build()
}

/// Changes a header and makes its checksum right again.
fn resealed(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    header.crc = builder::checksum_of(&header, &batch[HEADER_LEN..]);
    [&header.encode(), &batch[HEADER_LEN..]].concat().into()
}

fn with_body(batch: &Bytes, body: &[u8]) -> Bytes {
    let longer: Bytes = [&batch[..HEADER_LEN], body].concat().into();
    resealed(&longer, |header| header.batch_length = (HEADER_LEN + body.len() - 12) as i32)
}

fn check(batch: &Bytes, config: &TopicConfig) -> Result<Validated, Refusal> {
    validate(Some(batch), config, VERSION, NOW)
}

#[track_caller]
fn refused(batch: &Bytes, config: &TopicConfig, code: ErrorCode) -> Refusal {
    let refusal = check(batch, config).expect_err("the batch is not acceptable");
    assert_eq!(refusal.code, code, "{refusal}");
    refusal
}

/// What a reader finds in the log.
fn written(validated: &Validated, base_offset: Offset) -> (BatchHeader, Vec<Record>) {
    let bytes: Bytes = [&validated.stamped_header(base_offset, 7)[..], &validated.body()].concat().into();
    assert_eq!(bytes.len(), validated.size());
    let mut decoded = decode(&bytes, 1 << 24);
    let batch = decoded.next().expect("one batch").expect("that can be read");
    assert!(decoded.next().is_none());
    (batch.header, batch.records().collect::<Result<_, _>>().unwrap())
}

#[test]
fn an_acceptable_batch_is_not_touched() {
    for codec in Codec::ALL {
        let batch = batch_of(codec, &[NOW, NOW + 5, NOW + 3]);
        let validated = check(&batch, &topic()).unwrap();
        assert_eq!(validated.body().as_ptr(), batch[HEADER_LEN..].as_ptr(), "{codec:?}: not copied");
        assert_eq!(validated.stamped_header(0, -1), batch[..HEADER_LEN], "{codec:?}: nor changed");
        assert_eq!(validated.log_append_time(), NO_TIMESTAMP);
        assert!(!validated.recompressed());

        let (header, records) = written(&validated, 100);
        assert_eq!((header.base_offset, header.last_offset(), header.leader_epoch), (100, 102, 7));
        assert_eq!(header.max_timestamp, NOW + 5);
        assert_eq!(
            records.iter().map(|r| (r.offset, r.timestamp)).collect::<Vec<_>>(),
            [(100, NOW), (101, NOW + 5), (102, NOW + 3)]
        );
    }
}

#[test]
fn there_must_be_exactly_one_batch() {
    let batch = batch_of(Codec::None, &[NOW]);
    let none = validate(None, &topic(), VERSION, NOW).unwrap_err();
    assert_eq!(none.code, ErrorCode::InvalidRecord);
    refused(&Bytes::new(), &topic(), ErrorCode::InvalidRecord);
    refused(&[&batch[..], &batch[..]].concat().into(), &topic(), ErrorCode::InvalidRecord);
    refused(&batch.slice(..batch.len() - 1), &topic(), ErrorCode::InvalidRecord);
    refused(&batch.slice(..10), &topic(), ErrorCode::InvalidRecord);
}

#[test]
fn what_is_cut_off_behind_the_batch_is_dropped() {
    let batch = batch_of(Codec::None, &[NOW]);
    let validated = check(&[&batch[..], &batch[..70]].concat().into(), &topic()).unwrap();
    assert_eq!(validated.size(), batch.len());
}

#[test]
fn other_formats_are_refused() {
    for (magic, code) in [
        (0u8, ErrorCode::InvalidRecord),
        (1, ErrorCode::InvalidRecord),
        (3, ErrorCode::CorruptMessage),
        (255, ErrorCode::CorruptMessage),
    ] {
        let mut bytes = batch_of(Codec::None, &[NOW]).to_vec();
        bytes[16] = magic;
        refused(&bytes.into(), &topic(), code);
    }
    for length in [0i32, -1, 13, 48] {
        let mut bytes = batch_of(Codec::None, &[NOW]).to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        refused(&bytes.into(), &topic(), ErrorCode::CorruptMessage);
    }
}

#[test]
fn a_wrong_checksum_is_corruption() {
    let batch = batch_of(Codec::None, &[NOW]);
    for at in 17..batch.len() {
        let mut bytes = batch.to_vec();
        bytes[at] ^= 1;
        refused(&bytes.into(), &topic(), ErrorCode::CorruptMessage);
    }
}

#[test]
fn the_header_must_make_sense() {
    let batch = batch_of(Codec::None, &[NOW, NOW]);
    let cases: [(&str, fn(&mut BatchHeader), ErrorCode); 11] = [
        ("base offset", |h| h.base_offset = 1, ErrorCode::InvalidRecord),
        ("negative last offset delta", |h| h.last_offset_delta = -1, ErrorCode::InvalidRecord),
        ("no records", |h| h.record_count = 0, ErrorCode::InvalidRecord),
        ("negative count", |h| h.record_count = -5, ErrorCode::InvalidRecord),
        ("count below the offsets", |h| h.record_count = 1, ErrorCode::InvalidRecord),
        ("count above the offsets", |h| h.record_count = 3, ErrorCode::InvalidRecord),
        (
            "count and offsets beyond the records",
            |h| (h.record_count, h.last_offset_delta) = (i32::MAX, i32::MAX - 1),
            ErrorCode::InvalidRecord,
        ),
        ("count and offsets short of the records", |h| (h.record_count, h.last_offset_delta) = (1, 0), ErrorCode::InvalidRecord),
        ("control batch", |h| h.attributes |= attributes::CONTROL, ErrorCode::InvalidRecord),
        ("no sequence", |h| (h.producer_id, h.producer_epoch, h.base_sequence) = (1, 0, -1), ErrorCode::InvalidRecord),
        ("unknown codec", |h| h.attributes |= 5, ErrorCode::UnsupportedCompressionType),
    ];
    for (what, change, code) in cases {
        let refusal = check(&resealed(&batch, change), &topic()).expect_err(what);
        assert_eq!(refusal.code, code, "{what}: {refusal}");
        assert!(refusal.record_errors.is_empty(), "{what}: the batch is at fault");
    }
    let (id, epoch, sequence) = (NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE);
    let no_producer = resealed(&batch, |h| (h.producer_id, h.producer_epoch, h.base_sequence) = (id, epoch, sequence));
    assert!(check(&no_producer, &topic()).is_ok());
}

#[test]
fn sizes_are_limited_by_message_and_by_segment() {
    let batch = batch_of(Codec::None, &[NOW]);
    let size = batch.len() as i32;
    assert!(check(&batch, &TopicConfig { max_message_bytes: size, segment_bytes: size, ..topic() }).is_ok());
    refused(&batch, &TopicConfig { max_message_bytes: size - 1, ..topic() }, ErrorCode::MessageTooLarge);
    refused(&batch, &TopicConfig { segment_bytes: size - 1, ..topic() }, ErrorCode::RecordListTooLarge);
}

#[test]
fn a_batch_that_recompression_makes_too_large_is_refused() {
    let batch = batch_of(Codec::Zstd, &[NOW; 20]);
    let config = TopicConfig { compression: CompressionType::Uncompressed, max_message_bytes: batch.len() as i32, ..topic() };
    refused(&batch, &config, ErrorCode::MessageTooLarge);
}

#[test]
fn zstd_needs_a_version_that_knows_it() {
    let batch = batch_of(Codec::Zstd, &[NOW]);
    let refusal = validate(Some(&batch), &topic(), 6, NOW).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::UnsupportedCompressionType);
    assert!(validate(Some(&batch), &topic(), 7, NOW).is_ok());
    assert!(validate(Some(&batch_of(Codec::Lz4, &[NOW])), &topic(), 6, NOW).is_ok());
}

#[test]
fn compressed_garbage_is_refused() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let good = batch_of(codec, &[NOW; 50]);
        let plain = batch_of(Codec::None, &[NOW; 50]);
        let lying = resealed(&plain, |h| h.attributes |= codec.id());
        refused(&lying, &topic(), ErrorCode::InvalidRecord);
        refused(&with_body(&good, &good[HEADER_LEN..good.len() - 3]), &topic(), ErrorCode::InvalidRecord);
        refused(&with_body(&good, &[]), &topic(), ErrorCode::InvalidRecord);
    }
}

#[test]
fn a_bomb_is_refused_with_the_code_that_makes_producers_split_their_batch() {
    let mut builder = BatchBuilder::new(Codec::Zstd);
    builder.push_plain(NOW, Some(b"k"), Some(&vec![0; DECOMPRESSED_MIN]));
    let bomb = builder.build();
    assert!(bomb.len() < 10_000);
    refused(&bomb, &topic(), ErrorCode::MessageTooLarge);
}

#[test]
fn records_must_fill_the_body_exactly() {
    for codec in Codec::ALL {
        let batch = batch_of(codec, &[NOW, NOW]);
        let plain = batch_of(Codec::None, &[NOW, NOW]);
        let body = &plain[HEADER_LEN..];
        let half = body.len() / 2;
        let bodies: [(&str, Vec<u8>); 5] = [
            ("one byte more", [body, &[0]].concat()),
            ("one record more", [body, &body[half..]].concat()),
            ("one record less", body[..half].to_vec()),
            ("one byte less", body[..body.len() - 1].to_vec()),
            ("a first record of negative length", [&[1][..], body].concat()),
        ];
        for (what, body) in bodies {
            let mut compressed = Vec::new();
            compression::compress(codec.into(), &body, &mut compressed);
            let refusal = check(&with_body(&batch, &compressed), &topic()).expect_err(what);
            assert_eq!(refusal.code, ErrorCode::InvalidRecord, "{codec:?}, {what}: {refusal}");
        }
    }
}

#[test]
fn the_fields_of_a_record_must_fill_it_exactly() {
    let record = |fields: &[i64], tail: &[u8]| {
        let mut body = vec![0];
        fields.iter().for_each(|field| varint::put_i64(&mut body, *field));
        body.extend_from_slice(tail);
        let mut record = Vec::new();
        varint::put_i64(&mut record, body.len() as i64);
        [record, body].concat()
    };
    let batch = batch_of(Codec::None, &[NOW]);
    // Timestamp delta, offset delta, key length, value length, number of headers, and for each header key and value length.
    let good: [&[i64]; 3] = [&[0, 0, -1, -1, 0], &[0, 0, -7, 0, 0], &[0, 0, 0, 0, 2, 0, -1, 0, 0]];
    for fields in good {
        assert!(check(&with_body(&batch, &record(fields, &[])), &topic()).is_ok(), "{fields:?}");
    }
    let bad: [(&[i64], &[u8]); 9] = [
        (&[], &[]),
        (&[0, 0, 0, 0], &[]),
        (&[0, 0, 5, 0, 0], &[]),
        (&[0, 0, -1, 1000, 0], &[]),
        (&[0, 0, -1, i64::from(i32::MAX), 0], &[]),
        (&[0, 0, -1, -1, -1], &[]),
        (&[0, 0, -1, -1, i64::from(i32::MAX)], &[]),
        (&[0, 0, -1, -1, 1, -1, 0], &[]),
        (&[0, 0, -1, -1, 0], &[0]),
    ];
    for (fields, tail) in bad {
        refused(&with_body(&batch, &record(fields, tail)), &topic(), ErrorCode::InvalidRecord);
    }
}

#[test]
fn offset_deltas_out_of_order_are_put_right() {
    for codec in [Codec::None, Codec::Lz4] {
        let one = batch_of(Codec::None, &[NOW]);
        let mut compressed = Vec::new();
        compression::compress(codec.into(), &[&one[HEADER_LEN..], &one[HEADER_LEN..]].concat(), &mut compressed);
        let repeated = resealed(&with_body(&one, &compressed), |h| {
            (h.record_count, h.last_offset_delta) = (2, 1);
            h.attributes |= codec.id();
        });
        let validated = check(&repeated, &topic()).unwrap();
        assert!(validated.recompressed());
        let (header, records) = written(&validated, 50);
        assert_eq!(header.compression_id(), codec.id());
        assert_eq!(records.iter().map(|r| r.offset).collect::<Vec<_>>(), [50, 51], "{codec:?}");
    }
}

#[test]
fn a_topic_may_want_another_codec() {
    let wanted = [
        CompressionType::Uncompressed,
        CompressionType::Gzip { level: -1 },
        CompressionType::Snappy,
        CompressionType::Lz4 { level: 9 },
        CompressionType::Zstd { level: 3 },
    ];
    for (config, target) in wanted.into_iter().zip(Codec::ALL) {
        for source in Codec::ALL {
            let batch = resealed(&batch_of(source, &[NOW, NOW + 1]), |h| {
                (h.producer_id, h.producer_epoch, h.base_sequence) = (9, 2, 40);
                h.attributes |= attributes::TRANSACTIONAL;
            });
            let validated = check(&batch, &TopicConfig { compression: config, ..topic() }).unwrap();
            assert_eq!(validated.recompressed(), source != target);
            let (header, records) = written(&validated, 3);
            assert_eq!(header.compression_id(), target.id());
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 2, 40));
            assert!(header.is_transactional());
            assert_eq!(records, written(&check(&batch, &topic()).unwrap(), 3).1, "{source:?} to {target:?}");
        }
    }
}

#[test]
fn log_append_time_replaces_timestamps_without_copying_records() {
    let config = TopicConfig { timestamp_type: TimestampType::LogAppendTime, ..topic() };
    for codec in Codec::ALL {
        // Timestamps that would be out of range do not matter then.
        let batch = batch_of(codec, &[1, NO_TIMESTAMP, i64::MAX]);
        let validated = check(&batch, &config).unwrap();
        assert_eq!(validated.body().as_ptr(), batch[HEADER_LEN..].as_ptr(), "{codec:?}");
        assert_eq!(validated.log_append_time(), NOW);
        let (header, records) = written(&validated, 0);
        assert!(header.is_log_append_time());
        assert_eq!(header.max_timestamp, NOW);
        assert!(records.iter().all(|r| r.timestamp == NOW));
    }
    let recompressed = TopicConfig { compression: CompressionType::Snappy, ..config };
    let (header, records) = written(&check(&batch_of(Codec::None, &[1, 2]), &recompressed).unwrap(), 0);
    assert!(header.is_log_append_time() && records.iter().all(|r| r.timestamp == NOW));
}

#[test]
fn a_maximum_timestamp_that_lies_is_put_right() {
    for codec in Codec::ALL {
        let batch = resealed(&batch_of(codec, &[NOW, NOW - 9]), |h| h.max_timestamp = NOW + 77);
        let validated = check(&batch, &topic()).unwrap();
        assert_eq!(validated.header().max_timestamp, NOW);
        assert_eq!(written(&validated, 0).0.max_timestamp, NOW, "{codec:?}: and the checksum is right");
    }
    let without = check(&batch_of(Codec::None, &[NO_TIMESTAMP]), &topic()).unwrap();
    assert_eq!(without.header().max_timestamp, NO_TIMESTAMP);
}

#[test]
fn timestamps_must_lie_within_the_window_around_now() {
    let config = TopicConfig { timestamp_before_max_ms: 1000, timestamp_after_max_ms: 100, ..topic() };
    for codec in [Codec::None, Codec::Gzip] {
        assert!(check(&batch_of(codec, &[NOW - 1000, NOW + 100, NO_TIMESTAMP]), &config).is_ok());
        for outside in [NOW - 1001, NOW + 101, 0, -2, i64::MIN, i64::MAX] {
            let refusal = refused(&batch_of(codec, &[NOW, outside]), &config, ErrorCode::InvalidTimestamp);
            assert_eq!(refusal.record_errors.len(), 1);
            assert_eq!(refusal.record_errors[0].batch_index, 1);
        }
    }
    let unlimited = TopicConfig { timestamp_before_max_ms: i64::MAX, timestamp_after_max_ms: i64::MAX, ..topic() };
    assert!(check(&batch_of(Codec::None, &[0, 1 << 60]), &unlimited).is_ok());
}

#[test]
fn producers_may_not_claim_log_append_time() {
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        let batch = resealed(&batch_of(Codec::None, &[NOW, NOW]), |h| h.attributes |= attributes::TIMESTAMP_TYPE);
        let refusal = refused(&batch, &TopicConfig { timestamp_type, ..topic() }, ErrorCode::InvalidTimestamp);
        assert_eq!(refusal.record_errors.len(), 2);
    }
}

#[test]
fn compacted_topics_need_keys_and_say_which_are_missing() {
    let compacted = TopicConfig { cleanup_compact: true, ..topic() };
    for codec in [Codec::None, Codec::Zstd] {
        let mut builder = BatchBuilder::new(codec);
        for key in [Some(&b"a"[..]), None, Some(b""), None] {
            builder.push_plain(NOW, key, Some(b"v"));
        }
        let batch = builder.build();
        let refusal = refused(&batch, &compacted, ErrorCode::InvalidRecord);
        assert_eq!(refusal.record_errors.iter().map(|e| e.batch_index).collect::<Vec<_>>(), [1, 3]);
        assert!(check(&batch, &topic()).is_ok());
    }
}

#[test]
fn a_bad_timestamp_decides_the_code_of_a_batch_with_several_faults() {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.push_plain(NOW, None, None);
    builder.push_plain(NOW + 86_400_000, Some(b"k"), None);
    let refusal = refused(&builder.build(), &TopicConfig { cleanup_compact: true, ..topic() }, ErrorCode::InvalidTimestamp);
    assert_eq!(refusal.record_errors.len(), 2);
}

#[test]
fn a_refusal_names_a_bounded_number_of_records() {
    let mut builder = BatchBuilder::new(Codec::None);
    (0..5000).for_each(|_| builder.push_plain(NOW, None, None));
    let refusal = refused(&builder.build(), &TopicConfig { cleanup_compact: true, ..topic() }, ErrorCode::InvalidRecord);
    assert_eq!(refusal.record_errors.len(), 1000);
    assert!(refusal.message.contains("5000"), "{refusal}");
}
