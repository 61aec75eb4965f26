//! The keys of a topic.

use super::keys;
use crate::config::key::{Allowed, Synonym};
use crate::config::topic::{CompressionName, Flush, TimestampType};

const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const NO_TIERS: &str = "klamm keeps records on local disks only, there is no tiered storage";
const NO_THROTTLE: &str = "klamm does not throttle replication";

keys! {
    /// Keys of one topic, set when it is created or on the resource TOPIC; each defaults to a key of the broker.
    pub struct TopicKeys "Topic" {
        /// What becomes of old records: `delete` drops whole segments by age and size, `compact` keeps the latest record of each
        /// key, both may be combined, and with neither nothing is ever dropped.
        "cleanup.policy" = "delete" => cleanup_policy: Vec<String>
            { each_of(&["compact", "delete"]), synonyms(&[same("log.cleanup.policy")]) }

        /// How batches are compressed on the disk; `producer` keeps what the producer chose.
        "compression.type" = "producer" => compression_type: CompressionName
            { one_of(CompressionName::WORDS), synonyms(&[same("compression.type")]) }

        /// Effort of gzip where the broker compresses; −1 is the library's own choice.
        "compression.gzip.level" = "-1" => compression_gzip_level: i32
            { allowed(Allowed::BetweenOr(1, 9, -1)), synonyms(&[same("compression.gzip.level")]) }

        /// Effort of lz4 where the broker compresses.
        "compression.lz4.level" = "9" => compression_lz4_level: i32 { between(1, 17), synonyms(&[same("compression.lz4.level")]) }

        /// Effort of zstd where the broker compresses.
        "compression.zstd.level" = "3" => compression_zstd_level: i32
            { between(-131_072, 22), synonyms(&[same("compression.zstd.level")]) }

        /// How long `compact` keeps the marker of a deleted key, so that readers learn of the deletion.
        "delete.retention.ms" = "86400000" => delete_retention_ms: i64
            { millis, at_least(0), synonyms(&[same("log.cleaner.delete.retention.ms")]) }

        /// How long a segment that was dropped stays on the disk for readers that still hold it.
        "file.delete.delay.ms" = "60000" => file_delete_delay_ms: i64
            { millis, at_least(0), synonyms(&[same("log.segment.delete.delay.ms")]) }

        /// When records reach the disk: `background` acknowledges them from the page cache of the in-sync replicas, as Kafka does;
        /// `on-ack` acknowledges nothing and shows consumers nothing that is not on the disk; `auto` is `on-ack` with one replica
        /// and `background` with more.
        "flush" = "auto" => flush: Flush { one_of(Flush::WORDS), synonyms(&[same("log.flush.policy")]) }

        /// Number of records after which the log is forced to the disk.
        "flush.messages" = "9223372036854775807" => flush_messages: i64
            { at_least(1), synonyms(&[same("log.flush.interval.messages")]) }

        /// Longest time a record stays in memory before it is forced to the disk.
        "flush.ms" = "9223372036854775807" => flush_ms: i64
            { millis, at_least(0), synonyms(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]) }

        /// Followers whose replication is throttled; none, because replication is not throttled.
        "follower.replication.throttled.replicas" = "" => follower_replication_throttled_replicas: Vec<String> { only("", NO_THROTTLE) }

        /// Bytes of records between two index entries; fewer make look-ups shorter and indexes larger.
        "index.interval.bytes" = "4096" => index_interval_bytes: i32
            { bytes, at_least(0), synonyms(&[same("log.index.interval.bytes")]) }

        /// Leaders whose replication is throttled; none, because replication is not throttled.
        "leader.replication.throttled.replicas" = "" => leader_replication_throttled_replicas: Vec<String> { only("", NO_THROTTLE) }

        /// Bytes kept locally of a topic with tiered storage; −2 follows `retention.bytes`, as there is no tiered storage.
        "local.retention.bytes" = "-2" => local_retention_bytes: i64 { bytes, only("-2", NO_TIERS) }

        /// Time records are kept locally of a topic with tiered storage; −2 follows `retention.ms`, as there is no tiered storage.
        "local.retention.ms" = "-2" => local_retention_ms: i64 { millis, only("-2", NO_TIERS) }

        /// How long a record may stay uncompacted at most.
        "max.compaction.lag.ms" = "9223372036854775807" => max_compaction_lag_ms: i64
            { millis, at_least(1), synonyms(&[same("log.cleaner.max.compaction.lag.ms")]) }

        /// Largest record batch that is taken, after compression.
        "max.message.bytes" = "1048588" => max_message_bytes: i32 { bytes, at_least(0), synonyms(&[same("message.max.bytes")]) }

        /// How far the timestamp of a record may lie after the broker's clock.
        "message.timestamp.after.max.ms" = "3600000" => message_timestamp_after_max_ms: i64
            { millis, at_least(0), synonyms(&[same("log.message.timestamp.after.max.ms")]) }

        /// How far the timestamp of a record may lie before the broker's clock.
        "message.timestamp.before.max.ms" = "9223372036854775807" => message_timestamp_before_max_ms: i64
            { millis, at_least(0), synonyms(&[same("log.message.timestamp.before.max.ms")]) }

        /// Whether the timestamp of a record is the producer's or the moment of the append.
        "message.timestamp.type" = "CreateTime" => message_timestamp_type: TimestampType
            { one_of(TimestampType::WORDS), synonyms(&[same("log.message.timestamp.type")]) }

        /// Share of the log that must be uncompacted before `compact` takes it up.
        "min.cleanable.dirty.ratio" = "0.5" => min_cleanable_dirty_ratio: f64
            { allowed(Allowed::Ratio), synonyms(&[same("log.cleaner.min.cleanable.ratio")]) }

        /// How long a record stays uncompacted at least.
        "min.compaction.lag.ms" = "0" => min_compaction_lag_ms: i64
            { millis, at_least(0), synonyms(&[same("log.cleaner.min.compaction.lag.ms")]) }

        /// How many replicas must be in sync for a write with `acks=all` to be taken.
        "min.insync.replicas" = "1" => min_insync_replicas: i32 { at_least(1), synonyms(&[same("min.insync.replicas")]) }

        /// Whether the whole of a segment is allocated on the disk when it is begun.
        "preallocate" = "false" => preallocate: bool { synonyms(&[same("log.preallocate")]) }

        /// Whether copying to tiered storage has stopped; there is no tiered storage.
        "remote.log.copy.disable" = "false" => remote_log_copy_disable: bool { only("false", NO_TIERS) }

        /// Whether records in tiered storage are deleted when it is switched off; there is no tiered storage.
        "remote.log.delete.on.disable" = "false" => remote_log_delete_on_disable: bool { only("false", NO_TIERS) }

        /// Whether old segments move to tiered storage; there is none.
        "remote.storage.enable" = "false" => remote_storage_enable: bool { only("false", NO_TIERS) }

        /// Bytes a partition keeps before its oldest segments are dropped; −1 sets no bound.
        "retention.bytes" = "-1" => retention_bytes: i64 { bytes, synonyms(&[same("log.retention.bytes")]) }

        /// How long records are kept at least; −1 for ever.
        "retention.ms" = "604800000" => retention_ms: i64 {
            millis, at_least(-1),
            synonyms(&[
                same("log.retention.ms"),
                Synonym { name: "log.retention.minutes", factor: MINUTE_MS },
                Synonym { name: "log.retention.hours", factor: HOUR_MS }
            ])
        }

        /// Size at which a segment is closed and the next one begun.
        "segment.bytes" = "1073741824" => segment_bytes: i32
            { bytes, at_least(1_048_576), synonyms(&[same("log.segment.bytes")]) }

        /// Bytes an index of a segment may take; a full index closes its segment.
        "segment.index.bytes" = "10485760" => segment_index_bytes: i32
            { bytes, at_least(4), synonyms(&[same("log.index.size.max.bytes")]) }

        /// A random time up to this is taken off `segment.ms`, so that not all segments are closed together.
        "segment.jitter.ms" = "0" => segment_jitter_ms: i64 {
            millis, at_least(0),
            synonyms(&[same("log.roll.jitter.ms"), Synonym { name: "log.roll.jitter.hours", factor: HOUR_MS }])
        }

        /// Age at which a segment is closed even if it is not full.
        "segment.ms" = "604800000" => segment_ms: i64
            { millis, at_least(1), synonyms(&[same("log.roll.ms"), Synonym { name: "log.roll.hours", factor: HOUR_MS }]) }

        /// Whether a replica that is not in sync may lead when no other is left, which loses records.
        "unclean.leader.election.enable" = "false" => unclean_leader_election_enable: bool
            { synonyms(&[same("unclean.leader.election.enable")]) }
    }
}
