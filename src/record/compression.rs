//! The codecs of record batches: whole bodies in, whole bodies out, into a buffer of the caller.
//!
//! Invariant: whatever the input, `out.len() ≤ limit` after [`decompress`], and no more is allocated than that and the codec's own window
//! (zstd: at most 8 MiB).

use std::cell::RefCell;
use std::io::{self, Read, Write};

use crate::config::topic::CompressionType;

/// Base-2 logarithm of the largest zstd window read: what RFC 8878 asks every decoder to support, and all that any level below "ultra" uses.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// A thread's buffer is given back when it has grown beyond this, so that one large batch does not pin memory for good.
const KEPT_BUFFER: usize = 1 << 20;

/// `compression.type` of a batch; the discriminants are those of the batch attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Codec {
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec of batch attributes' low three bits; `None` for ids that Kafka has not given out.
    pub fn from_id(id: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.id() == id)
    }

    pub fn id(self) -> i16 {
        self as i16
    }

    /// As in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// A codec and how hard it tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    pub codec: Codec,
    /// The codec's own level; its default where `None`. Snappy has none, and lz4 as written here has only one.
    pub level: Option<i32>,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        Self { codec, level: None }
    }
}

impl Compression {
    pub const NONE: Self = Self { codec: Codec::None, level: None };

    /// What a topic wants batches to be stored as, when they arrive as `source` (`BrokerCompressionType.targetCompression`).
    pub fn of_topic(config: CompressionType, source: Codec) -> Self {
        match config {
            CompressionType::Producer => source.into(),
            CompressionType::Uncompressed => Self::NONE,
            CompressionType::Gzip { level } => Self { codec: Codec::Gzip, level: Some(level) },
            CompressionType::Snappy => Codec::Snappy.into(),
            CompressionType::Lz4 { level } => Self { codec: Codec::Lz4, level: Some(level) },
            CompressionType::Zstd { level } => Self { codec: Codec::Zstd, level: Some(level) },
        }
    }
}

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    #[error("the {} data is malformed: {reason}", codec.name())]
    Malformed { codec: Codec, reason: String },
    #[error("the records take more than {limit} bytes when decompressed")]
    TooLarge { limit: usize },
}

/// Appends the decompressed form of `input` to `out`, which is cleared first. Never writes more than `limit` bytes.
pub fn decompress(codec: Codec, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    out.clear();
    let read = match codec {
        Codec::None => return append(input, out, limit),
        Codec::Snappy => return super::snappy::decompress(input, out, limit),
        Codec::Gzip => read_limited(flate2::bufread::MultiGzDecoder::new(input), out, limit),
        Codec::Lz4 => read_limited(lz4_flex::frame::FrameDecoder::new(input), out, limit),
        Codec::Zstd => zstd::stream::read::Decoder::with_buffer(input).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            read_limited(decoder, out, limit)
        }),
    };
    match read {
        Err(error) => Err(DecompressError::Malformed { codec, reason: error.to_string() }),
        Ok(()) if out.len() > limit => {
            out.clear();
            Err(DecompressError::TooLarge { limit })
        }
        Ok(()) => Ok(()),
    }
}

fn append(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    if input.len() > limit {
        return Err(DecompressError::TooLarge { limit });
    }
    out.extend_from_slice(input);
    Ok(())
}

/// Reads up to one byte more than `limit`, so that the caller can tell "just fits" from "goes on".
fn read_limited(reader: impl Read, out: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    reader.take(limit as u64 + 1).read_to_end(out).map(drop)
}

/// Appends the compressed form of `input` to `out`.
pub fn compress(compression: Compression, input: &[u8], out: &mut Vec<u8>) {
    let written: io::Result<()> = match compression.codec {
        Codec::None => out.write_all(input),
        Codec::Gzip => {
            let level = compression
                .level
                .and_then(|level| u32::try_from(level).ok())
                .map_or_else(flate2::Compression::default, flate2::Compression::new);
            let mut encoder = flate2::write::GzEncoder::new(&mut *out, level);
            encoder.write_all(input).and_then(|()| encoder.finish().map(drop))
        }
        Codec::Snappy => {
            super::snappy::compress(input, out);
            Ok(())
        }
        Codec::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, &mut *out);
            encoder.write_all(input).and_then(|()| encoder.finish().map(drop).map_err(Into::into))
        }
        Codec::Zstd => {
            let level = compression.level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
            zstd::stream::copy_encode(input, &mut *out, level)
        }
    };
    written.expect("compressing from memory into memory does no input or output");
}

/// Lends this thread's reusable buffer, empty. Nested calls get a fresh one.
pub fn with_buffer<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.with(|kept| kept.take());
    buffer.clear();
    let result = f(&mut buffer);
    if buffer.capacity() <= KEPT_BUFFER {
        BUFFER.with(|kept| kept.replace(buffer));
    }
    result
}
