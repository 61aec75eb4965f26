//! Coordinators: replicated state machines whose log is one partition each (groups now; transactions and share state alike).
//!
//! One pattern carries them all: *handle → records + replies → append → replay → release the replies once committed.*
//!
//! ```text
//! handle (group/coordinator.rs) → mailbox → runtime.rs → Shard::handle (pure) → Effects { write, replies }
//!                                             │                                      │
//!                                             └── replay, append one batch ◀─────────┘ … parked.rs … committed → reply
//! ```
//!
//! A shard lives from the election of its partition's leader here until the resignation, on one task; [`loader`] rebuilds it from the log.
//! **Invariant:** every answer, a read or a refusal too, waits until the log is committed up to the end at which it was decided, so
//! no answer shows state that a failover could lose.

pub mod shard;
pub mod timers;
pub mod log;
pub mod loader;
pub mod mailbox;
pub mod parked;
pub mod partition_log;
mod active;
pub mod runtime;
pub mod shards;
mod wire;
pub mod group;
pub mod transaction;

#[cfg(test)]
pub mod memory_log;
