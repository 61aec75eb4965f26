//! Groups: who consumes what together, and how far they have come. Kafka's GroupCoordinator over `__consumer_offsets`.
//!
//! [`coordinator::GroupCoordinator`] routes a request to the shard that leads the group's partition; [`shard::GroupShard`] decides it. Everything
//! but `coordinator.rs` is pure. A shard holds two things: groups ([`classic`], KIP-848 consumer groups will stand beside them) and
//! committed offsets ([`offsets`]); what survives a restart of either is exactly what its records say ([`record`]).

pub mod config;
pub mod record;
pub mod request;
pub mod offsets;
pub mod classic;
pub mod shard;
mod membership;
pub mod commit;
pub mod fetch;
mod delete;
pub mod describe;
mod expiry;
pub mod coordinator;

#[cfg(test)]
mod tests;
