//! Gzip, of one or more members (Kafka's `GZIPInputStream` reads on over their borders).

use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Codec, DecompressError};

const LEVEL_MAX: u32 = 9;

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    // One byte more than the limit tells "just fits" from "goes on".
    let read = MultiGzDecoder::new(input).take(limit as u64 + 1).read_to_end(out);
    read.map_err(|error| DecompressError::Malformed { codec: Codec::Gzip, reason: error.to_string() })?;
    if out.len() > limit {
        out.clear();
        return Err(DecompressError::TooLarge { limit });
    }
    Ok(())
}

/// A level of −1 is zlib's default.
pub(super) fn compress(level: Option<i32>, input: &[u8], out: &mut Vec<u8>) {
    let level = level.and_then(|level| u32::try_from(level).ok());
    let level = level.map_or_else(Compression::default, |level| Compression::new(level.min(LEVEL_MAX)));
    let mut encoder = GzEncoder::new(out, level);
    encoder.write_all(input).expect("writing into memory does not fail");
    encoder.finish().expect("writing into memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompressed(input: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
        let mut out = Vec::new();
        decompress(input, &mut out, limit).map(|()| out)
    }

    #[test]
    fn members_are_read_one_after_the_other_at_every_level() {
        let mut stream = Vec::new();
        for level in [None, Some(-1), Some(1), Some(9), Some(99)] {
            compress(level, b"again and again and again ", &mut stream);
        }
        assert_eq!(decompressed(&stream, 1000).unwrap(), b"again and again and again ".repeat(5));
    }

    #[test]
    fn damage_is_told_from_contents_beyond_the_limit() {
        let mut stream = Vec::new();
        compress(None, &[0; 100_000], &mut stream);
        assert!(stream.len() < 1000);
        assert!(matches!(decompressed(&stream, 99_999), Err(DecompressError::TooLarge { .. })));
        assert_eq!(decompressed(&stream, 100_000).unwrap().len(), 100_000);
        for len in 1..stream.len() {
            assert!(matches!(decompressed(&stream[..len], 1 << 20), Err(DecompressError::Malformed { .. })), "cut off at {len}");
        }
        let crc = stream.len() - 8;
        stream[crc] ^= 1;
        assert!(matches!(decompressed(&stream, 1 << 20), Err(DecompressError::Malformed { .. })));
    }
}
