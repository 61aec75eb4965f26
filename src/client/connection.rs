//! One socket to one broker, on which requests are pipelined.
//!
//! Two tasks own the halves of the socket, so a response is read while a large request is still being written. Kafka answers in the order
//! of the requests, so who waits is a queue, not a map.
//!
//! Invariants: a request is in the queue of waiters before its first byte leaves; a frame is written whole or the connection is dead; a
//! frame's length is looked at before anything is reserved for it, and memory grows with the bytes that came, not with those announced.
//! What a response's body counts is believed by the decoder once the frame is there, so a hostile broker can still make a client reserve
//! too much: a client speaks to brokers it was pointed at.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, HeaderVersion, StrBytes, encode_request_header_into_buffer};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ClientOptions;
use super::address::Address;
use super::error::ClientError;
use super::versions::{ServerVersions, ours};
use crate::base::ErrorCode;
use crate::protocol::frame::{self, Front, LENGTH_PREFIX};
use crate::protocol::messages::{ApiMessage, ApiRequest};

/// Requests that may wait to be written.
const QUEUE: usize = 64;
/// Bytes read at once while a frame is not complete.
const READ_CHUNK: usize = 64 << 10;
/// Where the correlation id stands in a frame.
const CORRELATION_AT: usize = LENGTH_PREFIX + 4;
/// Bytes of the correlation id that every response begins with; every frame handed to a waiter has them.
const CORRELATION_LEN: usize = 4;
/// Highest ApiVersions that is asked first; an older broker answers with what it has.
const API_VERSIONS: i16 = 4;

/// See the module. Dropping it closes the socket.
pub struct Connection {
    address: Address,
    client_id: StrBytes,
    request_timeout: Duration,
    versions: ServerVersions,
    outgoing: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Outgoing {
    api: ApiKey,
    frame: Vec<u8>,
    reply: Reply,
}

/// What a sender waits for.
enum Reply {
    Answer(oneshot::Sender<Result<Bytes, ClientError>>),
    /// Nothing comes back (acks=0): it is enough that the bytes left.
    Written(oneshot::Sender<Result<(), ClientError>>),
}

struct Waiter {
    api: ApiKey,
    correlation: i32,
    answer: oneshot::Sender<Result<Bytes, ClientError>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiters: VecDeque<Waiter>,
    /// Why the connection is of no use any more.
    broken: Option<ClientError>,
}

impl Connection {
    /// Connects and asks what the broker can.
    pub async fn open(address: &Address, options: &ClientOptions) -> Result<Self, ClientError> {
        let connect = TcpStream::connect((address.host.as_str(), address.port));
        let socket = match timeout(options.connect_timeout, connect).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(ClientError::Connect { address: address.clone(), source: Arc::new(error) }),
            Err(_) => return Err(ClientError::ConnectTimeout { address: address.clone(), waited: options.connect_timeout }),
        };
        socket.set_nodelay(true).map_err(|e| io(address, "setting TCP_NODELAY", e))?;
        let (read, write) = socket.into_split();
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(write_requests(address.clone(), write, queue, shared.clone()));
        tasks.spawn(read_responses(address.clone(), read, shared.clone(), options.max_response_bytes));
        let mut connection = Self {
            address: address.clone(),
            client_id: StrBytes::from_string(options.client_id.clone()),
            request_timeout: options.request_timeout,
            versions: ServerVersions::default(),
            outgoing,
            shared,
            _tasks: tasks,
        };
        connection.versions = connection.negotiate().await?;
        Ok(connection)
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What the broker said it can.
    pub fn versions(&self) -> &ServerVersions {
        &self.versions
    }

    pub fn is_broken(&self) -> bool {
        self.shared.state.lock().broken.is_some()
    }

    /// The version `R` is sent in, for requests that look different in some.
    pub fn version_of<R: ApiRequest>(&self) -> Result<i16, ClientError> {
        self.version_at_most::<R>(i16::MAX)
    }

    /// The same, where versions above `most` are not wanted.
    pub fn version_at_most<R: ApiRequest>(&self, most: i16) -> Result<i16, ClientError> {
        self.versions.choose::<R>(most).ok_or_else(|| {
            let ours = ours::<R>();
            let theirs = self.versions.range(R::KEY).map_or("none".to_owned(), |(min, max)| format!("{min} to {max}"));
            ClientError::Version { address: self.address.clone(), api: api::<R>(), ours: (ours.min, ours.max), theirs }
        })
    }

    /// Sends a request in the highest version that both sides know, and waits for its answer.
    pub async fn send<R: ApiRequest>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.send_version(request, self.version_of::<R>()?).await
    }

    /// Sends a request in a version that the caller has chosen with [`Self::version_of`].
    pub async fn send_version<R: ApiRequest>(&self, request: &R, version: i16) -> Result<R::Response, ClientError> {
        self.send_waiting(request, version, Duration::ZERO).await
    }

    /// The same for requests that the broker holds back on purpose, for up to `held` (a fetch, a join).
    pub async fn send_waiting<R: ApiRequest>(
        &self,
        request: &R,
        version: i16,
        held: Duration,
    ) -> Result<R::Response, ClientError> {
        let frame = self.exchange(request, version, held).await?;
        decode::<R>(&self.address, frame, version)
    }

    /// Sends a request that is not answered, and waits until its bytes have been handed to the system.
    pub async fn send_unanswered<R: ApiRequest>(&self, request: &R, version: i16) -> Result<(), ClientError> {
        let (written, done) = oneshot::channel();
        let reply = Reply::Written(written);
        self.enqueue(Outgoing { api: api::<R>(), frame: self.encode(request, version)?, reply }).await?;
        done.await.unwrap_or_else(|_| Err(self.broken(api::<R>())))
    }

    async fn exchange<R: ApiRequest>(&self, request: &R, version: i16, held: Duration) -> Result<Bytes, ClientError> {
        let (answer, answered) = oneshot::channel();
        let frame = self.encode(request, version)?;
        let waited = self.request_timeout + held;
        let exchange = async {
            self.enqueue(Outgoing { api: api::<R>(), frame, reply: Reply::Answer(answer) }).await?;
            answered.await.unwrap_or_else(|_| Err(self.broken(api::<R>())))
        };
        match timeout(waited, exchange).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout { address: self.address.clone(), api: api::<R>(), waited }),
        }
    }

    async fn enqueue(&self, outgoing: Outgoing) -> Result<(), ClientError> {
        let api = outgoing.api;
        self.outgoing.send(outgoing).await.map_err(|_| self.broken(api))
    }

    fn broken(&self, api: ApiKey) -> ClientError {
        let state = self.shared.state.lock();
        state.broken.clone().unwrap_or(ClientError::Closed { address: self.address.clone(), api: Some(api) })
    }

    fn encode<R: ApiRequest>(&self, request: &R, version: i16) -> Result<Vec<u8>, ClientError> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::zeroed(LENGTH_PREFIX);
        let inexpressible = |reason: String| {
            let (address, api) = (self.address.clone(), api::<R>());
            ClientError::Inexpressible { address, api, version, reason }
        };
        encode_request_header_into_buffer(&mut frame, &header).map_err(|e| inexpressible(e.to_string()))?;
        request.write(&mut frame, version).map_err(|e| inexpressible(e.to_string()))?;
        let length = i32::try_from(frame.len() - LENGTH_PREFIX).map_err(|_| inexpressible("it is larger than 2 GiB".into()))?;
        frame[..LENGTH_PREFIX].copy_from_slice(&length.to_be_bytes());
        Ok(frame.into())
    }

    /// Asks in the newest version; a broker that does not know it says so in the format of version 0, with the versions it has (KIP-511).
    async fn negotiate(&self) -> Result<ServerVersions, ClientError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("klamm"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let frame = self.exchange(&request, API_VERSIONS, Duration::ZERO).await?;
        let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        let response = if frame[CORRELATION_LEN..].starts_with(&unsupported) {
            let refusal = decode::<ApiVersionsRequest>(&self.address, frame, 0)?;
            let known = refusal.api_keys.iter().find(|row| row.api_key == <ApiVersionsRequest as ApiRequest>::KEY);
            let version = known.map_or(0, |row| row.max_version.clamp(0, API_VERSIONS - 1));
            let request = if version < 3 { ApiVersionsRequest::default() } else { request };
            self.send_version(&request, version).await?
        } else {
            decode::<ApiVersionsRequest>(&self.address, frame, API_VERSIONS)?
        };
        self.accepted(response)
    }

    fn accepted(&self, response: ApiVersionsResponse) -> Result<ServerVersions, ClientError> {
        use kafka_protocol::error::ParseResponseErrorCode;
        match response.error_code.err() {
            None => Ok(ServerVersions::new(&response)),
            Some(code) => Err(ClientError::refused(format!("ApiVersions at {}", self.address), code)),
        }
    }
}

fn api<R: ApiRequest>() -> ApiKey {
    ApiKey::try_from(R::KEY).expect("every request type of the crate has a key")
}

fn io(address: &Address, operation: &'static str, error: std::io::Error) -> ClientError {
    ClientError::Io { address: address.clone(), operation, source: Arc::new(error) }
}

/// Reads a response frame, header included.
fn decode<R: ApiRequest>(address: &Address, mut frame: Bytes, version: i16) -> Result<R::Response, ClientError> {
    let malformed = |reason: String| {
        let (address, api) = (address.clone(), api::<R>());
        ClientError::Malformed { address, api, version, reason }
    };
    ResponseHeader::decode(&mut frame, R::Response::header_version(version)).map_err(|e| malformed(e.to_string()))?;
    R::Response::read(&mut frame, version).map_err(|e| malformed(e.to_string()))
}

/// The task that writes. It ends when the last handle is gone or the socket fails.
async fn write_requests(address: Address, mut socket: OwnedWriteHalf, mut queue: mpsc::Receiver<Outgoing>, shared: Arc<Shared>) {
    let mut correlation = 0i32;
    while let Some(Outgoing { api, mut frame, reply }) = queue.recv().await {
        frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation.to_be_bytes());
        let written = match reply {
            Reply::Answer(answer) => {
                shared.wait(Waiter { api, correlation, answer });
                None
            }
            Reply::Written(written) => Some(written),
        };
        let result = socket.write_all(&frame).await.map_err(|e| io(&address, "writing", e));
        if let Err(error) = &result {
            shared.fail(error.clone());
        }
        let failed = result.is_err();
        if let Some(written) = written {
            // The sender may have given up waiting.
            let _ = written.send(result);
        }
        if failed {
            return;
        }
        correlation = correlation.wrapping_add(1);
    }
}

/// The task that reads. It ends with the socket, and tells everybody who waits why.
async fn read_responses(address: Address, mut socket: OwnedReadHalf, shared: Arc<Shared>, limit: usize) {
    let mut buffer = BytesMut::new();
    let error = loop {
        match next_frame(&address, &mut socket, &mut buffer, limit).await {
            Ok(Some(frame)) => {
                if let Err(error) = shared.answer(&address, frame) {
                    break error;
                }
            }
            Ok(None) => break ClientError::Closed { address: address.clone(), api: shared.first_api() },
            Err(error) => break error,
        }
    };
    shared.fail(error);
}

/// The next whole frame; `None` if the peer closed before its end.
async fn next_frame(
    address: &Address,
    socket: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Option<Bytes>, ClientError> {
    loop {
        let missing = match frame::take(buffer, limit) {
            Ok(Front::Frame(frame)) => return Ok(Some(frame)),
            Ok(Front::Partial { size }) => size - buffer.len(),
            Ok(Front::Nothing) => READ_CHUNK,
            Err(invalid) => return Err(not_kafka(address, buffer, &invalid)),
        };
        // Doubling what has come bounds the memory by the bytes a peer really sent.
        buffer.reserve(missing.min(buffer.len().max(READ_CHUNK)));
        if socket.read_buf(buffer).await.map_err(|e| io(address, "reading", e))? == 0 {
            return Ok(None);
        }
    }
}

/// Says what the peer speaks instead, where its first bytes tell.
fn not_kafka(address: &Address, bytes: &[u8], invalid: &frame::InvalidFrame) -> ClientError {
    let reason = if bytes.starts_with(b"HTTP") {
        "it answers in HTTP".to_owned()
    } else if bytes.starts_with(&[0x15, 3]) {
        "it answers with a TLS alert, so this listener expects TLS".to_owned()
    } else if let Some(word) = bytes.get(..4).filter(|word| word.iter().all(|b| (b' '..=b'~').contains(b))) {
        format!("its answer begins with {:?}", String::from_utf8_lossy(word))
    } else {
        format!("it announces a response of {} bytes, where 0 to {} are allowed", invalid.length, invalid.limit)
    };
    ClientError::NotKafka { address: address.clone(), reason }
}

impl Shared {
    fn wait(&self, waiter: Waiter) {
        let mut state = self.state.lock();
        match &state.broken {
            None => state.waiters.push_back(waiter),
            Some(error) => drop(waiter.answer.send(Err(error.clone()))),
        }
    }

    fn first_api(&self) -> Option<ApiKey> {
        self.state.lock().waiters.front().map(|waiter| waiter.api)
    }

    /// Hands a frame to the one who has waited longest. The frame of somebody who gave up waiting is dropped.
    fn answer(&self, address: &Address, frame: Bytes) -> Result<(), ClientError> {
        let not_kafka = |reason: String| ClientError::NotKafka { address: address.clone(), reason };
        let waiter = self.state.lock().waiters.pop_front();
        let Some(waiter) = waiter else { return Err(not_kafka("it sent an answer that nobody asked for".into())) };
        let Some(correlation) = frame.first_chunk::<CORRELATION_LEN>().map(|id| i32::from_be_bytes(*id)) else {
            return Err(not_kafka(format!("it sent a response of {} bytes", frame.len())));
        };
        if correlation != waiter.correlation {
            let reason = format!("correlation id {correlation} where {} is next", waiter.correlation);
            return Err(not_kafka(reason));
        }
        let _ = waiter.answer.send(Ok(frame));
        Ok(())
    }

    fn fail(&self, error: ClientError) {
        let mut state = self.state.lock();
        let error = state.broken.get_or_insert(error).clone();
        for waiter in state.waiters.drain(..) {
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }
}
