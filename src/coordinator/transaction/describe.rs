//! How transactions stand, for people and tools (DescribeTransactions, ListTransactions; KIP-664, KIP-994, KIP-1152). Pure.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use kafka_protocol::messages::list_transactions_response::TransactionState as Listed;
use kafka_protocol::messages::{ListTransactionsRequest, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use regex::Regex;

use super::metadata::TransactionMetadata;
use super::shard::TransactionShard;
use super::state::TransactionState;
use crate::base::ErrorCode;
use crate::base::ids::ProducerId;
use crate::coordinator::shard::At;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Which transactions are wanted; all that are not excluded.
#[derive(Clone, Debug, Default)]
pub struct TransactionFilter {
    /// Empty: of any producer.
    producer_ids: HashSet<ProducerId>,
    /// `None`: in any state.
    states: Option<HashSet<TransactionState>>,
    /// Negative: of any age.
    duration_ms: i64,
    /// Matches the whole id.
    pattern: Option<Regex>,
}

impl TransactionFilter {
    /// The filter of a request, and the states in it that nobody knows.
    ///
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION.
    pub fn of(request: &ListTransactionsRequest) -> Result<(Self, Vec<StrBytes>), ErrorCode> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            request.state_filters.iter().partition(|name| TransactionState::from_name(name).is_some());
        let states = known.into_iter().filter_map(|name| TransactionState::from_name(name)).collect();
        let pattern = request.transactional_id_pattern.as_ref().filter(|pattern| !pattern.is_empty());
        let whole = |pattern: &StrBytes| {
            let pattern = regex::RegexBuilder::new(&format!("^(?:{})$", &**pattern)).size_limit(PATTERN_BYTES_MAX).build();
            pattern.map_err(|_| ErrorCode::InvalidRegularExpression)
        };
        let filter = Self {
            producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
            states: (!request.state_filters.is_empty()).then_some(states),
            duration_ms: request.duration_filter,
            pattern: pattern.map(whole).transpose()?,
        };
        Ok((filter, unknown.into_iter().cloned().collect()))
    }

    fn admits(&self, id: &str, it: &TransactionMetadata, at: &At) -> bool {
        (self.producer_ids.is_empty() || self.producer_ids.contains(&it.producer_id))
            && self.states.as_ref().is_none_or(|states| states.contains(&it.state))
            && (self.duration_ms < 0 || at.wall_ms - it.start_timestamp > self.duration_ms)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
    }
}

impl TransactionShard {
    pub(super) fn list(&self, at: &At, filter: &TransactionFilter) -> Vec<Listed> {
        let listed = self.transactions.iter().filter(|(id, it)| filter.admits(id, it, at)).map(|(id, it)| {
            Listed::default()
                .with_transactional_id(TransactionalId(id.clone()))
                .with_producer_id(it.producer_id.into())
                .with_transaction_state(StrBytes::from_static_str(it.state.name()))
        });
        listed.collect()
    }

    pub(super) fn describe(&self, ids: &[StrBytes]) -> Vec<Described> {
        let describe = |id: &StrBytes| match self.transactions.get(id) {
            Some(metadata) => described(id, metadata),
            None => describe_error(id, ErrorCode::TransactionalIdNotFound),
        };
        ids.iter().map(describe).collect()
    }
}

fn described(id: &StrBytes, it: &TransactionMetadata) -> Described {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &it.partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topic = |(name, partitions): (&str, Vec<i32>)| {
        TopicData::default().with_topic(StrBytes::from_string(name.to_owned()).into()).with_partitions(partitions)
    };
    Described::default()
        .with_transactional_id(TransactionalId(id.clone()))
        .with_transaction_state(StrBytes::from_static_str(it.state.name()))
        .with_transaction_timeout_ms(it.timeout_ms)
        .with_transaction_start_time_ms(it.start_timestamp)
        .with_producer_id(it.producer_id.into())
        .with_producer_epoch(it.producer_epoch)
        .with_topics(topics.into_iter().map(topic).collect())
}

/// What stands for a transaction that cannot be described.
pub fn describe_error(id: &StrBytes, error: ErrorCode) -> Described {
    Described::default().with_error_code(error.code()).with_transactional_id(TransactionalId(id.clone()))
}
