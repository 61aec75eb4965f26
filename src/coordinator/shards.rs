//! The shards of one coordinator that run on this broker: one for each partition of its topic that the broker leads.
//!
//! Invariant: at most one shard a partition runs here, that of the highest leader epoch heard of.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::log::CoordinatorLog;
use super::mailbox::Mailbox;
use super::runtime::{self, Place};
use super::shard::Shard;
use crate::base::ids::LeaderEpoch;
use crate::base::time::Clock;

struct Led<S: Shard> {
    leader_epoch: LeaderEpoch,
    mailbox: Mailbox<S>,
    stop: CancellationToken,
}

/// A shard that has just been started.
pub struct Started<S: Shard> {
    pub mailbox: Mailbox<S>,
    /// Cancelled when the shard is to end.
    pub stop: CancellationToken,
}

pub struct Shards<S: Shard> {
    led: RwLock<HashMap<i32, Led<S>>>,
    partitions: AtomicI32,
    clock: Clock,
}

impl<S: Shard> Shards<S> {
    /// `partitions` is what the topic would be created with.
    pub fn new(partitions: i32, clock: Clock) -> Self {
        Self { led: RwLock::default(), partitions: AtomicI32::new(partitions), clock }
    }

    /// The partition of the topic that holds a key: `abs(javaHash(key)) % partitions`, which some tools compute, too.
    pub fn partition_for(&self, key: &str) -> i32 {
        let hash = key.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
        hash.checked_abs().unwrap_or(0) % self.partitions.load(Ordering::Relaxed)
    }

    /// The topic has this many partitions. Until it exists, that is what it would be created with.
    pub fn set_partitions(&self, partitions: i32) {
        assert!(partitions > 0, "a topic has partitions");
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// This broker has become the leader of a partition: its shard starts to load. `None` if one of this epoch or a later runs already.
    pub fn on_elected<L: CoordinatorLog>(
        &self,
        partition: i32,
        leader_epoch: LeaderEpoch,
        log: Arc<L>,
        write_timeout: Duration,
        new_shard: impl Fn() -> S + Send + 'static,
    ) -> Option<Started<S>> {
        let mut led = self.led.write();
        if led.get(&partition).is_some_and(|led| led.leader_epoch >= leader_epoch) {
            return None;
        }
        if let Some(former) = led.remove(&partition) {
            former.stop.cancel();
        }
        let place = Place { log, leader_epoch, clock: self.clock.clone(), write_timeout };
        let stop = CancellationToken::new();
        let mailbox = runtime::spawn(place, new_shard, stop.clone());
        led.insert(partition, Led { leader_epoch, mailbox: mailbox.clone(), stop: stop.clone() });
        Some(Started { mailbox, stop })
    }

    /// This broker no longer leads a partition, as of `leader_epoch` (`None`: whatever the epoch, the replica is gone).
    pub fn on_resigned(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        let mut led = self.led.write();
        if led.get(&partition).is_some_and(|led| leader_epoch.is_none_or(|epoch| led.leader_epoch < epoch)) {
            led.remove(&partition).inspect(|led| led.stop.cancel());
        }
    }

    /// The mailbox of the shard that leads a partition here.
    pub fn mailbox(&self, partition: i32) -> Option<Mailbox<S>> {
        self.led.read().get(&partition).map(|led| led.mailbox.clone())
    }

    pub fn mailboxes(&self) -> Vec<Mailbox<S>> {
        self.led.read().values().map(|led| led.mailbox.clone()).collect()
    }

    /// Tells all shards something that needs no answer.
    pub fn notify_all(&self, notice: &S::Request)
    where
        S::Request: Clone,
    {
        self.mailboxes().iter().for_each(|mailbox| mailbox.notify(notice.clone()));
    }
}

impl<S: Shard> Shards<S> {
    /// Stops all shards; whoever waits is told to look for another coordinator.
    pub fn shutdown(&self) {
        for (_, led) in self.led.write().drain() {
            led.stop.cancel();
        }
    }
}

impl<S: Shard> Drop for Shards<S> {
    fn drop(&mut self) {
        self.shutdown();
    }
}
