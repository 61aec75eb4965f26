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
