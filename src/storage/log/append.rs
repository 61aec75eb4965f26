//! Appending: producer state, offsets, rolling, one write, and only then what everybody sees.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Log;
use crate::base::disk::OpenMode;
use crate::base::ids::*;
use crate::record::batch::{BatchHeader, HEADER_LEN};
use crate::record::compression::Codec;
use crate::record::control::{ControlRecordType, EndTransactionMarker};
use crate::record::records::records;
use crate::record::validate::Validated;
use crate::storage::checkpoint::FileError;
use crate::storage::directory::is_shortage;
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
        if origin == AppendOrigin::Client {
            let directory = self.directory();
            directory.room.admit(validated.size() as u64, &**directory.disk(), directory.path())?;
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
        if self.settings.transaction_verification.load(Ordering::Relaxed) {
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

    /// Whether the log takes appends at all.
    pub(super) fn check_open(&self) -> Result<(), AppendError> {
        self.directory().check_online()?;
        let closed = self.shared.is_deleted() || self.shared.closed.load(Ordering::Relaxed);
        if closed { Err(AppendError::Closed) } else { Ok(()) }
    }

    pub(super) fn roll_is_due(&self, header: &BatchHeader, size: usize, now: TimestampMs) -> Result<bool, AppendError> {
        let jitter = self.roll_jitter(self.active());
        let what = (header.max_timestamp, header.last_offset());
        let due = self.active().should_roll(&self.config, size as u64, what, jitter, now);
        Ok(due.map_err(|error| self.append_error(error))?.is_some())
    }

    /// Rolls if this batch must not go into the active segment.
    pub(super) fn make_room(&mut self, header: &BatchHeader, size: usize, now: TimestampMs) -> Result<(), AppendError> {
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
    pub(super) fn write(&self, parts: &[IoSlice<'_>]) -> Result<u64, AppendError> {
        let segment = self.active();
        match segment.write(parts) {
            Ok(Ok(position)) => Ok(position),
            Ok(Err(error)) => Err(self.append_error(FileError::io("append to", &segment.path())(error))),
            // The file could not be cut back: even want of space leaves it in a state that nobody knows.
            Err(error) => Err(AppendError::Offline(self.directory().fail(&error))),
        }
    }

    /// Makes sure that aborted transactions can be entered into the index after the records are written, when there is no way back.
    pub(super) fn reserve_transactions(&self, updates: &ProducerUpdates) -> Result<(), AppendError> {
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
    pub(super) fn note_epoch(&mut self, header: &BatchHeader) {
        if header.leader_epoch >= 0 {
            self.epochs.assign(header.leader_epoch, header.base_offset);
        }
    }

    /// Makes what was written true: for readers, producers, transactions and the flusher.
    pub(super) fn complete(
        &mut self,
        end: u64,
        log_end: Offset,
        updates: &ProducerUpdates,
        now: TimestampMs,
    ) -> Result<(), AppendError> {
        let segment = self.active().clone();
        let grown = end - segment.size();
        segment.publish(end);
        self.shared.size.fetch_add(grown, Ordering::Relaxed);
        self.shared.active_size.store(end, Ordering::Relaxed);
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
            self.write_epochs()?;
        }
        // Behind everything that belongs to the batch: a sync that sees this end vouches for all in front of it.
        self.shared.mark_dirty(&segment);
        self.shared.log_end.store(log_end, Ordering::Release);
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
        let ample = |range: &(u64, u64)| self.directory().room.is_ample_for(range.1);
        if let Some((from, len)) = segment.reservation_due(self.config.preallocate).filter(ample) {
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
            FileError::Io { source, path, .. } if is_shortage(&source) => AppendError::Shortage { path, source },
            error => AppendError::Offline(self.directory().fail(&error)),
        }
    }
}

impl From<LogError> for AppendError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Offline(offline) => AppendError::Offline(offline),
            LogError::Shortage { path, source } => AppendError::Shortage { path, source },
            LogError::AboveHighWatermark { .. } | LogError::Corrupt { .. } | LogError::Occupied { .. } => {
                unreachable!("appending neither reads records, nor moves the log's start, nor makes a log")
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
