//! The header of a record batch, format v2 (KIP-98), read in place.
//!
//! ```text
//!  0 base_offset i64 · 8 batch_length i32 · 12 leader_epoch i32 · 16 magic i8 · 17 crc u32 (CRC-32C of everything from 21)
//! 21 attributes i16 · 23 last_offset_delta i32 · 27 base_timestamp i64 · 35 max_timestamp i64 · 43 producer_id i64
//! 51 producer_epoch i16 · 53 base_sequence i32 · 57 record_count i32 · 61 records
//! ```
//!
//! The first 16 bytes lie outside the CRC: base offset and leader epoch are the broker's to write.
//! Invariants of a batch in a log: `last_offset = base_offset + last_offset_delta`, `0 < record_count ≤ last_offset_delta + 1`
//! (compaction makes it smaller, down to an empty batch with `record_count = 0`).

use crate::base::ids::{LeaderEpoch, NO_PRODUCER_ID, Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Bytes of a v2 header, up to the first record.
pub const HEADER_LEN: usize = 61;
/// Bytes before the length field's count begins: base offset and length itself.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes the broker stamps on append: base offset, length, leader epoch.
pub const STAMP_LEN: usize = 16;
/// Where the bytes covered by the CRC begin.
pub const CRC_START: usize = 21;
pub const MAGIC_V2: i8 = 2;

const MAGIC_AT: usize = 16;

pub mod attributes {
    //! Bits of a batch's attributes.
    pub const COMPRESSION_MASK: i16 = 0x07;
    pub const TIMESTAMP_TYPE: i16 = 0x08;
    pub const TRANSACTIONAL: i16 = 0x10;
    pub const CONTROL: i16 = 0x20;
    /// The base timestamp holds the delete horizon (KIP-534).
    pub const DELETE_HORIZON: i16 = 0x40;
}

/// A parsed header. Copying it is cheaper than re-reading the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes that follow the length field; see [`BatchHeader::size`].
    pub batch_length: i32,
    pub leader_epoch: LeaderEpoch,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// Magic byte of the batch or message that begins here, if that many bytes are there.
pub fn magic(bytes: &[u8]) -> Option<i8> {
    bytes.get(MAGIC_AT).map(|b| *b as i8)
}

/// Total size in bytes of the batch or message that begins here, as its length field says; `None` if the field is cut off.
/// May be negative or absurd: it is the peer's word.
pub fn claimed_size(bytes: &[u8]) -> Option<i64> {
    let length = i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
    Some(i64::from(length) + LOG_OVERHEAD as i64)
}

impl BatchHeader {
    /// Reads a header; `None` if fewer than [`HEADER_LEN`] bytes are there. Nothing is checked but presence: look at `magic` first.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let b: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        macro_rules! be {
            ($t:ty, $at:expr) => {
                <$t>::from_be_bytes(*b[$at..].first_chunk().expect("offsets lie inside the header"))
            };
        }
        Some(Self {
            base_offset: be!(i64, 0),
            batch_length: be!(i32, 8),
            leader_epoch: be!(i32, 12),
            magic: b[MAGIC_AT] as i8,
            crc: be!(u32, 17),
            attributes: be!(i16, 21),
            last_offset_delta: be!(i32, 23),
            base_timestamp: be!(i64, 27),
            max_timestamp: be!(i64, 35),
            producer_id: be!(i64, 43),
            producer_epoch: be!(i16, 51),
            base_sequence: be!(i32, 53),
            record_count: be!(i32, 57),
        })
    }

    /// Writes the header; the CRC is written as it stands in `self`.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut b = [0u8; HEADER_LEN];
        b[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        b[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        b[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        b[16] = self.magic as u8;
        b[17..21].copy_from_slice(&self.crc.to_be_bytes());
        b[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        b[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        b[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        b[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        b[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        b[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        b[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        b[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        b
    }

    /// Total bytes of the batch, header included.
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub fn next_offset(&self) -> Offset {
        self.last_offset() + 1
    }

    /// Sequence of the last record; wraps from 2³¹−1 to 0 (`DefaultRecordBatch.incrementSequence`).
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 { self.base_sequence } else { increment_sequence(self.base_sequence, self.last_offset_delta) }
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & attributes::TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & attributes::CONTROL != 0
    }

    pub fn is_log_append_time(&self) -> bool {
        self.attributes & attributes::TIMESTAMP_TYPE != 0
    }

    /// Codec id as it stands in the attributes: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd, others invalid.
    pub fn compression_id(&self) -> i16 {
        self.attributes & attributes::COMPRESSION_MASK
    }

    /// When tombstones and markers of this batch may go, if the cleaner has passed over it once (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<TimestampMs> {
        (self.attributes & attributes::DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }
}

/// `sequence + increment`, going from 2³¹−1 to 0.
pub fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    if sequence > i32::MAX - increment { increment - (i32::MAX - sequence) - 1 } else { sequence + increment }
}

/// CRC-32C of a whole batch's covered bytes. The slice must be at least [`CRC_START`] long.
pub fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[CRC_START..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_round_trip() {
        let header = BatchHeader {
            base_offset: 1 << 40,
            batch_length: 100,
            leader_epoch: 7,
            magic: 2,
            crc: 0xdead_beef,
            attributes: attributes::TRANSACTIONAL | 4,
            last_offset_delta: 9,
            base_timestamp: 1000,
            max_timestamp: 2000,
            producer_id: 55,
            producer_epoch: 3,
            base_sequence: i32::MAX - 4,
            record_count: 10,
        };
        assert_eq!(BatchHeader::parse(&header.encode()), Some(header));
        assert_eq!(header.size(), 112);
        assert_eq!(header.last_sequence(), 4, "sequences wrap to zero");
        assert_eq!(header.compression_id(), 4);
        assert!(header.is_transactional() && !header.is_control());
        assert_eq!(BatchHeader::parse(&header.encode()[..60]), None);
    }
}
