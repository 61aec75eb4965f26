//! How a transaction ends (`TransactionCoordinator.endTransaction`, `endTransactionWithTV1`). Pure.
//!
//! Two protocols stand beside each other. With version 2 (KIP-890) every end bumps the epoch, so a retry of what ended at version 2 is
//! recognised by the epoch alone: `stored = requested + 1`, or the next producer id at epoch 0 if the epochs were used up. Before, a retry looks
//! like the request it repeats, and a delayed one may end a later transaction: the known hazard of clients that speak version 1.

use super::config::EPOCH_BUMP_SINCE;
use super::init_producer_id::next_producer_id;
use super::metadata::{TransactionMetadata, is_exhausted};
use super::request::{EndTransaction, Refused};
use super::shard::TransactionShard;
use super::state::TransactionState::*;
use crate::base::ErrorCode;
use crate::base::ids::{ProducerEpoch, ProducerId, TimestampMs};
use crate::coordinator::shard::{At, Effects, Producer, RequestId, TransactionResult, Write};
use kafka_protocol::protocol::StrBytes;

#[derive(Debug)]
enum Ending {
    /// It has ended that way already.
    Already,
    Decided(TransactionMetadata),
}

impl TransactionShard {
    pub(super) fn end_transaction(&mut self, at: &At, id: RequestId, request: &EndTransaction) -> Effects<Self> {
        let Some((name, current)) = self.transactions.get_key_value(&request.id) else {
            return Effects::reply(id, Err(Refused::Error(ErrorCode::InvalidProducerIdMapping)).into());
        };
        // A cluster that has not turned version 2 on has no room for it in its log.
        let request = EndTransaction {
            transaction_version: request.transaction_version.min(self.config.transaction_version),
            ..request.clone()
        };
        let ending = match request.transaction_version {
            EPOCH_BUMP_SINCE.. => end_and_bump(current, &request, at.wall_ms),
            _ => end(current, &request, at.wall_ms),
        };
        match ending {
            Ok(Ending::Already) => Effects::reply(id, Ok(current.producer()).into()),
            Ok(Ending::Decided(next)) => {
                // What the producer goes on with, once the markers are written.
                let producer = next.complete(at.wall_ms).producer();
                let name = name.clone();
                self.prepare(at, id, &name, next, producer)
            }
            Err(refused) => Effects::reply(id, Err(refused).into()),
        }
    }

    /// Aborts a transaction that was found to have timed out, if it is still the same one.
    pub(super) fn fence_timed_out(
        &mut self,
        at: &At,
        id: RequestId,
        name: &StrBytes,
        producer: Producer,
        fresh: Option<ProducerId>,
    ) -> Effects<Self> {
        let version = self.config.transaction_version;
        let current = self.transactions.get(name).filter(|it| it.producer() == producer && it.is_timed_out(at.wall_ms));
        let Some(current) = current else { return Effects::reply(id, Ok(producer).into()) };
        let next = match next_producer_id(current, version, fresh) {
            Ok(next_id) => current.fence(version, next_id, at.wall_ms),
            Err(refused) => return Effects::reply(id, Err(refused).into()),
        };
        tracing::info!(transactional_id = %name, producer_id = producer.id, "a transaction timed out and is aborted");
        self.prepare(at, id, name, next, producer)
    }

    /// Decides how a transaction ends, and answers with `producer`.
    fn prepare(
        &mut self,
        at: &At,
        id: RequestId,
        name: &StrBytes,
        next: TransactionMetadata,
        producer: Producer,
    ) -> Effects<Self> {
        match self.record(at, name, next) {
            Ok(record) => Effects { write: Write::Records(vec![record]), replies: vec![(id, Ok(producer).into())] },
            Err(error) => Effects::reply(id, Err(Refused::Error(error)).into()),
        }
    }
}

/// The end as clients of version 1 ask for it.
fn end(current: &TransactionMetadata, request: &EndTransaction, now: TimestampMs) -> Result<Ending, Refused> {
    let EndTransaction { producer, result, transaction_version, .. } = *request;
    if current.producer_id != producer.id {
        return Err(ErrorCode::InvalidProducerIdMapping.into());
    }
    if current.producer_epoch != producer.epoch {
        return Err(ErrorCode::ProducerFenced.into());
    }
    match (current.state, result) {
        (Ongoing, _) => Ok(Ending::Decided(current.prepare(result, transaction_version, -1, now))),
        (CompleteCommit, TransactionResult::Commit) | (CompleteAbort, TransactionResult::Abort) => Ok(Ending::Already),
        (PrepareCommit, TransactionResult::Commit) | (PrepareAbort, TransactionResult::Abort) => {
            Err(ErrorCode::ConcurrentTransactions.into())
        }
        _ => Err(ErrorCode::InvalidTxnState.into()),
    }
}

/// The end as clients of version 2 ask for it.
fn end_and_bump(current: &TransactionMetadata, request: &EndTransaction, now: TimestampMs) -> Result<Ending, Refused> {
    let EndTransaction { producer, result, transaction_version, fresh, .. } = *request;
    let stored = current.producer();
    let is_current = stored.epoch == producer.epoch;
    // An end that did not bump the epoch was not asked for by who asks now: a client of version 1 has taken the id with the epoch after.
    let bumped = current.client_transaction_version >= EPOCH_BUMP_SINCE;
    let repeats_bump = bumped && producer.epoch.checked_add(1) == Some(stored.epoch);
    let repeats_overflow = bumped && current.previous_producer_id == producer.id && is_last(producer.epoch) && stored.epoch == 0;
    if stored.id != producer.id && !repeats_overflow {
        return Err(ErrorCode::InvalidProducerIdMapping.into());
    }
    let is_valid = match current.state {
        PrepareCommit | PrepareAbort => repeats_bump,
        CompleteCommit | CompleteAbort => repeats_bump || repeats_overflow || is_current,
        _ => is_current,
    };
    if !is_valid {
        return Err(ErrorCode::ProducerFenced.into());
    }
    let repeats = repeats_bump || repeats_overflow;
    let decide = || {
        let next_id = next_producer_id(current, transaction_version, fresh)?;
        Ok(Ending::Decided(current.prepare(result, transaction_version, next_id, now)))
    };
    match (current.state, result) {
        (Ongoing, _) => decide(),
        (CompleteCommit, TransactionResult::Commit) if repeats => Ok(Ending::Already),
        (CompleteAbort, TransactionResult::Abort) if repeats => Ok(Ending::Already),
        // The coordinator has aborted first, and that fenced the producer. "Invalid state" would be a bug of the client (KAFKA-20785).
        (PrepareAbort | CompleteAbort, TransactionResult::Commit) if repeats => Err(ErrorCode::ProducerFenced.into()),
        // Nothing was added since the last end: there is nothing to abort, which the client cannot know.
        (Empty | CompleteCommit | CompleteAbort, TransactionResult::Abort) if !repeats => decide(),
        (PrepareCommit, TransactionResult::Commit) | (PrepareAbort, TransactionResult::Abort) => {
            Err(ErrorCode::ConcurrentTransactions.into())
        }
        _ => Err(ErrorCode::InvalidTxnState.into()),
    }
}

/// Whether an epoch is the last that a client may have.
fn is_last(epoch: ProducerEpoch) -> bool {
    is_exhausted(epoch) && epoch < ProducerEpoch::MAX
}
