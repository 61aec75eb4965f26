//! The classic group protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup (Kafka's `ClassicGroup` and its half of `GroupMetadataManager`).
//!
//! ```text
//!               first join                    delay over, or all rejoined, or rebalance timeout
//!   Empty ────────────────▶ PreparingRebalance ───────────────────────────▶ CompletingRebalance
//!     ▲                       │     ▲      ▲                                   │            │
//!     └─── nobody rejoined ───┘     │      └── member joins, leaves, expires ──┘            │ leader syncs (record)
//!       (record)                    └──── joins, leaves, expires; leader rejoins ──── Stable ◀┘
//! ```
//!
//! Unlike Kafka, the leader's assignment takes effect when it is decided, not when its record is committed: the answers wait for the
//! commit, and if it fails the shard is loaded again. `group.rs` holds the state and its invariants, the other files the requests.

pub mod group;
pub mod member;
pub mod join;
pub mod leave;
mod protocol;
mod rebalance;
mod sync;

#[cfg(test)]
mod invariants;

pub use group::{CLASSIC, ClassicGroup, State};
