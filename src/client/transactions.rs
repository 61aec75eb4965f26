//! Looking at transactions and ending them by hand, as an administrator does (KIP-664).
//!
//! A transaction is known in two places: to the coordinator of its transactional id, which ends it, and to each partition that it wrote to,
//! as what keeps readers at read_committed back. One that only partitions know of hangs.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeTransactionsRequest, DescribeTransactionsResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListTransactionsRequest, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::cluster::{Client, Topics, topic_name};
use super::connection::Connection;
use super::coordinator::Coordinated;
use super::error::ClientError;
use super::leaders::PerPartition;
use crate::base::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs, TopicPartition};
use crate::protocol::supplement::WriteTxnMarkersRequest;

/// Which transactions are listed: those that fit all that is said.
#[derive(Clone, Debug, Default)]
pub struct TransactionFilter {
    /// As Kafka spells them: `Ongoing`, `PrepareCommit`… None stands for all.
    pub states: Vec<String>,
    pub producer_ids: Vec<ProducerId>,
    /// Open for longer than this (KIP-994).
    pub longer_than_ms: Option<i64>,
    /// A regular expression for the whole transactional id (KIP-1152).
    pub id_pattern: Option<String>,
}

/// A transactional id as its coordinator lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTransaction {
    pub transactional_id: String,
    /// Address of the coordinator.
    pub coordinator: String,
    pub producer_id: ProducerId,
    pub state: String,
}

/// What the coordinator knows of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionDescription {
    pub transactional_id: String,
    /// Address of the coordinator.
    pub coordinator: String,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub state: String,
    pub timeout_ms: i32,
    /// When the transaction began, if one is open.
    pub start_time: Option<TimestampMs>,
    /// Partitions that it includes; Kafka leaves out those to which the end is written already.
    pub partitions: Vec<TopicPartition>,
}

/// A producer that a partition remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub last_sequence: i32,
    pub last_timestamp: TimestampMs,
    /// Of the coordinator that ended its last transaction here; −1 if none did.
    pub coordinator_epoch: i32,
    /// First offset of the transaction that it has open here.
    pub transaction_start_offset: Option<Offset>,
}

/// Nothing is said of the level of `transaction.version` that an end by hand has: Kafka's tool says nothing either.
const NO_TRANSACTION_VERSIONS: Vec<i8> = Vec::new();

/// Timeout of a transaction that nobody will begin: the id is taken only to fence who has it (Kafka's `FenceProducersHandler`).
const FENCING_TIMEOUT_MS: i32 = 1;

impl Client {
    /// The transactional ids of the cluster, by name: every broker knows those it coordinates. One that is loading them is given time.
    pub async fn list_transactions(&self, filter: &TransactionFilter) -> Result<Vec<ListedTransaction>, ClientError> {
        let mut retry = self.retry();
        loop {
            match self.try_list_transactions(filter).await {
                Ok(listed) => return Ok(listed),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn try_list_transactions(&self, filter: &TransactionFilter) -> Result<Vec<ListedTransaction>, ClientError> {
        let request = ListTransactionsRequest::default()
            .with_state_filters(filter.states.iter().cloned().map(StrBytes::from_string).collect())
            .with_producer_id_filters(filter.producer_ids.iter().map(|id| (*id).into()).collect())
            .with_duration_filter(filter.longer_than_ms.unwrap_or(-1))
            .with_transactional_id_pattern(filter.id_pattern.clone().map(StrBytes::from_string));
        let brokers = self.metadata(Topics::None, false).await?.brokers;
        let lists = brokers.keys().map(async |id| {
            let connection = self.broker(*id).await?;
            let response = connection.send(&request).await?;
            if let Some(code) = response.error_code.err() {
                return Err(ClientError::refused(format!("transactions of broker {id}"), code));
            }
            let coordinator = connection.address().to_string();
            let listed = response.transaction_states.into_iter().map(move |row| ListedTransaction {
                transactional_id: row.transactional_id.to_string(),
                coordinator: coordinator.clone(),
                producer_id: row.producer_id.0,
                state: row.transaction_state.to_string(),
            });
            Ok(listed)
        });
        let mut listed: Vec<_> = try_join_all(lists).await?.into_iter().flatten().collect();
        listed.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
        listed.dedup_by(|a, b| a.transactional_id == b.transactional_id);
        Ok(listed)
    }

    /// A transactional id that its coordinator knows.
    pub async fn describe_transaction(&self, id: &str) -> Result<TransactionDescription, ClientError> {
        let what = Coordinated::TransactionalId(id);
        let request = |_| DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id(id)]);
        let check = |response: &DescribeTransactionsResponse| {
            let codes = response.transaction_states.iter().filter_map(|row| row.error_code.err());
            codes.map(|code| ClientError::refused(what.to_string(), code)).next().map_or(Ok(()), Err)
        };
        let response = self.ask_coordinator(what, i16::MAX, request, check).await?;
        let missing = || ClientError::Incomplete { api: ApiKey::DescribeTransactions, missing: what.to_string() };
        let row = response.transaction_states.into_iter().next().ok_or_else(missing)?;
        let coordinator = self.coordinator(what).await?.address().to_string();
        Ok(description(coordinator, row))
    }

    /// The producers that partitions remember, from the partitions' leaders.
    pub async fn describe_producers(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<PerPartition<Vec<ActiveProducer>>, ClientError> {
        let wanted = partitions.into_iter().map(|partition| (partition, ())).collect();
        self.ask_leaders(wanted, ask_for_producers).await
    }

    /// Writes the end of an aborted transaction to one partition, past its coordinator. Only for a transaction that hangs: another one would
    /// be torn by it.
    pub async fn abort_transaction(&self, partition: &TopicPartition, producer: &ActiveProducer) -> Result<(), ClientError> {
        let wanted = vec![(partition.clone(), producer.clone())];
        let mut answers = self.ask_leaders(wanted, write_abort).await?;
        let missing = || ClientError::Incomplete { api: ApiKey::WriteTxnMarkers, missing: partition.to_string() };
        let answer = answers.remove(partition).ok_or_else(missing)?;
        answer.map_err(|code| ClientError::refused(partition.to_string(), code))
    }

    /// Aborts what a transactional id has open, and fences its producer.
    pub async fn fence_producer(&self, id: &str) -> Result<(ProducerId, ProducerEpoch), ClientError> {
        let what = Coordinated::TransactionalId(id);
        let request = |_| {
            InitProducerIdRequest::default()
                .with_transactional_id(Some(transactional_id(id)))
                .with_transaction_timeout_ms(FENCING_TIMEOUT_MS)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1)
        };
        let check = |response: &InitProducerIdResponse| {
            response.error_code.err().map_or(Ok(()), |code| Err(ClientError::refused(what.to_string(), code)))
        };
        let response = self.ask_coordinator(what, i16::MAX, request, check).await?;
        Ok((response.producer_id.0, response.producer_epoch))
    }
}

/// Of the transactions that partitions have open, those that hang: no coordinator knows them to include the partition, so nobody will end
/// them there (Kafka's `FindHangingTransactionsCommand`).
pub fn hanging(
    open: Vec<(TopicPartition, ActiveProducer)>,
    known: &BTreeMap<ProducerId, TransactionDescription>,
) -> Vec<(TopicPartition, ActiveProducer)> {
    let will_end = |partition: &TopicPartition, producer: &ActiveProducer| {
        known.get(&producer.producer_id).is_some_and(|transaction| transaction.partitions.contains(partition))
    };
    open.into_iter().filter(|(partition, producer)| !will_end(partition, producer)).collect()
}

fn transactional_id(id: &str) -> TransactionalId {
    StrBytes::from_string(id.to_owned()).into()
}

fn description(coordinator: String, row: TransactionState) -> TransactionDescription {
    let of_topic = |topic: &kafka_protocol::messages::describe_transactions_response::TopicData| {
        let name: Arc<str> = topic.topic.as_str().into();
        topic.partitions.iter().map(move |index| TopicPartition { topic: name.clone(), partition: *index }).collect::<Vec<_>>()
    };
    TransactionDescription {
        transactional_id: row.transactional_id.to_string(),
        coordinator,
        producer_id: row.producer_id.0,
        producer_epoch: row.producer_epoch,
        state: row.transaction_state.to_string(),
        timeout_ms: row.transaction_timeout_ms,
        start_time: Some(row.transaction_start_time_ms).filter(|at| *at >= 0),
        partitions: row.topics.iter().flat_map(of_topic).collect(),
    }
}

async fn ask_for_producers(
    connection: Arc<Connection>,
    wanted: Vec<(TopicPartition, ())>,
) -> Result<PerPartition<Vec<ActiveProducer>>, ClientError> {
    let mut topics = BTreeMap::<&str, Vec<i32>>::new();
    for (partition, ()) in &wanted {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topic = |(name, indexes)| TopicRequest::default().with_name(topic_name(name)).with_partition_indexes(indexes);
    let request = DescribeProducersRequest::default().with_topics(topics.into_iter().map(topic).collect());
    let response = connection.send(&request).await?;
    let mut answers = PerPartition::new();
    for topic in response.topics {
        for row in topic.partitions {
            let answer = match row.error_code.err() {
                Some(code) => Err(code),
                None => Ok(row.active_producers.iter().map(active_producer).collect()),
            };
            answers.insert(TopicPartition::new(&**topic.name, row.partition_index), answer);
        }
    }
    Ok(answers)
}

fn active_producer(row: &ProducerState) -> ActiveProducer {
    ActiveProducer {
        producer_id: row.producer_id.0,
        // A 16-bit number in everything else that carries it.
        producer_epoch: row.producer_epoch as ProducerEpoch,
        last_sequence: row.last_sequence,
        last_timestamp: row.last_timestamp,
        coordinator_epoch: row.coordinator_epoch,
        transaction_start_offset: Some(row.current_txn_start_offset).filter(|offset| *offset >= 0),
    }
}

async fn write_abort(
    connection: Arc<Connection>,
    wanted: Vec<(TopicPartition, ActiveProducer)>,
) -> Result<PerPartition<()>, ClientError> {
    let marker = |(partition, producer): &(TopicPartition, ActiveProducer)| {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(topic_name(&partition.topic))
            .with_partition_indexes(vec![partition.partition]);
        WritableTxnMarker::default()
            .with_producer_id(producer.producer_id.into())
            .with_producer_epoch(producer.producer_epoch)
            .with_transaction_result(false)
            // Where no transaction of the producer has ended yet, 0 is no larger than the epoch of any coordinator.
            .with_coordinator_epoch(producer.coordinator_epoch.max(0))
            .with_topics(vec![topic])
    };
    let mut request = WriteTxnMarkersRequest { transaction_versions: NO_TRANSACTION_VERSIONS, ..Default::default() };
    request.request.markers = wanted.iter().map(marker).collect();
    let response = connection.send(&request).await?;
    let mut answers = PerPartition::new();
    for topic in response.markers.into_iter().flat_map(|marker| marker.topics) {
        for row in topic.partitions {
            let answer = row.error_code.err().map_or(Ok(()), Err);
            answers.insert(TopicPartition::new(&**topic.name, row.partition_index), answer);
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_hangs_where_no_coordinator_knows_of_it() {
        let open = |topic: &str, producer_id| {
            let producer = ActiveProducer {
                producer_id,
                producer_epoch: 0,
                last_sequence: 0,
                last_timestamp: 0,
                coordinator_epoch: -1,
                transaction_start_offset: Some(0),
            };
            (TopicPartition::new(topic, 0), producer)
        };
        let known = TransactionDescription {
            transactional_id: "id".into(),
            coordinator: "localhost:9092".into(),
            producer_id: 7,
            producer_epoch: 0,
            state: "Ongoing".into(),
            timeout_ms: 60_000,
            start_time: Some(0),
            partitions: vec![TopicPartition::new("included", 0)],
        };
        let all = vec![open("included", 7), open("not-included", 7), open("included", 8)];
        let found = hanging(all.clone(), &[(7, known)].into());
        assert_eq!(found, all[1..]);
    }
}
