//! What every API answers, over real sockets.

// Tables of cases are read more easily in place than through names for their types.
#![allow(clippy::type_complexity)]

#[path = "../protocol_support/mod.rs"]
mod protocol_support;
#[path = "../support/mod.rs"]
#[allow(unused)]
mod support;

mod cluster;
mod configs;
mod documentation;
mod every_version;
mod fetch;
mod told;
mod topics;
