//! klamm: a standalone distributed log broker that every Kafka client can use.
//!
//! The list of modules is the order of dependency: each may import only what stands above it. `tests/tidy.rs` keeps it so.

pub mod base;
pub mod metrics;
pub mod config;
pub mod record;
pub mod protocol;
pub mod storage;
pub mod metadata;
pub mod client;
pub mod quorum;
pub mod controller;
pub mod replica;
pub mod coordinator;
pub mod broker;
pub mod api;
pub mod server;
pub mod http;
pub mod node;
pub mod cli;
