//! The wire, around the kafka-protocol crate: frames, request headers, and the buffer that responses are gathered in.

pub mod frame;
pub mod header;
pub mod outbox;
