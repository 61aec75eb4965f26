//! Who may hold a transactional id, and with which producer id and epoch (`TransactionCoordinator.prepareInitProducerIdTransit`). Pure.
//!
//! Whoever asks gets a larger epoch, which fences whoever had the id before. An open transaction of the former holder is aborted first; the
//! caller is told to come back and gets an epoch of its own then.

use super::metadata::{TransactionMetadata, is_exhausted};
use super::request::{InitProducerId, Refused};
use super::shard::TransactionShard;
use super::state::TransactionState::*;
use crate::base::ErrorCode;
use crate::base::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, TimestampMs};
use crate::coordinator::group::record::owned;
use crate::coordinator::shard::{At, Effects, Producer, RequestId, Write};

impl TransactionShard {
    pub(super) fn init_producer_id(&mut self, at: &At, id: RequestId, request: &InitProducerId) -> Effects<Self> {
        let known = self.transactions.get(&request.id).cloned();
        let (next, answer) = match initialize(known, request, self.config.transaction_version, at.wall_ms) {
            Ok(Step::Holds(next)) => {
                let producer = next.producer();
                (next, Ok(producer))
            }
            Ok(Step::Aborts(next)) => (next, Err(ErrorCode::ConcurrentTransactions.into())),
            Err(refused) => return Effects::reply(id, Err(refused).into()),
        };
        match self.record(at, &owned(&request.id), next) {
            Ok(record) => Effects { write: Write::Records(vec![record]), replies: vec![(id, answer.into())] },
            Err(error) => Effects::reply(id, Err(Refused::Error(error)).into()),
        }
    }
}

enum Step {
    /// The caller holds the id.
    Holds(TransactionMetadata),
    /// The transaction of the former holder is aborted.
    Aborts(TransactionMetadata),
}

fn initialize(
    known: Option<TransactionMetadata>,
    request: &InitProducerId,
    transaction_version: i16,
    now: TimestampMs,
) -> Result<Step, Refused> {
    let InitProducerId { timeout_ms, expected, fresh, .. } = *request;
    let current = match known {
        Some(known) => known,
        None => TransactionMetadata::new(fresh.ok_or(Refused::NeedsProducerId)?, timeout_ms, now),
    };
    if !expected.is_none_or(|expected| may_be_holder(&current, expected)) {
        return Err(ErrorCode::ProducerFenced.into());
    }
    match current.state {
        PrepareCommit | PrepareAbort => Err(ErrorCode::ConcurrentTransactions.into()),
        Ongoing => {
            let next_id = next_producer_id(&current, transaction_version, fresh)?;
            Ok(Step::Aborts(current.fence(transaction_version, next_id, now)))
        }
        _ if current.is_epoch_exhausted() && expected.is_none_or(|it| it.epoch == current.producer_epoch) => {
            let fresh = fresh.ok_or(Refused::NeedsProducerId)?;
            Ok(Step::Holds(current.rotate_producer_id(fresh, timeout_ms, expected.is_some(), now)))
        }
        _ => Ok(Step::Holds(current.increment_epoch(timeout_ms, expected.map(|it| it.epoch), now)?)),
    }
}

/// Whether what a producer believes to hold may be so: it is the present producer id, or the one before, if its epochs were used up and the
/// answer that told of the new id was lost. Nothing can contradict where the id was only just made.
fn may_be_holder(current: &TransactionMetadata, expected: Producer) -> bool {
    current.producer_epoch == NO_PRODUCER_EPOCH
        || expected.id == current.producer_id
        || (expected.id == current.previous_producer_id && is_exhausted(expected.epoch))
}

/// The producer id that follows if this step uses up the epochs of the present one.
pub(super) fn next_producer_id(
    current: &TransactionMetadata,
    transaction_version: i16,
    fresh: Option<i64>,
) -> Result<i64, Refused> {
    let bumps = transaction_version >= super::config::EPOCH_BUMP_SINCE;
    if bumps && current.is_epoch_exhausted() { fresh.ok_or(Refused::NeedsProducerId) } else { Ok(NO_PRODUCER_ID) }
}
