//! Who waits until an offset of a partition becomes true: producers until it is committed, fetches until there is something to read. Pure.
//!
//! Invariants: waiters stand in the order of what they wait for; an advance touches exactly those it wakes; a waiter that gave up is
//! gone. What woke a waiter is not told: it looks again, under the lock of its partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use crate::base::ids::Offset;

/// Wakes one task; may be registered with any number of partitions.
#[derive(Debug, Default)]
pub struct Signal {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready once raised since the last time it was ready.
    pub fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.raised.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    pub async fn raised(&self) {
        std::future::poll_fn(|cx| self.poll_raised(cx)).await
    }
}

/// A place in [`OffsetWaiters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    offset: Offset,
    number: u64,
}

/// Signals by the offset they wait for.
#[derive(Debug, Default)]
pub struct OffsetWaiters {
    waiting: BTreeMap<Ticket, Arc<Signal>>,
    next: u64,
}

impl OffsetWaiters {
    /// Registers a signal to be raised once the offset watched has reached `offset`.
    pub fn add(&mut self, offset: Offset, signal: Arc<Signal>) -> Ticket {
        let ticket = Ticket { offset, number: self.next };
        self.next += 1;
        self.waiting.insert(ticket, signal);
        ticket
    }

    pub fn remove(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    /// Takes the signals of all that waited for `to` or less.
    pub fn reached(&mut self, to: Offset, woken: &mut Vec<Arc<Signal>>) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().offset <= to
        {
            woken.push(first.remove());
        }
    }

    /// Takes everybody's signal: what they wait for will not come true here.
    pub fn all(&mut self, woken: &mut Vec<Arc<Signal>>) {
        woken.extend(std::mem::take(&mut self.waiting).into_values());
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advance_wakes_the_prefix_and_nobody_else() {
        let mut waiters = OffsetWaiters::default();
        let signals: Vec<_> = (0..4).map(|_| Arc::new(Signal::default())).collect();
        let tickets: Vec<_> = [5, 3, 5, 9].iter().zip(&signals).map(|(o, s)| waiters.add(*o, s.clone())).collect();
        waiters.remove(tickets[2]);
        let mut woken = Vec::new();
        waiters.reached(2, &mut woken);
        assert!(woken.is_empty());
        waiters.reached(8, &mut woken);
        assert_eq!(woken.len(), 2);
        assert!(Arc::ptr_eq(&woken[0], &signals[1]) && Arc::ptr_eq(&woken[1], &signals[0]));
        waiters.all(&mut woken);
        assert!(Arc::ptr_eq(&woken[2], &signals[3]) && waiters.is_empty());
    }

    #[test]
    fn a_raise_before_the_wait_is_not_lost_and_is_told_once() {
        let signal = Signal::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(signal.poll_raised(&mut cx).is_pending());
        signal.raise();
        assert!(signal.poll_raised(&mut cx).is_ready());
        assert!(signal.poll_raised(&mut cx).is_pending());
    }
}
