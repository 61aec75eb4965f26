//! Appending what was fetched from a leader: offsets and epochs stay as they are, and must follow what is there.

use std::io::IoSlice;

use bytes::Bytes;

use super::Log;
use super::append::{Appended, marker_of};
use crate::base::ids::*;
use crate::record::batches::{Batch, batches};
use crate::storage::error::AppendError;
use crate::storage::producer_state::{AppendOrigin, ProducerUpdates};

impl Log {
    /// Appends what a leader sent: whole batches with their offsets, which must follow the end of the log. A last batch that is cut off is
    /// dropped. `None` if there was no whole batch.
    pub fn append_as_follower(&mut self, fetched: &Bytes, now: TimestampMs) -> Result<Option<Appended>, AppendError> {
        self.check_open()?;
        let mut all = Vec::new();
        let mut last = self.log_end_offset() - 1;
        for batch in batches(fetched) {
            let batch = batch?;
            batch.verify_checksum()?;
            let (next, log_end_offset) = (batch.header.base_offset, self.log_end_offset());
            if next <= last && all.is_empty() {
                let last_offset = batch.header.last_offset();
                return Err(AppendError::UnexpectedOffset { first_offset: next, last_offset, log_end_offset });
            }
            if next <= last || batch.header.last_offset() < next {
                return Err(AppendError::OffsetsOutOfOrder { last, next });
            }
            last = batch.header.last_offset();
            all.push(batch);
        }
        let Some(first) = all.first() else { return Ok(None) };
        let appended = Appended {
            first_offset: first.header.base_offset,
            last_offset: last,
            log_append_time: NO_TIMESTAMP,
            log_start_offset: self.log_start_offset(),
            duplicate: false,
        };
        let (mut rest, mut bytes) = (all.as_slice(), &fetched[..]);
        while !rest.is_empty() {
            let (count, size) = self.append_run(rest, bytes, now)?;
            (rest, bytes) = (&rest[count..], &bytes[size..]);
        }
        Ok(Some(appended))
    }

    /// Appends the first batches of `all`, which begin `bytes`, as many as go into one segment, with one write. How many those were, and how
    /// long.
    fn append_run(&mut self, all: &[Batch<'_>], bytes: &[u8], now: TimestampMs) -> Result<(usize, usize), AppendError> {
        let mut updates = ProducerUpdates::new(AppendOrigin::Replication);
        let first = &all[0];
        self.make_room(&first.header, first.bytes().len(), now)?;
        let segment_bytes = self.config.segment_bytes.max(0) as u64;
        let (mut count, mut size) = (0, 0);
        for batch in all {
            let grown = self.active().size() + (size + batch.bytes().len()) as u64;
            if count > 0 && (grown > segment_bytes || self.roll_is_due(&batch.header, batch.bytes().len(), now)?) {
                break;
            }
            self.producers.stage(&mut updates, &batch.header, marker_of(&batch.header, batch.body())?.as_ref())?;
            size += batch.bytes().len();
            count += 1;
        }
        let run = &all[..count];
        self.reserve_transactions(&updates)?;
        let mut position = self.write(&[IoSlice::new(&bytes[..size])])?;
        for batch in run {
            self.active().index_batch(&batch.header, position, &self.config, now);
            self.note_epoch(&batch.header);
            position += batch.bytes().len() as u64;
        }
        let end = run.last().expect("at least one batch is appended").header.next_offset();
        self.complete(position, end, &updates, now)?;
        Ok((count, size))
    }
}
