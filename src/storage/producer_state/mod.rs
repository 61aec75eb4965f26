//! The producers of one partition: who may append what, which retries are duplicates, which transactions are open (KIP-98, KIP-890; Kafka's
//! `ProducerStateManager`).
//!
//! Invariants: the state is a function of the log below `map_end_offset` (less what has expired), the same on every replica;
//! `last_snapshot_offset ≤ map_end_offset`; every open transaction's producer is known; `first_unstable_offset` is the least first offset of
//! the transactions that are open, or whose marker the high watermark has not passed.
//!
//! A partition without producers owns no heap memory here. Time, the disk and the directory come in as arguments.

mod append;
mod entry;
mod snapshot;
mod verification;

pub use append::{AppendOrigin, CompletedTxn, ProducerStateError, SequenceReason, TxnMetadata};
pub use entry::{BatchMetadata, ProducerStateEntry, WINDOW};
pub use snapshot::{
    SUFFIX as SNAPSHOT_SUFFIX, decode as decode_snapshot, file_name as snapshot_file_name, offset_of as snapshot_offset_of,
};
pub use verification::{VerificationGuard, VerificationState};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, IoSlice};
use std::path::Path;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use self::append::ProducerAppendInfo;
use super::checkpoint::FileError;
use crate::base::disk::{Disk, OpenMode};
use crate::base::ids::{NO_TIMESTAMP, Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::record::batch::BatchHeader;
use crate::record::control::TimedMarker;

/// A transaction counts as late when its producer has been silent for the longest timeout any may have, and this much more.
pub const LATE_TRANSACTION_BUFFER_MS: i64 = 5 * 60 * 1000;

/// See the module.
#[derive(Debug, Default)]
pub struct ProducerStateManager {
    producers: HashMap<ProducerId, ProducerStateEntry, RandomState>,
    verifications: HashMap<ProducerId, VerificationState, RandomState>,
    verifications_made: u64,
    /// Open transactions, by first offset.
    ongoing: BTreeMap<Offset, TxnMetadata>,
    /// Completed transactions whose marker lies at the high watermark or above, by first offset.
    unreplicated: BTreeMap<Offset, TxnMetadata>,
    snapshots: BTreeSet<Offset>,
    map_end_offset: Offset,
    last_snapshot_offset: Offset,
}

/// What an append makes of the producers: staged before the write, applied after it.
#[derive(Debug)]
pub struct ProducerUpdates {
    origin: AppendOrigin,
    infos: SmallVec<[ProducerAppendInfo; 1]>,
    completed: SmallVec<[CompletedTxn; 1]>,
}

impl ProducerUpdates {
    pub fn new(origin: AppendOrigin) -> Self {
        Self { origin, infos: SmallVec::new(), completed: SmallVec::new() }
    }

    /// Transactions that end in this append. For each, in this order and after [`ProducerStateManager::apply`]: if it was aborted, enter it in
    /// the transaction index with [`ProducerStateManager::last_stable_offset`], then [`ProducerStateManager::complete_txn`].
    pub fn completed(&self) -> &[CompletedTxn] {
        &self.completed
    }
}

impl ProducerStateManager {
    /// A manager without state, for a directory that holds snapshots at these offsets.
    pub fn new(snapshots: impl IntoIterator<Item = Offset>) -> Self {
        Self { snapshots: snapshots.into_iter().collect(), ..Self::default() }
    }

    pub fn producer_count(&self) -> usize {
        self.producers.len()
    }

    /// All producers, in no order.
    pub fn producers(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerStateEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }

    pub fn entry(&self, producer_id: ProducerId) -> Option<&ProducerStateEntry> {
        self.producers.get(&producer_id)
    }

    /// Neither producers nor transactions are known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty() && self.unreplicated.is_empty()
    }

    /// The offset up to which the log is accounted for.
    pub fn map_end_offset(&self) -> Offset {
        self.map_end_offset
    }

    /// To be called after every append, also of batches without a producer.
    pub fn set_map_end_offset(&mut self, offset: Offset) {
        self.map_end_offset = offset;
    }

    // ---- Appends ----

    /// The batch that a client's `header` repeats. It is then answered with the offsets it got the first time, and not appended again.
    pub fn find_duplicate(&self, header: &BatchHeader) -> Option<BatchMetadata> {
        self.entry(header.producer_id)?.find_duplicate(header).copied()
    }

    /// Adds one batch to what is about to be appended; `header.base_offset` is where it will lie. `marker` is the first record of a control
    /// batch, `None` for data, and for a control batch that was cleaned until it is empty (which changes nothing). Batches without producer
    /// id change nothing either.
    pub fn stage(
        &self,
        updates: &mut ProducerUpdates,
        header: &BatchHeader,
        marker: Option<&TimedMarker>,
    ) -> Result<(), ProducerStateError> {
        let id = header.producer_id;
        if !header.has_producer_id() || (header.is_control() && marker.is_none()) {
            return Ok(());
        }
        let at = updates.infos.iter().position(|info| info.producer_id == id).unwrap_or_else(|| {
            let info = ProducerAppendInfo::new(id, updates.origin, self.entry(id), self.verifications.get(&id).copied());
            updates.infos.push(info);
            updates.infos.len() - 1
        });
        let info = &mut updates.infos[at];
        match marker {
            None => info.append_data(header)?,
            Some(TimedMarker { marker, timestamp }) => {
                let completed = info.append_marker(marker, header.producer_epoch, header.base_offset, *timestamp)?;
                updates.completed.extend(completed);
            }
        }
        Ok(())
    }

    /// Makes what was staged true, after it was written.
    pub fn apply(&mut self, updates: &ProducerUpdates) {
        for info in &updates.infos {
            self.producers.entry(info.producer_id).or_default().merge(&info.updated);
            self.ongoing.extend(info.started.iter().map(|txn| (txn.first_offset, *txn)));
            if info.transactional {
                // The transaction now has a first offset, or it is over: either way the proof has served.
                self.verifications.remove(&info.producer_id);
            }
        }
    }

    /// What the last stable offset will be once `txn` is complete, replication aside: for its entry in the transaction index.
    pub fn last_stable_offset(&self, txn: &CompletedTxn) -> Offset {
        let next = self.ongoing.values().find(|open| open.producer_id != txn.producer_id);
        next.map_or(txn.last_offset + 1, |open| open.first_offset)
    }

    /// Counts a transaction as decided. It stays unstable until the high watermark has passed its marker.
    ///
    /// # Panics
    /// If it was not open.
    pub fn complete_txn(&mut self, txn: &CompletedTxn) {
        let open = self.ongoing.remove(&txn.first_offset);
        let open = open.unwrap_or_else(|| panic!("{txn:?} is complete but was never begun"));
        self.unreplicated.insert(txn.first_offset, TxnMetadata { last_offset: Some(txn.last_offset), ..open });
    }

    // ---- Transactions ----

    /// The first offset that a reader at read_committed may not yet see, if it lies below the high watermark.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let firsts = [&self.ongoing, &self.unreplicated].map(|txns| txns.first_key_value().map(|(offset, _)| *offset));
        firsts.into_iter().flatten().min()
    }

    /// First offset of the oldest open transaction.
    pub fn first_undecided_offset(&self) -> Option<Offset> {
        self.ongoing.first_key_value().map(|(offset, _)| *offset)
    }

    /// Open transactions, oldest first.
    pub fn ongoing(&self) -> impl Iterator<Item = &TxnMetadata> {
        self.ongoing.values()
    }

    /// Completed transactions are stable once `high_watermark` lies behind their marker.
    pub fn on_high_watermark_updated(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|_, txn| txn.last_offset.is_none_or(|last| last >= high_watermark));
    }

    /// Whether the producer of the oldest open transaction has been silent for suspiciously long (KIP-664).
    pub fn has_late_transaction(&self, now: TimestampMs, max_transaction_timeout_ms: i64) -> bool {
        let oldest = self.ongoing.values().next().and_then(|txn| self.entry(txn.producer_id));
        let last = oldest.map_or(NO_TIMESTAMP, |entry| entry.last_timestamp);
        last > 0 && now - last > max_transaction_timeout_ms.saturating_add(LATE_TRANSACTION_BUFFER_MS)
    }

    /// Whether this producer has a transaction open at this epoch.
    pub fn has_ongoing_transaction(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.entry(producer_id).is_some_and(|entry| entry.epoch == epoch && entry.txn_first_offset.is_some())
    }

    /// A transactional batch wants to be appended. `None`: its transaction is open here. Otherwise the coordinator must be asked, and the guard
    /// presented to [`Self::check_verified`] (`UnifiedLog.maybeStartTransactionVerification`).
    pub fn start_verification(
        &mut self,
        header: &BatchHeader,
        supports_epoch_bump: bool,
        now: TimestampMs,
    ) -> Result<Option<VerificationGuard>, ProducerStateError> {
        self.check_not_stale(header)?;
        let (epoch, sequence) = (header.producer_epoch, header.base_sequence);
        if self.has_ongoing_transaction(header.producer_id, epoch) {
            return Ok(None);
        }
        let made = &mut self.verifications_made;
        let state = self.verifications.entry(header.producer_id).or_insert_with(|| {
            *made += 1;
            let guard = VerificationGuard::nth(*made);
            VerificationState { guard, started: now, lowest_sequence: sequence, epoch, supports_epoch_bump }
        });
        state.also_for(sequence, epoch);
        Ok(Some(state.guard))
    }

    /// The verification under way for a producer.
    pub fn verification(&self, producer_id: ProducerId) -> Option<&VerificationState> {
        self.verifications.get(&producer_id)
    }

    /// Refuses a transactional batch of a client or coordinator whose transaction is neither open here nor verified with `guard`. To be asked
    /// before [`Self::stage`], if `transaction.partition.verification.enable` is on.
    pub fn check_verified(&self, header: &BatchHeader, guard: Option<VerificationGuard>) -> Result<(), ProducerStateError> {
        let producer_id = header.producer_id;
        if !header.is_transactional() || header.is_control() || self.has_ongoing_transaction(producer_id, header.producer_epoch) {
            return Ok(());
        }
        self.check_not_stale(header)?;
        let verified = guard.is_some() && guard == self.verification(producer_id).map(|state| state.guard);
        if verified { Ok(()) } else { Err(ProducerStateError::NotVerified { producer_id }) }
    }

    /// A smaller epoch is called so even where its transaction is over, because that is what the client can recover from.
    fn check_not_stale(&self, header: &BatchHeader) -> Result<(), ProducerStateError> {
        let (producer_id, epoch) = (header.producer_id, header.producer_epoch);
        match self.entry(producer_id) {
            Some(entry) if epoch < entry.epoch => {
                let (offset, current) = (self.map_end_offset, entry.epoch);
                Err(ProducerStateError::InvalidProducerEpoch { producer_id, offset, epoch, current })
            }
            _ => Ok(()),
        }
    }

    // ---- Expiry ----

    /// Forgets producers that were idle for `expiration_ms` (`producer.id.expiration.ms`) and have no transaction open, and verifications
    /// that were never used.
    pub fn remove_expired(&mut self, now: TimestampMs, expiration_ms: i64) {
        self.producers.retain(|_, entry| !is_expired(entry, now, expiration_ms));
        self.verifications.retain(|_, state| now.saturating_sub(state.started) < expiration_ms);
        if self.producers.is_empty() {
            self.producers = HashMap::default();
        }
    }

    // ---- Snapshots ----

    /// Offsets of the snapshots in the directory.
    pub fn snapshots(&self) -> &BTreeSet<Offset> {
        &self.snapshots
    }

    pub fn latest_snapshot_offset(&self) -> Option<Offset> {
        self.snapshots.last().copied()
    }

    pub fn oldest_snapshot_offset(&self) -> Option<Offset> {
        self.snapshots.first().copied()
    }

    /// Writes a snapshot at the end offset, unless the last one is there already. A torn one is found out by its checksum, so only a snapshot
    /// that must survive a loss of power needs `durable`.
    pub fn take_snapshot(&mut self, disk: &dyn Disk, dir: &Path, durable: bool) -> Result<(), FileError> {
        let offset = self.map_end_offset;
        if offset <= self.last_snapshot_offset {
            return Ok(());
        }
        let path = dir.join(snapshot::file_name(offset));
        let contents = snapshot::encode(self.producers());
        let written = if durable { disk.replace(&path, &contents) } else { overwrite(disk, &path, &contents) };
        written.map_err(FileError::io("write", &path))?;
        self.snapshots.insert(offset);
        self.last_snapshot_offset = offset;
        Ok(())
    }

    /// Brings the state to `log_end`, which the log has been cut to, or opened at: if it is not there already, all is forgotten and read from
    /// the latest snapshot in `log_start..=log_end`. The log then replays what follows [`Self::map_end_offset`]. Snapshots outside go.
    pub fn truncate_and_reload(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        (log_start, log_end): (Offset, Offset),
        now: TimestampMs,
        expiration_ms: i64,
    ) -> Result<(), FileError> {
        self.remove_snapshots(disk, dir, |offset| offset > log_end || offset <= log_start)?;
        if log_end == self.map_end_offset {
            self.on_log_start_offset_incremented(log_start);
            return Ok(());
        }
        self.forget();
        self.load(disk, dir, log_start, now, expiration_ms)
    }

    /// Forgets all and starts anew at `offset`, without any snapshot.
    pub fn truncate_fully_and_start_at(&mut self, disk: &dyn Disk, dir: &Path, offset: Offset) -> Result<(), FileError> {
        self.forget();
        self.remove_snapshots(disk, dir, |_| true)?;
        self.last_snapshot_offset = 0;
        self.map_end_offset = offset;
        Ok(())
    }

    /// Records below `log_start` are gone. Producers stay known, so that their retries are still recognised.
    pub fn on_log_start_offset_incremented(&mut self, log_start: Offset) {
        self.on_high_watermark_updated(log_start);
        self.map_end_offset = self.map_end_offset.max(log_start);
        self.last_snapshot_offset = self.latest_snapshot_offset().unwrap_or(log_start);
    }

    /// Removes the snapshots below `offset`, whose segments are gone.
    pub fn delete_snapshots_before(&mut self, disk: &dyn Disk, dir: &Path, offset: Offset) -> Result<(), FileError> {
        self.remove_snapshots(disk, dir, |at| at < offset)
    }

    /// Removes snapshots that belong to no segment, except the one of a clean shutdown: the latest, if it lies behind the last segment's start.
    pub fn remove_stray_snapshots(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        segment_base_offsets: &BTreeSet<Offset>,
    ) -> Result<(), FileError> {
        let stray = |offset: &Offset| !segment_base_offsets.contains(offset);
        let latest_stray = self.snapshots.iter().copied().rfind(stray);
        let kept = latest_stray.filter(|offset| segment_base_offsets.last().is_none_or(|last| offset >= last));
        self.remove_snapshots(disk, dir, |offset| stray(&offset) && Some(offset) != kept)
    }

    /// Lets go of the snapshot at `offset`, whose file is being deleted with its segment; true if there was one.
    pub fn release_snapshot(&mut self, offset: Offset) -> bool {
        self.snapshots.remove(&offset)
    }

    fn forget(&mut self) {
        self.producers = HashMap::default();
        self.ongoing.clear();
        self.unreplicated.clear();
    }

    fn load(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        log_start: Offset,
        now: TimestampMs,
        expiration_ms: i64,
    ) -> Result<(), FileError> {
        while let Some(offset) = self.latest_snapshot_offset() {
            let path = dir.join(snapshot::file_name(offset));
            let decoded = match disk.read(&path) {
                Ok(contents) => snapshot::decode(&contents),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it is gone".into()),
                Err(error) => return Err(FileError::io("read", &path)(error)),
            };
            match decoded {
                Ok(entries) => {
                    let live = entries.into_iter().filter(|(_, entry)| !is_expired(entry, now, expiration_ms));
                    live.for_each(|(id, entry)| self.load_entry(id, entry));
                    self.last_snapshot_offset = offset;
                    self.map_end_offset = offset;
                    return Ok(());
                }
                Err(reason) => {
                    tracing::warn!(path = %path.display(), reason, "removing a damaged producer snapshot");
                    self.remove_snapshots(disk, dir, |at| at == offset)?;
                }
            }
        }
        self.last_snapshot_offset = log_start;
        self.map_end_offset = log_start;
        Ok(())
    }

    fn load_entry(&mut self, producer_id: ProducerId, entry: ProducerStateEntry) {
        if let Some(first_offset) = entry.txn_first_offset {
            self.ongoing.insert(first_offset, TxnMetadata { producer_id, first_offset, last_offset: None });
        }
        self.producers.insert(producer_id, entry);
    }

    fn remove_snapshots(&mut self, disk: &dyn Disk, dir: &Path, which: impl Fn(Offset) -> bool) -> Result<(), FileError> {
        let removed: SmallVec<[Offset; 4]> = self.snapshots.iter().copied().filter(|offset| which(*offset)).collect();
        for offset in removed {
            let path = dir.join(snapshot::file_name(offset));
            match disk.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FileError::io("remove", &path)(error)),
                Ok(()) | Err(_) => self.snapshots.remove(&offset),
            };
        }
        Ok(())
    }
}

fn is_expired(entry: &ProducerStateEntry, now: TimestampMs, expiration_ms: i64) -> bool {
    entry.txn_first_offset.is_none() && now.saturating_sub(entry.last_timestamp) >= expiration_ms
}

fn overwrite(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    let file = disk.open(path, OpenMode::ReadWrite)?;
    file.set_len(0)?;
    file.write_all_at(&[IoSlice::new(contents)], 0)
}

#[cfg(test)]
mod tests;
