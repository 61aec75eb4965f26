//! The lz4 frame format, as far as Kafka speaks it (`Lz4BlockInputStream`, `Lz4BlockOutputStream`): blocks do not depend on one another, no
//! dictionary. Checksums of the header and of blocks are verified; that of the contents is skipped, because the batch has its own.
//!
//! ```text
//! magic u32le 0x184D2204 · FLG · BD · [content_size u64le] · HC (second byte of xxh32 of FLG…)
//! { block_length u32le (highest bit: stored as is) · block · [xxh32 u32le] }* · 0 u32le · [xxh32 of the contents u32le]
//! ```

use std::io::Write;

use lz4_flex::block;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use super::{Codec, DecompressError};

const MAGIC: u32 = 0x184D_2204;
const BLOCK_STORED: u32 = 1 << 31;
/// Each byte of a block makes at most 255 bytes of contents.
const RATIO_MAX: usize = 255;

mod flag {
    pub const RESERVED: u8 = 0b0000_0011;
    pub const CONTENT_CHECKSUM: u8 = 0b0000_0100;
    pub const CONTENT_SIZE: u8 = 0b0000_1000;
    pub const BLOCK_CHECKSUM: u8 = 0b0001_0000;
    pub const INDEPENDENT: u8 = 0b0010_0000;
    pub const VERSION: u8 = 0b1100_0000;
    pub const VERSION_1: u8 = 0b0100_0000;
}

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    let mut input = Input(input);
    let header = Header::take(&mut input)?;
    loop {
        let word = input.u32()?;
        let len = (word & !BLOCK_STORED) as usize;
        if len == 0 {
            break;
        }
        if len > header.block_max {
            return Err(malformed(format!("a block of {len} bytes exceeds the maximum {}", header.block_max)));
        }
        let block = input.bytes(len)?;
        if header.block_checksums && input.u32()? != XxHash32::oneshot(0, block) {
            return Err(malformed("a block does not match its checksum"));
        }
        if word & BLOCK_STORED != 0 {
            if block.len() > limit - out.len() {
                return Err(DecompressError::TooLarge { limit });
            }
            out.extend_from_slice(block);
        } else {
            append_block(block, header.block_max, out, limit)?;
        }
    }
    if header.content_checksum {
        input.u32()?;
    }
    Ok(())
}

fn append_block(block: &[u8], block_max: usize, out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    let start = out.len();
    let room = block_max.min(block.len().saturating_mul(RATIO_MAX));
    out.resize(start + room.min(limit - start), 0);
    match block::decompress_into(block, &mut out[start..]) {
        Ok(written) => {
            out.truncate(start + written);
            Ok(())
        }
        Err(block::DecompressError::OutputTooSmall { .. }) if room > limit - start => Err(DecompressError::TooLarge { limit }),
        Err(error) => Err(malformed(error.to_string())),
    }
}

struct Header {
    block_max: usize,
    block_checksums: bool,
    content_checksum: bool,
}

impl Header {
    fn take(input: &mut Input<'_>) -> Result<Self, DecompressError> {
        if input.u32()? != MAGIC {
            return Err(malformed("the stream does not begin with the magic number of a frame"));
        }
        let descriptor = input.0;
        let flags = input.u8()?;
        let block_size = input.u8()?;
        if flags & flag::VERSION != flag::VERSION_1 || flags & flag::RESERVED != 0 {
            return Err(malformed("the frame is of an unsupported version, or has a dictionary"));
        }
        if flags & flag::INDEPENDENT == 0 {
            return Err(malformed("streams of dependent blocks are not supported"));
        }
        if flags & flag::CONTENT_SIZE != 0 {
            input.bytes(8)?;
        }
        let described = &descriptor[..descriptor.len() - input.0.len()];
        if input.u8()? != (XxHash32::oneshot(0, described) >> 8) as u8 {
            return Err(malformed("the frame descriptor does not match its checksum"));
        }
        let block_max = match block_size {
            0x40 | 0x50 | 0x60 | 0x70 => 1 << (2 * (block_size >> 4) + 8),
            other => return Err(malformed(format!("invalid block size descriptor {other:#x}"))),
        };
        let (block_checksums, content_checksum) = (flags & flag::BLOCK_CHECKSUM != 0, flags & flag::CONTENT_CHECKSUM != 0);
        Ok(Self { block_max, block_checksums, content_checksum })
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecompressError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| malformed("the stream ends before its end mark"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, DecompressError> {
        Ok(self.bytes(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, DecompressError> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes were taken")))
    }
}

fn malformed(reason: impl Into<String>) -> DecompressError {
    DecompressError::Malformed { codec: Codec::Lz4, reason: reason.into() }
}

/// As Kafka's own writer: blocks of 64 KiB, no checksum but the header's.
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
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

    fn frame(info: FrameInfo, contents: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(contents).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn frames_with_every_checksum_and_block_size_are_read() {
        let contents: Vec<u8> = (0..300_000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        for block_size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
            for checksums in [false, true] {
                let info = FrameInfo::new()
                    .block_size(block_size)
                    .block_mode(BlockMode::Independent)
                    .block_checksums(checksums)
                    .content_checksum(checksums)
                    .content_size(checksums.then_some(contents.len() as u64));
                let read = decompressed(&frame(info, &contents), contents.len()).unwrap();
                assert!(read == contents, "{block_size:?}, checksums: {checksums}");
            }
        }
    }

    #[test]
    fn frames_that_kafka_cannot_read_are_refused() {
        let independent = || FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
        let good = frame(independent().block_checksums(true), &[7; 1000]);
        assert!(decompressed(&good, 1000).is_ok());

        let linked = frame(independent().block_mode(BlockMode::Linked), &[7; 1000]);
        assert!(decompressed(&linked, 1000).is_err(), "dependent blocks");
        for len in 0..good.len() {
            assert!(decompressed(&good[..len], 1000).is_err(), "cut off at {len}");
        }
        for (at, what) in
            [(0, "magic"), (4, "flags"), (5, "block size"), (6, "header checksum"), (good.len() - 5, "block checksum")]
        {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(decompressed(&bad, 1000).is_err(), "{what}");
        }
    }

    #[test]
    fn contents_beyond_the_limit_are_told_from_damage() {
        let mut bomb = Vec::new();
        compress(&[0; 1 << 20], &mut bomb);
        assert!(bomb.len() < 10_000);
        assert!(matches!(decompressed(&bomb, (1 << 20) - 1), Err(DecompressError::TooLarge { .. })));
        assert_eq!(decompressed(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    }
}
