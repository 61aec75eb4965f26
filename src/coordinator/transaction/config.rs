//! What the transaction coordinator can be told; names and defaults are Kafka's (`TransactionStateManagerConfig`, `TransactionLogConfig`).
//! Times in milliseconds, sizes in bytes.

/// Level of `transaction.version` from which every end of a transaction bumps the producer's epoch (KIP-890).
pub const EPOCH_BUMP_SINCE: i16 = 2;
/// Level from which values of the log are flexible, so that they can hold what KIP-890 needs.
pub const FLEXIBLE_VALUES_SINCE: i16 = 1;

/// The broker's settings for transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`: the longest timeout a producer may ask for.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`: a transactional id that was not used for so long is forgotten.
    pub id_expiration_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub abort_timed_out_interval_ms: i32,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub remove_expired_interval_ms: i32,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: how long a new transaction waits for the end of the one before.
    pub add_partitions_wait_ms: i32,
    /// `transaction.state.log.num.partitions`, for the creation of the topic.
    pub log_partitions: i32,
    /// Finalized level of the feature `transaction.version`.
    pub transaction_version: i16,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            max_timeout_ms: 900_000,
            id_expiration_ms: 7 * 24 * 60 * 60 * 1000,
            abort_timed_out_interval_ms: 10_000,
            remove_expired_interval_ms: 3_600_000,
            add_partitions_wait_ms: 100,
            log_partitions: 50,
            transaction_version: 2,
        }
    }
}
