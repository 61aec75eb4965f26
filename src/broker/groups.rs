//! What the group coordinator takes from the broker's configuration.

use crate::config::BrokerConfig;
use crate::coordinator::group::config::GroupConfig;

/// The settings for groups, in the units of the coordinator.
pub fn group_config(config: &BrokerConfig) -> GroupConfig {
    let group = &config.group;
    GroupConfig {
        min_session_timeout_ms: group.group_min_session_timeout_ms,
        max_session_timeout_ms: group.group_max_session_timeout_ms,
        initial_rebalance_delay_ms: group.group_initial_rebalance_delay_ms,
        max_size: group.group_max_size.max(1) as usize,
        member_metadata_max: config.log.message_max_bytes.max(0) as usize,
        offset_metadata_max: group.offset_metadata_max_bytes.max(0) as usize,
        offsets_retention_ms: i64::from(group.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: group.offsets_retention_check_interval_ms,
        offsets_commit_timeout_ms: group.offsets_commit_timeout_ms,
        offsets_topic_partitions: group.offsets_topic_num_partitions,
        offsets_topic_replication_factor: group.offsets_topic_replication_factor,
        offsets_topic_segment_bytes: group.offsets_topic_segment_bytes,
    }
}
