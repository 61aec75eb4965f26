//! What a single record can do wrong.

use super::*;
use crate::record::varint;

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
