//! Adding partitions to a transaction, and telling whether they are in it (`TransactionCoordinator.handleAddPartitionsToTransaction`,
//! `handleVerifyPartitionsInTransaction`). Pure.
//!
//! A producer may begin its next transaction while the markers of the last one are still being written. Kafka refuses it with
//! CONCURRENT_TRANSACTIONS, and it comes back after 20 ms; here it waits for the end, which is a matter of a few milliseconds, and is refused
//! only if that takes longer than `add.partitions.to.txn.retry.backoff.max.ms`.

use kafka_protocol::protocol::StrBytes;

use super::metadata::TransactionMetadata;
use super::record::Record;
use super::request::{AddPartitions, TransactionResponse, Verified};
use super::shard::{Timer, TransactionShard, millis};
use super::state::TransactionState;
use crate::base::ErrorCode;
use crate::base::ids::{NO_PRODUCER_ID, TopicPartition};
use crate::base::time::Mono;
use crate::coordinator::group::record::owned;
use crate::coordinator::shard::{At, Effects, Producer, RequestId, Write};

/// Requests that may wait for the end of one transaction: a producer has one for each broker it sends to.
const WAITING_MAX: usize = 128;

/// A request that waits for the end of a transaction.
#[derive(Debug)]
pub(super) struct Waiting {
    request_id: RequestId,
    deadline: Mono,
    request: AddPartitions,
}

enum Added {
    /// They are in it already.
    Already,
    Now(TransactionMetadata),
}

impl TransactionShard {
    pub(super) fn add_partitions(&mut self, at: &At, id: RequestId, request: AddPartitions) -> Effects<Self> {
        let Some(current) = self.transactions.get(&request.id) else {
            return refuse(id, ErrorCode::InvalidProducerIdMapping);
        };
        match add(at, current, &request) {
            Ok(Added::Already) => Effects::reply(id, TransactionResponse::Added(Ok(()))),
            Ok(Added::Now(next)) => match self.record(at, &owned(&request.id), next) {
                Ok(record) => {
                    Effects { write: Write::Records(vec![record]), replies: vec![(id, TransactionResponse::Added(Ok(())))] }
                }
                Err(error) => refuse(id, error),
            },
            Err(ErrorCode::ConcurrentTransactions) => self.wait(at, id, request),
            Err(error) => refuse(id, error),
        }
    }

    fn wait(&mut self, at: &At, request_id: RequestId, request: AddPartitions) -> Effects<Self> {
        let name = owned(&request.id);
        let deadline = at.now + millis(self.config.add_partitions_wait_ms);
        let waiting = self.waiting.entry(name.clone()).or_default();
        if waiting.len() >= WAITING_MAX || deadline <= at.now {
            return refuse(request_id, ErrorCode::ConcurrentTransactions);
        }
        waiting.push(Waiting { request_id, deadline, request });
        self.timers.schedule_no_later(Timer::Waiting(name), deadline);
        Effects::default()
    }

    /// The transaction is complete: decides who has waited for that.
    pub(super) fn decide_waiting(
        &mut self,
        at: &At,
        id: &StrBytes,
        mut current: TransactionMetadata,
        records: &mut Vec<Record>,
        replies: &mut Vec<(RequestId, TransactionResponse)>,
    ) {
        let Some(waiting) = self.waiting.remove(id) else { return };
        self.timers.cancel(&Timer::Waiting(id.clone()));
        for Waiting { request_id, request, .. } in waiting {
            let answer = add(at, &current, &request).and_then(|added| match added {
                Added::Already => Ok(()),
                Added::Now(next) => {
                    records.push(self.record(at, id, next.clone())?);
                    current = next;
                    Ok(())
                }
            });
            replies.push((request_id, TransactionResponse::Added(answer)));
        }
    }

    /// Refuses who has waited for too long.
    pub(super) fn give_up_waiting(&mut self, at: &At, id: &StrBytes) -> Effects<Self> {
        let mut effects = Effects::default();
        let Some(waiting) = self.waiting.get_mut(id) else { return effects };
        let refused = waiting.extract_if(.., |it| it.deadline <= at.now);
        let answer = || TransactionResponse::Added(Err(ErrorCode::ConcurrentTransactions));
        effects.replies.extend(refused.map(|it| (it.request_id, answer())));
        match waiting.iter().map(|it| it.deadline).min() {
            Some(next) => self.timers.schedule(Timer::Waiting(id.clone()), next),
            None => drop(self.waiting.remove(id)),
        }
        effects
    }

    /// For each partition, whether it is in the transaction. That the transaction is open is checked again by the log the records go to.
    pub(super) fn verify_partitions(&self, request: &AddPartitions) -> Result<Verified, ErrorCode> {
        let current = self.transactions.get(&request.id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        check_producer(current, request.producer)?;
        let verify = |partition: &TopicPartition| {
            let absent = !current.partitions.contains(partition);
            (partition.clone(), absent.then_some(ErrorCode::TransactionAbortable))
        };
        Ok(request.partitions.iter().map(verify).collect())
    }
}

fn refuse(id: RequestId, error: ErrorCode) -> Effects<TransactionShard> {
    Effects::reply(id, TransactionResponse::Added(Err(error)))
}

fn add(at: &At, current: &TransactionMetadata, request: &AddPartitions) -> Result<Added, ErrorCode> {
    check_producer(current, request.producer)?;
    if current.state == TransactionState::Ongoing && request.partitions.is_subset(&current.partitions) {
        return Ok(Added::Already);
    }
    let next = current.add_partitions(&request.partitions, request.transaction_version, at.wall_ms);
    Ok(Added::Now(next))
}

/// Whether `producer` holds the id, and no earlier transaction of it is still ending.
fn check_producer(current: &TransactionMetadata, producer: Producer) -> Result<(), ErrorCode> {
    let is_prepared = current.state.is_prepared();
    // Whoever has used up its epochs was told of its next id with the end of the transaction, before that id takes over.
    let next = Producer { id: current.next_producer_id, epoch: 0 };
    if is_prepared && next.id != NO_PRODUCER_ID && producer == next {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    match current.producer() {
        it if it.id != producer.id => Err(ErrorCode::InvalidProducerIdMapping),
        it if it.epoch != producer.epoch => Err(ErrorCode::ProducerFenced),
        _ if is_prepared => Err(ErrorCode::ConcurrentTransactions),
        _ => Ok(()),
    }
}
