//! The wait of a produce request for its appends to be committed; one signal for all its partitions.
//!
//! Invariants: the wait is registered before it is polled for the first time, so nothing committed meanwhile is missed; giving up leaves
//! no waiter behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::partition::Partition;
use super::waiters::{Signal, Ticket};
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset};

/// An append that is not committed yet.
pub struct Uncommitted {
    pub partition: Arc<Partition>,
    /// Epoch in which it was appended: another one means that nobody here can tell whether it survived.
    pub leader_epoch: LeaderEpoch,
    /// Committed once the high watermark has reached this: the offset behind the last record.
    pub offset: Offset,
}

pub struct CommitWait<K> {
    signal: Arc<Signal>,
    waiting: Vec<(K, Uncommitted, Ticket)>,
}

impl<K> CommitWait<K> {
    pub fn new(appends: Vec<(K, Uncommitted)>) -> Self {
        let signal = Arc::new(Signal::default());
        let waiting = appends.into_iter().map(|(key, append)| {
            let ticket = append.partition.watch_committed(append.offset, signal.clone());
            (key, append, ticket)
        });
        let waiting = waiting.collect();
        Self { signal, waiting }
    }

    /// Waits until everything is committed, refused, or `timeout` is over; gives the failures. The records of an append that failed here
    /// are in the log all the same (`DelayedProduce`).
    pub async fn committed(mut self, timeout: Duration) -> Vec<(K, ErrorCode)> {
        let deadline = Instant::now() + timeout;
        let mut failures = Vec::new();
        loop {
            let mut index = 0;
            while index < self.waiting.len() {
                let (_, append, _) = &self.waiting[index];
                match append.partition.is_committed(append.leader_epoch, append.offset) {
                    Ok(false) => index += 1,
                    Ok(true) => drop(self.take(index)),
                    Err(code) => failures.push((self.take(index), code)),
                }
            }
            if self.waiting.is_empty() {
                return failures;
            }
            if timeout_at(deadline, self.signal.raised()).await.is_err() {
                while !self.waiting.is_empty() {
                    failures.push((self.take(0), ErrorCode::RequestTimedOut));
                }
                return failures;
            }
        }
    }

    fn take(&mut self, index: usize) -> K {
        let (key, append, ticket) = self.waiting.swap_remove(index);
        append.partition.unwatch_committed(ticket);
        key
    }
}

impl<K> Drop for CommitWait<K> {
    fn drop(&mut self) {
        for (_, append, ticket) in &self.waiting {
            append.partition.unwatch_committed(*ticket);
        }
    }
}
