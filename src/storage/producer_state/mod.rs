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
mod reload;
mod snapshot;
mod transactions;
mod verification;

pub use append::{AppendOrigin, CompletedTxn, ProducerStateError, SequenceReason, TxnMetadata};
pub use entry::{BatchMetadata, ProducerStateEntry, WINDOW};
pub use snapshot::{
    SUFFIX as SNAPSHOT_SUFFIX, decode as decode_snapshot, file_name as snapshot_file_name, offset_of as snapshot_offset_of,
};
pub use transactions::LATE_TRANSACTION_BUFFER_MS;
pub use verification::{FirstOfTransaction, VerificationGuard, VerificationState};

pub use crate::record::control::TimedMarker;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use self::append::ProducerAppendInfo;
use crate::base::ids::{Offset, ProducerId, TimestampMs};
use crate::record::batch::BatchHeader;

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
            let used_up = |state: &VerificationState| !state.outlives(&info.updated, updates.origin);
            if info.transactional && self.verification(info.producer_id).is_some_and(used_up) {
                self.verifications.remove(&info.producer_id);
            }
        }
    }

    /// Forgets producers that were idle for `expiration_ms` (`producer.id.expiration.ms`) and have no transaction open, and verifications
    /// that were never used.
    pub fn remove_expired(&mut self, now: TimestampMs, expiration_ms: i64) {
        self.producers.retain(|_, entry| !is_expired(entry, now, expiration_ms));
        self.verifications.retain(|_, state| now.saturating_sub(state.started) < expiration_ms);
        if self.producers.is_empty() {
            self.producers = HashMap::default();
        }
    }
}

fn is_expired(entry: &ProducerStateEntry, now: TimestampMs, expiration_ms: i64) -> bool {
    entry.txn_first_offset.is_none() && now.saturating_sub(entry.last_timestamp) >= expiration_ms
}

#[cfg(test)]
mod tests;
