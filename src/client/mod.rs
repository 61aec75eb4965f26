//! A client of the wire: connections, metadata, producing, consuming, groups. It serves the command line and speaks to any Kafka.
//!
//! A [`Connection`] is one socket on which requests are pipelined; a [`Client`] is a cluster: it finds brokers, leaders and coordinators,
//! and repeats what is worth repeating until a deadline. [`Producer`] and [`Consumer`] stand on it. What can be decided without a socket
//! (partitioner, assignor, accumulating, versions, aborted transactions) has a file of its own and imports no tokio.

pub mod aborted;
pub mod address;
pub mod cluster;
pub mod configs;
mod connection;
pub mod consumer;
pub mod coordinator;
pub mod error;
pub mod group;
mod leaders;
mod meaning;
pub mod metadata;
pub mod offsets;
pub mod producer;
pub mod retry;
pub mod transactions;
pub mod versions;

pub use address::Address;
pub use cluster::{Client, ClientOptions};
pub use connection::Connection;
pub use consumer::Consumer;
pub use error::{ClientError, kafka_name};
pub use metadata::ClusterMetadata;
pub use producer::Producer;
