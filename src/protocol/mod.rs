//! The wire, around the kafka-protocol crate: frames, request headers, bodies checked before they are decoded, and the buffer that
//! responses are gathered in.

pub mod frame;
pub mod header;
pub mod shape;
pub mod messages;
pub mod supplement;
pub mod outbox;

pub use messages::{ApiMessage, ApiRequest, CodecError, decode_request, encode_response};
