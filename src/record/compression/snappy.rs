//! Snappy as Kafka clients write it: in the framing of xerial's snappy-java (Java client, franz-go, sarama), or as one raw block (librdkafka
//! reads both and writes the framing; some clients write raw).
//!
//! ```text
//! xerial: 0x82 "SNAPPY" 0x00 · version i32 (1) · compatible i32 (1) · { length i32 · raw block }*
//! ```

use super::{Codec, DecompressError};

const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const XERIAL_HEADER_LEN: usize = 16;
/// Uncompressed bytes of a block that we write; snappy-java's default.
const XERIAL_BLOCK: usize = 32 * 1024;

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    if !input.starts_with(&XERIAL_MAGIC) {
        return append_block(input, out, limit);
    }
    let mut rest = input.get(XERIAL_HEADER_LEN..).ok_or_else(|| malformed("the stream header is cut off"))?;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("a block length is cut off"))?;
        // A concatenation of streams is a stream (snappy-java's SnappyInputStream).
        if rest.starts_with(&XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_LEN..).ok_or_else(|| malformed("the stream header is cut off"))?;
            continue;
        }
        let len = usize::try_from(i32::from_be_bytes(*len)).map_err(|_| malformed("a block length is negative"))?;
        let (block, after) = after.split_at_checked(len).ok_or_else(|| malformed("a block is cut off"))?;
        append_block(block, out, limit)?;
        rest = after;
    }
    Ok(())
}

fn append_block(block: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    let len = snap::raw::decompress_len(block).map_err(malformed)?;
    let end = out.len().checked_add(len).filter(|end| *end <= limit).ok_or(DecompressError::TooLarge { limit })?;
    // The longest copy element makes 64 bytes of 3, so a block that claims more than that lies.
    if len > block.len().saturating_mul(22) {
        return Err(malformed("a block claims more bytes than it can hold"));
    }
    let start = out.len();
    out.resize(end, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(malformed)?;
    out.truncate(start + written);
    Ok(())
}

fn malformed(reason: impl ToString) -> DecompressError {
    DecompressError::Malformed { codec: Codec::Snappy, reason: reason.to_string() }
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK) {
        let at = out.len();
        out.resize(at + 4 + snap::raw::max_compress_len(block.len()), 0);
        let written = encoder.compress(block, &mut out[at + 4..]).expect("the buffer has the length that snappy asked for");
        out[at..at + 4].copy_from_slice(&(written as i32).to_be_bytes());
        out.truncate(at + 4 + written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompressed(input: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
        let mut out = Vec::new();
        decompress(input, &mut out, limit).map(|()| out)
    }

    fn framed(contents: &[u8]) -> Vec<u8> {
        let mut stream = Vec::new();
        compress(contents, &mut stream);
        stream
    }

    #[test]
    fn streams_of_several_blocks_and_several_streams_are_read() {
        let contents: Vec<u8> = (0..50_000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        assert!(decompressed(&framed(&contents), contents.len()).unwrap() == contents);
        let twice = [framed(&contents), framed(b"and more")].concat();
        assert!(decompressed(&twice, 1 << 20).unwrap() == [&contents[..], b"and more"].concat());
        assert!(decompressed(&snap::raw::Encoder::new().compress_vec(&contents).unwrap(), contents.len()).unwrap() == contents);
        assert_eq!(decompressed(&framed(b""), 0).unwrap(), b"");
    }

    #[test]
    fn damage_and_lies_are_refused_before_anything_is_allocated_for_them() {
        let good = framed(&[7; 1000]);
        for len in (1..good.len()).filter(|len| *len != XERIAL_HEADER_LEN) {
            assert!(decompressed(&good[..len], 1000).is_err(), "cut off at {len}");
        }
        let mut negative = good.clone();
        negative[XERIAL_HEADER_LEN] = 0xff;
        assert!(decompressed(&negative, 1000).is_err());

        // A raw block that claims 2³² − 1 bytes.
        let mut out = Vec::new();
        let liar = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61];
        assert!(decompress(&liar, &mut out, usize::MAX).is_err());
        assert!(out.capacity() < 1000);
    }

    #[test]
    fn contents_beyond_the_limit_are_told_from_damage() {
        let stream = framed(&[0; 100_000]);
        assert!(matches!(decompressed(&stream, 99_999), Err(DecompressError::TooLarge { .. })));
        assert_eq!(decompressed(&stream, 100_000).unwrap().len(), 100_000);
    }
}
