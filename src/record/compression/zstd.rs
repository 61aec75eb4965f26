//! Zstandard, in one shot: the output buffer serves as the window, so that no window is allocated, whatever the frame asks for. (A frame of
//! level 22 asks for 128 MiB.)

use std::cell::RefCell;

use zstd::zstd_safe::{self, DCtx, zstd_sys::ZSTD_ErrorCode};

use super::{Codec, DecompressError};

/// The largest window that Kafka's consumers accept: zstd's own default, `ZSTD_WINDOWLOG_LIMIT_DEFAULT`.
const WINDOW_MAX: u64 = 1 << 27;
/// How much larger than its input the output is expected to be, at first.
const RATIO_EXPECTED: usize = 8;
/// How much larger than its input a frame may claim to be and be believed.
const RATIO_BELIEVED: u64 = 64;
const OUTPUT_MIN: usize = 16 * 1024;

pub(super) fn decompress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    if window_size(input).is_some_and(|window| window > WINDOW_MAX) {
        return Err(malformed("the frame requires too much memory for decoding"));
    }
    let too_small = (ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize).wrapping_neg();
    let mut room = expected_size(input).max(out.capacity()).min(limit);
    loop {
        out.clear();
        out.reserve_exact(room);
        // Capacity may exceed what was asked for; `limit` is checked against what came out.
        match with_context(|context| context.decompress(out, input)) {
            Ok(_) if out.len() <= limit => return Ok(()),
            Err(code) if code == too_small && room < limit => room = room.saturating_mul(4).min(limit),
            Err(code) if code != too_small => return Err(malformed(zstd_safe::get_error_name(code))),
            Ok(_) | Err(_) => {
                out.clear();
                return Err(DecompressError::TooLarge { limit });
            }
        }
    }
}

fn expected_size(input: &[u8]) -> usize {
    let by_input = input.len().saturating_mul(RATIO_EXPECTED).max(OUTPUT_MIN);
    match zstd_safe::get_frame_content_size(input) {
        Ok(Some(claimed)) if claimed <= input.len() as u64 * RATIO_BELIEVED => claimed as usize,
        _ => by_input,
    }
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
