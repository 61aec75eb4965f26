//! What the broker changes of a batch, and what it leaves alone.

use super::*;
use crate::config::topic::CompressionType;

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
fn a_batch_that_recompression_makes_too_large_is_refused() {
    let batch = batch_of(Codec::Zstd, &[NOW; 20]);
    let config = TopicConfig { compression: CompressionType::Uncompressed, max_message_bytes: batch.len() as i32, ..topic() };
    refused(&batch, &config, ErrorCode::MessageTooLarge);
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
