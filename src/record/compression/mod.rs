//! The codecs of record batches: whole bodies in, whole bodies out, into a buffer of the caller.
//!
//! Invariants, whatever the input: `out.len() ≤ limit`, and [`decompress`] allocates no more than a small multiple of what it has read and
//! written (zstd: reserves 128 KiB for each block that is there, which may be as short as 4 bytes).

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::cell::RefCell;

use crate::config::topic::CompressionType;

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

/// Replaces the contents of `out` by the decompressed form of `input`, at most `limit` bytes.
pub fn decompress(codec: Codec, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecompressError> {
    out.clear();
    match codec {
        Codec::None if input.len() > limit => Err(DecompressError::TooLarge { limit }),
        Codec::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Codec::Gzip => gzip::decompress(input, out, limit),
        Codec::Snappy => snappy::decompress(input, out, limit),
        Codec::Lz4 => lz4::decompress(input, out, limit),
        Codec::Zstd => zstd::decompress(input, out, limit),
    }
}

/// Appends the compressed form of `input` to `out`.
pub fn compress(compression: Compression, input: &[u8], out: &mut Vec<u8>) {
    match compression.codec {
        Codec::None => out.extend_from_slice(input),
        Codec::Gzip => gzip::compress(compression.level, input, out),
        Codec::Snappy => snappy::compress(input, out),
        Codec::Lz4 => lz4::compress(input, out),
        Codec::Zstd => zstd::compress(compression.level, input, out),
    }
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
