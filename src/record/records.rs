//! Records one after the other in the uncompressed body of a batch, as slices of it.
//!
//! ```text
//! length varint · attributes i8 · timestamp_delta varlong · offset_delta varint · key_len varint (−1: null) · key
//! · value_len varint (−1: null) · value · header_count varint · { key_len varint · key · value_len varint (−1: null) · value }*
//! ```
//!
//! Invariants of a body: it holds exactly `record_count` records and nothing behind them; each record is exactly `length` bytes long.

use super::batch::BatchHeader;
use super::varint::{take_i32, take_i64};
use crate::base::ids::{Offset, TimestampMs};

/// A body that does not hold what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRecord {
    #[error("record count {0} is negative")]
    NegativeCount(i32),
    #[error("incorrect declared batch size, premature end of records reached")]
    Premature,
    #[error("record claims {claimed} bytes, only {present} are there")]
    CutOff { claimed: i32, present: usize },
    #[error("record claims {claimed} bytes but takes {taken}")]
    WrongLength { claimed: usize, taken: usize },
    #[error("invalid record structure")]
    Structure,
    #[error("incorrect declared batch size, {0} bytes remain behind the last record")]
    Remaining(usize),
}

/// One record in place. Offset and timestamp are absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// The headers of one record, whose structure has been checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key and value of each header, in order. Keys are UTF-8 by convention only.
    pub fn iter(&self) -> HeaderIter<'a> {
        HeaderIter { remaining: self.count, bytes: self.bytes, at: 0 }
    }
}

/// See [`Headers::iter`].
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    remaining: usize,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some((take_bytes(self.bytes, &mut self.at)??, take_bytes(self.bytes, &mut self.at)?))
    }
}

/// A length and that many bytes; a negative length means null. The outer `None` says that the bytes are not there.
#[inline]
fn take_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Option<&'a [u8]>> {
    let Ok(len) = usize::try_from(take_i32(bytes, at)?) else { return Some(None) };
    let taken = bytes.get(*at..)?.get(..len)?;
    *at += len;
    Some(Some(taken))
}

/// A record as it stands in a body: deltas, not yet offsets and timestamps.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRecord<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

impl<'a> RawRecord<'a> {
    /// Reads the record at `at` and moves `at` behind it.
    #[inline]
    pub fn take(body: &'a [u8], at: &mut usize) -> Result<Self, MalformedRecord> {
        let claimed = take_i32(body, at).ok_or(MalformedRecord::Premature)?;
        let rest = &body[*at..];
        let cut_off = MalformedRecord::CutOff { claimed, present: rest.len() };
        let record = usize::try_from(claimed).ok().and_then(|len| rest.get(..len)).ok_or(cut_off)?;
        let (parsed, taken) = Self::parse(record).ok_or(MalformedRecord::Structure)?;
        if taken != record.len() {
            return Err(MalformedRecord::WrongLength { claimed: record.len(), taken });
        }
        *at += taken;
        Ok(parsed)
    }

    #[inline]
    fn parse(record: &'a [u8]) -> Option<(Self, usize)> {
        // Byte 0 holds attributes, none of which is in use.
        record.first()?;
        let mut at = 1;
        let timestamp_delta = take_i64(record, &mut at)?;
        let offset_delta = take_i32(record, &mut at)?;
        let key = take_bytes(record, &mut at)?;
        let value = take_bytes(record, &mut at)?;
        let count = usize::try_from(take_i32(record, &mut at)?).ok()?;
        let headers_at = at;
        for _ in 0..count {
            take_bytes(record, &mut at)??;
            take_bytes(record, &mut at)?;
        }
        let headers = Headers { count, bytes: &record[headers_at..at] };
        Some((Self { timestamp_delta, offset_delta, key, value, headers }, at))
    }
}

/// Walks the records of an uncompressed (or decompressed) body. Ends after the first error.
pub fn records<'a>(header: &BatchHeader, body: &'a [u8]) -> Records<'a> {
    Records {
        body,
        at: 0,
        remaining: header.record_count,
        base_offset: header.base_offset,
        base_timestamp: header.base_timestamp,
        log_append_time: header.is_log_append_time().then_some(header.max_timestamp),
        finished: false,
    }
}

/// See [`records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    body: &'a [u8],
    at: usize,
    remaining: i32,
    base_offset: Offset,
    base_timestamp: TimestampMs,
    log_append_time: Option<TimestampMs>,
    finished: bool,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        if self.remaining <= 0 {
            self.finished = true;
            return match (self.remaining, self.body.len() - self.at) {
                (0, 0) => None,
                (0, left) => Some(Err(MalformedRecord::Remaining(left))),
                (count, _) => Some(Err(MalformedRecord::NegativeCount(count))),
            };
        }
        self.remaining -= 1;
        let found = RawRecord::take(self.body, &mut self.at).map(|raw| RecordRef {
            offset: self.base_offset.wrapping_add(i64::from(raw.offset_delta)),
            timestamp: self.log_append_time.unwrap_or(self.base_timestamp.wrapping_add(raw.timestamp_delta)),
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        });
        self.finished = found.is_err();
        Some(found)
    }
}
