//! Bytes that Kafka's own Java code wrote, and what must be read from them.
//!
//! To write them again, run this with Kafka's clients on the class path (it was 4.3.1):
//!
//! ```java
//! byte[] abc = "abc".repeat(70).getBytes();
//! for (Compression c : List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(),
//!                              Compression.lz4().build(), Compression.zstd().level(22).build())) {
//!     var m = MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) 2, c, TimestampType.CREATE_TIME, 0L,
//!                                   -1L, 4242L, (short) 3, 7, true, 9);
//!     m.append(1700000000000L, "first".getBytes(), abc,
//!              new Header[] { new RecordHeader("h1", "v1".getBytes()), new RecordHeader("h2", null) });
//!     m.append(1700000000500L, null, abc, new Header[0]);
//!     m.append(1700000000250L, "last".getBytes(), null, new Header[0]);
//!     print(c.type().name, m.build().buffer());
//! }
//! print("marker", MemoryRecords.withEndTransactionMarker(17L, 1700000000000L, 9, 4242L, (short) 3,
//!                     new EndTransactionMarker(ControlRecordType.ABORT, 12)).buffer());
//! ```

use bytes::Bytes;

use crate::base::ids::TimestampMs;
use crate::config::topic::TopicConfig;
use crate::record::batches::batches;
use crate::record::builder::{BatchBuilder, Producer};
use crate::record::compression::Codec;
use crate::record::control::{EndTransactionMarker, TimedMarker, TransactionResult};
use crate::record::owned::{Record, decode};
use crate::record::validate::validate;

const NONE: &str = "000000000000000000000203000000090209c182040010000000020000018bcfe568000000018bcfe569f40000000000001092000300000007000000\
     03d0030000000a6669727374a40361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361\
     626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361\
     626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361626361\
     62636162636162636162636162636162636162636162636162636162636162636162636162636162636162630404683104763104683201b40300e807\
     0201a4036162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162\
     636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162\
     636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162636162\
     63616263616263616263616263616263616263616263616263616263616263616263001600f40304086c6173740100";
const GZIP: &str = "00000000000000000000007a0000000902b692b4f20011000000020000018bcfe568000000018bcfe569f40000000000001092000300000007000000\
     031f8b08000000000000ffbbc0ccc0c0c0959659545cb28439312979982116960c43963243960c23c62dcc0c2fd8991887a32f19c418be30b370e424\
     1697303200008112cef9d2010000";
const SNAPPY: &str = "000000000000000000000091000000090237811e110012000000020000018bcfe568000000018bcfe569f40000000000001092000300000007000000\
     0382534e415050590000000001000000010000004cd2033cd0030000000a6669727374a403616263fe0300fe0300fe03003a03004404046831047631\
     04683201b40300e8070201fee600fee600fee6004ee60030001600f40304086c6173740100";
const LZ4: &str = "00000000000000000000007a0000000902e4f4f45c0013000000020000018bcfe568000000018bcfe569f40000000000001092000300000007000000\
     0304224d186040823a000000ff01d0030000000a6669727374a4036162630300bcff030404683104763104683201b40300e8070201e600c1d0001600\
     f40304086c617374010000000000";
const ZSTD: &str = "0000000000000000000000780000000902d20672650014000000020000018bcfe568000000018bcfe569f40000000000001092000300000007000000\
     0328b52ffd0088dc0100f402d0030000000a6669727374a4036162630404683104763104683201b40300e8070201001600f40304086c617374010002\
     00a26943054c290706010000";
const MARKER: &str = "0000000000000011000000420000000902fcb8d4e90030000000000000018bcfe568000000018bcfe5680000000000000010920003ffffffff000000\
     012000000008000000000c00000000000c00";

const T: TimestampMs = 1_700_000_000_000;
const VECTORS: [(Codec, &str); 5] =
    [(Codec::None, NONE), (Codec::Gzip, GZIP), (Codec::Snappy, SNAPPY), (Codec::Lz4, LZ4), (Codec::Zstd, ZSTD)];

fn bytes(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect::<Vec<u8>>().into()
}

fn expected() -> Vec<Record> {
    let abc = || Some(Bytes::from("abc".repeat(70)));
    let headers = vec![("h1".into(), Some("v1".into())), ("h2".into(), None)];
    vec![
        Record { offset: 0, timestamp: T, key: Some("first".into()), value: abc(), headers },
        Record { offset: 1, timestamp: T + 500, key: None, value: abc(), headers: vec![] },
        Record { offset: 2, timestamp: T + 250, key: Some("last".into()), value: None, headers: vec![] },
    ]
}

#[test]
fn batches_of_every_codec_are_read_as_kafka_wrote_them() {
    for (codec, hex) in VECTORS {
        let bytes = bytes(hex);
        let batch = decode(&bytes, 1 << 20).next().unwrap().unwrap();
        let header = batch.header;
        assert_eq!(header.compression_id(), codec.id());
        assert_eq!((header.base_offset, header.last_offset_delta, header.record_count), (0, 2, 3), "{codec:?}");
        assert_eq!((header.base_timestamp, header.max_timestamp, header.leader_epoch), (T, T + 500, 9), "{codec:?}");
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence, header.last_sequence()), (4242, 3, 7, 9));
        assert!(header.is_transactional() && !header.is_control() && !header.is_log_append_time());
        let records: Vec<Record> = batch.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(records, expected(), "{codec:?}");
    }
}

#[test]
fn batches_of_every_codec_are_accepted_untouched() {
    for (codec, hex) in VECTORS {
        let bytes = bytes(hex);
        let validated = validate(Some(&bytes), &TopicConfig::default(), 11, T).unwrap_or_else(|e| panic!("{codec:?}: {e}"));
        assert_eq!([&validated.stamped_header(0, 9), &validated.body()[..]].concat(), bytes, "{codec:?}");
    }
}

#[test]
fn an_uncompressed_batch_is_built_byte_for_byte_as_kafka_builds_it() {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.leader_epoch = 9;
    builder.producer = Producer { id: 4242, epoch: 3, base_sequence: 7 };
    builder.transactional = true;
    for record in expected() {
        let headers: Vec<_> = record.headers.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), headers.iter().copied());
    }
    assert_eq!(builder.uncompressed_size(), NONE.len() / 2);
    assert_eq!(builder.build(), bytes(NONE));
}

#[test]
fn a_transaction_marker_is_read_and_written_as_kafka_does() {
    let expected = bytes(MARKER);
    let batch = batches(&expected).next().unwrap().unwrap();
    batch.verify_checksum().unwrap();
    let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 12 };
    assert_eq!(EndTransactionMarker::of_batch(&batch.header, batch.body()), Ok(Some(TimedMarker { marker, timestamp: T })));

    let mut built = marker.batch(T, 4242, 3).to_vec();
    built[..8].copy_from_slice(&17i64.to_be_bytes());
    built[12..16].copy_from_slice(&9i32.to_be_bytes());
    assert_eq!(built, expected);
}

#[test]
fn raw_snappy_is_read_like_the_framed_one() {
    let framed = bytes(SNAPPY);
    // 61 bytes of batch header, 16 of the stream's, 4 of the only block's length.
    let raw_body = &framed[81..];
    let mut raw = framed[..61].to_vec();
    raw.extend_from_slice(raw_body);
    let length = (raw.len() - 12) as i32;
    raw[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&raw[21..]);
    raw[17..21].copy_from_slice(&crc.to_be_bytes());

    let raw = Bytes::from(raw);
    let records: Vec<Record> = decode(&raw, 1 << 20).next().unwrap().unwrap().records().collect::<Result<_, _>>().unwrap();
    assert_eq!(records, expected());
    assert!(validate(Some(&raw), &TopicConfig::default(), 11, T).is_ok());
}
