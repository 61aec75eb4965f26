//! The metadata quorum: the log that every controller replicates, and the image it leads to. Raft is openraft's; log, votes and snapshots
//! are files of ours, and nothing of openraft is seen outside this folder.
//!
//! Invariants: an entry is acknowledged only after it is on the disk of a majority · entries apply in order, once, on every node ·
//! purged ≤ snapshot ≤ applied ≤ committed ≤ last entry.
//!
//! Everything here runs on the task that opened the quorum and on tasks that openraft spawns next to it. Writes block that thread: the
//! controller gives the quorum a thread of its own (`controller/driver.rs`), so a slow disk delays decisions, never data.

mod entry;
mod error;
mod files;
pub mod inspect;
mod log;
mod log_store;
mod metadata_quorum;
mod network;
mod raft;
mod snapshot_file;
mod state_machine;

pub use error::QuorumError;
pub use metadata_quorum::{MetadataQuorum, QuorumDescription, QuorumOptions};
pub use raft::{VoterKey, VoterNode};
pub use state_machine::MetadataChange;
