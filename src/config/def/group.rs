//! The group coordinator: consumer groups of the classic protocol and committed offsets.

use super::keys;

keys! {
    /// Consumer groups of the classic protocol, and the offsets that groups commit.
    pub struct GroupCoordinatorConfig "Groups and offsets" {
        /// Shortest session timeout that a member may ask for.
        "group.min.session.timeout.ms" = "6000" => group_min_session_timeout_ms: i32 { millis, at_least(0) }

        /// Longest session timeout that a member may ask for.
        "group.max.session.timeout.ms" = "1800000" => group_max_session_timeout_ms: i32 { millis, at_least(0) }

        /// How long a new group waits for further members before its first rebalance.
        "group.initial.rebalance.delay.ms" = "3000" => group_initial_rebalance_delay_ms: i32 { millis, at_least(0) }

        /// Members a group may have.
        "group.max.size" = "2147483647" => group_max_size: i32 { at_least(1) }

        /// Longest note that a client may commit with an offset.
        "offset.metadata.max.bytes" = "4096" => offset_metadata_max_bytes: i32 { bytes, at_least(0) }

        /// How long a committed offset is kept once its group has no members, or a consumer outside groups has committed it.
        "offsets.retention.minutes" = "10080" => offsets_retention_minutes: i32 { minutes, at_least(1) }

        /// How often committed offsets are looked over for ones that have expired.
        "offsets.retention.check.interval.ms" = "600000" => offsets_retention_check_interval_ms: i64 { millis, at_least(1) }

        /// How long a commit may wait for the replicas of the offsets topic.
        "offsets.commit.timeout.ms" = "5000" => offsets_commit_timeout_ms: i32 { millis, at_least(1) }

        /// Partitions of the topic of committed offsets; used when it is created and not to be changed after.
        "offsets.topic.num.partitions" = "50" => offsets_topic_num_partitions: i32 { at_least(1) }

        /// Replicas of the topic of committed offsets, or as many as there are brokers when it is created, if those are fewer.
        "offsets.topic.replication.factor" = "3" => offsets_topic_replication_factor: i16 { at_least(1) }

        /// Segment size of the topic of committed offsets; small segments are compacted soon and load fast.
        "offsets.topic.segment.bytes" = "104857600" => offsets_topic_segment_bytes: i32 { bytes, at_least(1) }
    }
}
