//! The verification of a log that was not closed in order: which of its files are doubted, segment by segment from the recovery point on, and what is
//! removed behind the first bad batch.

use std::sync::Arc;

use super::{Checkpoints, LastStop, Loader};
use crate::base::ids::Offset;
use crate::config::topic::TopicConfig;
use crate::record::batch::HEADER_LEN;
use crate::storage::checkpoint::FileError;
use crate::storage::directory::LogHome;
use crate::storage::leader_epochs::LeaderEpochCache;
use crate::storage::producer_state::ProducerStateManager;
use crate::storage::recovery::{Loss, Verifier, replay_producers};
use crate::storage::scan::{BadBatch, BadBatchReason};
use crate::storage::segment::{LookupError, Segment};

/// The verification of one log.
pub(super) struct Verification<'a> {
    pub loader: &'a Loader<'a>,
    pub home: &'a Arc<LogHome>,
    pub config: &'a TopicConfig,
    pub checkpoints: Checkpoints,
    pub log_start: Offset,
    pub recovery_point: Offset,
}

impl Verification<'_> {
    /// Verifies everything from the recovery point on; where the log ends, and what was lost.
    pub fn run(
        &self,
        segments: &mut Vec<Arc<Segment>>,
        epochs: &mut LeaderEpochCache,
        producers: &mut ProducerStateManager,
    ) -> Result<(Offset, Option<Loss>), FileError> {
        let recovery_point = self.doubt_indexes(segments)?;
        let (disk, dir) = (self.home.disk(), self.home.dir());
        let expiration = self.loader.settings.producer_id_expiration_ms();
        producers.truncate_and_reload(&**disk, &dir, (self.log_start, recovery_point), self.loader.now, expiration)?;
        if producers.map_end_offset() < recovery_point {
            replay_producers(producers, segments, self.log_start, recovery_point)?;
        }
        let first = segments.partition_point(|segment| segment.base_offset() <= recovery_point).saturating_sub(1);
        let (config, now) = (self.config, self.loader.now);
        let mut verifier = Verifier { config, now, epochs, producers, recovery_point, next_offset: 0 };
        let mut found = None;
        for n in first..segments.len() {
            let segment = segments[n].clone();
            if n > first && self.is_behind_a_hole(&segment, verifier.next_offset) {
                let reason = BadBatchReason::Hole { base_offset: segment.base_offset(), next_offset: verifier.next_offset };
                found = Some((n, BadBatch { position: 0, reason }));
                break;
            }
            if segment.base_offset() > recovery_point {
                verifier.producers.set_map_end_offset(verifier.producers.map_end_offset().max(segment.base_offset()));
                verifier.producers.take_snapshot(&**disk, &dir, false)?;
            }
            let bad = verifier.verify(&segment).map_err(|error| match error {
                LookupError::File(error) => error,
                other => FileError::damaged(&segment.path(), other.to_string()),
            })?;
            if n + 1 < segments.len() {
                segment.write_whole_index()?;
                segment.mark_sealed();
            }
            if let Some(bad) = bad {
                found = Some((n, bad));
                break;
            }
        }
        let end = verifier.next_offset;
        let loss = self.cut_behind(segments, found, end)?;
        if end < recovery_point {
            // The checkpoint promised more than there is, and a snapshot may have, too.
            producers.truncate_and_reload(&**disk, &dir, (self.log_start, end), self.loader.now, expiration)?;
            replay_producers(producers, segments, self.log_start, end)?;
        }
        Ok((end, loss))
    }

    /// Where power may have been lost, no index file is believed before it was looked at, and what was written last of that of a segment which ends at
    /// the recovery point is made anew. A transaction index that is wrong moves the recovery point back to the start of its segment, from where it can
    /// be made anew.
    fn doubt_indexes(&self, segments: &[Arc<Segment>]) -> Result<Offset, FileError> {
        let mut recovery_point = self.recovery_point;
        if self.loader.last_stop == LastStop::Killed {
            return Ok(recovery_point);
        }
        for (n, segment) in segments.iter().enumerate() {
            if !segment.verify_index()? {
                segment.distrust_index();
            } else if segments.get(n + 1).is_some_and(|next| next.base_offset() == self.recovery_point) {
                // It may have been sealed when its records were durable already, and then no checkpoint waited for its index.
                segment.forget_index_from(segment.size(), self.recovery_point, segment.modified())?;
                segment.write_whole_index()?;
                segment.mark_sealed();
            }
            match self.verify_transactions(segment) {
                Err(FileError::Damaged { path, reason }) => {
                    tracing::warn!(path = %path.display(), reason, "rebuilding a transaction index");
                    segment.transactions().reset(&**self.home.disk())?;
                    recovery_point = recovery_point.min(segment.base_offset().max(self.log_start));
                }
                verified => verified?,
            }
        }
        Ok(recovery_point)
    }

    /// Checks that entries of a transaction index are in order, and that each names a marker in the log: an entry that was torn may look like one.
    fn verify_transactions(&self, segment: &Segment) -> Result<(), FileError> {
        let (path, all) = {
            let transactions = segment.transactions();
            transactions.sanity_check(&**self.home.disk())?;
            (transactions.path().to_owned(), transactions.all(&**self.home.disk())?)
        };
        for txn in all.iter().filter(|txn| txn.last_offset < self.recovery_point) {
            let find = || segment.find(txn.last_offset, segment.size(), segment.generation());
            let found = match find() {
                Err(LookupError::DamagedIndex) => {
                    segment.rebuild_index()?;
                    find()
                }
                found => found,
            };
            let marker = match found {
                Err(LookupError::File(error)) => return Err(error),
                found => found.ok().flatten(),
            };
            let is_its_marker = marker.is_some_and(|batch| {
                let header = batch.header;
                header.is_control() && header.base_offset == txn.last_offset && header.producer_id == txn.producer_id
            });
            if !is_its_marker || txn.first_offset >= txn.last_offset {
                return Err(FileError::damaged(&path, format!("{txn:?} has no marker in the log")));
            }
        }
        Ok(())
    }

    /// Whether something is missing in front of a segment. Klamm begins a segment where the one before ends, unless offsets jump by more than a
    /// segment can express, and compacts only in front of the recovery point, where the verification may begin all the same for an index's sake; Kafka
    /// does neither.
    fn is_behind_a_hole(&self, segment: &Segment, next_offset: Offset) -> bool {
        let missing = segment.base_offset() - next_offset;
        let may_be_compacted = segment.base_offset() <= self.recovery_point;
        self.loader.last_stop == LastStop::Lost && !may_be_compacted && missing > 0 && missing <= i64::from(i32::MAX)
    }

    /// Removes the segments behind the one that was cut, that one too if nothing is left of it, and says what is gone.
    fn cut_behind(
        &self,
        segments: &mut Vec<Arc<Segment>>,
        found: Option<(usize, BadBatch)>,
        end: Offset,
    ) -> Result<Option<Loss>, FileError> {
        let promised = self.checkpoints.high_watermark.unwrap_or(0).max(self.recovery_point);
        let damaged = end < promised;
        let Some((at, bad)) = found else {
            if !damaged {
                return Ok(None);
            }
            let active = segments.last().expect("there is always one");
            let position = active.size();
            let bad = BadBatch { position, reason: BadBatchReason::CutOff { claimed: HEADER_LEN as u64, present: 0 } };
            return Ok(Some(self.report(Loss { path: active.path(), bad, log_end_offset: end, bytes: 0, damaged })));
        };
        let cut = segments[at].clone();
        let is_hole = matches!(bad.reason, BadBatchReason::Hole { .. });
        let mut bytes = cut.size_when_opened().saturating_sub(if is_hole { 0 } else { cut.size() });
        // A segment that lies where the log does not end must not stay, not even empty.
        let kept = if at > 0 && (is_hole || (cut.size() == 0 && cut.base_offset() != end)) { at } else { at + 1 };
        for (n, segment) in segments.drain(kept..).enumerate().rev() {
            bytes += if kept + n == at { 0 } else { segment.size() };
            for path in segment.mark_deleted()? {
                self.home.directory.deletions.schedule_file(path, self.loader.now);
            }
            let dir = self.home.dir();
            self.home.disk().sync_dir(&dir).map_err(FileError::io("sync", &dir))?;
        }
        Ok(Some(self.report(Loss { path: cut.path(), bad, log_end_offset: end, bytes, damaged })))
    }

    fn report(&self, loss: Loss) -> Loss {
        let Loss { path, bad, log_end_offset, bytes, damaged } = &loss;
        tracing::warn!(path = %path.display(), %bad, log_end_offset, bytes, damaged, "cut a log at its first bad batch");
        loss
    }
}
