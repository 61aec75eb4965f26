//! A bound address: accepts connections within the limits and gives each a task of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::connection::{Closed, Connection};
use super::limits::{Bounds, ConnectionLimits, RequestMemory};
use crate::api::session::Session;
use crate::broker::Broker;
use crate::config::def::network::NetworkConfig;
use crate::metrics::{Ended, ListenerMetrics};

/// How long the acceptor rests when the system has no descriptor or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections of all listeners share.
#[derive(Clone)]
pub struct Shared {
    pub broker: Arc<Broker>,
    pub limits: Arc<ConnectionLimits>,
    pub memory: Arc<RequestMemory>,
    /// `socket.request.max.bytes`.
    pub frame_limit: usize,
    /// `connections.max.idle.ms`.
    pub idle_after: Duration,
    pub connections: TaskTracker,
    pub stop: CancellationToken,
}

/// Keeps the bounds on connections as the configuration in force has them, until the broker stops.
pub async fn follow(limits: Arc<ConnectionLimits>, broker: Arc<Broker>, stop: CancellationToken) {
    let mut changes = broker.effective.changes();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        let config = broker.effective.config().clone();
        // Host names are looked up, which may take its time.
        if let Ok(bounds) = tokio::task::spawn_blocking(move || Bounds::of(&config.network)).await {
            limits.set_bounds(bounds);
        }
    }
}

/// An address that is taken, where nobody can connect yet.
pub struct Bound {
    name: Arc<str>,
    address: SocketAddr,
    socket: Socket,
    backlog: i32,
}

impl Bound {
    /// Binds `address` with the buffers and the backlog that are configured.
    pub fn bind(name: &str, address: SocketAddr, config: &NetworkConfig) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        // Connections inherit them. Receive buffers bound the window that TCP may agree on, so they are set before anybody connects.
        let buffer = |bytes: i32| usize::try_from(bytes).ok();
        if let Some(bytes) = buffer(config.socket_send_buffer_bytes) {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = buffer(config.socket_receive_buffer_bytes) {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(&address.into())?;
        Ok(Self { name: name.into(), address, socket, backlog: config.socket_listen_backlog_size })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address that was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets peers connect; they wait until the listener serves.
    pub fn listen(self) -> io::Result<Listener> {
        self.socket.listen(self.backlog)?;
        Ok(Listener { name: self.name, socket: TcpListener::from_std(self.socket.into())? })
    }
}

pub struct Listener {
    name: Arc<str>,
    socket: TcpListener,
}

impl Listener {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address bound, with the port the system chose where 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the broker stops.
    pub async fn serve(self, shared: Shared) {
        let metrics = shared.broker.metrics.listener(&self.name);
        loop {
            let accepted = tokio::select! {
                () = shared.stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    metrics.accepted();
                    let admission = tokio::select! {
                        () = shared.stop.cancelled() => return,
                        admission = shared.limits.admit(peer.ip()) => admission,
                    };
                    match admission {
                        Some(admission) => self.start(stream, peer, admission, &shared, metrics.clone()),
                        None => {
                            metrics.closed(Ended::TooMany);
                            info!(%peer, "connection refused: its address has as many as max.connections.per.ip allows");
                        }
                    }
                }
                // The peer was gone before it was accepted.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    warn!(listener = %self.name, error = %e, "cannot accept connections; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn start(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        admission: super::limits::Admission,
        shared: &Shared,
        metrics: Arc<ListenerMetrics>,
    ) {
        let Ok(local) = stream.local_addr() else {
            metrics.closed(Ended::Error);
            return;
        };
        // Answers are written whole: waiting for more to send would only add delay.
        let _ = stream.set_nodelay(true);
        // Notices, in time, peers that are gone without a word although an answer is still to come.
        let _ = SockRef::from(&stream).set_keepalive(true);
        let session = Session::new(shared.broker.clone(), self.name.clone(), peer, local);
        let connection =
            Connection::new(stream, session, shared.memory.clone(), shared.frame_limit, shared.idle_after, shared.stop.clone());
        shared.connections.spawn(async move {
            let why = match connection.serve().await {
                Closed::Refused(reason) => {
                    info!(%peer, reason, "connection closed");
                    Ended::Invalid
                }
                Closed::Idle => {
                    debug!(%peer, "connection closed: idle for longer than connections.max.idle.ms");
                    Ended::Idle
                }
                Closed::Stalled(why) => {
                    info!(%peer, %why, "connection closed");
                    Ended::Idle
                }
                Closed::Io(e) => {
                    debug!(%peer, error = %e, "connection lost");
                    Ended::Error
                }
                Closed::ByPeer => Ended::Peer,
                Closed::Stopping => Ended::Stop,
            };
            metrics.closed(why);
            drop(admission);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::BrokerConfig;

    /// Buffers of a connection, receiving and sending, as the kernel has them.
    async fn buffers(change: impl FnOnce(&mut NetworkConfig)) -> (usize, usize) {
        let mut config = BrokerConfig::default().network;
        change(&mut config);
        let listener = Bound::bind("PLAINTEXT", (Ipv4Addr::LOCALHOST, 0).into(), &config).and_then(Bound::listen).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.socket.accept().await.unwrap();
        drop(client);
        let accepted = SockRef::from(&accepted);
        (accepted.recv_buffer_size().unwrap(), accepted.send_buffer_size().unwrap())
    }

    #[tokio::test]
    async fn connections_have_the_buffers_that_are_configured() {
        let (received, sent) = buffers(|config| {
            (config.socket_receive_buffer_bytes, config.socket_send_buffer_bytes) = (16 << 10, 24 << 10);
        })
        .await;
        // Linux doubles what is asked for, to have room for its own bookkeeping.
        assert_eq!((received, sent), (32 << 10, 48 << 10));
        let chosen = buffers(|_| ()).await;
        assert!(chosen.0 > received && chosen.1 > sent, "the kernel's choice: {chosen:?}");
    }
}
