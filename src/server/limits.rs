//! The bounds that all connections share: how many there may be, and how much memory their requests may hold.
//!
//! Invariants: `connections ≤ max.connections` and, for every address, `≤ max.connections.per.ip`; the bytes of frames larger than
//! [`UNCOUNTED`] that are in memory never exceed `queued.max.request.bytes` by more than one frame.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Frames up to this size live in the buffer every active connection has anyway and are not counted.
pub const UNCOUNTED: usize = 16 * 1024;

/// Counts connections; every admitted one holds an [`Admission`].
#[derive(Debug)]
pub struct ConnectionLimits {
    total: Arc<Semaphore>,
    per_ip: Mutex<HashMap<IpAddr, usize>>,
    max_per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    overrides: HashMap<IpAddr, usize>,
}

/// The right of one connection to exist; given back on drop.
#[derive(Debug)]
pub struct Admission {
    limits: Arc<ConnectionLimits>,
    ip: IpAddr,
    _total: OwnedSemaphorePermit,
}

impl ConnectionLimits {
    pub fn new(max: usize, max_per_ip: usize, overrides: HashMap<IpAddr, usize>) -> Arc<Self> {
        let total = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { total, per_ip: Mutex::default(), max_per_ip, overrides })
    }

    /// Waits for room in the total before the next connection is accepted, as Kafka's acceptor does (KIP-402).
    pub async fn room(&self) -> OwnedSemaphorePermit {
        self.total.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Admits a connection from `ip`, or refuses it when that address has as many as it may.
    pub fn admit(self: &Arc<Self>, ip: IpAddr, total: OwnedSemaphorePermit) -> Option<Admission> {
        let ip = ip.to_canonical();
        let limit = self.overrides.get(&ip).copied().unwrap_or(self.max_per_ip);
        let mut per_ip = self.per_ip.lock();
        let count = per_ip.entry(ip).or_default();
        if *count >= limit {
            if *count == 0 {
                per_ip.remove(&ip);
            }
            return None;
        }
        *count += 1;
        drop(per_ip);
        Some(Admission { limits: self.clone(), ip, _total: total })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut per_ip = self.limits.per_ip.lock();
        if let Some(count) = per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(&self.ip);
            }
        }
    }
}

/// Memory of request frames. Readers that find it used up stop reading their sockets until some is given back.
#[derive(Debug)]
pub struct RequestMemory {
    limit: i64,
    free: AtomicI64,
    returned: Arc<Notify>,
}

/// Memory reserved for one frame; given back on drop.
#[derive(Debug)]
pub struct Reserved {
    memory: Arc<RequestMemory>,
    bytes: i64,
}

impl RequestMemory {
    pub fn new(limit: u64) -> Arc<Self> {
        let limit = limit.min(i64::MAX as u64) as i64;
        Arc::new(Self { limit, free: AtomicI64::new(limit), returned: Arc::default() })
    }

    /// Reserves a frame's memory if any is free at all, so that one frame larger than what is left still gets through (Kafka's
    /// `SimpleMemoryPool` is as lenient).
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reserved> {
        let bytes = bytes as i64;
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            if free <= 0 {
                return None;
            }
            match self.free.compare_exchange_weak(free, free - bytes, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(Reserved { memory: self.clone(), bytes }),
                Err(now) => free = now,
            }
        }
    }

    /// Becomes ready after memory was given back. Create it before trying [`RequestMemory::reserve`], so that nothing is missed.
    pub fn returned(&self) -> OwnedNotified {
        self.returned.clone().notified_owned()
    }

    /// Bytes there are in all.
    pub fn limit(&self) -> i64 {
        self.limit
    }

    /// Bytes still free; below zero by at most one frame.
    pub fn free(&self) -> i64 {
        self.free.load(Ordering::Relaxed)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let before = self.memory.free.fetch_add(self.bytes, Ordering::AcqRel);
        if before <= 0 {
            self.memory.returned.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_gets_its_share_and_no_more() {
        let special: IpAddr = "10.0.0.9".parse().unwrap();
        let limits = ConnectionLimits::new(10, 2, HashMap::from([(special, 1)]));
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        let first = limits.admit(ip, limits.room().await).unwrap();
        let _second = limits.admit("::ffff:10.0.0.1".parse().unwrap(), limits.room().await).unwrap();
        assert!(limits.admit(ip, limits.room().await).is_none());
        let _other = limits.admit(special, limits.room().await).unwrap();
        assert!(limits.admit(special, limits.room().await).is_none());
        drop(first);
        assert!(limits.admit(ip, limits.room().await).is_some());
    }

    #[tokio::test]
    async fn the_total_makes_the_acceptor_wait() {
        let limits = ConnectionLimits::new(1, 10, HashMap::new());
        let only = limits.admit("10.0.0.1".parse().unwrap(), limits.room().await).unwrap();
        let waiting = limits.room();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(only);
        assert!(futures_util::poll!(&mut waiting).is_ready());
    }

    #[test]
    fn memory_is_lent_until_it_is_gone() {
        let memory = RequestMemory::new(100);
        let first = memory.reserve(60).unwrap();
        let second = memory.reserve(1000).unwrap();
        assert!(memory.reserve(1).is_none());
        drop(first);
        assert!(memory.reserve(1).is_none());
        drop(second);
        assert_eq!(memory.free(), 100);
        assert!(memory.reserve(1).is_some());
    }
}
