//! The HTTP listener: few connections, small requests, and no patience with either end that stalls.
//!
//! Invariants: at most [`MAX_CONNECTIONS`] are served at a time, others wait to be accepted; a request's head has at most
//! [`MAX_HEAD`] bytes and [`MAX_HEADERS`] fields and arrives within [`HEAD_TIMEOUT`]; an answer that the peer does not take makes the
//! connection end within [`SEND_TIMEOUT`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::routes::App;

const MAX_CONNECTIONS: usize = 64;
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;
/// Also how long a connection may be silent between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long answers under way may take after a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the acceptor rests when the system has no descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound HTTP listener.
pub struct HttpListener {
    socket: TcpListener,
}

impl HttpListener {
    /// Binds `http.listener`, as `host:port`; an empty host or `0.0.0.0` means all addresses.
    pub async fn bind(address: &str) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on http.listener {address}: {e}"));
        let address = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
        let mut resolved = lookup_host(&address).await.map_err(named)?;
        let first = resolved.next().ok_or_else(|| named(io::Error::from(io::ErrorKind::AddrNotAvailable)))?;
        Ok(HttpListener { socket: TcpListener::bind(first).await.map_err(named)? })
    }

    /// The address bound, with the port the system chose where 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop`, and then until the answers under way are sent.
    pub async fn serve(self, app: Arc<App>, stop: CancellationToken) {
        let limit = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let room = tokio::select! {
                () = stop.cancelled() => break,
                room = limit.clone().acquire_owned() => room,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let serve = serve_connection(stream, app.clone(), stop.clone());
                    connections.spawn(async move {
                        if let Err(e) = serve.await {
                            debug!(%peer, error = %e, "HTTP connection lost");
                        }
                        drop(room);
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    warn!(error = %e, "cannot accept HTTP connections; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        connections.close();
        if tokio::time::timeout(STOP_TIMEOUT, connections.wait()).await.is_err() {
            warn!(connections = connections.len(), "HTTP connections cut off: they did not end in time");
        }
    }
}

async fn serve_connection(stream: TcpStream, app: Arc<App>, stop: CancellationToken) -> hyper::Result<()> {
    // A socket that takes no options fails at the first read or write anyway.
    let socket = SockRef::from(&stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(SEND_TIMEOUT));
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SEND_TIMEOUT));
    let answer = service_fn(move |request| {
        let answer = app.clone().answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
