//! Zstandard, in one shot: the output buffer serves as the window, so that no window is allocated, whatever the frame asks for. (A frame of
//! level 22 asks for 128 MiB.) How much room the output needs at most is told by the number of blocks, which is counted first; producers do
//! not say how long their contents are.
//!
//! ```text
//! frame: magic u32le 0xFD2FB528 · descriptor u8 · [window u8] · [dictionary id] · [content size] · block+ · [checksum u32le]
//! block: last (1 bit), type (2 bits), size (21 bits), as u24le · contents (one byte if the type is RLE)             RFC 8878, 3.1.1
//! ```

use std::cell::RefCell;

use zstd::zstd_safe::{self, DCtx, zstd_sys::ZSTD_ErrorCode};

use super::{Codec, DecompressError};

/// The largest window that Kafka's consumers accept: zstd's own default, `ZSTD_WINDOWLOG_LIMIT_DEFAULT`.
const WINDOW_MAX: u64 = 1 << 27;
/// Most contents of a block (RFC 8878, 3.1.1.2.4).
const BLOCK_MAX: usize = 128 << 10;
const MAGIC: [u8; 4] = 0xFD2F_B528u32.to_le_bytes();

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    let bound = walk_blocks(input).ok_or_else(|| malformed("the frame is cut off"))?;
    if window_size(input).is_some_and(|window| window > WINDOW_MAX) {
        return Err(malformed("the frame requires too much memory for decoding"));
    }
    out.clear();
    out.reserve_exact(bound.min(limit));
    let decompressed = with_context(|context| context.decompress(out, input));
    let too_small = (ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize).wrapping_neg();
    match decompressed {
        Ok(_) if out.len() <= limit => return Ok(()),
        Err(code) if code != too_small || bound <= limit => return Err(malformed(zstd_safe::get_error_name(code))),
        // The buffer may have had more room than was asked for.
        Ok(_) | Err(_) => {}
    }
    out.clear();
    Err(DecompressError::TooLarge { limit })
}

/// Most bytes that the blocks of all frames can hold; `None` if a frame is cut off. Whatever else is wrong is left to the decoder to find.
fn walk_blocks(mut input: &[u8]) -> Option<usize> {
    let mut bound = 0usize;
    while let Some(mut rest) = input.strip_prefix(&MAGIC) {
        let (&descriptor, after) = rest.split_first()?;
        let single_segment = descriptor & 0x20 != 0;
        let dictionary_id = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_size = [usize::from(single_segment), 2, 4, 8][usize::from(descriptor >> 6)];
        rest = after.get(usize::from(!single_segment) + dictionary_id + content_size..)?;
        loop {
            let (&[b0, b1, b2], after) = rest.split_first_chunk::<3>()?;
            let header = u32::from_le_bytes([b0, b1, b2, 0]);
            let (last, kind, size) = (header & 1 != 0, header >> 1 & 3, (header >> 3) as usize);
            rest = after.get(if kind == 1 { 1 } else { size }..)?;
            bound = bound.saturating_add(BLOCK_MAX.min(if kind == 2 { BLOCK_MAX } else { size }));
            if last {
                break;
            }
        }
        let checksum = if descriptor & 0x04 != 0 { 4 } else { 0 };
        input = rest.get(checksum..)?;
    }
    Some(bound)
}

/// The window that a reader of the stream needs, if the frame names one (RFC 8878, 3.1.1.1.2).
fn window_size(input: &[u8]) -> Option<u64> {
    let &[_, _, _, _, descriptor, window, ..] = input else { return None };
    let single_segment = descriptor & 0x20 != 0;
    let base = 1u64 << (10 + (window >> 3));
    (!single_segment).then(|| base + base / 8 * u64::from(window & 7))
}

fn with_context<R>(f: impl FnOnce(&mut DCtx<'static>) -> R) -> R {
    thread_local! {
        static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
    }
    CONTEXT.with_borrow_mut(f)
}

fn malformed(reason: &str) -> DecompressError {
    DecompressError::Malformed { codec: Codec::Zstd, reason: reason.to_owned() }
}

pub(super) fn compress(level: Option<i32>, input: &[u8], out: &mut Vec<u8>) {
    let compressed = zstd::bulk::compress(input, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL));
    out.extend_from_slice(&compressed.expect("compressing from memory into memory does not fail"));
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn decompressed(input: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
        let mut out = Vec::new();
        decompress(input, &mut out, limit).map(|()| out)
    }

    /// As a producer writes: without saying how much will come.
    fn streamed(level: i32, contents: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
        for part in contents.chunks(1000) {
            encoder.write_all(part).unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn frames_of_every_level_are_read() {
        let contents: Vec<u8> = (0..100_000u32).flat_map(|i| (i / 5).to_le_bytes()).collect();
        for level in [-5, 1, 3, 19, 22] {
            let frame = streamed(level, &contents);
            assert!(decompressed(&frame, contents.len()).unwrap() == contents, "level {level}");
        }
        assert_eq!(window_size(&streamed(22, &contents)), Some(WINDOW_MAX), "level 22 asks for all it may");
    }

    #[test]
    fn a_frame_with_a_larger_window_than_consumers_accept_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(&[1; 1000]).unwrap();
        let frame = encoder.finish().unwrap();
        assert!(matches!(decompressed(&frame, 1000), Err(DecompressError::Malformed { .. })));
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        for bomb in [streamed(3, &vec![0; 8 << 20]), zstd::bulk::compress(&vec![0; 8 << 20], 3).unwrap()] {
            assert!(bomb.len() < 2000);
            assert!(matches!(decompressed(&bomb, 1 << 20), Err(DecompressError::TooLarge { .. })));
            assert_eq!(decompressed(&bomb, 8 << 20).unwrap().len(), 8 << 20);
        }
    }
}
