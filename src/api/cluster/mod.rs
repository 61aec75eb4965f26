//! The cluster and its brokers: versions, features, metadata, quorum, log directories.

pub mod api_versions;
pub mod describe_cluster;
pub mod describe_log_dirs;
pub mod describe_quorum;
pub mod metadata;
pub mod unregister_broker;
pub mod update_features;
