//! The transaction coordinator of this broker: finds the shard of a transactional id, starts and stops shards with the leadership of their
//! partitions, and turns what goes wrong on the way into what clients are told.
//!
//! Every call puts its request into a shard's mailbox before it returns; what it returns ends with the answer.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use kafka_protocol::messages::{describe_transactions_response, list_transactions_response};
use kafka_protocol::protocol::StrBytes;

use super::config::TransactionConfig;
use super::describe::{TransactionFilter, describe_error};
use super::request::{AddPartitions, EndTransaction, InitProducerId, Refused, TransactionRequest, TransactionResponse, Verified};
use super::shard::TransactionShard;
use crate::base::ErrorCode;
use crate::base::ids::LeaderEpoch;
use crate::base::time::Clock;
use crate::coordinator::log::CoordinatorLog;
use crate::coordinator::mailbox::client_error;
use crate::coordinator::shard::Producer;
use crate::coordinator::shards::{Shards, Started};

/// How long an answer waits for its commit: Kafka gives it the request's time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer that may have to wait.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub struct TransactionCoordinator {
    shards: Shards<TransactionShard>,
    /// Whoever makes a shard asks it: a shard may be loaded again at any time, and has to know what is in force then.
    config: Arc<ArcSwap<TransactionConfig>>,
}

impl TransactionCoordinator {
    pub fn new(config: TransactionConfig, clock: Clock) -> Self {
        Self { shards: Shards::new(config.log_partitions, clock), config: Arc::new(ArcSwap::from_pointee(config)) }
    }

    /// The partition of the topic that holds a transactional id.
    pub fn partition_for(&self, transactional_id: &str) -> i32 {
        self.shards.partition_for(transactional_id)
    }

    /// The topic has this many partitions. Until it exists, that is what it would be created with.
    pub fn set_partitions(&self, partitions: i32) {
        self.shards.set_partitions(partitions);
    }

    /// This broker has become the leader of a partition: its shard starts to load. Whoever gets the shard has to do its work.
    pub fn on_elected<L: CoordinatorLog>(
        &self,
        partition: i32,
        leader_epoch: LeaderEpoch,
        log: Arc<L>,
    ) -> Option<Started<TransactionShard>> {
        let config = self.config.clone();
        let new_shard = move || TransactionShard::new(config.load_full(), leader_epoch);
        self.shards.on_elected(partition, leader_epoch, log, WRITE_TIMEOUT, new_shard)
    }

    /// This broker no longer leads a partition, as of `leader_epoch` (`None`: whatever the epoch, the replica is gone).
    pub fn on_resigned(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        self.shards.on_resigned(partition, leader_epoch);
    }

    /// Stops all shards; whoever waits is told to look for another coordinator.
    pub fn shutdown(&self) {
        self.shards.shutdown();
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<TransactionConfig> {
        self.config.load_full()
    }

    /// New settings for all transactional ids.
    pub fn reconfigure(&self, config: TransactionConfig) {
        let config = Arc::new(config);
        self.config.store(config.clone());
        self.shards.notify_all(&TransactionRequest::Reconfigure(config));
    }

    /// Puts a request about a transactional id into its shard's mailbox; `failed` makes the answer if it cannot be decided.
    fn ask<T>(&self, id: &str, request: TransactionRequest, failed: impl FnOnce(ErrorCode) -> T + Send + 'static) -> Later<T>
    where
        T: From<TransactionResponse> + Send + 'static,
    {
        let Some(mailbox) = self.shards.mailbox(self.partition_for(id)) else {
            return Box::pin(ready(failed(ErrorCode::NotCoordinator)));
        };
        let answer = mailbox.submit(request);
        Box::pin(async move { answer.await.map_or_else(|error| failed(client_error(error)), T::from) })
    }

    /// Whether a producer may ask for this timeout.
    pub fn is_valid_timeout(&self, timeout_ms: i32) -> bool {
        (1..=self.config.load().max_timeout_ms).contains(&timeout_ms)
    }

    pub fn init_producer_id(&self, request: InitProducerId) -> Later<Result<Producer, Refused>> {
        let id = request.id.clone();
        self.ask(&id, TransactionRequest::Init(request), |error| Err(error.into()))
    }

    pub fn add_partitions(&self, request: AddPartitions) -> Later<Result<(), ErrorCode>> {
        let id = request.id.clone();
        self.ask(&id, TransactionRequest::Add(request), Err)
    }

    pub fn verify_partitions(&self, request: AddPartitions) -> Later<Result<Verified, ErrorCode>> {
        let id = request.id.clone();
        self.ask(&id, TransactionRequest::Verify(request), Err)
    }

    /// The producer with which the next transaction begins.
    pub fn end_transaction(&self, request: EndTransaction) -> Later<Result<Producer, Refused>> {
        let id = request.id.clone();
        self.ask(&id, TransactionRequest::End(request), |error| Err(error.into()))
    }

    pub fn describe(&self, ids: Vec<StrBytes>) -> Later<Vec<describe_transactions_response::TransactionState>> {
        let mut by_partition: BTreeMap<i32, Vec<StrBytes>> = BTreeMap::new();
        for id in ids {
            by_partition.entry(self.partition_for(&id)).or_default().push(id);
        }
        let answers: Vec<_> = by_partition.into_values().map(|ids| self.describe_in_one(ids)).collect();
        Box::pin(async move { join_all(answers).await.concat() })
    }

    /// Describes ids of one partition.
    fn describe_in_one(&self, ids: Vec<StrBytes>) -> Later<Vec<describe_transactions_response::TransactionState>> {
        let refused = ids.clone();
        let failed = move |error| refused.iter().map(|id| describe_error(id, error)).collect::<Vec<_>>();
        self.ask(&ids[0].clone(), TransactionRequest::Describe(ids), failed)
    }

    /// The transactions this broker coordinates. An error if some of them cannot be known yet.
    pub fn list(&self, filter: TransactionFilter) -> Later<Result<Vec<list_transactions_response::TransactionState>, ErrorCode>> {
        let filter = Arc::new(filter);
        let submit = |mailbox: &crate::coordinator::mailbox::Mailbox<_>| mailbox.submit(TransactionRequest::List(filter.clone()));
        let answers: Vec<_> = self.shards.mailboxes().iter().map(submit).collect();
        Box::pin(async move {
            let mut listed = Vec::new();
            for answer in join_all(answers).await {
                match answer {
                    Ok(response) => listed.extend(Vec::<list_transactions_response::TransactionState>::from(response)),
                    // Another broker will list them.
                    Err(ErrorCode::NotCoordinator) => {}
                    Err(error) => return Err(client_error(error)),
                }
            }
            Ok(listed)
        })
    }
}
