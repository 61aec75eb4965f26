//! Ending transactions: writes their markers to every partition they touched, and tells the coordinator when all are written
//! (`TransactionMarkerChannelManager`).
//!
//! One task for each shard of the transaction coordinator here takes the shard's work and lives as long as the shard.
//! Invariants:
//! - a marker is written only for a decision that is committed;
//! - a partition is left alone only when its marker is committed, the partition is gone, or its log says that somebody else has ended the transaction;
//!   until then the write is tried again;
//! - no marker is begun once the shard has heard of the end: its producer may be in the next transaction, which the marker would end;
//! - whatever is interrupted before that is done again: a marker may be written twice, and changes nothing the second time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tracing::{debug, warn};

use super::Broker;
use super::topics::CONSUMER_OFFSETS;
use crate::base::ErrorCode;
use crate::base::crash_point::crash_point;
use crate::base::ids::TopicPartition;
use crate::coordinator::mailbox::Mailbox;
use crate::coordinator::shard::EndOfTransaction;
use crate::coordinator::shards::Started;
use crate::coordinator::transaction::coordinator::Later;
use crate::coordinator::transaction::request::{TransactionRequest, TransactionResponse};
use crate::coordinator::transaction::shard::TransactionShard;
use crate::coordinator::transaction::work::{Ends, Finished, Markers, TimedOut, Work};
use crate::record::control::EndTransactionMarker;
use crate::replica::acknowledgement::{AcknowledgementWait, Unacknowledged};
use crate::replica::partition::Acks;

/// How long a marker may wait for its commit before it is written again.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_MIN: Duration = Duration::from_millis(5);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How long to wait before asking a shard again that could not answer.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What a shard wants done.
enum Job {
    End(Markers),
    Abort(TimedOut),
}

/// Ends when a job is done, with the end of a transaction if it was one.
type Done = Later<Option<Finished>>;

/// Does the work of a shard until the shard ends.
pub async fn run(broker: Arc<Broker>, shard: Started<TransactionShard>) {
    let mailbox = shard.mailbox.clone();
    let start = move |job| -> Done {
        match job {
            Job::End(markers) => Box::pin(end(broker.clone(), mailbox.clone(), markers)),
            Job::Abort(timed_out) => Box::pin(abort_timed_out(broker.clone(), mailbox.clone(), timed_out)),
        }
    };
    serve(shard, start).await;
}

/// Starts all that a shard wants done, each once, until the shard ends.
async fn serve(shard: Started<TransactionShard>, start: impl Fn(Job) -> Done) {
    let Started { mailbox, stop } = shard;
    let mut doing: FuturesUnordered<Done> = FuturesUnordered::new();
    let (mut ends, mut taking) = (Ends::default(), take(&mailbox, false));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(done) = doing.next(), if !doing.is_empty() => {
                if let Some(finished) = done {
                    ends.end(finished);
                }
            }
            work = &mut taking => {
                let again = work.is_none();
                let Work { markers, timed_out } = work.unwrap_or_default();
                let begun = markers.into_iter().filter(|markers| ends.begin(markers.finished()));
                doing.extend(begun.map(|markers| start(Job::End(markers))));
                doing.extend(timed_out.into_iter().map(|timed_out| start(Job::Abort(timed_out))));
                ends.ask();
                taking = take(&mailbox, again);
            }
        }
    }
}

/// The shard's next work; `None` if it cannot be had now, and what was there is lost.
fn take(mailbox: &Mailbox<TransactionShard>, again: bool) -> Later<Option<Work>> {
    let mailbox = mailbox.clone();
    Box::pin(async move {
        if again {
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
        match mailbox.submit(TransactionRequest::TakeWork { again }).await.map(Work::from) {
            Ok(work) if work.markers.is_empty() && work.timed_out.is_empty() => None,
            Ok(work) => Some(work),
            Err(error) => {
                debug!(?error, "the work of a shard of the transaction coordinator cannot be had now");
                None
            }
        }
    })
}

async fn abort_timed_out(broker: Arc<Broker>, mailbox: Mailbox<TransactionShard>, timed_out: TimedOut) -> Option<Finished> {
    let TimedOut { id, producer } = timed_out;
    let asked = id.clone();
    let fence = move |fresh| -> Later<_> {
        let answer = mailbox.submit(TransactionRequest::FenceTimedOut { id: asked.clone(), producer, fresh });
        Box::pin(async move { answer.await.map_or_else(|error| Err(error.into()), TransactionResponse::into) })
    };
    // What fails is found again at the next look.
    if let Err(error) = broker.with_producer_id(fence).await {
        warn!(transactional_id = %id, ?error, "a transaction that timed out could not be aborted yet");
    }
    None
}

/// Ends one transaction: its markers, and then the word to its shard.
async fn end(broker: Arc<Broker>, mailbox: Mailbox<TransactionShard>, markers: Markers) -> Option<Finished> {
    crash_point("transaction-prepared");
    let finished = markers.finished();
    let mut left: Vec<TopicPartition> = markers.partitions.into_iter().collect();
    let mut pause = RETRY_MIN;
    loop {
        let written = join_all(left.iter().map(|partition| broker.write_marker(partition, markers.end))).await;
        let mut failed = Vec::new();
        for (partition, written) in left.into_iter().zip(written) {
            match written {
                Ok(()) => crash_point("transaction-marker-written"),
                Err(ErrorCode::UnknownTopicOrPartition) if broker.joined.load(Ordering::Acquire) => {
                    debug!(%partition, transactional_id = %markers.id, "no marker is needed where the partition is gone");
                }
                Err(error @ (ErrorCode::TransactionCoordinatorFenced | ErrorCode::InvalidProducerEpoch)) => {
                    warn!(%partition, transactional_id = %markers.id, ?error, "somebody else has ended this transaction");
                    return Some(finished);
                }
                Err(_) => failed.push(partition),
            }
        }
        if failed.is_empty() {
            break;
        }
        left = failed;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
    crash_point("transaction-markers-written");
    tell_finished(&mailbox, &finished).await;
    crash_point("transaction-complete");
    Some(finished)
}

/// Tells a shard that all markers of a transaction are written until it has heard of it: nobody else does, and the transaction would stay
/// prepared. It does not hear of it while its mailbox is full, or its log does not take what it decides.
async fn tell_finished(mailbox: &Mailbox<TransactionShard>, finished: &Finished) {
    let mut pause = RETRY_MIN;
    while let Err(error) = mailbox.submit(TransactionRequest::Finished(finished.clone())).await {
        debug!(transactional_id = %finished.id, ?error, "the end of a transaction could not be noted yet");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

impl Broker {
    /// Writes the end of a transaction to one partition, before this returns; what it returns ends when the marker is committed.
    ///
    /// Errors: UNKNOWN_TOPIC_OR_PARTITION if it is gone, or never was; INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED of the log;
    /// others pass.
    pub fn write_marker(&self, partition: &TopicPartition, end: EndOfTransaction) -> Later<Result<(), ErrorCode>> {
        let failed = |error| -> Later<_> { Box::pin(std::future::ready(Err(error))) };
        let TopicPartition { topic, partition: number } = partition;
        // Transactions may reach a partition before it is shown, and it is shown until after it is gone.
        let is_shown = self.metadata.image().topic(topic).is_some_and(|topic| topic.partition(*number).is_some());
        if !is_shown && self.replicas.partition(topic, *number).is_none() {
            return failed(ErrorCode::UnknownTopicOrPartition);
        }
        if &**topic == CONSUMER_OFFSETS {
            let completed = self.groups.complete_transaction(*number, end);
            // A coordinator that is not ready is to a writer of markers what a leader is that does not lead yet.
            return Box::pin(async move {
                completed.await.map_err(|error| match error {
                    ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                        ErrorCode::NotLeaderOrFollower
                    }
                    error => error,
                })
            });
        }
        match self.append_marker(partition, end) {
            Ok(appended) => Box::pin(async move {
                crash_point("transaction-marker-appended");
                let failures = AcknowledgementWait::new(vec![((), appended)]).acknowledged(COMMIT_TIMEOUT).await;
                failures.into_iter().next().map_or(Ok(()), |((), error)| Err(error))
            }),
            Err(error) => failed(error),
        }
    }

    fn append_marker(&self, partition: &TopicPartition, end: EndOfTransaction) -> Result<Unacknowledged, ErrorCode> {
        let partition = self.replicas.partition(&partition.topic, partition.partition).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let EndOfTransaction { producer, coordinator_epoch, transaction_version, result } = end;
        let now = self.clock.wall_ms();
        let batch = EndTransactionMarker { result, coordinator_epoch }.batch(now, producer.id, producer.epoch);
        let leader_epoch = partition.leader_epoch()?;
        let offset = partition.append_built(&batch, transaction_version, None, leader_epoch, now)?;
        Ok(Unacknowledged { partition, acks: Acks::All, leader_epoch, offset })
    }
}

#[cfg(test)]
mod tests;
