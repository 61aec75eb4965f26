//! What the group coordinator can be told; names and defaults are Kafka's (`GroupCoordinatorConfig`). Times in milliseconds, sizes in bytes.

/// The broker's settings for groups. All but those of the topic may change while the broker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: members of one classic group.
    pub max_size: usize,
    /// Bytes that a member may have kept of what it says of itself: `message.max.bytes`, as the group is stored in one record. Kafka finds out
    /// when it is too late, and keeps the member until then.
    pub member_metadata_max: usize,
    /// `offset.metadata.max.bytes`, in characters as Java counts them.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.commit.timeout.ms`: how long an answer waits until what it depends on is committed. Read when a shard starts.
    pub offsets_commit_timeout_ms: i32,
    /// `offsets.topic.num.partitions`, for the creation of the topic.
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.replication.factor`, for the creation of the topic.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`, for the creation of the topic.
    pub offsets_topic_segment_bytes: i32,
}

/// A member that has not got its id yet cannot heartbeat; its parked JoinGroup is given up after this time
/// (`GroupCoordinatorConfig.CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
pub const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1000;

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX as usize,
            member_metadata_max: 1_048_588,
            offset_metadata_max: 4096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            offsets_retention_check_interval_ms: 600_000,
            offsets_commit_timeout_ms: 5_000,
            offsets_topic_partitions: 50,
            offsets_topic_replication_factor: 3,
            offsets_topic_segment_bytes: 104_857_600,
        }
    }
}
