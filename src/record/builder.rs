//! Writes one batch: for coordinators, control records, the command line, and for client batches that a topic wants compressed otherwise.
//!
//! Invariants of the result: `record_count = number of pushes`, `last_offset_delta = record_count − 1`, offset deltas are contiguous from 0,
//! `base_timestamp` is that of the first record, `max_timestamp` the largest (or the log append time), the checksum is right.

use bytes::Bytes;

use super::batch::{BatchHeader, CRC_START, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2, attributes};
use super::compression::{self, Codec, Compression};
use super::varint;
use crate::base::ids::*;

/// What a batch says about its producer (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// −1 where the writer does not count, as coordinators do.
    pub base_sequence: i32,
}

impl Producer {
    pub const NONE: Self = Self { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH, base_sequence: NO_SEQUENCE };
}

/// See the module. Set the public fields, push records, build.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    pub compression: Compression,
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub producer: Producer,
    pub transactional: bool,
    pub control: bool,
    /// Makes the batch one of log append time: all its records have this timestamp.
    pub log_append_time: Option<TimestampMs>,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    record_count: i32,
    body: Vec<u8>,
}

impl BatchBuilder {
    pub fn new(compression: impl Into<Compression>) -> Self {
        Self {
            compression: compression.into(),
            base_offset: 0,
            leader_epoch: NO_LEADER_EPOCH,
            producer: Producer::NONE,
            transactional: false,
            control: false,
            log_append_time: None,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            record_count: 0,
            body: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.record_count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Size in bytes of the batch as it stands, were it not compressed.
    pub fn uncompressed_size(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Adds a record. `headers` is walked twice.
    pub fn push<'h>(
        &mut self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
    ) {
        if self.record_count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let offset_delta = i64::from(self.record_count);

        let (mut header_count, mut headers_len) = (0, 0);
        for (key, value) in headers.clone() {
            header_count += 1;
            headers_len += len_bytes(Some(key)) + len_bytes(value);
        }
        let body_len = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i64(offset_delta)
            + len_bytes(key)
            + len_bytes(value)
            + varint::len_i64(header_count)
            + headers_len;

        let out = &mut self.body;
        varint::put_i64(out, body_len as i64);
        out.push(0);
        varint::put_i64(out, timestamp_delta);
        varint::put_i64(out, offset_delta);
        put_bytes(out, key);
        put_bytes(out, value);
        varint::put_i64(out, header_count);
        for (key, value) in headers {
            put_bytes(out, Some(key));
            put_bytes(out, value);
        }
        self.record_count += 1;
    }

    /// Adds a record without headers.
    pub fn push_plain(&mut self, timestamp: TimestampMs, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.push(timestamp, key, value, std::iter::empty());
    }

    /// The finished batch.
    ///
    /// # Panics
    /// If no record was pushed, or the batch is larger than 2 GiB: callers bound what they push.
    pub fn build(self) -> Bytes {
        assert!(self.record_count > 0, "a batch holds at least one record");
        let mut out = Vec::with_capacity(HEADER_LEN + self.body.len());
        out.resize(HEADER_LEN, 0);
        compression::compress(self.compression, &self.body, &mut out);

        let mut bits = self.compression.codec.id();
        for (set, bit) in [
            (self.transactional, attributes::TRANSACTIONAL),
            (self.control, attributes::CONTROL),
            (self.log_append_time.is_some(), attributes::TIMESTAMP_TYPE),
        ] {
            bits |= if set { bit } else { 0 };
        }
        let mut header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: i32::try_from(out.len() - LOG_OVERHEAD).expect("callers bound what they push"),
            leader_epoch: self.leader_epoch,
            magic: MAGIC_V2,
            crc: 0,
            attributes: bits,
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.log_append_time.unwrap_or(self.max_timestamp),
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            base_sequence: self.producer.base_sequence,
            record_count: self.record_count,
        };
        header.crc = checksum_of(&header, &out[HEADER_LEN..]);
        out[..HEADER_LEN].copy_from_slice(&header.encode());
        Bytes::from(out)
    }

    /// Codec of the batch to be.
    pub fn codec(&self) -> Codec {
        self.compression.codec
    }
}

/// CRC-32C of a batch given in two parts.
pub(super) fn checksum_of(header: &BatchHeader, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header.encode()[CRC_START..]), body)
}

fn len_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |b| varint::len_i64(b.len() as i64) + b.len())
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put_i64(out, -1),
        Some(bytes) => {
            varint::put_i64(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
