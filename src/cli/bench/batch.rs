//! Record batches to send: built once a figure, sent over and over. The broker writes base offset and leader epoch itself, outside the
//! CRC, so the same bytes are right at every offset.

use crate::base::ids::{NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, ProducerEpoch, ProducerId, TimestampMs};
use crate::record::batch::{self, BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2, attributes};

/// Where `base_sequence` and `crc` stand in a header, for those who patch a batch that is already built.
pub const BASE_SEQUENCE_AT: usize = 53;
pub const CRC_AT: usize = 17;

/// An uncompressed v2 batch of `records` records with values of `record_size` bytes, no keys, no headers, CRC in place.
pub fn build(records: u32, record_size: usize, now: TimestampMs, producer: Option<(ProducerId, ProducerEpoch)>) -> Vec<u8> {
    assert!(records > 0, "clap bounds the number of records from below");
    let value = value_bytes(record_size);
    let mut bytes = vec![0u8; HEADER_LEN];
    for delta in 0..records {
        let body_len = 1 + 1 + varint_len(i64::from(delta)) + 1 + varint_len(record_size as i64) + record_size + 1;
        put_varint(&mut bytes, body_len as i64);
        bytes.push(0); // attributes
        put_varint(&mut bytes, 0); // timestamp delta
        put_varint(&mut bytes, i64::from(delta));
        put_varint(&mut bytes, -1); // no key
        put_varint(&mut bytes, record_size as i64);
        bytes.extend_from_slice(&value);
        put_varint(&mut bytes, 0); // headers
    }
    let (producer_id, producer_epoch) = producer.unwrap_or((NO_PRODUCER_ID, NO_PRODUCER_EPOCH));
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: (bytes.len() - LOG_OVERHEAD) as i32,
        leader_epoch: NO_LEADER_EPOCH,
        magic: MAGIC_V2,
        crc: 0,
        attributes: 0,
        last_offset_delta: records as i32 - 1,
        base_timestamp: now,
        max_timestamp: now,
        producer_id,
        producer_epoch,
        base_sequence: if producer.is_some() { 0 } else { NO_SEQUENCE },
        record_count: records as i32,
    };
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    header.crc = batch::checksum(&bytes);
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    bytes
}

/// Gives a built batch its sequence, and the CRC that follows from it.
pub fn set_sequence(bytes: &mut [u8], sequence: i32) {
    bytes[BASE_SEQUENCE_AT..BASE_SEQUENCE_AT + 4].copy_from_slice(&sequence.to_be_bytes());
    let crc = batch::checksum(bytes);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

/// Makes a built batch part of a transaction: the producer's, with the first sequence of its records; and the CRC that follows from it.
pub fn set_transaction(bytes: &mut [u8], producer: (ProducerId, ProducerEpoch), sequence: i32) {
    let header = BatchHeader::parse(bytes).expect("it was built whole");
    let mut header = BatchHeader {
        attributes: header.attributes | attributes::TRANSACTIONAL,
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: sequence,
        ..header
    };
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    header.crc = batch::checksum(bytes);
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
}

/// Bytes that do not compress, the same in every run: a file system that compresses shall gain nothing.
fn value_bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint_len(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::records::RecordBatchDecoder;

    use super::*;

    #[test]
    fn a_batch_is_what_another_implementation_reads() {
        for (records, size) in [(1u32, 100usize), (16, 1024), (256, 1024), (3, 0)] {
            let bytes = build(records, size, 1234, None);
            let mut buf = Bytes::from(bytes.clone());
            let set = RecordBatchDecoder::decode(&mut buf).expect("the crate checks the CRC");
            assert_eq!(set.records.len(), records as usize);
            for (i, record) in set.records.iter().enumerate() {
                assert_eq!(record.offset, i as i64);
                assert_eq!(record.timestamp, 1234);
                assert_eq!(record.value.as_ref().map(|v| v.len()), Some(size));
            }
            assert_eq!(BatchHeader::parse(&bytes).map(|h| h.size()), Some(bytes.len()));
        }
    }

    #[test]
    fn a_new_sequence_brings_its_crc() {
        let mut bytes = build(2, 10, 0, Some((7, 1)));
        let before = BatchHeader::parse(&bytes).expect("whole header");
        set_sequence(&mut bytes, 44);
        let after = BatchHeader::parse(&bytes).expect("whole header");
        assert_eq!((before.base_sequence, after.base_sequence), (0, 44));
        assert_eq!(after.crc, batch::checksum(&bytes));
        assert_ne!(before.crc, after.crc);
        assert_eq!((after.producer_id, after.producer_epoch), (7, 1));
        set_transaction(&mut bytes, (8, 2), 45);
        let after = BatchHeader::parse(&bytes).expect("whole header");
        assert_eq!((after.producer_id, after.producer_epoch, after.base_sequence, after.is_transactional()), (8, 2, 45, true));
        assert_eq!(after.crc, batch::checksum(&bytes));
    }
}
