//! The listeners of a node: bound before anything in the data directories is touched, so that a start that fails for its address leaves them as they
//! were; open for peers when the logs are; served once the broker may.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::StartError;
use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::config::def::network::NetworkConfig;
use crate::config::listeners::Listener as ListenerAddress;
use crate::server::limits::{Bounds, ConnectionLimits, RequestMemory, sockets_of_process};
use crate::server::listener::{self, Bound, Listener, Shared};
use crate::storage::FileCache;

pub(super) fn bind(config: &BrokerConfig) -> Result<Vec<Bound>, StartError> {
    config.network.listeners().iter().map(|listener| bind_one(listener, &config.network)).collect()
}

/// Until then a peer is refused, and goes elsewhere or tries again: logs may take long to open.
pub(super) fn listen(bound: Vec<Bound>) -> Result<Vec<Listener>, StartError> {
    let listen = |bound: Bound| {
        let (listener, address) = (bound.name().to_owned(), bound.address().to_string());
        bound.listen().map_err(|source| StartError::Bind { listener, address, source })
    };
    bound.into_iter().map(listen).collect()
}

fn bind_one(listener: &ListenerAddress, network: &NetworkConfig) -> Result<Bound, StartError> {
    // Every interface: both families by one socket, as Java's wildcard; or what there is, where the system has no IPv6.
    let hosts: &[&str] = match &listener.host {
        Some(host) => &[host],
        None if listener.ipv4_only => &["0.0.0.0"],
        None => &["::", "0.0.0.0"],
    };
    let bind = |host: &str| {
        let address = (host, listener.port).to_socket_addrs()?.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        Bound::bind(&listener.name, address, network)
    };
    let mut bound = bind(hosts[0]);
    if let (Err(error), [_, ipv4]) = (&bound, hosts)
        && has_no_such_family(error)
    {
        bound = bind(ipv4);
    }
    bound.map_err(|source| {
        let address = format!("{}:{}", listener.host.as_deref().unwrap_or("0.0.0.0"), listener.port);
        StartError::Bind { listener: listener.name.clone(), address, source }
    })
}

fn has_no_such_family(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error).is_some_and(|errno| [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].contains(&errno))
}

pub(super) fn serve(
    bound: Vec<Listener>,
    broker: &Arc<Broker>,
    config: &BrokerConfig,
    memory: &Arc<RequestMemory>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Vec<(String, SocketAddr)> {
    let network = &config.network;
    let limits = ConnectionLimits::new(Bounds::of(network), sockets_of_process(FileCache::capacity_of_process()));
    tasks.spawn(listener::follow(limits.clone(), broker.clone(), stop.clone()));
    let shared = Shared {
        broker: broker.clone(),
        limits,
        memory: memory.clone(),
        frame_limit: network.socket_request_max_bytes.max(1) as usize,
        idle_after: match network.connections_max_idle_ms {
            // Never: a year is as good, and timers can hold it.
            ..0 => Duration::from_secs(365 * 24 * 3600),
            ms => Duration::from_millis(ms as u64),
        },
        connections: tasks.clone(),
        stop: stop.clone(),
    };
    let listening = bound.iter().filter_map(|l| Some((l.name().to_owned(), l.local_addr().ok()?))).collect();
    for listener in bound {
        tasks.spawn(listener.serve(shared.clone()));
    }
    listening
}
