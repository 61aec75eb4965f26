//! Batches one after the other in a slice of a log, or of a request.
//!
//! Invariants of what the iterator yields: `HEADER_LEN ≤ batch.bytes().len() = header.size()`, magic is 2. The checksum is not looked at
//! until [`Batch::verify_checksum`] is called.

use super::batch::{self, BatchHeader, CRC_START, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2};

/// Least value of the length field: the overhead of a message of format v0 (`LegacyRecord.RECORD_OVERHEAD_V0`).
const LEGACY_OVERHEAD: i64 = 14;

/// One whole batch of format v2, in place.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub header: BatchHeader,
    bytes: &'a [u8],
}

/// What lies here is no batch of format v2, and what follows cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedBatch {
    #[error("a batch claims to be {claimed} bytes long, which is less than its header")]
    TooSmall { claimed: i64 },
    #[error("a batch has the unknown format version {0}")]
    UnknownMagic(i8),
    /// A message set of before Kafka 0.11; Kafka 4 does not read those either.
    #[error("a message set has the format version {0}; only version 2 is supported")]
    LegacyMagic(i8),
}

/// The checksum of a batch does not match its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch is corrupt (stored crc = {stored}, computed crc = {computed})")]
pub struct ChecksumMismatch {
    pub stored: u32,
    pub computed: u32,
}

impl<'a> Batch<'a> {
    /// The batch that begins `bytes`; `None` if it is cut off. Its checksum is not verified.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, MalformedBatch> {
        let Some(claimed) = batch::claimed_size(bytes) else { return Ok(None) };
        if claimed < LEGACY_OVERHEAD + LOG_OVERHEAD as i64 {
            return Err(MalformedBatch::TooSmall { claimed });
        }
        match batch::magic(bytes) {
            None => return Ok(None),
            Some(MAGIC_V2) => {}
            Some(magic @ 0..MAGIC_V2) => return Err(MalformedBatch::LegacyMagic(magic)),
            Some(magic) => return Err(MalformedBatch::UnknownMagic(magic)),
        }
        if claimed < HEADER_LEN as i64 {
            return Err(MalformedBatch::TooSmall { claimed });
        }
        if claimed > bytes.len() as i64 {
            return Ok(None);
        }
        let bytes = &bytes[..claimed as usize];
        Ok(BatchHeader::parse(bytes).map(|header| Self { header, bytes }))
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header: records, compressed or not.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    pub fn verify_checksum(&self) -> Result<(), ChecksumMismatch> {
        let computed = crc32c::crc32c(&self.bytes[CRC_START..]);
        if computed == self.header.crc { Ok(()) } else { Err(ChecksumMismatch { stored: self.header.crc, computed }) }
    }
}

/// Walks the batches of `bytes`. A batch that is cut off ends the walk without an error; a malformed one ends it with one.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { bytes, position: 0, failed: false }
}

/// See [`batches`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl Batches<'_> {
    /// Bytes of the whole batches yielded so far, counted from the start.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, MalformedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let found = Batch::parse(&self.bytes[self.position..]).transpose()?;
        match &found {
            Ok(batch) => self.position += batch.bytes.len(),
            Err(_) => self.failed = true,
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::builder::BatchBuilder;
    use crate::record::compression::Codec;

    fn batch(base_offset: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.base_offset = base_offset;
        builder.push_plain(5, Some(b"key"), Some(b"value"));
        builder.build().to_vec()
    }

    #[test]
    fn whole_batches_are_walked_and_a_cut_off_one_ends_the_walk() {
        let bytes = [batch(0), batch(1), batch(2)].concat();
        let each = bytes.len() / 3;
        for len in 0..=bytes.len() {
            let mut walk = batches(&bytes[..len]);
            let offsets: Vec<i64> = walk.by_ref().map(|batch| batch.unwrap().header.base_offset).collect();
            assert_eq!(offsets, [0, 1, 2][..len / each], "{len} bytes");
            assert_eq!(walk.position(), len / each * each);
        }
    }

    #[test]
    fn a_malformed_batch_ends_the_walk_with_an_error() {
        let sized = |length: i32| {
            let mut bytes = batch(1);
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes
        };
        let versioned = |magic: u8| {
            let mut bytes = batch(1);
            bytes[16] = magic;
            bytes
        };
        let cases = [
            (sized(-1), MalformedBatch::TooSmall { claimed: 11 }),
            (sized(13), MalformedBatch::TooSmall { claimed: 25 }),
            (sized(48), MalformedBatch::TooSmall { claimed: 60 }),
            (sized(i32::MIN), MalformedBatch::TooSmall { claimed: i64::from(i32::MIN) + 12 }),
            (versioned(0), MalformedBatch::LegacyMagic(0)),
            (versioned(1), MalformedBatch::LegacyMagic(1)),
            (versioned(3), MalformedBatch::UnknownMagic(3)),
            (versioned(0x80), MalformedBatch::UnknownMagic(-128)),
        ];
        for (malformed, expected) in cases {
            let good = batch(0);
            let bytes = [good.clone(), malformed, good.clone()].concat();
            let mut walk = batches(&bytes);
            assert!(walk.next().unwrap().is_ok());
            assert_eq!(walk.next().unwrap().unwrap_err(), expected);
            assert!(walk.next().is_none());
            assert_eq!(walk.position(), good.len(), "what is whole is known");
        }
    }

    #[test]
    fn the_checksum_covers_everything_behind_it_and_nothing_before() {
        let good = batch(0);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x01;
            let Some(Ok(batch)) = batches(&bytes).next() else { continue };
            let covered = at >= 17;
            assert_eq!(batch.verify_checksum().is_err(), covered, "byte {at}");
        }
    }
}
