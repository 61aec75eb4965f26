//! Batches that must not reach a log: each is refused with Kafka's code, and nothing of it is there afterwards.

use bytes::Bytes;
use klamm::base::ErrorCode;
use klamm::record::batch::{BatchHeader, CRC_START, HEADER_LEN, attributes, checksum};
use klamm::record::builder::{BatchBuilder, Producer};
use klamm::record::compression::{Codec, Compression, compress};

use crate::attack::Victim;
use crate::support::Client;
use crate::support::everyday::{batch, error, produce_request};

/// A batch of two records whose header was changed, with the checksum that fits.
fn with_header(change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let good = batch(&[b"one", b"two"]);
    let mut header = BatchHeader::parse(&good).unwrap();
    change(&mut header);
    sealed(header, &good[HEADER_LEN..])
}

/// A batch of this header and body, with its length and its checksum put right.
fn sealed(mut header: BatchHeader, body: &[u8]) -> Bytes {
    header.batch_length = (HEADER_LEN + body.len() - 12) as i32;
    let mut bytes = [&header.encode()[..], body].concat();
    header.crc = checksum(&bytes);
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    bytes.into()
}

/// A batch whose bytes were changed after they were sealed.
fn damaged(change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch(&[b"one", b"two"]).to_vec();
    change(&mut bytes);
    bytes.into()
}

/// A batch whose one record is mebibytes of nothing, which compress to little.
fn bomb(codec: Codec, size: usize) -> Bytes {
    let mut plain = BatchBuilder::new(Codec::None);
    plain.push_plain(1_700_000_000_000, None, Some(&vec![0; size]));
    let plain = plain.build();
    let mut body = Vec::new();
    compress(Compression { codec, level: None }, &plain[HEADER_LEN..], &mut body);
    let mut header = BatchHeader::parse(&plain).unwrap();
    header.attributes |= codec.id();
    sealed(header, &body)
}

/// A compressed batch whose body is not what the codec makes.
fn garbage(codec: i16) -> Bytes {
    let header = BatchHeader::parse(&batch(&[b"one"])).unwrap();
    sealed(BatchHeader { attributes: codec, ..header }, &[0x5a; 300])
}

fn produce(victim: &Victim, version: i16, records: Option<Bytes>) -> Option<ErrorCode> {
    let mut request = produce_request("ordinary", 0, -1, Bytes::new());
    request.topic_data[0].partition_data[0].records = records;
    let response = Client::connect(victim.address()).call(version, &request);
    error(response.responses[0].partition_responses[0].error_code)
}

#[test]
fn a_batch_that_is_not_what_it_says_is_refused_and_leaves_no_trace() {
    use ErrorCode::*;
    let victim = Victim::start(&["log.message.timestamp.before.max.ms=1000000000000", "log.message.timestamp.after.max.ms=1000"]);
    let end = |victim: &Victim| Client::connect(victim.address()).try_fetch("ordinary", 0, 0, 1000).unwrap().high_watermark;
    let before = end(&victim);
    let good = batch(&[b"one", b"two"]);
    let producer = |id, epoch, base_sequence| {
        let mut batch = BatchBuilder::new(Codec::None);
        batch.producer = Producer { id, epoch, base_sequence };
        batch.push_plain(1_700_000_000_000, None, Some(b"v"));
        batch.build()
    };
    let rows: Vec<(&str, Option<Bytes>, ErrorCode)> = vec![
        ("no records", None, InvalidRecord),
        ("empty records", Some(Bytes::new()), InvalidRecord),
        ("a cut header", Some(good.slice(..40)), InvalidRecord),
        ("a cut body", Some(good.slice(..good.len() - 1)), InvalidRecord),
        ("two batches", Some([&good[..], &good].concat().into()), InvalidRecord),
        ("noise", Some(vec![0xa5; 500].into()), CorruptMessage),
        ("zeros", Some(vec![0; 500].into()), CorruptMessage),
        ("format 0", Some(damaged(|b| b[16] = 0)), InvalidRecord),
        ("format 1", Some(damaged(|b| b[16] = 1)), InvalidRecord),
        ("format 3", Some(damaged(|b| b[16] = 3)), CorruptMessage),
        ("format -1", Some(damaged(|b| b[16] = 0xff)), CorruptMessage),
        ("a length of 0", Some(damaged(|b| b[8..12].fill(0))), CorruptMessage),
        ("a negative length", Some(damaged(|b| b[8] = 0x80)), CorruptMessage),
        ("a length of 2 GiB", Some(damaged(|b| b[8] = 0x7f)), InvalidRecord),
        ("a flipped bit", Some(damaged(|b| *b.last_mut().unwrap() ^= 1)), CorruptMessage),
        ("a wrong checksum", Some(damaged(|b| b[CRC_START - 1] ^= 1)), CorruptMessage),
        ("a base offset", Some(with_header(|h| h.base_offset = 5)), InvalidRecord),
        ("a negative base offset", Some(with_header(|h| h.base_offset = i64::MIN)), InvalidRecord),
        ("no record", Some(with_header(|h| (h.record_count, h.last_offset_delta) = (0, -1))), InvalidRecord),
        ("a negative count", Some(with_header(|h| h.record_count = -1)), InvalidRecord),
        ("more records than there are", Some(with_header(|h| (h.record_count, h.last_offset_delta) = (3, 2))), InvalidRecord),
        ("fewer records than there are", Some(with_header(|h| (h.record_count, h.last_offset_delta) = (1, 0))), InvalidRecord),
        (
            "two billion records",
            Some(with_header(|h| (h.record_count, h.last_offset_delta) = (i32::MAX, i32::MAX - 1))),
            InvalidRecord,
        ),
        ("offsets that are not as many as records", Some(with_header(|h| h.last_offset_delta = 7)), InvalidRecord),
        ("offsets without end", Some(with_header(|h| h.last_offset_delta = i32::MAX)), InvalidRecord),
        ("a control record", Some(with_header(|h| h.attributes |= attributes::CONTROL)), InvalidRecord),
        ("a producer without a sequence", Some(producer(4000, 0, -1)), InvalidRecord),
        ("a record that is longer than its batch", Some(with_header_and_body(|body| body[0] = 0x7e)), InvalidRecord),
        ("a record of negative length", Some(with_header_and_body(|body| body[0] = 0x01)), InvalidRecord),
        ("a codec that does not exist", Some(with_header(|h| h.attributes |= 5)), UnsupportedCompressionType),
        ("another one", Some(with_header(|h| h.attributes |= 7)), UnsupportedCompressionType),
        ("no gzip", Some(garbage(1)), InvalidRecord),
        ("no snappy", Some(garbage(2)), InvalidRecord),
        ("no lz4", Some(garbage(3)), InvalidRecord),
        ("no zstd", Some(garbage(4)), InvalidRecord),
        ("a timestamp of the far future", Some(with_header(|h| h.base_timestamp = i64::MAX / 2)), InvalidTimestamp),
        ("a timestamp before all times", Some(with_header(|h| h.base_timestamp = 0)), InvalidTimestamp),
        ("more than message.max.bytes", Some(batch(&[&[b'x'; 1_100_000]])), MessageTooLarge),
    ];
    for (what, records, expected) in rows {
        assert_eq!(produce(&victim, 9, records), Some(expected), "{what}");
        assert_eq!(end(&victim), before, "{what}");
    }
    let zstd = {
        let mut builder = BatchBuilder::new(Codec::Zstd);
        builder.push_plain(1_700_000_000_000, None, Some(b"v"));
        builder.build()
    };
    assert_eq!(produce(&victim, 6, Some(zstd)), Some(UnsupportedCompressionType), "zstd before version 7 (KIP-110)");
    victim.goes_on();
}

/// A batch of two records whose records were changed, with the checksum that fits.
fn with_header_and_body(change: impl FnOnce(&mut [u8])) -> Bytes {
    let good = batch(&[b"one", b"two"]);
    let mut body = good[HEADER_LEN..].to_vec();
    change(&mut body);
    sealed(BatchHeader::parse(&good).unwrap(), &body)
}

#[test]
fn records_without_keys_do_not_reach_a_compacted_topic() {
    let victim = Victim::start(&[]);
    let mut client = Client::connect(victim.address());
    client.create_topic("compacted", &[("cleanup.policy", "compact")]);
    assert_eq!(client.try_produce("compacted", 0, -1, batch(&[b"v"])), Err(ErrorCode::InvalidRecord));
    assert_eq!(client.try_fetch("compacted", 0, 0, 1000).unwrap().high_watermark, 0);
    victim.goes_on();
}

#[test]
fn what_grows_without_bounds_when_decompressed_is_refused_within_bounds() {
    // 16 × message.max.bytes, but at least 64 MiB, is what a batch may grow to.
    let victim = Victim::start(&["message.max.bytes=4000000"]);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = bomb(codec, 65 << 20);
        assert!(bomb.len() < 4_000_000, "{codec:?}: {}", bomb.len());
        assert_eq!(produce(&victim, 9, Some(bomb)), Some(ErrorCode::MessageTooLarge), "{codec:?}");
    }
    victim.never_held_more_than(3 * (64 << 20));
    assert_eq!(produce(&victim, 9, Some(bomb(Codec::Zstd, 63 << 20))), None, "large, but not too large");
    victim.serves_and_stops();
}
