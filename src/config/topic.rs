//! The effective configuration of one topic, as the log and the partition read it. Sizes in bytes, times in milliseconds; −1 means
//! unlimited where Kafka says so.

use super::def::TOPIC;
use super::def::topic::TopicKeys;
use super::settings::{Overrides, Settings};
use super::value::words;

words! {
    /// `message.timestamp.type`.
    pub enum TimestampType {
        CreateTime = "CreateTime",
        LogAppendTime = "LogAppendTime",
    }
}

words! {
    /// When records of a topic are made durable before they are acknowledged; klamm's key `flush`.
    pub enum Flush {
        /// `on-ack` with one replica, `background` with more: the default.
        Auto = "auto",
        /// Nothing is acknowledged, nor shown to consumers, before it is on the disk.
        OnAck = "on-ack",
        /// Kafka's way: the page cache of the in-sync replicas; the disk follows.
        Background = "background",
    }
}

words! {
    /// The values of `compression.type`, in Kafka's order.
    pub enum CompressionName {
        Uncompressed = "uncompressed",
        Zstd = "zstd",
        Lz4 = "lz4",
        Snappy = "snappy",
        Gzip = "gzip",
        Producer = "producer",
    }
}

/// `compression.type` of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// Keep what the producer sent.
    Producer,
    Uncompressed,
    Gzip {
        level: i32,
    },
    Snappy,
    Lz4 {
        level: i32,
    },
    Zstd {
        level: i32,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup_delete: bool,
    pub cleanup_compact: bool,
    pub compression: CompressionType,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    pub flush: Flush,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: i32,
    pub timestamp_after_max_ms: i64,
    pub timestamp_before_max_ms: i64,
    pub timestamp_type: TimestampType,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    pub preallocate: bool,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election: bool,
}

impl TopicConfig {
    /// What holds for a topic on which `overrides` are set, on a broker with these settings.
    pub fn resolve(settings: &Settings, overrides: &Overrides) -> Self {
        TopicKeys::read(|name| {
            let key = TOPIC.find(name).expect("the topic declares its keys");
            settings.resource_text(key, overrides)
        })
        .into()
    }

    /// What is wrong between keys that are each right (`LogConfig.validateValues`), in Kafka's words.
    pub fn conflict(&self) -> Option<String> {
        let (min, max) = (self.min_compaction_lag_ms, self.max_compaction_lag_ms);
        (min > max)
            .then(|| format!("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"))
    }
}

impl From<TopicKeys> for TopicConfig {
    fn from(keys: TopicKeys) -> Self {
        let TopicKeys {
            cleanup_policy,
            compression_type,
            compression_gzip_level,
            compression_lz4_level,
            compression_zstd_level,
            delete_retention_ms,
            file_delete_delay_ms,
            flush,
            flush_messages,
            flush_ms,
            index_interval_bytes,
            max_compaction_lag_ms,
            max_message_bytes,
            message_timestamp_after_max_ms,
            message_timestamp_before_max_ms,
            message_timestamp_type,
            min_cleanable_dirty_ratio,
            min_compaction_lag_ms,
            min_insync_replicas,
            preallocate,
            retention_bytes,
            retention_ms,
            segment_bytes,
            segment_index_bytes,
            segment_jitter_ms,
            segment_ms,
            unclean_leader_election_enable,
            // Each of these has one allowed value, which says that klamm does not do the thing.
            follower_replication_throttled_replicas: _,
            leader_replication_throttled_replicas: _,
            local_retention_bytes: _,
            local_retention_ms: _,
            remote_log_copy_disable: _,
            remote_log_delete_on_disable: _,
            remote_storage_enable: _,
        } = keys;
        let has = |policy: &str| cleanup_policy.iter().any(|p| p == policy);
        TopicConfig {
            cleanup_delete: has("delete"),
            cleanup_compact: has("compact"),
            compression: match compression_type {
                CompressionName::Producer => CompressionType::Producer,
                CompressionName::Uncompressed => CompressionType::Uncompressed,
                CompressionName::Gzip => CompressionType::Gzip { level: compression_gzip_level },
                CompressionName::Snappy => CompressionType::Snappy,
                CompressionName::Lz4 => CompressionType::Lz4 { level: compression_lz4_level },
                CompressionName::Zstd => CompressionType::Zstd { level: compression_zstd_level },
            },
            delete_retention_ms,
            file_delete_delay_ms,
            flush,
            flush_messages,
            flush_ms,
            index_interval_bytes,
            max_compaction_lag_ms,
            max_message_bytes,
            timestamp_after_max_ms: message_timestamp_after_max_ms,
            timestamp_before_max_ms: message_timestamp_before_max_ms,
            timestamp_type: message_timestamp_type,
            min_cleanable_dirty_ratio,
            min_compaction_lag_ms,
            min_insync_replicas,
            preallocate,
            retention_bytes,
            retention_ms,
            segment_bytes,
            segment_index_bytes,
            segment_jitter_ms,
            segment_ms,
            unclean_leader_election: unclean_leader_election_enable,
        }
    }
}

impl Default for TopicConfig {
    fn default() -> Self {
        TopicConfig::resolve(&Settings::default(), &Overrides::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&str, &str)]) -> TopicConfig {
        let overrides = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        TopicConfig::resolve(&Settings::default(), &overrides)
    }

    #[test]
    fn without_overrides_kafkas_defaults_hold() {
        let config = TopicConfig::default();
        assert!(config.cleanup_delete && !config.cleanup_compact);
        assert_eq!(config.compression, CompressionType::Producer);
        assert_eq!(config.retention_ms, 604_800_000);
        assert_eq!(config.segment_bytes, 1_073_741_824);
        assert_eq!(config.segment_ms, 604_800_000);
        assert_eq!(config.flush_ms, i64::MAX);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.flush, Flush::Auto);
        assert_eq!(config.conflict(), None);
    }

    #[test]
    fn overrides_are_read_into_their_fields() {
        let config = resolve(&[
            ("cleanup.policy", "compact, delete"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "7"),
            ("flush", "on-ack"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.cleanable.dirty.ratio", "0.25"),
        ]);
        assert!(config.cleanup_delete && config.cleanup_compact);
        assert_eq!(config.compression, CompressionType::Zstd { level: 7 });
        assert_eq!(config.flush, Flush::OnAck);
        assert_eq!(config.timestamp_type, TimestampType::LogAppendTime);
        assert_eq!(config.min_cleanable_dirty_ratio, 0.25);
        assert!(!resolve(&[("cleanup.policy", "")]).cleanup_delete);
    }

    #[test]
    fn a_compaction_that_must_wait_longer_than_it_may_is_a_conflict() {
        let config = resolve(&[("min.compaction.lag.ms", "50"), ("max.compaction.lag.ms", "5")]);
        let expected = "conflict topic config setting min.compaction.lag.ms (50) > max.compaction.lag.ms (5)";
        assert_eq!(config.conflict().as_deref(), Some(expected));
    }
}
