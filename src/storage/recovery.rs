//! Finding out what a log holds after it was not closed in order: batches are read from the recovery point on and verified, and the log is cut at
//! the first that is not whole.
//!
//! Invariants: what lies in front of the recovery point is not doubted; a batch is kept if it is well-formed, its checksum is right, its offsets
//! follow those before it, and its leader epoch is not smaller than one before it; nothing behind the first bad batch is kept. Indexes,
//! transaction index, epochs and producers describe exactly the batches kept.

use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::FileError;
use super::leader_epochs::LeaderEpochCache;
use super::log::marker_of;
use super::offset_index::relative_offset;
use super::producer_state::{AppendOrigin, ProducerStateManager, ProducerUpdates};
use super::scan::{BadBatch, BadBatchReason, LogScan};
use super::segment::{LookupError, Segment};
use super::transaction_index::AbortedTxn;
use crate::base::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset, TimestampMs};
use crate::config::topic::TopicConfig;
use crate::record::batch::{BatchHeader, HEADER_LEN};

/// What recovery had to cut off.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The file with the first bad batch.
    pub path: PathBuf,
    pub bad: BadBatch,
    /// The log ends here now; what was at this offset and behind it is gone.
    pub log_end_offset: Offset,
    /// Bytes that went, in this segment and those behind it.
    pub bytes: u64,
    /// Whether records below the high watermark or the recovery point, both as checkpointed, are gone: then it is not just an append that the
    /// stop interrupted, and this replica must not lead.
    pub damaged: bool,
}

/// Where the records of a segment end: behind the last batch, found from the last index entry on.
pub(super) fn next_offset_of(segment: &Segment) -> Result<Offset, LookupError> {
    let file = segment.log_file()?;
    let start = match segment.scan_start(Offset::MAX, segment.generation()) {
        Err(LookupError::DamagedIndex) => 0,
        start => start?,
    };
    let walk = |from: u64| -> Result<Option<Offset>, LookupError> {
        let mut scan = LogScan::new(&*file, from, segment.size());
        let mut next = segment.base_offset();
        while let Some(found) = scan.next_header().map_err(FileError::io("read", &segment.path()))? {
            match found {
                Ok((header, _)) => next = header.next_offset(),
                Err(_) if from > 0 => return Ok(None),
                Err(bad) => return Err(LookupError::Corrupt { position: bad.position }),
            }
        }
        Ok(Some(next))
    };
    if let Some(next) = walk(start)? {
        return Ok(next);
    }
    // The index does not lead to a batch.
    segment.distrust_index();
    Ok(walk(0)?.unwrap_or(segment.base_offset()))
}

/// Brings producer state from where it is up to `end`, from the batches of the log, which are not doubted. The transaction index is not touched.
pub(super) fn replay_producers(
    producers: &mut ProducerStateManager,
    segments: &[Arc<Segment>],
    start: Offset,
    end: Offset,
) -> Result<(), FileError> {
    let from = producers.map_end_offset().max(start);
    for (n, segment) in segments.iter().enumerate() {
        let ends_before = segments.get(n + 1).is_some_and(|next| next.base_offset() <= from);
        if ends_before || segment.base_offset() >= end {
            continue;
        }
        let position = match segment.find(from, segment.size(), segment.generation()) {
            Ok(found) => found.map_or(segment.size(), |batch| batch.position),
            Err(LookupError::File(error)) => return Err(error),
            Err(_) => 0,
        };
        let file = segment.log_file()?;
        let mut scan = LogScan::new(&*file, position, segment.size());
        let io = |error| FileError::io("read", &segment.path())(error);
        let mut next_offset = segment.base_offset();
        while let Some(found) = scan.next_header().map_err(io)? {
            let Ok((header, position)) = found else { break };
            if header.base_offset >= end || header.base_offset < next_offset {
                break;
            }
            next_offset = header.next_offset();
            if header.last_offset() >= from && header.has_producer_id() {
                let body = if header.is_control() { scan.body(&header, position).map_err(io)? } else { Vec::new() };
                for txn in apply_batch(producers, &header, &body).completed() {
                    producers.complete_txn(txn);
                }
            }
        }
    }
    producers.set_map_end_offset(end);
    Ok(())
}

/// Records one batch of the log. What it completes is left to the caller.
fn apply_batch(producers: &mut ProducerStateManager, header: &BatchHeader, body: &[u8]) -> ProducerUpdates {
    let mut updates = ProducerUpdates::new(AppendOrigin::Replication);
    let marker = marker_of(header, body).unwrap_or_default();
    if let Err(error) = producers.stage(&mut updates, header, marker.as_ref()) {
        tracing::warn!(offset = header.base_offset, %error, "a batch of the log contradicts its producer's state");
        return ProducerUpdates::new(AppendOrigin::Replication);
    }
    producers.apply(&updates);
    updates
}

/// Enters the epochs of batches that the cache does not know (`LogSegment.recover`).
fn note_epoch(epochs: &mut LeaderEpochCache, header: &BatchHeader) {
    if header.leader_epoch >= 0 && epochs.latest_epoch().is_none_or(|latest| header.leader_epoch > latest) {
        epochs.assign(header.leader_epoch, header.base_offset);
    }
}

/// Rebuilds the epochs from all batches, because their file cannot be read.
pub(super) fn rebuild_epochs(segments: &[Arc<Segment>]) -> Result<LeaderEpochCache, FileError> {
    let mut epochs = LeaderEpochCache::new();
    for segment in segments {
        let file = segment.log_file()?;
        let mut scan = LogScan::new(&*file, 0, segment.size());
        while let Some(Ok((header, _))) = scan.next_header().map_err(FileError::io("read", &segment.path()))? {
            note_epoch(&mut epochs, &header);
        }
    }
    Ok(epochs)
}

/// Enters the epochs of the batches from `log_start` on that lie in front of all known ones: the log's start had moved, the epochs with it, and then
/// it was not remembered.
pub(super) fn complete_epochs(
    epochs: &mut LeaderEpochCache,
    segments: &[Arc<Segment>],
    log_start: Offset,
) -> Result<(), FileError> {
    let until = epochs.earliest().map_or(Offset::MAX, |entry| entry.start_offset);
    if until <= log_start {
        return Ok(());
    }
    let mut completed = LeaderEpochCache::new();
    'log: for (n, segment) in segments.iter().enumerate() {
        if segments.get(n + 1).is_some_and(|next| next.base_offset() <= log_start) {
            continue;
        }
        let file = segment.log_file()?;
        let mut scan = LogScan::new(&*file, 0, segment.size());
        while let Some(Ok((header, _))) = scan.next_header().map_err(FileError::io("read", &segment.path()))? {
            if header.base_offset >= until || header.leader_epoch < 0 {
                break 'log;
            }
            note_epoch(&mut completed, &header);
        }
    }
    if !completed.is_empty() {
        for entry in epochs.entries() {
            completed.assign(entry.epoch, entry.start_offset);
        }
        *epochs = completed;
    }
    Ok(())
}

/// The state of a log that is being verified, segment by segment.
pub(super) struct Verifier<'a> {
    pub config: &'a TopicConfig,
    pub now: TimestampMs,
    pub epochs: &'a mut LeaderEpochCache,
    pub producers: &'a mut ProducerStateManager,
    /// Batches that end before are not doubted.
    pub recovery_point: Offset,
    /// Where the next batch may begin at the earliest.
    pub next_offset: Offset,
}

impl Verifier<'_> {
    /// Verifies the batches of a segment from the recovery point on, and rebuilds what is known of them. If one is bad, the segment is cut there.
    pub fn verify(&mut self, segment: &Arc<Segment>) -> Result<Option<BadBatch>, LookupError> {
        let size = segment.size();
        let file = segment.log_file()?;
        let (mut position, trusted) = self.resume_at(segment)?;
        if !trusted {
            segment.forget_index(self.now)?;
            self.next_offset = self.next_offset.max(segment.base_offset());
        }
        self.epochs.truncate_from_end(self.next_offset);
        let mut last_epoch = self.epochs.latest_epoch().unwrap_or(NO_LEADER_EPOCH);
        segment.publish(position);
        let mut scan = LogScan::new(&*file, position, size);
        let bad = loop {
            let found = scan.next_batch().map_err(FileError::io("read", &segment.path()))?;
            let (batch, at) = match found {
                None => break None,
                Some(Err(bad)) => break Some(bad),
                Some(Ok(found)) => found,
            };
            let header = batch.header;
            let doubted = header.last_offset() >= self.recovery_point;
            let judged = self
                .judge(segment, &header, last_epoch)
                .and_then(|()| if doubted { batch.verify_checksum().map_err(BadBatchReason::Checksum) } else { Ok(()) });
            if let Err(reason) = judged {
                break Some(BadBatch { position: at, reason });
            }
            segment.index_batch(&header, at, self.config, self.now);
            note_epoch(self.epochs, &header);
            if header.has_producer_id() && header.last_offset() >= self.producers.map_end_offset() {
                let body = &batch.bytes()[HEADER_LEN..];
                self.replay(segment, &header, body, doubted)?;
            }
            self.producers.set_map_end_offset(self.producers.map_end_offset().max(header.next_offset()));
            self.next_offset = header.next_offset();
            last_epoch = last_epoch.max(header.leader_epoch);
            position = at + header.size() as u64;
        };
        segment.publish(position);
        if bad.is_some() {
            segment.cut_at(position, self.next_offset, self.now)?;
        }
        Ok(bad)
    }

    /// Where to begin: at the recovery point if the index leads there, else at the start of the segment, whose index is not to be trusted then.
    fn resume_at(&mut self, segment: &Arc<Segment>) -> Result<(u64, bool), LookupError> {
        let base_offset = segment.base_offset();
        segment.truncate_transactions(self.recovery_point.max(base_offset))?;
        if self.recovery_point <= base_offset {
            return Ok((0, false));
        }
        let start = match segment.scan_start(self.recovery_point - 1, segment.generation()) {
            Err(LookupError::DamagedIndex) => return Ok((0, false)),
            start => start?,
        };
        let Some((position, next_offset)) = self.walk_to_recovery_point(segment, start)? else { return Ok((0, false)) };
        segment.largest()?;
        segment.forget_index_from(position, next_offset, self.now)?;
        self.next_offset = self.next_offset.max(next_offset);
        Ok((position, true))
    }

    /// Where the batches end that lie in front of the recovery point, and their offsets; the walk begins at an entry of the index. `None` if that
    /// does not lead to a batch. What lies behind may look like a batch and be none, so offsets have to go up.
    fn walk_to_recovery_point(&self, segment: &Segment, start: u64) -> Result<Option<(u64, Offset)>, FileError> {
        let file = segment.log_file()?;
        let mut scan = LogScan::new(&*file, start, segment.size());
        let (mut position, mut next_offset) = (start, segment.base_offset());
        while let Some(Ok((header, at))) = scan.next_header().map_err(FileError::io("read", &segment.path()))? {
            let goes_on = header.base_offset >= next_offset && header.last_offset() >= header.base_offset;
            if !goes_on || header.last_offset() >= self.recovery_point {
                break;
            }
            (position, next_offset) = (at + header.size() as u64, header.next_offset());
        }
        let led_nowhere = start > 0 && position == start;
        Ok((!led_nowhere).then_some((position, next_offset)))
    }

    fn judge(&self, segment: &Segment, header: &BatchHeader, last_epoch: LeaderEpoch) -> Result<(), BadBatchReason> {
        let (base_offset, last_offset) = (header.base_offset, header.last_offset());
        if base_offset < self.next_offset || last_offset < base_offset || base_offset < segment.base_offset() {
            return Err(BadBatchReason::OffsetsGoBack { base_offset, next_offset: self.next_offset });
        }
        if relative_offset(last_offset, segment.base_offset()).is_none() {
            return Err(BadBatchReason::OffsetOverflow { last_offset, base_offset: segment.base_offset() });
        }
        if header.leader_epoch != NO_LEADER_EPOCH && header.leader_epoch < last_epoch {
            return Err(BadBatchReason::EpochsGoBack { epoch: header.leader_epoch, last: last_epoch });
        }
        Ok(())
    }

    fn replay(&mut self, segment: &Segment, header: &BatchHeader, body: &[u8], index: bool) -> Result<(), FileError> {
        let updates = apply_batch(self.producers, header, body);
        for txn in updates.completed() {
            if txn.aborted && index {
                let entry = AbortedTxn::new(txn, self.producers.last_stable_offset(txn));
                segment.append_aborted(&entry)?;
            }
            self.producers.complete_txn(txn);
        }
        Ok(())
    }
}
