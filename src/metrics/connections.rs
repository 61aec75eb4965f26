//! Connections by listener, why they ended, and the memory that requests hold.
//!
//! Invariant: open = accepted − closed, at every look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::def::metrics;
use super::samples::Samples;

metrics! {
    /// Connections of clients and brokers; those of the HTTP listener are not among them.
    area "Connections and memory of requests";

    /// Connections that are open.
    pub CONNECTIONS = gauge "kafka_server_socket_server_metrics_connection_count" ["listener"];

    /// Connections that were accepted.
    pub ACCEPTED = counter "kafka_server_socket_server_metrics_connection_creation" ["listener"];

    /// Connections that ended, by reason: peer, idle, stop, invalid (the peer sent what is answered by hanging up), error, and too_many
    /// (refused when accepted, as max.connections.per.ip says).
    pub CLOSED = counter "klamm_connections_closed" ["listener", "reason"];

    /// Bytes still free for requests, of queued.max.request.bytes.
    pub MEMORY_AVAILABLE = gauge "kafka_network_socketserver_memorypoolavailable" [];

    /// Bytes of requests that are being read or handled.
    pub MEMORY_USED = gauge "kafka_network_socketserver_memorypoolused" [];
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Ended {
    /// The peer hung up.
    Peer,
    /// Silent for longer than `connections.max.idle.ms`.
    Idle,
    /// The broker stops.
    Stop,
    /// The peer sent something that Kafka answers by hanging up.
    Invalid,
    /// The socket failed.
    Error,
    /// Its address had as many as it may.
    TooMany,
}

const REASONS: [&str; 6] = ["peer", "idle", "stop", "invalid", "error", "too_many"];

/// Counts of one listener.
#[derive(Debug)]
pub struct ListenerMetrics {
    name: Arc<str>,
    accepted: AtomicU64,
    closed: [AtomicU64; REASONS.len()],
}

impl ListenerMetrics {
    pub fn new(name: &str) -> Self {
        ListenerMetrics { name: name.into(), accepted: AtomicU64::new(0), closed: Default::default() }
    }

    pub fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// An accepted connection ended.
    pub fn closed(&self, why: Ended) {
        self.closed[why as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn collect(&self, out: &mut Samples) {
        // Closed before accepted: read the other way round, a connection that came and went meanwhile would make the difference negative.
        let closed: [u64; REASONS.len()] = std::array::from_fn(|i| self.closed[i].load(Relaxed));
        let accepted = self.accepted.load(Relaxed);
        let open = accepted.saturating_sub(closed.iter().sum());
        out.add(&CONNECTIONS, &[(&self.name).into()], open);
        out.add(&ACCEPTED, &[(&self.name).into()], accepted);
        for (reason, n) in REASONS.into_iter().zip(closed) {
            out.add(&CLOSED, &[(&self.name).into(), reason.into()], n);
        }
    }
}

impl Samples {
    /// Memory of requests: `limit` bytes, of which `free` are free; below zero while a frame larger than what was left is read.
    pub fn request_memory(&mut self, limit: i64, free: i64) {
        self.add(&MEMORY_AVAILABLE, &[], free.max(0));
        self.add(&MEMORY_USED, &[], limit - free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    #[test]
    fn open_is_what_was_accepted_and_not_closed() {
        let listener = ListenerMetrics::new("PLAINTEXT");
        for _ in 0..5 {
            listener.accepted();
        }
        listener.closed(Ended::Peer);
        listener.closed(Ended::TooMany);
        let mut samples = Samples::new(Mono::ZERO, false);
        listener.collect(&mut samples);
        samples.request_memory(100, -20);
        let text = samples.into_open_metrics();
        for line in [
            r#"kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"} 3"#,
            r#"kafka_server_socket_server_metrics_connection_creation_total{listener="PLAINTEXT"} 5"#,
            r#"klamm_connections_closed_total{listener="PLAINTEXT",reason="too_many"} 1"#,
            r#"klamm_connections_closed_total{listener="PLAINTEXT",reason="idle"} 0"#,
            "kafka_network_socketserver_memorypoolavailable 0",
            "kafka_network_socketserver_memorypoolused 120",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
