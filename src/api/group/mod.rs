//! Groups: who consumes what together, and what they have committed. Every request goes to the shard that coordinates its group; the
//! coordinator takes it into that shard's mailbox before the next request of the connection is looked at, so their order is kept.

pub mod delete_groups;
pub mod describe_groups;
pub mod find_coordinator;
pub mod heartbeat;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod sync_group;
