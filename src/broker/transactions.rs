//! What the transaction coordinator takes from the broker's configuration and from the cluster's features, and the way from a write of a
//! transaction to its coordinator (`AddPartitionsToTxnManager`).

use std::sync::Arc;

use super::Broker;
use crate::base::ErrorCode;
use crate::base::crash_point::crash_point;
use crate::base::ids::ProducerId;
use crate::config::BrokerConfig;
use crate::coordinator::shard::Producer;
use crate::coordinator::transaction::config::{EPOCH_BUMP_SINCE, TransactionConfig};
use crate::coordinator::transaction::coordinator::Later;
use crate::coordinator::transaction::request::{AddPartitions, Refused, Verified};

/// The settings for transactions, in the units of the coordinator. `transaction_version` is the finalized level of the feature.
pub fn transaction_config(config: &BrokerConfig, transaction_version: i16) -> TransactionConfig {
    let transaction = &config.transaction;
    TransactionConfig {
        max_timeout_ms: transaction.max_timeout_ms,
        id_expiration_ms: transaction.id_expiration_ms,
        abort_timed_out_interval_ms: transaction.abort_timed_out_interval_ms,
        remove_expired_interval_ms: transaction.remove_expired_interval_ms,
        add_partitions_wait_ms: transaction.add_partitions_retry_backoff_max_ms,
        log_partitions: transaction.state_log_num_partitions,
        transaction_version,
    }
}

/// What a client makes of a write that is not in its transaction, by the version of its request
/// (`AddPartitionsToTxnManager.TransactionSupportedOperation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It knows INVALID_TXN_STATE, which is the end of the producer.
    Verified,
    /// It knows TRANSACTION_ABORTABLE, after which it may abort and go on.
    VerifiedOrAbortable,
    /// It does not add partitions itself: the write adds them (KIP-890 part 2).
    Added,
}

impl Membership {
    pub fn adds(self) -> bool {
        self == Membership::Added
    }
}

impl Broker {
    /// Whether a transaction includes partitions, each of which is to be written to; they are added where that is how the client speaks. The
    /// errors are those of the coordinator, as the client knows them.
    pub async fn include_in_transaction(&self, request: AddPartitions, membership: Membership) -> Verified {
        let partitions: Vec<_> = request.partitions.iter().cloned().collect();
        let answer = match membership.adds() {
            true => {
                let request = AddPartitions { transaction_version: EPOCH_BUMP_SINCE, ..request };
                let added = self.transactions.add_partitions(request).await;
                crash_point("transaction-partitions-added");
                added.map(|()| partitions.iter().map(|partition| (partition.clone(), None)).collect())
            }
            false => self.transactions.verify_partitions(request).await,
        };
        let known = |error| match error {
            // A write never tells of a fenced producer, so that the client may abort (KIP-360).
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if membership == Membership::Verified => ErrorCode::InvalidTxnState,
            error => error,
        };
        match answer {
            Ok(verified) => verified.into_iter().map(|(partition, error)| (partition, error.map(known))).collect(),
            Err(error) => partitions.into_iter().map(|partition| (partition, Some(known(error)))).collect(),
        }
    }

    /// Asks the coordinator something, before this returns, for which it may need a fresh producer id: if it says so it gets one, and is asked
    /// again.
    pub fn with_producer_id(
        self: &Arc<Self>,
        ask: impl Fn(Option<ProducerId>) -> Later<Result<Producer, Refused>> + Send + 'static,
    ) -> Later<Result<Producer, ErrorCode>> {
        let mut answer = ask(None);
        let broker = self.clone();
        Box::pin(async move {
            loop {
                match answer.await {
                    Ok(producer) => return Ok(producer),
                    Err(Refused::Error(code)) => return Err(code),
                    Err(Refused::NeedsProducerId) => {
                        let fresh = broker.next_producer_id().await?;
                        answer = ask(Some(fresh));
                    }
                }
            }
        })
    }
}
