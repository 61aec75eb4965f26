//! The bounds that all connections share: how many there may be, and how much memory their requests may hold.
//!
//! Invariants: no connection is admitted while there are `max.connections`, or as many as leave the logs their open files, or while its address has `max.connections.per.ip`; both follow
//! the configuration in force ([`follow`](super::listener::follow)). The bytes of frames larger than
//! [`UNCOUNTED`] that are in memory never exceed `queued.max.request.bytes` by more than one frame.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tracing::warn;

use crate::config::def::network::NetworkConfig;

/// Frames up to this size live in the buffer every active connection has anyway and are not counted.
pub const UNCOUNTED: usize = 16 * 1024;

/// Descriptors that are neither sockets nor files of logs: locks, metadata, event queues, small files that are replaced.
const OTHER_FILES: usize = 48;

/// How many connections there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `max.connections`.
    pub total: usize,
    /// `max.connections.per.ip`.
    pub per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    pub overrides: HashMap<IpAddr, usize>,
}

impl Bounds {
    /// What the configuration says. Addresses may be written as host names: waits for them to be looked up.
    pub fn of(network: &NetworkConfig) -> Self {
        let at_least_none = |bound: i32| usize::try_from(bound).unwrap_or(0);
        let overrides = network.max_connections_per_ip_overrides().into_iter().filter_map(|(host, bound)| {
            let found = || (host.as_str(), 0).to_socket_addrs().ok()?.next().map(|address| address.ip());
            let Some(address) = host.parse().ok().or_else(found) else {
                warn!(host, "max.connections.per.ip.overrides: this host has no address, its bound is not in force");
                return None;
            };
            Some((address.to_canonical(), at_least_none(bound)))
        });
        Self {
            total: at_least_none(network.max_connections),
            per_ip: at_least_none(network.max_connections_per_ip),
            overrides: overrides.collect(),
        }
    }
}

/// Counts connections; every admitted one holds an [`Admission`].
#[derive(Debug)]
pub struct ConnectionLimits {
    sockets: usize,
    state: Mutex<State>,
    /// Told when there may be room in the total again.
    room: Notify,
}

#[derive(Debug)]
struct State {
    bounds: Bounds,
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
}

/// The right of one connection to exist; given back on drop.
#[derive(Debug)]
pub struct Admission {
    limits: Arc<ConnectionLimits>,
    ip: IpAddr,
}

impl ConnectionLimits {
    /// `sockets` is how many the process may open, whatever the configuration says: see [`sockets_of_process`].
    pub fn new(bounds: Bounds, sockets: usize) -> Arc<Self> {
        let state = State { bounds, total: 0, per_ip: HashMap::new() };
        Arc::new(Self { sockets, state: Mutex::new(state), room: Notify::new() })
    }

    /// Other bounds from now on. Connections that are too many by them live on; new ones wait, or are refused.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.state.lock().bounds = bounds;
        self.room.notify_waiters();
    }

    /// Admits a connection from `ip`: waits for room in the total, as Kafka's acceptor does (KIP-402); `None` if that address has as many
    /// as it may.
    pub async fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Admission> {
        let ip = ip.to_canonical();
        loop {
            // Listening begins before looking, so that room made in between is not missed.
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.total < state.bounds.total.min(self.sockets) {
                    return state.enter(ip).then(|| Admission { limits: self.clone(), ip });
                }
            }
            if self.state.lock().total >= self.sockets {
                warn!(connections = self.sockets, "new connections wait: the limit on open files (ulimit -n) allows no more");
            }
            room.await;
        }
    }
}

/// Connections that the limit on open files allows, where `logs` of them are for logs; some are left to everything else.
pub fn sockets_of_process(logs: usize) -> usize {
    let Some(descriptors) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else { return usize::MAX };
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let others = (descriptors / 20).clamp(OTHER_FILES, 512);
    descriptors.saturating_sub(logs).saturating_sub(others).max(1)
}

impl State {
    fn enter(&mut self, ip: IpAddr) -> bool {
        let bound = self.bounds.overrides.get(&ip).copied().unwrap_or(self.bounds.per_ip);
        let present = self.per_ip.get(&ip).copied().unwrap_or(0);
        if present >= bound {
            return false;
        }
        self.per_ip.insert(ip, present + 1);
        self.total += 1;
        true
    }

    fn leave(&mut self, ip: IpAddr) {
        self.total -= 1;
        if let Some(present) = self.per_ip.get_mut(&ip) {
            *present -= 1;
            if *present == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.limits.state.lock().leave(self.ip);
        self.limits.room.notify_waiters();
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

impl Reserved {
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Both as one.
    pub fn and(mut self, mut other: Reserved) -> Self {
        self.bytes += std::mem::take(&mut other.bytes);
        self
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

    fn bounds(total: usize, per_ip: usize, overrides: &[(&str, usize)]) -> Bounds {
        let overrides = overrides.iter().map(|(ip, bound)| (ip.parse().unwrap(), *bound)).collect();
        Bounds { total, per_ip, overrides }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_address_gets_its_share_and_no_more() {
        let limits = ConnectionLimits::new(bounds(10, 2, &[("10.0.0.9", 1)]), 100);
        let first = limits.admit(ip("10.0.0.1")).await.unwrap();
        let _second = limits.admit(ip("::ffff:10.0.0.1")).await.unwrap();
        assert!(limits.admit(ip("10.0.0.1")).await.is_none());
        let _other = limits.admit(ip("10.0.0.9")).await.unwrap();
        assert!(limits.admit(ip("10.0.0.9")).await.is_none());
        drop(first);
        assert!(limits.admit(ip("10.0.0.1")).await.is_some());
    }

    #[tokio::test]
    async fn the_total_makes_the_acceptor_wait() {
        let limits = ConnectionLimits::new(bounds(1, 10, &[]), 100);
        let only = limits.admit(ip("10.0.0.1")).await.unwrap();
        let mut waiting = Box::pin(limits.admit(ip("10.0.0.2")));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(only);
        let second = waiting.await.unwrap();
        assert!(futures_util::poll!(Box::pin(limits.admit(ip("10.0.0.3")))).is_pending());
        drop(second);
        assert!(limits.state.lock().per_ip.is_empty());
    }

    #[tokio::test]
    async fn no_bound_lets_connections_take_the_files_of_the_logs() {
        let limits = ConnectionLimits::new(bounds(10, 10, &[]), 1);
        let _only = limits.admit(ip("10.0.0.1")).await.unwrap();
        limits.set_bounds(bounds(100, 100, &[]));
        assert!(futures_util::poll!(Box::pin(limits.admit(ip("10.0.0.1")))).is_pending());
    }

    #[tokio::test]
    async fn other_bounds_hold_at_once() {
        let limits = ConnectionLimits::new(bounds(1, 1, &[]), 100);
        let _first = limits.admit(ip("10.0.0.1")).await.unwrap();
        let mut waiting = Box::pin(limits.admit(ip("10.0.0.2")));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        limits.set_bounds(bounds(3, 1, &[("10.0.0.1", 2)]));
        let _second = waiting.await.unwrap();
        let _third = limits.admit(ip("10.0.0.1")).await.unwrap();
        limits.set_bounds(bounds(1, 5, &[]));
        assert!(futures_util::poll!(Box::pin(limits.admit(ip("10.0.0.3")))).is_pending());
    }

    #[test]
    fn bounds_are_read_from_the_configuration() {
        let mut network = crate::config::BrokerConfig::default().network;
        network.max_connections = 7;
        network.max_connections_per_ip_overrides = "127.0.0.1:3,10.0.0.9:0".into();
        let all = i32::MAX as usize;
        assert_eq!(Bounds::of(&network), bounds(7, all, &[("127.0.0.1", 3), ("10.0.0.9", 0)]));
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
