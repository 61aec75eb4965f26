//! The sockets of a node, and what clients may take of it.

use super::keys;
use crate::config::listeners;

keys! {
    /// Where the node listens, what it tells clients to connect to, and the bounds on what they may take.
    pub struct NetworkConfig "Network" {
        /// Addresses to listen on, as `NAME://host:port`. An empty host means every interface, port 0 a free one.
        "listeners" = "PLAINTEXT://127.0.0.1:9092" => listeners: Vec<String> { form("NAME://host:port", listeners::check_listeners), shown }

        /// Addresses that clients are told to connect to, by listener. `auto`, or a listener that is not named here: the host of
        /// `listeners`, and where that is every interface, the address at which the client reached this node.
        "advertised.listeners" = null => advertised_listeners: Option<Vec<String>>
            { form("auto, or NAME://host:port", listeners::check_advertised), example("PLAINTEXT://kafka.example.org:9092") }

        /// Which security protocol each listener name speaks. Only PLAINTEXT can be used so far; other entries may stand here.
        "listener.security.protocol.map" = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT" =>
            listener_security_protocol_map: String { form("NAME:PROTOCOL pairs", listeners::check_protocol_map) }

        /// How many connections may wait to be accepted on each listener; the kernel may allow fewer.
        "socket.listen.backlog.size" = "50" => socket_listen_backlog_size: i32 { at_least(1) }

        /// Send buffer of a connection in the kernel; −1 lets the kernel choose and adapt.
        "socket.send.buffer.bytes" = "-1" => socket_send_buffer_bytes: i32 { bytes, at_least(-1) }

        /// Receive buffer of a connection in the kernel; −1 lets the kernel choose and adapt.
        "socket.receive.buffer.bytes" = "-1" => socket_receive_buffer_bytes: i32 { bytes, at_least(-1) }

        /// Largest request that is read; a larger one closes its connection before any of it is kept.
        "socket.request.max.bytes" = "104857600" => socket_request_max_bytes: i32 { bytes, at_least(1) }

        /// Memory that requests being read or handled may hold together; beyond it no socket is read until some are answered.
        /// −1 is a quarter of the memory of the machine or its control group.
        "queued.max.request.bytes" = "-1" => queued_max_request_bytes: i64 { bytes, at_least(-1) }

        /// How long a connection may be silent before it is closed; −1 sets no bound.
        "connections.max.idle.ms" = "600000" => connections_max_idle_ms: i64 { millis, at_least(-1) }

        /// Connections the node holds at most; further ones wait to be accepted.
        "max.connections" = "2147483647" => max_connections: i32 { at_least(0), cluster_wide }

        /// Connections from one address at most; further ones are closed at once.
        "max.connections.per.ip" = "2147483647" => max_connections_per_ip: i32 { at_least(0), cluster_wide }

        /// Other bounds than `max.connections.per.ip` for some addresses, as `address:number` pairs.
        "max.connections.per.ip.overrides" = "" => max_connections_per_ip_overrides: String
            { form("address:number pairs", listeners::check_overrides), cluster_wide }

        /// Bytes of records in one Fetch response at most; a first batch larger than that is still sent whole.
        "fetch.max.bytes" = "57671680" => fetch_max_bytes: i32 { bytes, at_least(1024) }

        /// How many incremental fetch sessions are kept; beyond it the one longest unused gives way.
        "max.incremental.fetch.session.cache.slots" = "1000" => max_incremental_fetch_session_cache_slots: i32 { at_least(0) }
    }
}
