//! The cases of Kafka's LogValidatorTest that concern format v2, of ProduceRequestTest and of UnifiedLogTest's append checks.

mod batch;
mod records;
mod rewriting;

use bytes::Bytes;

use super::*;
use crate::record::owned::{Record, decode};

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
