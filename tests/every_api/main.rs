//! What every API answers, over real sockets.

#[path = "../protocol_support/mod.rs"]
mod protocol_support;
#[path = "../support/mod.rs"]
mod support;

mod every_version;
