//! What a client's batch must be before the log takes it: the checks of Kafka's `ProduceRequest.validateRecords`,
//! `UnifiedLog.analyzeAndValidateRecords` and `LogValidator`, in their order, outside of any lock.
//!
//! Invariants of what is accepted: one batch of format v2; `base_offset = 0`; `0 < record_count = last_offset_delta + 1`; exactly that many
//! records with offset deltas 0, 1, 2, …; `max_timestamp` is that of the records (or the append time); checksum right; no control batch;
//! `base_sequence ≥ 0` if there is a producer id; `size ≤ min(max.message.bytes, segment.bytes)`.
//!
//! Where this differs from Kafka, on purpose:
//! - Offset deltas out of order are put right in uncompressed batches too; Kafka does so only in compressed ones, and stores the others.
//! - A batch that claims log append time is always refused; Kafka lets some pass, with timestamps that nobody has checked.
//! - Records of compressed batches must be as long as they say; Kafka does not look, and its consumers stumble over them.
//! - The decompressed size is limited, and a batch beyond it is MESSAGE_TOO_LARGE, so that producers split it.
//! - Undecodable data is INVALID_RECORD, an unknown codec UNSUPPORTED_COMPRESSION_TYPE; Kafka answers UNKNOWN_SERVER_ERROR to both.
//! - No more than 1000 records are named in a refusal.

mod walk;

use std::borrow::Cow;

use bytes::Bytes;

use self::walk::Rules;
use super::batch::{BatchHeader, HEADER_LEN, attributes};
use super::batches::{Batch, MalformedBatch, batches};
use super::builder::{self, BatchBuilder, Producer};
use super::compression::{self, Codec, Compression, DecompressError};
use super::records::{MalformedRecord, RawRecord};
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, NO_TIMESTAMP, Offset, TimestampMs};
use crate::config::topic::{TimestampType, TopicConfig};

/// Least bound on the decompressed size of a batch, in bytes.
const DECOMPRESSED_MIN: usize = 64 << 20;
/// A batch may grow by this factor over `max.message.bytes` when decompressed, if that is more.
const DECOMPRESSED_FACTOR: usize = 16;
/// Bound on the bound, so that a batch which is rebuilt without compression still has a length of 31 bits.
const DECOMPRESSED_MAX: usize = 1 << 30;

/// The first version of Produce that may carry zstd (KIP-110).
const PRODUCE_VERSION_ZSTD: i16 = 7;

/// A batch that the log may take as it is.
///
/// What goes to the disk is [`Validated::stamped_header`] followed by [`Validated::body`], which is the producer's own bytes unless the topic
/// asked for another codec. Where only the header had to change (log append time), the body is not copied for it.
#[derive(Clone, Debug)]
pub struct Validated {
    header: BatchHeader,
    batch: Bytes,
    recompressed: bool,
}

impl Validated {
    /// The header as it will be written, but for base offset (0 here) and leader epoch.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The header to write, with its place in the log. The checksum does not cover what is set here.
    pub fn stamped_header(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; HEADER_LEN] {
        BatchHeader { base_offset, leader_epoch, ..self.header }.encode()
    }

    /// The records, to be written behind the header.
    pub fn body(&self) -> Bytes {
        self.batch.slice(HEADER_LEN..)
    }

    /// Bytes that header and body take in the log.
    pub fn size(&self) -> usize {
        self.batch.len()
    }

    /// `log_append_time_ms` of the produce response; −1 if timestamps are the producer's.
    pub fn log_append_time(&self) -> TimestampMs {
        if self.header.is_log_append_time() { self.header.max_timestamp } else { NO_TIMESTAMP }
    }

    /// Whether the records were rebuilt.
    pub fn recompressed(&self) -> bool {
        self.recompressed
    }
}

/// A record that made its batch unacceptable (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    pub batch_index: i32,
    pub message: Cow<'static, str>,
}

/// Why a batch was not accepted, in the words of the produce response. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
    /// The records at fault; empty if it is the batch as a whole. No more than 1000 of them.
    pub record_errors: Vec<RecordError>,
}

impl Refusal {
    /// A refusal that the code alone explains.
    pub fn of(code: ErrorCode) -> Self {
        Self::new(code, "")
    }

    fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), record_errors: Vec::new() }
    }

    fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRecord, message)
    }
}

impl From<MalformedRecord> for Refusal {
    fn from(error: MalformedRecord) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<DecompressError> for Refusal {
    /// A batch that is too large when decompressed gets the code on which producers split it and try again.
    fn from(error: DecompressError) -> Self {
        let code = match error {
            DecompressError::Malformed { .. } => ErrorCode::InvalidRecord,
            DecompressError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        };
        Self::new(code, error.to_string())
    }
}

/// Checks the `records` of one partition of a produce request.
pub fn validate(
    records: Option<&Bytes>,
    config: &TopicConfig,
    produce_version: i16,
    now: TimestampMs,
) -> Result<Validated, Refusal> {
    let records = records.ok_or_else(no_batch)?;
    let batch = single_batch(records, produce_version)?;
    let codec = check_batch(&batch, config)?;
    let target = Compression::of_topic(config.compression, codec);
    let bytes = records.slice(..batch.bytes().len());
    let rules = Rules { config, now };

    let validated = if codec == Codec::None {
        finish(&rules, batch.header, &bytes, batch.body(), target)?
    } else {
        compression::with_buffer(|buffer| {
            compression::decompress(codec, batch.body(), buffer, decompressed_max(config))?;
            finish(&rules, batch.header, &bytes, buffer, target)
        })?
    };
    if validated.recompressed {
        check_size(validated.size(), config)?;
    }
    if validated.size() as i64 > i64::from(config.segment_bytes) {
        let (size, max) = (validated.size(), config.segment_bytes);
        let message = format!("Message batch size is {size} bytes, which exceeds the maximum configured segment size of {max}.");
        return Err(Refusal::new(ErrorCode::RecordListTooLarge, message));
    }
    Ok(validated)
}

fn decompressed_max(config: &TopicConfig) -> usize {
    let by_topic = (config.max_message_bytes.max(0) as usize).saturating_mul(DECOMPRESSED_FACTOR);
    by_topic.clamp(DECOMPRESSED_MIN, DECOMPRESSED_MAX)
}

/// `ProduceRequest.validateRecords`: exactly one batch, of format v2. A batch that is cut off behind it is dropped, as Kafka drops it.
fn single_batch(records: &[u8], produce_version: i16) -> Result<Batch<'_>, Refusal> {
    let mut walk = batches(records);
    let first = walk.next().ok_or_else(no_batch)?.map_err(malformed_batch)?;
    if produce_version < PRODUCE_VERSION_ZSTD && first.header.compression_id() == Codec::Zstd.id() {
        let message = format!("Produce requests with version {produce_version} are not allowed to use ZStandard compression");
        return Err(Refusal::new(ErrorCode::UnsupportedCompressionType, message));
    }
    match walk.next() {
        None => Ok(first),
        Some(Ok(_) | Err(MalformedBatch::LegacyMagic(_))) => {
            Err(Refusal::invalid("Produce requests are only allowed to contain exactly one record batch per partition"))
        }
        Some(Err(error)) => Err(malformed_batch(error)),
    }
}

fn no_batch() -> Refusal {
    Refusal::invalid("Produce requests must have at least one record batch per partition")
}

fn malformed_batch(error: MalformedBatch) -> Refusal {
    let code = match error {
        MalformedBatch::LegacyMagic(_) => ErrorCode::InvalidRecord,
        MalformedBatch::TooSmall { .. } | MalformedBatch::UnknownMagic(_) => ErrorCode::CorruptMessage,
    };
    Refusal::new(code, error.to_string())
}

/// `UnifiedLog.analyzeAndValidateRecords` and `LogValidator.validateBatch`: all that the header tells.
fn check_batch(batch: &Batch<'_>, config: &TopicConfig) -> Result<Codec, Refusal> {
    let header = &batch.header;
    if header.base_offset != 0 {
        return Err(Refusal::invalid(format!(
            "The baseOffset of the record batch should be 0, but it is {}",
            header.base_offset
        )));
    }
    check_size(batch.bytes().len(), config)?;
    batch.verify_checksum().map_err(|error| Refusal::new(ErrorCode::CorruptMessage, error.to_string()))?;
    let codec = Codec::from_id(header.compression_id()).ok_or_else(|| {
        let message = format!("Unknown compression type id: {}", header.compression_id());
        Refusal::new(ErrorCode::UnsupportedCompressionType, message)
    })?;
    let count_from_offsets = i64::from(header.last_offset_delta) + 1;
    if count_from_offsets <= 0 {
        return Err(Refusal::invalid(format!("Batch has an invalid offset range: [0, {}]", header.last_offset_delta)));
    }
    if header.record_count <= 0 {
        return Err(Refusal::invalid(format!("Invalid reported count for record batch: {}", header.record_count)));
    }
    if count_from_offsets != i64::from(header.record_count) {
        return Err(Refusal::invalid(format!(
            "Inconsistent batch offset range [0, {}] and count of records {}",
            header.last_offset_delta, header.record_count
        )));
    }
    if header.is_control() {
        return Err(Refusal::invalid("Clients are not allowed to write control records"));
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(Refusal::invalid(format!(
            "Invalid sequence number {} in record batch with producerId {}",
            header.base_sequence, header.producer_id
        )));
    }
    Ok(codec)
}

fn check_size(size: usize, config: &TopicConfig) -> Result<(), Refusal> {
    if size as i64 > i64::from(config.max_message_bytes) {
        return Err(Refusal::new(
            ErrorCode::MessageTooLarge,
            format!(
                "The record batch size is {size} bytes which exceeds the maximum configured value of {}.",
                config.max_message_bytes
            ),
        ));
    }
    Ok(())
}

/// Walks the records, and writes what has to be different in the log.
fn finish(
    rules: &Rules<'_>,
    mut header: BatchHeader,
    batch: &Bytes,
    body: &[u8],
    target: Compression,
) -> Result<Validated, Refusal> {
    let walked = rules.walk(&header, body)?;
    let append_time = (rules.config.timestamp_type == TimestampType::LogAppendTime).then_some(rules.now);

    if target.codec.id() != header.compression_id() || !walked.contiguous {
        let batch = rebuild(&header, body, target, append_time)?;
        let header = BatchHeader::parse(&batch).expect("a built batch has a header");
        return Ok(Validated { header, batch, recompressed: true });
    }
    let max_timestamp = append_time.unwrap_or(walked.max_timestamp);
    if append_time.is_some() || header.max_timestamp != max_timestamp {
        header.max_timestamp = max_timestamp;
        if append_time.is_some() {
            header.attributes |= attributes::TIMESTAMP_TYPE;
        }
        header.crc = builder::checksum_of(&header, &batch[HEADER_LEN..]);
    }
    Ok(Validated { header, batch: batch.clone(), recompressed: false })
}

fn rebuild(header: &BatchHeader, body: &[u8], target: Compression, append_time: Option<TimestampMs>) -> Result<Bytes, Refusal> {
    let mut builder = BatchBuilder::new(target);
    builder.producer = Producer { id: header.producer_id, epoch: header.producer_epoch, base_sequence: header.base_sequence };
    builder.transactional = header.is_transactional();
    builder.log_append_time = append_time;
    let mut at = 0;
    for _ in 0..header.record_count {
        let record = RawRecord::take(body, &mut at)?;
        builder.push(header.base_timestamp.wrapping_add(record.timestamp_delta), record.key, record.value, record.headers.iter());
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests;
