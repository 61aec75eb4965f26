//! The log on disk. Synchronous: files are reached through `base::disk::Disk`, time comes in as an argument.

pub mod checkpoint;
pub mod leader_epochs;
pub mod producer_state;
pub mod transaction_index;
