//! What a partition's lock guards: log, role, and those who wait.
//!
//! Wake-ups happen after the lock is released, so no waiter ever runs under it.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::append::Acks;
use super::role::Role;
use crate::base::ids::Offset;
use crate::replica::waiters::{OffsetWaiters, Signal};
use crate::storage::Log;

pub(super) struct State {
    /// `None` once it was deleted or closed, or where it cannot be had; then this broker does not lead either.
    pub(super) log: Option<Log>,
    pub(super) role: Role,
    /// Producers, by the high watermark they wait for.
    pub(super) committed: OffsetWaiters,
    /// Producers that asked for this broker's disk alone (acks=1 with `flush = on-ack`), by the durable end they wait for.
    pub(super) durable: OffsetWaiters,
    /// Fetches, by the bound they wait for: high watermark and last stable offset.
    pub(super) readable: OffsetWaiters,
    pub(super) stable: OffsetWaiters,
}

pub(super) type Signals = Vec<Arc<Signal>>;

impl State {
    pub(super) fn new(log: Option<Log>, role: Role) -> Self {
        Self {
            log,
            role,
            committed: OffsetWaiters::default(),
            durable: OffsetWaiters::default(),
            readable: OffsetWaiters::default(),
            stable: OffsetWaiters::default(),
        }
    }

    pub(super) fn acknowledgements(&mut self, acks: Acks) -> &mut OffsetWaiters {
        if acks == Acks::All { &mut self.committed } else { &mut self.durable }
    }

    pub(super) fn min_insync_replicas(&self) -> usize {
        self.log.as_ref().map_or(1, |log| log.config().min_insync_replicas.max(1) as usize)
    }

    /// Up to where this acknowledgement may be given: the high watermark, or what is on this broker's disk.
    pub(super) fn reached(&self, acks: Acks) -> Offset {
        let Some(log) = &self.log else { return 0 };
        if acks == Acks::All { log.high_watermark() } else { log.durable_end() }
    }

    pub(super) fn is_online(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.directory().check_online().is_ok())
    }

    /// Lets the high watermark follow what the in-sync replicas have, and takes the signals of those who waited for it.
    pub(super) fn advance(&mut self) -> Signals {
        let mut signals = Signals::new();
        let (Role::Leader(_), Some(log)) = (&self.role, &mut self.log) else { return signals };
        // The leader is the only in-sync replica as long as no follower fetches here: its own progress is the high watermark.
        let progress = if log.flush_on_ack() { log.durable_end() } else { log.log_end_offset() };
        if !log.maybe_increment_high_watermark(progress) {
            return signals;
        }
        let (high_watermark, last_stable_offset) = (log.high_watermark(), log.last_stable_offset());
        self.committed.reached(high_watermark, &mut signals);
        self.readable.reached(high_watermark, &mut signals);
        self.stable.reached(last_stable_offset, &mut signals);
        signals
    }

    /// Everybody looks again, and finds that this broker does not lead.
    pub(super) fn wake_all(&mut self, signals: &mut Signals) {
        self.committed.all(signals);
        self.durable.all(signals);
        self.readable.all(signals);
        self.stable.all(signals);
    }
}

/// Releases the lock, then wakes.
pub(super) fn raise(state: MutexGuard<'_, State>, signals: Signals) {
    drop(state);
    for signal in signals {
        signal.raise();
    }
}
