//! Replication and waiting: changes of in-sync replicas, requests that wait, fetch sessions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::def::metrics;
use super::samples::Samples;

metrics! {
    /// In-sync replicas, requests that wait, and fetch sessions (KIP-227).
    area "Replication and waiting";

    /// Times a replica left the in-sync replicas of a partition led here.
    pub ISR_SHRINKS = counter "kafka_server_replicamanager_isrshrinks" [];

    /// Times a replica joined the in-sync replicas of a partition led here.
    pub ISR_EXPANDS = counter "kafka_server_replicamanager_isrexpands" [];

    /// Waits of requests for partitions: Produce for replicas or the disk, Fetch for data. A request counts once for each partition it waits for.
    pub WAITING = gauge "kafka_server_delayedoperationpurgatory_purgatorysize" ["delayedOperation"];

    /// Fetch sessions of consumers and followers.
    pub FETCH_SESSIONS = gauge "kafka_server_fetchsessioncache_numincrementalfetchsessions" [];

    /// Partitions remembered in fetch sessions.
    pub FETCH_SESSION_PARTITIONS = gauge "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached" [];

    /// Fetch sessions that had to make room for others.
    pub FETCH_SESSION_EVICTIONS = counter "kafka_server_fetchsessioncache_incrementalfetchsessionevictions" [];
}

/// Counts of changes of in-sync replicas.
#[derive(Debug, Default)]
pub struct IsrMetrics {
    shrinks: AtomicU64,
    expands: AtomicU64,
}

impl IsrMetrics {
    /// A partition led here has `after` in-sync replicas instead of `before`.
    pub fn changed(&self, before: usize, after: usize) {
        if after < before {
            self.shrinks.fetch_add(1, Relaxed);
        } else if after > before {
            self.expands.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn collect(&self, out: &mut Samples) {
        out.add(&ISR_SHRINKS, &[], self.shrinks.load(Relaxed));
        out.add(&ISR_EXPANDS, &[], self.expands.load(Relaxed));
    }
}

/// How the cache of fetch sessions stands.
#[derive(Clone, Copy, Debug)]
pub struct FetchSessionGauges {
    pub sessions: usize,
    pub partitions: usize,
    /// Since the start.
    pub evictions: u64,
}

impl Samples {
    pub fn fetch_sessions(&mut self, FetchSessionGauges { sessions, partitions, evictions }: FetchSessionGauges) {
        self.add(&FETCH_SESSIONS, &[], sessions);
        self.add(&FETCH_SESSION_PARTITIONS, &[], partitions);
        self.add(&FETCH_SESSION_EVICTIONS, &[], evictions);
    }
}
