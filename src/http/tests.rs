//! The HTTP listener as a scraper and a probe see it.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::base::time::Clock;
use crate::metrics::{Exporter, Metrics};

struct Server {
    address: SocketAddr,
    online: Arc<AtomicBool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start() -> Server {
    let online = Arc::new(AtomicBool::new(true));
    let metrics = Metrics::new(["Produce"]);
    metrics.listener("PLAINTEXT").accepted();
    let app = App::new(Exporter::new(metrics, Handle::current().metrics(), false), Clock::system(), {
        let online = online.clone();
        move || Readiness::of(vec![Check::new("log directory /data", online.load(SeqCst), "")])
    });
    let listener = HttpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(listener.serve(app, stop.clone()));
    Server { address, online, stop, task }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Sends one request and reads until the server closes.
async fn ask(address: SocketAddr, first_line: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{first_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    // A server that refuses early may close before everything is sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer with a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[tokio::test]
async fn a_scraper_gets_the_format_it_asks_for() {
    let server = start().await;
    let plain = ask(server.address, "GET /metrics", "").await;
    assert_eq!(plain.status, 200);
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4"), "{}", plain.head);
    assert!(plain.text().contains("# TYPE kafka_server_socket_server_metrics_connection_creation_total counter\n"));
    assert!(!plain.text().contains("# EOF"));
    let open =
        ask(server.address, "GET /metrics", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n").await;
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.text().ends_with("# EOF\n"));
    assert!(open.text().contains("kafka_server_socket_server_metrics_connection_count{listener=\"PLAINTEXT\"} 1\n"));
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_those_who_can() {
    let server = start().await;
    let answer = ask(server.address, "GET /metrics", "Accept-Encoding: gzip\r\n").await;
    assert!(answer.head.contains("content-encoding: gzip"), "{}", answer.head);
    let mut text = String::new();
    GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("process_open_fds "));
    assert!(answer.body.len() < text.len() / 2);
}

#[tokio::test]
async fn a_probe_learns_what_is_wrong() {
    let server = start().await;
    let ready = ask(server.address, "GET /readyz", "").await;
    assert_eq!((ready.status, ready.text()), (200, "ready\nlog directory /data ok\n"));
    server.online.store(false, SeqCst);
    let failed = ask(server.address, "GET /readyz", "Accept: application/json\r\n").await;
    assert_eq!(failed.status, 503);
    assert_eq!(failed.text(), r#"{"ready":false,"checks":[{"name":"log directory /data","ok":false}]}"#);
    let alive = ask(server.address, "GET /healthz", "").await;
    assert_eq!((alive.status, alive.text()), (200, "alive\n"), "a broker that is not ready lives");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = start().await;
    assert_eq!(ask(server.address, "GET /", "").await.status, 200);
    assert_eq!(ask(server.address, "GET /metrics/../etc/passwd", "").await.status, 404);
    let post = ask(server.address, "POST /metrics", "Content-Length: 0\r\n").await;
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"));
    let head = ask(server.address, "HEAD /healthz", "").await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert!(head.head.contains("content-length: 6"));
}

#[tokio::test]
async fn a_head_too_large_is_refused() {
    let server = start().await;
    let long = format!("X-Long: {}\r\n", "a".repeat(64 * 1024));
    assert_eq!(ask(server.address, "GET /healthz", &long).await.status, 431);
    let many: String = (0..100).map(|i| format!("X-{i}: 1\r\n")).collect();
    assert_eq!(ask(server.address, "GET /healthz", &many).await.status, 431);
    assert_eq!(ask(server.address, "GET /healthz", "").await.status, 200, "others are served");
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_the_listener() {
    let server = start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    server.stop.cancel();
    server.task.await.unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = HttpListener::bind(&address).await.err().expect("the address is taken").to_string();
    assert!(error.contains(&address) && error.contains("http.listener"), "{error}");
}
