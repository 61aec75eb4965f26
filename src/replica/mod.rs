//! Partitions as this broker serves them: the lock around a log and its role, who waits for what, and fetch sessions.

pub mod acknowledgement;
pub mod fetch;
pub mod fetch_session;
pub mod manager;
pub mod partition;
pub mod waiters;
