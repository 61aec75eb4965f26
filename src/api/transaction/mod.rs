//! Transactions: who produces under a transactional id, what a transaction touches, how it ends. Every request goes to the shard that
//! coordinates its transactional id; the coordinator takes it into that shard's mailbox before the next request of the connection is looked
//! at, so their order is kept. Who is asked for a fresh producer id asks a second time, behind what was asked since. TxnOffsetCommit goes to two
//! coordinators, one after the other, and no request of its connection is looked at meanwhile.
//!
//! PRODUCER_FENCED is younger than the protocol: clients whose version does not know it are told INVALID_PRODUCER_EPOCH (KIP-588).

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod describe_transactions;
pub mod end_txn;
pub mod init_producer_id;
pub mod list_transactions;
pub mod txn_offset_commit;
pub mod write_txn_markers;

use crate::base::ErrorCode;

/// The code for a client whose API knows PRODUCER_FENCED since version `since`.
fn fenced_since(since: i16, version: i16, code: ErrorCode) -> ErrorCode {
    if version < since && code == ErrorCode::ProducerFenced { ErrorCode::InvalidProducerEpoch } else { code }
}
