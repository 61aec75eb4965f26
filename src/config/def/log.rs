//! Logs: the broker keys that are the defaults of topics, and the upkeep of all logs of a node.

use super::keys;
use crate::config::key::Allowed;
use crate::config::topic::{CompressionName, Flush, TimestampType};

keys! {
    /// Topics that are created without saying otherwise. Keys that may be changed while the broker runs apply at once to every topic
    /// that does not set its own.
    pub struct LogDefaults "Topic defaults" {
        /// Partitions of a topic that is created without a number.
        "num.partitions" = "1" => num_partitions: i32 { at_least(1), shown }

        /// Replicas of a partition that is created without a number.
        "default.replication.factor" = "1" => default_replication_factor: i32 { at_least(1) }

        /// Whether a topic that a client asks for is created if it does not exist.
        "auto.create.topics.enable" = "true" => auto_create_topics_enable: bool { shown }

        /// Whether topics can be deleted.
        "delete.topic.enable" = "true" => delete_topic_enable: bool

        /// What becomes of old records: `delete` drops whole segments by age and size, `compact` keeps the latest record of each
        /// key, both may be combined, and with neither nothing is ever dropped.
        "log.cleanup.policy" = "delete" => cleanup_policy: Vec<String> { each_of(&["compact", "delete"]), cluster_wide }

        /// How long records are kept at least, in hours, where neither `log.retention.ms` nor `log.retention.minutes` is set; −1 for ever.
        "log.retention.hours" = "168" => retention_hours: i32 { hours, allowed(Allowed::BetweenOr(1, i64::MAX, -1)), shown }

        /// How long records are kept at least, in minutes, where `log.retention.ms` is not set; −1 for ever.
        "log.retention.minutes" = null => retention_minutes: Option<i32> { minutes, example("90"), allowed(Allowed::BetweenOr(1, i64::MAX, -1)) }

        /// How long records are kept at least, in milliseconds; −1 for ever. Takes precedence over minutes and hours.
        "log.retention.ms" = null => retention_ms: Option<i64>
            { millis, allowed(Allowed::BetweenOr(1, i64::MAX, -1)), cluster_wide, example("604800000") }

        /// Bytes a partition keeps before its oldest segments are dropped; −1 sets no bound.
        "log.retention.bytes" = "-1" => retention_bytes: i64 { bytes, cluster_wide }

        /// Size at which a segment is closed and the next one begun.
        "log.segment.bytes" = "1073741824" => segment_bytes: i32 { bytes, at_least(1_048_576), cluster_wide }

        /// Age at which a segment is closed even if it is not full, in hours, where `log.roll.ms` is not set.
        "log.roll.hours" = "168" => roll_hours: i32 { hours, at_least(1) }

        /// Age at which a segment is closed even if it is not full, in milliseconds. Takes precedence over hours.
        "log.roll.ms" = null => roll_ms: Option<i64> { millis, example("86400000"), at_least(1), cluster_wide }

        /// A random time up to this is taken off the age of a roll, in hours, where `log.roll.jitter.ms` is not set.
        "log.roll.jitter.hours" = "0" => roll_jitter_hours: i32 { hours, at_least(0) }

        /// A random time up to this is taken off the age of a roll, so that not all segments are closed together.
        "log.roll.jitter.ms" = null => roll_jitter_ms: Option<i64> { millis, example("600000"), at_least(0), cluster_wide }

        /// Bytes an index of a segment may take; a full index closes its segment.
        "log.index.size.max.bytes" = "10485760" => index_size_max_bytes: i32 { bytes, at_least(4), cluster_wide }

        /// Bytes of records between two index entries; fewer make look-ups shorter and indexes larger.
        "log.index.interval.bytes" = "4096" => index_interval_bytes: i32 { bytes, at_least(0), cluster_wide }

        /// When records reach the disk: `background` acknowledges them from the page cache of the in-sync replicas, as Kafka does;
        /// `on-ack` acknowledges nothing and shows consumers nothing that is not on the disk; `auto` is `on-ack` for topics with
        /// one replica and `background` for the others.
        "log.flush.policy" = "auto" => flush_policy: Flush { one_of(Flush::WORDS), cluster_wide }

        /// Number of records after which a log is forced to the disk.
        "log.flush.interval.messages" = "9223372036854775807" => flush_interval_messages: i64 { at_least(1), cluster_wide }

        /// Longest time a record stays in memory before it is forced to the disk; `log.flush.scheduler.interval.ms` if not set.
        "log.flush.interval.ms" = null => flush_interval_ms: Option<i64> { millis, example("1000"), at_least(0), cluster_wide }

        /// How often logs are looked over for records to be forced to the disk; also the default of `log.flush.interval.ms`.
        "log.flush.scheduler.interval.ms" = "9223372036854775807" => flush_scheduler_interval_ms: i64 { millis, at_least(0) }

        /// Largest record batch that is taken, after compression.
        "message.max.bytes" = "1048588" => message_max_bytes: i32 { bytes, at_least(0), cluster_wide }

        /// Whether the timestamp of a record is the producer's or the moment of the append.
        "log.message.timestamp.type" = "CreateTime" => message_timestamp_type: TimestampType { one_of(TimestampType::WORDS), cluster_wide }

        /// How far the timestamp of a record may lie before the broker's clock.
        "log.message.timestamp.before.max.ms" = "9223372036854775807" => message_timestamp_before_max_ms: i64
            { millis, at_least(0), cluster_wide }

        /// How far the timestamp of a record may lie after the broker's clock.
        "log.message.timestamp.after.max.ms" = "3600000" => message_timestamp_after_max_ms: i64 { millis, at_least(0), cluster_wide }

        /// How batches are compressed on the disk; `producer` keeps what the producer chose.
        "compression.type" = "producer" => compression_type: CompressionName { one_of(CompressionName::WORDS), cluster_wide }

        /// Effort of gzip where the broker compresses; −1 is the library's own choice.
        "compression.gzip.level" = "-1" => compression_gzip_level: i32 { allowed(Allowed::BetweenOr(1, 9, -1)), cluster_wide }

        /// Effort of lz4 where the broker compresses.
        "compression.lz4.level" = "9" => compression_lz4_level: i32 { between(1, 17), cluster_wide }

        /// Effort of zstd where the broker compresses.
        "compression.zstd.level" = "3" => compression_zstd_level: i32 { between(-131_072, 22), cluster_wide }

        /// How many replicas must be in sync for a write with `acks=all` to be taken.
        "min.insync.replicas" = "1" => min_insync_replicas: i32 { at_least(1), cluster_wide }

        /// Whether a replica that is not in sync may lead when no other is left, which loses records.
        "unclean.leader.election.enable" = "false" => unclean_leader_election_enable: bool { cluster_wide }

        /// Whether the whole of a segment is allocated on the disk when it is begun.
        "log.preallocate" = "false" => preallocate: bool { cluster_wide }

        /// How long a segment that was dropped stays on the disk for readers that still hold it.
        "log.segment.delete.delay.ms" = "60000" => segment_delete_delay_ms: i64 { millis, at_least(0), cluster_wide }

        /// How long `compact` keeps the marker of a deleted key, so that readers learn of the deletion.
        "log.cleaner.delete.retention.ms" = "86400000" => cleaner_delete_retention_ms: i64 { millis, at_least(0), cluster_wide }

        /// Share of a log that must be uncompacted before `compact` takes it up.
        "log.cleaner.min.cleanable.ratio" = "0.5" => cleaner_min_cleanable_ratio: f64 { allowed(Allowed::Ratio), cluster_wide }

        /// How long a record stays uncompacted at least.
        "log.cleaner.min.compaction.lag.ms" = "0" => cleaner_min_compaction_lag_ms: i64 { millis, at_least(0), cluster_wide }

        /// How long a record may stay uncompacted at most.
        "log.cleaner.max.compaction.lag.ms" = "9223372036854775807" => cleaner_max_compaction_lag_ms: i64
            { millis, at_least(1), cluster_wide }
    }
}

keys! {
    /// Work on all logs of the node: retention, checkpoints, recovery.
    pub struct LogUpkeepConfig "Log upkeep" {
        /// How often logs are looked over for segments that retention lets go.
        "log.retention.check.interval.ms" = "300000" => retention_check_interval_ms: i64 { millis, at_least(1) }

        /// How often it is noted up to where each log is on the disk; recovery after a crash begins there.
        "log.flush.offset.checkpoint.interval.ms" = "60000" => flush_offset_checkpoint_interval_ms: i32 { millis, at_least(0) }

        /// How often it is noted where each log begins; records below are not seen again after a crash.
        "log.flush.start.offset.checkpoint.interval.ms" = "60000" => flush_start_offset_checkpoint_interval_ms: i32
            { millis, at_least(0) }

        /// Threads a data directory that recover its logs at start and flush them at stop.
        "num.recovery.threads.per.data.dir" = "2" => num_recovery_threads_per_data_dir: i32 { at_least(1), cluster_wide }

        /// Space that clients' records leave free on the file system of each data directory, or a twentieth of it where that is less. Producers
        /// are refused with KAFKA_STORAGE_ERROR as long as less is left; reads, commits, deletions and metadata go on. 0 leaves nothing free.
        "log.dir.min.free.bytes" = "67108864" => dir_min_free_bytes: i64 { bytes, at_least(0), cluster_wide }

        /// How long a producer id is remembered after its last write, so that its repeated writes are recognised.
        "producer.id.expiration.ms" = "86400000" => producer_id_expiration_ms: i32 { millis, at_least(1), cluster_wide }
    }
}
