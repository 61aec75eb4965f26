//! The transaction coordinator.

use super::keys;

keys! {
    /// Transactions: the coordinator, and the topic in which it keeps its state.
    pub struct TransactionCoordinatorConfig "Transactions" {
        /// Longest transaction timeout that a producer may ask for.
        "transaction.max.timeout.ms" = "900000" => max_timeout_ms: i32 { millis, at_least(1) }

        /// How long a transactional id is remembered that no producer uses.
        "transactional.id.expiration.ms" = "604800000" => id_expiration_ms: i32 { millis, at_least(1) }

        /// How often open transactions are looked over for ones that have timed out, which are aborted.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms" = "10000" => abort_timed_out_interval_ms: i32
            { millis, at_least(1) }

        /// How often transactional ids are looked over for ones that have expired.
        "transaction.remove.expired.transaction.cleanup.interval.ms" = "3600000" => remove_expired_interval_ms: i32
            { millis, at_least(1) }

        /// Whether a partition takes records of a transaction only if the coordinator says that it belongs to it.
        "transaction.partition.verification.enable" = "true" => partition_verification_enable: bool { cluster_wide }

        /// How long the first records of a transaction wait for the end of the producer's transaction before.
        "add.partitions.to.txn.retry.backoff.max.ms" = "100" => add_partitions_retry_backoff_max_ms: i32 { millis, at_least(0) }

        /// Partitions of the topic of transactional ids; used when it is created and not to be changed after.
        "transaction.state.log.num.partitions" = "50" => state_log_num_partitions: i32 { at_least(1) }

        /// Replicas of the topic of transactional ids, or as many as there are brokers when it is created, if those are fewer.
        "transaction.state.log.replication.factor" = "3" => state_log_replication_factor: i16 { at_least(1) }

        /// `min.insync.replicas` of the topic of transactional ids.
        "transaction.state.log.min.isr" = "2" => state_log_min_isr: i32 { at_least(1) }

        /// Segment size of the topic of transactional ids; small segments are compacted soon and load fast.
        "transaction.state.log.segment.bytes" = "104857600" => state_log_segment_bytes: i32 { bytes, at_least(1) }
    }
}
