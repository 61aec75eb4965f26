//! The command line as people and scripts use it: the real binary against a real node, its output, its errors and its exit codes.

mod bench;
mod brokerless;
mod clusters;
mod configs;
mod dumps;
mod first_mistakes;
mod groups;
mod records;
mod restarts;
#[allow(unused)]
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod topics;
