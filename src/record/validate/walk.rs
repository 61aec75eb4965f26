//! What `LogValidator` asks of every single record.
//!
//! The walk allocates nothing as long as no record is at fault. Damage ends it; faults are collected, so that the producer learns of all of
//! them (KIP-467).

use std::borrow::Cow;

use super::{RecordError, Refusal};
use crate::base::ErrorCode;
use crate::base::ids::{NO_TIMESTAMP, TimestampMs};
use crate::config::topic::{TimestampType, TopicConfig};
use crate::record::batch::BatchHeader;
use crate::record::records::{MalformedRecord, RawRecord};

/// At most so many records are named in a refusal: a response must not be many times the size of its request.
const RECORD_ERRORS_MAX: usize = 1000;

/// The rules of one topic at one moment.
pub(super) struct Rules<'a> {
    pub config: &'a TopicConfig,
    pub now: TimestampMs,
}

/// What the records of a batch say together.
pub(super) struct Walked {
    /// −1 if no record has a timestamp.
    pub max_timestamp: TimestampMs,
    /// Whether the offset deltas are 0, 1, 2, …
    pub contiguous: bool,
}

/// What a single record can do wrong.
enum Fault {
    NoKey,
    Timestamp(Cow<'static, str>),
}

impl Rules<'_> {
    /// Looks at every record.
    pub fn walk(&self, header: &BatchHeader, body: &[u8]) -> Result<Walked, Refusal> {
        let mut walked = Walked { max_timestamp: NO_TIMESTAMP, contiguous: true };
        let mut faults = Faults::default();
        let mut at = 0;
        for index in 0..header.record_count {
            let record = RawRecord::take(body, &mut at)?;
            let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
            walked.max_timestamp = walked.max_timestamp.max(timestamp);
            walked.contiguous &= record.offset_delta == index;
            if let Some(fault) = self.fault(header, &record, timestamp) {
                faults.add(index, fault);
            }
        }
        if at != body.len() {
            return Err(MalformedRecord::Remaining(body.len() - at).into());
        }
        faults.into_result().map(|()| walked)
    }

    /// `LogValidator.validateKey`, `validateTimestamp`.
    #[inline]
    fn fault(&self, header: &BatchHeader, record: &RawRecord<'_>, timestamp: TimestampMs) -> Option<Fault> {
        if self.config.cleanup_compact && record.key.is_none() {
            return Some(Fault::NoKey);
        }
        if header.is_log_append_time() {
            return Some(Fault::Timestamp("Producer should not set timestamp type to LogAppendTime.".into()));
        }
        if self.config.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP && !self.in_range(timestamp) {
            let (from, to) = (
                self.now.saturating_sub(self.config.timestamp_before_max_ms),
                self.now.saturating_add(self.config.timestamp_after_max_ms),
            );
            return Some(Fault::Timestamp(
                format!("Timestamp {timestamp} of message with offset {} is out of range. The timestamp should be within [{from}, {to}]", record.offset_delta).into(),
            ));
        }
        None
    }

    #[inline]
    fn in_range(&self, timestamp: TimestampMs) -> bool {
        let behind = self.now.checked_sub(timestamp);
        behind
            .is_some_and(|behind| behind <= self.config.timestamp_before_max_ms && -behind <= self.config.timestamp_after_max_ms)
    }
}

#[derive(Default)]
struct Faults {
    count: usize,
    timestamps: bool,
    errors: Vec<RecordError>,
}

impl Faults {
    fn add(&mut self, batch_index: i32, fault: Fault) {
        self.count += 1;
        let message = match fault {
            Fault::NoKey => "Compacted topic cannot accept message without key".into(),
            Fault::Timestamp(message) => {
                self.timestamps = true;
                message
            }
        };
        if self.errors.len() < RECORD_ERRORS_MAX {
            self.errors.push(RecordError { batch_index, message });
        }
    }

    /// `LogValidator.processRecordErrors`.
    fn into_result(self) -> Result<(), Refusal> {
        if self.count == 0 {
            return Ok(());
        }
        let (code, message) = if self.timestamps {
            (ErrorCode::InvalidTimestamp, "One or more records have been rejected due to invalid timestamp".into())
        } else {
            (
                ErrorCode::InvalidRecord,
                format!("One or more records have been rejected due to {} record errors in total", self.count).into(),
            )
        };
        Err(Refusal { code, message, record_errors: self.errors })
    }
}
