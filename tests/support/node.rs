//! A node in this process, and clients that speak to it over sockets, frame by frame.
//!
//! Everything here fails by panic with what was asked, so that a test reads as what users are promised. Nothing waits longer than
//! [`DEADLINE`].

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::protocol::HeaderVersion;
use klamm::base::logging::Logging;
use klamm::config::{Inputs, load};
use klamm::node::Node;
use klamm::protocol::{ApiMessage, ApiRequest};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A running node on a free port, with its data in a directory that goes with it.
pub struct TestNode {
    runtime: Runtime,
    node: Option<Node>,
    _data: TempDir,
}

impl TestNode {
    /// Starts a node with these values (`key=value`), which win over `node.id=1` and one data directory.
    pub fn start(set: &[&str]) -> Self {
        Self::start_logged(set, None)
    }

    /// As [`start`](Self::start), with the log of this process.
    pub fn start_logged(set: &[&str], logging: Option<Arc<Logging>>) -> Self {
        let data = TempDir::new().expect("a temporary directory");
        let mut values =
            vec!["listeners=PLAINTEXT://127.0.0.1:0".to_owned(), format!("log.dirs={}", data.path().join("data").display())];
        values.extend(set.iter().map(|value| value.replace("{data}", &data.path().display().to_string())));
        let settings = load(Inputs { set: values, ..Inputs::default() }).unwrap_or_else(|problems| panic!("{problems}"));
        let runtime = Runtime::new().expect("a runtime");
        let started = runtime.block_on(Node::start_logged(settings, logging));
        let node = started.unwrap_or_else(|error| panic!("the node does not start: {error}"));
        Self { runtime, node: Some(node), _data: data }
    }

    /// The node itself.
    pub fn node(&self) -> &Node {
        self.node.as_ref().expect("it runs until it is dropped")
    }

    pub fn address(&self) -> SocketAddr {
        self.node().listening()[0].1
    }

    /// Runs what needs the node's runtime to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }
}

impl Drop for TestNode {
    /// Stops the node in order, so that a test also fails when that does not end.
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            let stopped = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, node.stop()).await });
            assert!(stopped.is_ok() || std::thread::panicking(), "the node does not stop");
        }
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream =
            TcpStream::connect_timeout(&address, DEADLINE).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket takes a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a socket takes a timeout");
        stream.set_nodelay(true).expect("a socket takes the option");
        Self { stream, correlation_id: 0 }
    }

    /// Sends a request and gives its response.
    pub fn call<R: ApiRequest>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request).unwrap_or_else(|why| panic!("api key {}, version {version}: {why}", R::KEY))
    }

    /// As [`call`](Self::call); what went wrong on the wire is an error.
    pub fn try_call<R: ApiRequest>(&mut self, version: i16, request: &R) -> Result<R::Response, String> {
        self.correlation_id += 1;
        let frame = request_frame(self.correlation_id, version, request)?;
        self.send_frame(&frame).map_err(|e| format!("the request cannot be sent: {e}"))?;
        let frame = self.receive_frame()?;
        let (correlation_id, response) = decode_response::<R>(version, frame)?;
        match correlation_id == self.correlation_id {
            true => Ok(response),
            false => Err(format!("the answer has correlation id {correlation_id} instead of {}", self.correlation_id)),
        }
    }

    /// Sends bytes as one frame.
    pub fn send_frame(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(4 + frame.len());
        bytes.put_u32(frame.len() as u32);
        bytes.put_slice(frame);
        self.stream.write_all(&bytes)
    }

    /// Reads the next frame. A connection that ends, or silence up to the deadline, is an error.
    pub fn receive_frame(&mut self) -> Result<Bytes, String> {
        let mut length = [0; 4];
        self.read(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.read(&mut frame)?;
        Ok(frame.into())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), String> {
        self.stream.read_exact(into).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => "the connection was closed".to_owned(),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {DEADLINE:?}"),
            _ => format!("the answer cannot be read: {e}"),
        })
    }
}

/// A whole request without its length. An error says that the request has fields which the version does not know.
pub fn request_frame<R: ApiRequest>(correlation_id: i32, version: i16, request: &R) -> Result<Vec<u8>, String> {
    let mut frame = Vec::new();
    frame.put_i16(R::KEY);
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    let client_id = b"test";
    frame.put_i16(client_id.len() as i16);
    frame.put_slice(client_id);
    if R::header_version(version) >= 2 {
        frame.put_u8(0);
    }
    request.write(&mut frame, version).map_err(|e| format!("the request cannot be encoded: {e}"))?;
    Ok(frame)
}

/// Correlation id and body of a response frame, which must end with the body.
pub fn decode_response<R: ApiRequest>(version: i16, mut frame: Bytes) -> Result<(i32, R::Response), String> {
    if frame.len() < 4 {
        return Err(format!("an answer of {} bytes", frame.len()));
    }
    let correlation_id = frame.get_i32();
    if R::Response::header_version(version) >= 1 && (frame.is_empty() || frame.get_u8() != 0) {
        return Err("the header of the answer has tagged fields".into());
    }
    let response = R::Response::read(&mut frame, version).map_err(|e| format!("the answer cannot be decoded: {e}"))?;
    match frame.len() {
        0 => Ok((correlation_id, response)),
        left => Err(format!("{left} bytes behind the answer")),
    }
}
