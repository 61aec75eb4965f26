//! Partitions as this broker serves them: the lock around a log and its role, who waits for what, and fetch sessions.

pub mod commit_wait;
pub mod fetch_session;
pub mod waiters;
