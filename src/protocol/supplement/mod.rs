//! Versions of Kafka 4.3.1 that the kafka-protocol crate does not have, or only on one side:
//!
//! | message | version | what it adds |
//! |---|---|---|
//! | ListOffsets | 11 | timestamp −6, the earliest offset waiting for upload (KIP-1023); bytes as in 10 |
//! | OffsetCommit request | 10 | topic ids instead of names (KIP-848) |
//! | OffsetFetch request | 10 | topic ids instead of names (KIP-848) |
//! | WriteTxnMarkers | 2 | `TransactionVersion` of a marker (KIP-1228); the response's bytes as in 1 |
//! | DescribeLogDirs | 5 | `IsCordoned` of a directory (KIP-1066) |
//!
//! Everything here is flexible (KIP-482): lengths are varints plus one, structs end with tagged fields.
//!
//! Invariant: no reader reserves memory for more elements than bytes are left.

mod describe_log_dirs;
mod offset_commit;
mod offset_fetch;
mod same_bytes;
#[cfg(test)]
mod tests;
mod wire;
mod write_txn_markers;

pub use describe_log_dirs::{CompactionLag, DescribeLogDirsResponse};
pub use write_txn_markers::WriteTxnMarkersRequest;
