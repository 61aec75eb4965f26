//! The front door: from a frame to the row of its API, and from the handler's reply to bytes.
//!
//! Invariants: every frame gives exactly one answer, no answer (acks=0), or a closed connection; nothing is decoded whose counts and
//! lengths were not checked against the bytes that are there; a handler cannot fail, so an error here is the peer's or a bug of ours.

pub mod cluster;
pub mod config;
pub mod data;
mod distinct;
mod error_code;
pub mod group;
mod forward;
mod partition_view;
pub mod reply;
pub mod session;
pub mod table;
pub mod topic;
pub mod transaction;

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::HeaderVersion;
use tracing::error;

use self::error_code::FirstError;
use self::reply::{Pending, Reply};
use self::session::{Context, Session};
use crate::protocol::header::{self, RequestHeader};
use crate::protocol::outbox::Outbox;
use crate::protocol::{self, ApiMessage, ApiRequest};

/// What became of a request.
pub enum Handled {
    /// The answer, if there is one, is in the outbox; `error_code` is the first it has, or 0.
    Done { error_code: i16 },
    /// The answer, with its error code, will be what the future gives; see [`Reply::Alone`] for `alone`.
    Waiting { future: Pending<(Outbox, i16)>, alone: bool },
    /// The connection ends, for this reason.
    Close(String),
}

/// A request that was recognised.
pub struct Dispatched {
    /// Its API's place in the table.
    pub row: usize,
    pub version: i16,
    pub handled: Handled,
}

/// Handles one request frame: the ordered phase. An answer that is ready at once goes straight into `outbox`. A frame that cannot be
/// told apart is an error; the connection ends then.
pub fn dispatch(session: &Arc<Session>, mut frame: Bytes, outbox: &mut Outbox) -> Result<Dispatched, String> {
    let Some(requested) = header::peek(&frame) else { return Err("a request of fewer than four bytes".into()) };
    let Some(row) = table::place(requested.key) else {
        return Err(format!("unknown api key {}", requested.key));
    };
    let api = &table::APIS[row];
    let supported = (api.min..=api.max).contains(&requested.version);
    if !supported && api.key != table::API_VERSIONS {
        return Err(format!("{} version {} is not supported", api.name, requested.version));
    }
    // A client newer than this broker learns what there is from an answer in version 0 (KIP-511); its body is not looked at.
    let flexible = (api.header_version)(if supported { requested.version } else { 0 }) >= 2;
    let handled = match header::take(&mut frame, flexible && supported) {
        Ok(header) if supported => (api.handle)(session, &header, frame, outbox),
        Ok(header) => cluster::api_versions::unsupported_version(session, &header, outbox),
        Err(e) => Handled::Close(format!("{}: {e}", api.name)),
    };
    Ok(Dispatched { row, version: requested.version, handled })
}

/// Decodes the request, runs its handler and encodes the reply: what every row of the table does.
fn run<R: ApiRequest>(
    session: &Arc<Session>,
    header: &RequestHeader,
    body: Bytes,
    outbox: &mut Outbox,
    handle: impl FnOnce(&Context, R) -> Reply<R::Response>,
    announce: fn(&R::Response, &mut Outbox),
) -> Handled
where
    R::Response: HeaderVersion + FirstError + Send + 'static,
{
    let version = header.api.version;
    let request = match protocol::decode_request::<R>(version, body) {
        Ok(request) => request,
        Err(e) => return Handled::Close(format!("malformed request (api key {}, version {version}): {e}", R::KEY)),
    };
    let correlation_id = header.correlation_id;
    match handle(&Context { session, header }, request) {
        Reply::Now(response) => match encode(correlation_id, version, &response, announce, outbox) {
            Ok(()) => Handled::Done { error_code: response.first_error() },
            Err(reason) => Handled::Close(reason),
        },
        Reply::Later(future) => wait::<R>(correlation_id, version, future, announce, false),
        Reply::Alone(future) => wait::<R>(correlation_id, version, future, announce, true),
        Reply::Silent => Handled::Done { error_code: 0 },
        Reply::Close(reason) => Handled::Close(reason.into()),
    }
}

fn wait<R: ApiRequest>(
    correlation_id: i32,
    version: i16,
    response: Pending<R::Response>,
    announce: fn(&R::Response, &mut Outbox),
    alone: bool,
) -> Handled
where
    R::Response: HeaderVersion + FirstError + Send + 'static,
{
    let future = Box::pin(async move {
        let response = response.await;
        let mut outbox = Outbox::default();
        // The error is logged where it arises; the client times out and tries again.
        let _ = encode(correlation_id, version, &response, announce, &mut outbox);
        (outbox, response.first_error())
    });
    Handled::Waiting { future, alone }
}

/// Encodes a response frame. An error is a bug: a field was set that its version does not have.
fn encode<A: ApiMessage + HeaderVersion + 'static>(
    correlation_id: i32,
    version: i16,
    response: &A,
    announce: fn(&A, &mut Outbox),
    outbox: &mut Outbox,
) -> Result<(), String> {
    let encoded = outbox.frame(|outbox| {
        outbox.put_i32(correlation_id);
        if A::header_version(version) >= 1 {
            outbox.put_u8(0);
        }
        announce(response, outbox);
        protocol::encode_response(response, version, outbox)
    });
    encoded.map_err(|e| {
        let what = std::any::type_name::<A>();
        error!(response = what, version, error = %e, "a response could not be encoded; please report this");
        format!("{what} version {version} could not be encoded: {e}")
    })
}
