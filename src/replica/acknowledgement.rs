//! The wait of a produce request until its appends may be acknowledged; one signal for all its partitions.
//!
//! Invariants: the wait is registered before it is polled for the first time, so nothing that happens meanwhile is missed; giving up leaves
//! no waiter behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::partition::{Acks, Partition};
use super::waiters::{Signal, Ticket};
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset};

/// An append that may not be acknowledged yet.
pub struct Unacknowledged {
    pub partition: Arc<Partition>,
    pub acks: Acks,
    /// Epoch in which it was appended: another one means that nobody here can tell whether it survived.
    pub leader_epoch: LeaderEpoch,
    /// The offset behind its last record.
    pub offset: Offset,
}

pub struct AcknowledgementWait<K> {
    signal: Arc<Signal>,
    waiting: Vec<(K, Unacknowledged, Ticket)>,
}

impl<K> AcknowledgementWait<K> {
    pub fn new(appends: Vec<(K, Unacknowledged)>) -> Self {
        let signal = Arc::new(Signal::default());
        let waiting = appends.into_iter().map(|(key, append)| {
            let ticket = append.partition.watch_acknowledged(append.acks, append.offset, signal.clone());
            (key, append, ticket)
        });
        let waiting = waiting.collect();
        Self { signal, waiting }
    }

    /// Waits until everything is acknowledged, refused, or `timeout` is over; gives the failures. The records of an append that failed here
    /// are in the log all the same (`DelayedProduce`).
    pub async fn acknowledged(mut self, timeout: Duration) -> Vec<(K, ErrorCode)> {
        let deadline = Instant::now() + timeout;
        let mut failures = Vec::new();
        while !self.look(&mut failures) {
            if timeout_at(deadline, self.signal.raised()).await.is_err() {
                while !self.waiting.is_empty() {
                    failures.push((self.take(0), ErrorCode::RequestTimedOut));
                }
            }
        }
        failures
    }

    /// Takes out what is decided; whether that was all.
    fn look(&mut self, failures: &mut Vec<(K, ErrorCode)>) -> bool {
        let mut index = 0;
        while index < self.waiting.len() {
            let (_, append, _) = &self.waiting[index];
            match append.partition.is_acknowledged(append.acks, append.leader_epoch, append.offset) {
                Ok(false) => index += 1,
                Ok(true) => drop(self.take(index)),
                Err(code) => failures.push((self.take(index), code)),
            }
        }
        self.waiting.is_empty()
    }

    fn take(&mut self, index: usize) -> K {
        let (key, append, ticket) = self.waiting.swap_remove(index);
        append.partition.unwatch_acknowledged(append.acks, ticket);
        key
    }
}

impl<K> Drop for AcknowledgementWait<K> {
    fn drop(&mut self) {
        for (_, append, ticket) in &self.waiting {
            append.partition.unwatch_acknowledged(append.acks, *ticket);
        }
    }
}
