//! Appending: producer state, offsets, rolling, one write, and only then what everybody sees.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Log;
use crate::base::disk::OpenMode;
use crate::base::ids::*;
use crate::record::batch::{BatchHeader, HEADER_LEN};
use crate::record::batches::{Batch, batches};
use crate::record::compression::Codec;
use crate::record::control::{ControlRecordType, EndTransactionMarker};
use crate::record::records::records;
use crate::record::validate::Validated;
use crate::storage::checkpoint::FileError;
use crate::storage::directory::is_no_space;
use crate::storage::error::{AppendError, LogError};
use crate::storage::flusher::Hint;
use crate::storage::offset_index::relative_offset;
use crate::storage::producer_state::{AppendOrigin, ProducerUpdates, TimedMarker, VerificationGuard};
use crate::storage::segment::Segment;
use crate::storage::transaction_index::{AbortedTxn, ENTRY_LEN as TXN_ENTRY_LEN};

/// Write-back is asked for each time so many bytes were written to a segment.
const WRITE_BACK_STEP: u64 = 8 << 20;

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// −1 if timestamps are the producer's. Of a duplicate: the timestamp that the original has, as Kafka answers.
    pub log_append_time: TimestampMs,
    pub log_start_offset: Offset,
    /// The batch was there already; the offsets are those it got then, and nothing was written.
    pub duplicate: bool,
}

impl Log {
    /// Appends a client's batch. `guard` is what [`Log::start_verification`] gave, once the coordinator has confirmed it.
    pub fn append_as_leader(
        &mut self,
        validated: &Validated,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        guard: Option<VerificationGuard>,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let header = *validated.header();
        if origin == AppendOrigin::Client
            && header.has_producer_id()
            && let Some(batch) = self.producers.find_duplicate(&header)
        {
            return Ok(Appended {
                first_offset: batch.first_offset(),
                last_offset: batch.last_offset,
                log_append_time: batch.timestamp,
                log_start_offset: self.log_start_offset(),
                duplicate: true,
            });
        }
        let stamped = validated.stamped_header(self.log_end_offset(), leader_epoch);
        self.append_stamped(&stamped, &validated.body(), origin, guard, now)
    }

    /// Appends a batch that the broker has built: records of a coordinator, or a control record. The checks of client batches are skipped.
    pub fn append_built(
        &mut self,
        batch: &Bytes,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        guard: Option<VerificationGuard>,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let header = BatchHeader::parse(batch).expect("a built batch has a header");
        let stamped = BatchHeader { base_offset: self.log_end_offset(), leader_epoch, ..header }.encode();
        self.append_stamped(&stamped, &batch[HEADER_LEN..], origin, guard, now)
    }

    fn append_stamped(
        &mut self,
        stamped: &[u8; HEADER_LEN],
        body: &[u8],
        origin: AppendOrigin,
        guard: Option<VerificationGuard>,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        self.check_open()?;
        let header = BatchHeader::parse(stamped).expect("it has the length of a header");
        if self.settings.transaction_verification {
            self.producers.check_verified(&header, guard)?;
        }
        let mut updates = ProducerUpdates::new(origin);
        self.producers.stage(&mut updates, &header, marker_of(&header, body)?.as_ref())?;
        self.make_room(&header, HEADER_LEN + body.len(), now)?;
        self.reserve_transactions(&updates)?;
        let position = self.write(&[IoSlice::new(stamped), IoSlice::new(body)])?;
        self.active().index_batch(&header, position, &self.config, now);
        let appended = Appended {
            first_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time: if header.is_log_append_time() { header.max_timestamp } else { NO_TIMESTAMP },
            log_start_offset: self.log_start_offset(),
            duplicate: false,
        };
        self.note_epoch(&header);
        self.complete(position + (HEADER_LEN + body.len()) as u64, header.next_offset(), &updates, now)?;
        Ok(appended)
    }

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

    /// Whether the log takes appends at all.
    fn check_open(&self) -> Result<(), AppendError> {
        self.directory().check_online()?;
        let closed = self.shared.is_deleted() || self.shared.closed.load(Ordering::Relaxed);
        if closed { Err(AppendError::Closed) } else { Ok(()) }
    }

    fn roll_is_due(&self, header: &BatchHeader, size: usize, now: TimestampMs) -> Result<bool, AppendError> {
        let jitter = self.roll_jitter(self.active());
        let what = (header.max_timestamp, header.last_offset());
        let due = self.active().should_roll(&self.config, size as u64, what, jitter, now);
        Ok(due.map_err(|error| self.append_error(error))?.is_some())
    }

    /// Rolls if this batch must not go into the active segment.
    fn make_room(&mut self, header: &BatchHeader, size: usize, now: TimestampMs) -> Result<(), AppendError> {
        if size as i64 > i64::from(self.config.segment_bytes) {
            return Err(AppendError::LargerThanSegment { size, segment_bytes: self.config.segment_bytes });
        }
        self.active().prepare_to_append().map_err(|error| self.append_error(error))?;
        if self.roll_is_due(header, size, now)? {
            // Where the log ends, even if the batch lies further on, as in a compacted log: a segment that begins elsewhere tells recovery of a hole.
            let end = self.log_end_offset();
            let fits = relative_offset(header.last_offset(), end).is_some();
            self.roll_at(if fits { end } else { header.base_offset }, now).map_err(AppendError::from)?;
        }
        Ok(())
    }

    /// One write at the end of the active segment; where it begins.
    fn write(&self, parts: &[IoSlice<'_>]) -> Result<u64, AppendError> {
        let segment = self.active();
        match segment.write(parts) {
            Ok(Ok(position)) => Ok(position),
            Ok(Err(error)) => Err(self.append_error(FileError::io("append to", &segment.path())(error))),
            // The file could not be cut back: even want of space leaves it in a state that nobody knows.
            Err(error) => Err(AppendError::Offline(self.directory().fail(&error))),
        }
    }

    /// Makes sure that aborted transactions can be entered into the index after the records are written, when there is no way back.
    fn reserve_transactions(&self, updates: &ProducerUpdates) -> Result<(), AppendError> {
        let aborted = updates.completed().iter().filter(|txn| txn.aborted).count();
        if aborted == 0 {
            return Ok(());
        }
        let index = self.active().transactions();
        let reserve = || {
            let file = self.home().disk().open(index.path(), OpenMode::ReadWrite)?;
            file.reserve(file.len()?, (aborted * TXN_ENTRY_LEN) as u64)
        };
        reserve().map_err(|error| self.append_error(FileError::io("reserve space in", index.path())(error)))
    }

    /// An epoch that is news is entered; its file follows in [`Log::complete`].
    fn note_epoch(&mut self, header: &BatchHeader) {
        if header.leader_epoch >= 0 {
            self.epochs.assign(header.leader_epoch, header.base_offset);
        }
    }

    /// Makes what was written true: for readers, producers, transactions and the flusher.
    fn complete(&mut self, end: u64, log_end: Offset, updates: &ProducerUpdates, now: TimestampMs) -> Result<(), AppendError> {
        let segment = self.active().clone();
        let grown = end - segment.size();
        segment.publish(end);
        self.shared.size.fetch_add(grown, Ordering::Relaxed);
        self.shared.active_size.store(end, Ordering::Relaxed);
        self.shared.mark_dirty(&segment);
        self.shared.log_end.store(log_end, Ordering::Release);
        self.since_snapshot += grown;

        self.producers.apply(updates);
        for txn in updates.completed() {
            if txn.aborted {
                let entry = AbortedTxn::new(txn, self.producers.last_stable_offset(txn));
                let entered = segment.append_aborted(&entry);
                // Space was reserved; without its entry the transaction's records would be shown to everybody.
                entered.map_err(|error| AppendError::Offline(self.directory().fail(&error)))?;
            }
            self.producers.complete_txn(txn);
        }
        self.producers.set_map_end_offset(log_end);
        if self.epochs.is_dirty() {
            self.write_epochs().or_else(|error| match error {
                // The file is a cache of what stands in the log; it is written again with the next change.
                LogError::NoSpace { .. } => Ok(()),
                error => Err(AppendError::from(error)),
            })?;
        }
        self.help_the_disk(&segment, end)?;
        self.ask_for_flush(log_end, now);
        Ok(())
    }

    /// Index blocks, write-back and reservations, as they become due.
    fn help_the_disk(&self, segment: &Arc<Segment>, end: u64) -> Result<(), AppendError> {
        segment.write_index_blocks().map_err(|error| self.append_error(error))?;
        let from = segment.written_back.load(Ordering::Relaxed);
        if end - from >= WRITE_BACK_STEP {
            segment.written_back.store(end, Ordering::Relaxed);
            self.directory().flush_queue.push_hint(Hint::WriteBack { segment: segment.clone(), from, len: end - from });
        }
        if let Some((from, len)) = segment.reservation_due(self.config.preallocate) {
            self.directory().flush_queue.push_hint(Hint::Reserve { segment: segment.clone(), from, len });
        }
        Ok(())
    }

    fn ask_for_flush(&self, log_end: Offset, now: TimestampMs) {
        if self.flush_on_ack() {
            self.shared.flush_urgently();
        } else if log_end - self.durable_end() >= self.config.flush_messages {
            self.shared.flush_in_background();
        } else {
            self.shared.flush_if_due(now);
        }
    }

    /// Judges an error: want of space passes, anything else takes the directory offline.
    fn append_error(&self, error: FileError) -> AppendError {
        match error {
            FileError::Io { source, path, .. } if is_no_space(&source) => AppendError::NoSpace { path },
            error => AppendError::Offline(self.directory().fail(&error)),
        }
    }
}

impl From<LogError> for AppendError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Offline(offline) => AppendError::Offline(offline),
            LogError::NoSpace { path } => AppendError::NoSpace { path },
            LogError::AboveHighWatermark { .. } | LogError::Corrupt { .. } => {
                unreachable!("appending neither reads records nor moves the log's start")
            }
        }
    }
}

/// The marker in a control batch of a producer; `None` for data, other control records, and a batch that was cleaned until it is empty.
pub(in crate::storage) fn marker_of(header: &BatchHeader, body: &[u8]) -> Result<Option<TimedMarker>, AppendError> {
    if !header.is_control() || header.compression_id() != Codec::None.id() {
        return Ok(None);
    }
    let Some(Ok(record)) = records(header, body).next() else { return Ok(None) };
    match ControlRecordType::parse(record.key.unwrap_or_default())? {
        ControlRecordType::Abort | ControlRecordType::Commit => {
            let marker = EndTransactionMarker::parse(record.key, record.value)?;
            Ok(Some(TimedMarker { marker, timestamp: record.timestamp }))
        }
        _ => Ok(None),
    }
}
