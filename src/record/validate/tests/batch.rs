//! What a batch as a whole can do wrong.

use super::*;
use crate::base::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE};

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
    type Case = (&'static str, fn(&mut BatchHeader), ErrorCode);
    let cases: [Case; 11] = [
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
