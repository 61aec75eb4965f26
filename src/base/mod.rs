//! Words and tools of every layer; imports nothing else of klamm.

#[cfg(test)]
pub mod committed;
pub mod crash_point;
pub mod disk;
pub mod ids;
pub mod logging;
pub mod supervisor;
pub mod tasks;
pub mod time;

/// Kafka's error codes. The absence of an error (code 0) is `Ok` or `None`, never a value of this type.
pub use kafka_protocol::error::ResponseError as ErrorCode;
