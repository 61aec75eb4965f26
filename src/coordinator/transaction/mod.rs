//! Transactions: which producer holds a transactional id, what its open transaction touches, and how it ends. Kafka's TransactionCoordinator
//! over `__transaction_state` (KIP-98, KIP-360, KIP-890).
//!
//! ```text
//! Empty ─add partitions→ Ongoing ─EndTxn, timeout, another producer→ PrepareCommit | PrepareAbort ─all markers written→ Complete…
//!   ▲                       ▲                                                                                             │
//!   └──── InitProducerId ───┴───────────────────────── add partitions ────────────────────────────────────────────────────┘
//! ```
//!
//! [`coordinator::TransactionCoordinator`] routes a request to the shard that leads the transactional id's partition; [`shard::TransactionShard`]
//! decides it. Everything but `coordinator.rs` is pure. **The outcome of a transaction is decided by the record of its Prepare state**: whoever
//! leads the partition from then on drives it forward until every partition has its marker. Markers are written by the broker
//! (`broker/markers.rs`), which takes the work from the shard once that record is committed ([`work`]).

pub mod config;
pub mod state;
pub mod metadata;
pub mod record;
pub mod request;
pub mod work;
pub mod shard;
mod init_producer_id;
mod add_partitions;
mod end_transaction;
mod expiry;
pub mod describe;
pub mod coordinator;

#[cfg(test)]
mod tests;
