//! What every API answers, over real sockets.

#[path = "../protocol_support/mod.rs"]
mod protocol_support;
#[path = "../support/node.rs"]
mod node;

mod every_version;
