//! Writes a batch anew with some of its records, or none, as compaction leaves it (`MemoryRecords.filterTo`, `buildRetainedRecordsInto`,
//! `DefaultRecordBatch.writeEmptyHeader`).
//!
//! Invariants: base offset, last offset, leader epoch, producer, sequence, codec, timestamp type and kind of the batch stay as they were, so do
//! offset, timestamp, key, value and headers of every record that is kept; `record_count` is the number of those, `max_timestamp` the
//! largest of theirs; the checksum is right.

use super::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, attributes};
use super::builder::checksum_of;
use super::compression::{self, Codec};
use super::records::{MalformedRecord, RawRecord};
use super::varint;
use crate::base::ids::{NO_TIMESTAMP, TimestampMs};

/// Appends to `out` the batch of `header` with those records of its `body`, which is not compressed, for which `retained` is true, by their
/// place in the batch. At least one is. With `delete_horizon_ms` the batch gets that horizon, which takes the place of its base timestamp
/// (KIP-534); without, it keeps what it has. What the header is then.
pub fn retain(
    header: &BatchHeader,
    body: &[u8],
    retained: &[bool],
    delete_horizon_ms: Option<TimestampMs>,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, MalformedRecord> {
    let base_timestamp = delete_horizon_ms.unwrap_or(header.base_timestamp);
    let shift = header.base_timestamp.wrapping_sub(base_timestamp);
    let (mut at, mut max_timestamp, mut record_count) = (0, NO_TIMESTAMP, 0);
    let start = out.len();
    out.resize(start + HEADER_LEN, 0);
    compression::with_buffer(|plain| {
        for retained in retained {
            let from = at;
            let record = RawRecord::take(body, &mut at)?;
            if !retained {
                continue;
            }
            record_count += 1;
            max_timestamp = max_timestamp.max(header.base_timestamp.wrapping_add(record.timestamp_delta));
            match shift {
                0 => plain.extend_from_slice(&body[from..at]),
                shift => put_shifted(&body[from..at], record.timestamp_delta, shift, plain)?,
            }
        }
        let codec = Codec::from_id(header.compression_id()).unwrap_or_default();
        compression::compress(codec.into(), plain, out);
        Ok(())
    })?;
    let horizon = if delete_horizon_ms.is_some() { attributes::DELETE_HORIZON } else { 0 };
    let new = BatchHeader {
        attributes: header.attributes | horizon,
        base_timestamp,
        max_timestamp: if header.is_log_append_time() { header.max_timestamp } else { max_timestamp },
        record_count,
        ..*header
    };
    Ok(finish(new, start, out))
}

/// Appends to `out` the batch of `header` without any record: what is left tells of its offsets and its producer's sequence.
pub fn retain_empty(header: &BatchHeader, out: &mut Vec<u8>) -> BatchHeader {
    let kept = attributes::TIMESTAMP_TYPE | attributes::TRANSACTIONAL | attributes::CONTROL;
    let start = out.len();
    out.resize(start + HEADER_LEN, 0);
    let new = BatchHeader { attributes: header.attributes & kept, base_timestamp: NO_TIMESTAMP, record_count: 0, ..*header };
    finish(new, start, out)
}

/// Length, checksum and header of the batch whose body stands in `out` already.
fn finish(mut header: BatchHeader, start: usize, out: &mut [u8]) -> BatchHeader {
    let length = out.len() - start - LOG_OVERHEAD;
    header.batch_length = i32::try_from(length).expect("a batch is no larger than the one it is made of by more than deltas");
    header.crc = checksum_of(&header, &out[start + HEADER_LEN..]);
    out[start..start + HEADER_LEN].copy_from_slice(&header.encode());
    header
}

/// Appends a record whose timestamp is counted from another base.
fn put_shifted(record: &[u8], timestamp_delta: i64, shift: i64, out: &mut Vec<u8>) -> Result<(), MalformedRecord> {
    let mut at = 0;
    varint::take_i32(record, &mut at).ok_or(MalformedRecord::Structure)?;
    let record_attributes = record[at];
    at += 1;
    varint::take_i64(record, &mut at).ok_or(MalformedRecord::Structure)?;
    let (rest, delta) = (&record[at..], timestamp_delta.wrapping_add(shift));
    varint::put_i64(out, (1 + varint::len_i64(delta) + rest.len()) as i64);
    out.push(record_attributes);
    varint::put_i64(out, delta);
    out.extend_from_slice(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::ids::Offset;
    use crate::record::batches::batches;
    use crate::record::builder::{BatchBuilder, Producer};
    use crate::record::owned::{self, Record};

    fn records_of(bytes: &[u8]) -> (BatchHeader, Vec<Record>) {
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        batches(&bytes).for_each(|batch| batch.unwrap().verify_checksum().unwrap());
        let batch = owned::decode(&bytes, 1 << 20).next().unwrap().unwrap();
        let records = batch.records().map(Result::unwrap).collect();
        (batch.header, records)
    }

    fn batch(codec: Codec, timestamps: &[TimestampMs]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(codec);
        (builder.base_offset, builder.leader_epoch, builder.transactional) = (1000, 7, true);
        builder.producer = Producer { id: 5, epoch: 2, base_sequence: i32::MAX - 1 };
        for (n, timestamp) in timestamps.iter().enumerate() {
            let header = (&b"h"[..], (n % 2 == 0).then_some(&b"v"[..]));
            builder.push(*timestamp, Some(&[n as u8; 9]), (n % 3 > 0).then_some(&[7; 200]), [header].into_iter());
        }
        builder.build().to_vec()
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_it_was(
            times in prop::collection::vec(-1i64..i64::MAX / 2, 1..20),
            seed in any::<u32>(),
            codec in prop::sample::select(Codec::ALL.to_vec()),
            horizon in prop::option::of(0i64..i64::MAX / 2),
        ) {
            let original = batch(codec, &times);
            let (header, before) = records_of(&original);
            let mut retained: Vec<bool> = (0..times.len()).map(|n| seed >> (n % 32) & 1 == 1).collect();
            retained[seed as usize % times.len()] = true;
            let mut body = Vec::new();
            compression::decompress(codec, &original[HEADER_LEN..], &mut body, 1 << 20).unwrap();
            let mut out = vec![9; 3];
            let told = retain(&header, &body, &retained, horizon, &mut out).unwrap();
            let (after, left) = records_of(&out[3..]);
            let kept: Vec<Record> = before.into_iter().zip(&retained).filter(|(_, kept)| **kept).map(|(record, _)| record).collect();
            prop_assert_eq!(told, after);
            prop_assert_eq!(after.delete_horizon_ms(), horizon);
            prop_assert_eq!(after.max_timestamp, kept.iter().map(|record| record.timestamp).max().unwrap());
            prop_assert_eq!(after.record_count as usize, kept.len());
            prop_assert_eq!(left, kept);
            let same = |header: &BatchHeader| {
                let offsets: (Offset, Offset) = (header.base_offset, header.last_offset());
                (offsets, header.leader_epoch, header.producer_id, header.producer_epoch, header.base_sequence, header.last_sequence())
            };
            prop_assert_eq!(same(&after), same(&header));
            prop_assert_eq!(after.attributes & !attributes::DELETE_HORIZON, header.attributes);
        }
    }

    #[test]
    fn an_empty_batch_tells_of_offsets_and_sequence_alone() {
        let original = batch(Codec::Lz4, &[5, 9, 7]);
        let header = BatchHeader::parse(&original).unwrap();
        let header = BatchHeader { attributes: header.attributes | attributes::DELETE_HORIZON, ..header };
        let mut out = Vec::new();
        let told = retain_empty(&header, &mut out);
        let (after, left) = records_of(&out);
        assert_eq!((told, out.len(), left.len()), (after, HEADER_LEN, 0));
        assert_eq!((after.base_offset, after.last_offset(), after.last_sequence()), (1000, 1002, header.last_sequence()));
        assert_eq!((after.base_timestamp, after.max_timestamp, after.record_count), (NO_TIMESTAMP, 9, 0));
        assert_eq!(after.attributes, attributes::TRANSACTIONAL, "neither a codec nor a horizon");
    }

    #[test]
    fn a_batch_of_log_append_time_keeps_its_time() {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.log_append_time = Some(77);
        builder.push_plain(5, Some(b"a"), None);
        builder.push_plain(900, Some(b"b"), None);
        let bytes = builder.build();
        let header = BatchHeader::parse(&bytes).unwrap();
        let mut out = Vec::new();
        retain(&header, &bytes[HEADER_LEN..], &[true, false], Some(10), &mut out).unwrap();
        let (after, left) = records_of(&out);
        assert_eq!((after.max_timestamp, left[0].timestamp, left[0].offset, left.len()), (77, 77, 0, 1));
    }
}
