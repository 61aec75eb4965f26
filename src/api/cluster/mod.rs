//! The cluster and its brokers: versions, features, metadata, quorum, log directories.

pub mod api_versions;
pub mod describe_cluster;
pub mod metadata;
