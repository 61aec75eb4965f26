//! The transactions of a partition: what is open, what is decided but not yet replicated, who may begin one.
//!
//! Invariants: `first_unstable_offset ≤ first_undecided_offset`; a completed transaction is unstable until the high watermark has passed its
//! marker; a transaction's first batch is appended only with the guard of its verification (KIP-890), if verification is on.

use super::ProducerStateManager;
use super::append::{CompletedTxn, ProducerStateError, TxnMetadata};
use super::verification::{FirstOfTransaction, VerificationGuard, VerificationState};
use crate::base::ids::{NO_TIMESTAMP, Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::record::batch::BatchHeader;

/// A transaction counts as late when its producer has been silent for the longest timeout any may have, and this much more.
pub const LATE_TRANSACTION_BUFFER_MS: i64 = 5 * 60 * 1000;

impl ProducerStateManager {
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
        batch: &FirstOfTransaction,
        now: TimestampMs,
    ) -> Result<Option<VerificationGuard>, ProducerStateError> {
        let FirstOfTransaction { producer_id, epoch, sequence, supports_epoch_bump } = *batch;
        self.check_not_stale(producer_id, epoch)?;
        if self.has_ongoing_transaction(producer_id, epoch) {
            return Ok(None);
        }
        let made = &mut self.verifications_made;
        let state = self.verifications.entry(producer_id).or_insert_with(|| {
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
        self.check_not_stale(producer_id, header.producer_epoch)?;
        let verified = guard.is_some() && guard == self.verification(producer_id).map(|state| state.guard);
        if verified { Ok(()) } else { Err(ProducerStateError::NotVerified { producer_id }) }
    }

    /// A smaller epoch is called so even where its transaction is over, because that is what the client can recover from.
    fn check_not_stale(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> Result<(), ProducerStateError> {
        match self.entry(producer_id) {
            Some(entry) if epoch < entry.epoch => {
                let (offset, current) = (self.map_end_offset, entry.epoch);
                Err(ProducerStateError::InvalidProducerEpoch { producer_id, offset, epoch, current })
            }
            _ => Ok(()),
        }
    }
}
