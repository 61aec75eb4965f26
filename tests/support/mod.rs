//! What integration tests share.

pub mod process;
