//! Records that own their bytes, for readers that keep them: coordinators loading their state, the command line.
//!
//! Where a batch is not compressed its records share the bytes they were read from; otherwise those of one decompressed body.

use bytes::Bytes;

use super::batch::BatchHeader;
use super::batches::{Batch, Batches, ChecksumMismatch, MalformedBatch, batches};
use super::compression::{self, Codec, DecompressError};
use super::records::{MalformedRecord, RecordRef, records};
use crate::base::ids::{Offset, TimestampMs};

/// One record. Offset and timestamp are absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// A batch whose records can be read.
#[derive(Clone, Debug)]
pub struct DecodedBatch {
    pub header: BatchHeader,
    body: Bytes,
}

/// A batch could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Batch(#[from] MalformedBatch),
    #[error(transparent)]
    Checksum(#[from] ChecksumMismatch),
    #[error("a batch has the unknown compression type {0}")]
    UnknownCodec(i16),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

/// Reads the whole batches of `bytes`, verifying their checksums. None may take more than `limit` bytes when decompressed.
pub fn decode(bytes: &Bytes, limit: usize) -> Decode<'_> {
    Decode { bytes, walk: batches(bytes), limit }
}

/// See [`decode`]. A malformed batch ends the walk; others that cannot be read do not.
#[derive(Clone, Debug)]
pub struct Decode<'a> {
    bytes: &'a Bytes,
    walk: Batches<'a>,
    limit: usize,
}

impl Decode<'_> {
    fn decode(&self, batch: &Batch<'_>) -> Result<DecodedBatch, ReadError> {
        batch.verify_checksum()?;
        let id = batch.header.compression_id();
        let body = match Codec::from_id(id).ok_or(ReadError::UnknownCodec(id))? {
            Codec::None => self.bytes.slice_ref(batch.body()),
            codec => {
                let mut body = Vec::new();
                compression::decompress(codec, batch.body(), &mut body, self.limit)?;
                Bytes::from(body)
            }
        };
        Ok(DecodedBatch { header: batch.header, body })
    }
}

impl Iterator for Decode<'_> {
    type Item = Result<DecodedBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.walk.next()?;
        Some(batch.map_err(ReadError::from).and_then(|batch| self.decode(&batch)))
    }
}

impl DecodedBatch {
    /// The records in order; the walk ends after the first error.
    pub fn records(&self) -> impl Iterator<Item = Result<Record, MalformedRecord>> {
        self.record_refs().map(|record| record.map(|record| self.own(&record)))
    }

    /// The records in order, in place.
    pub fn record_refs(&self) -> impl Iterator<Item = Result<RecordRef<'_>, MalformedRecord>> {
        records(&self.header, &self.body)
    }

    fn own(&self, record: &RecordRef<'_>) -> Record {
        let share = |slice: &[u8]| self.body.slice_ref(slice);
        Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(share),
            value: record.value.map(share),
            headers: record.headers.iter().map(|(key, value)| (share(key), value.map(share))).collect(),
        }
    }
}
