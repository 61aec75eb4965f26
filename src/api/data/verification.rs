//! Before records of a transaction are appended: does the transaction include their partitions? (KIP-890, `ReplicaManager.handleProduceAppend`)
//!
//! Asked only for a batch whose transaction is not open in its partition yet, once a transaction and partition; what does not belong to a
//! transaction is not looked at. Clients before version 12 have added the partition themselves, and it is verified; later ones rely on it
//! being added here.

use std::collections::{BTreeSet, HashMap};

use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::protocol::StrBytes;

use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::TopicPartition;
use crate::broker::Broker;
use crate::broker::transactions::Membership;
use crate::coordinator::shard::Producer;
use crate::coordinator::transaction::request::AddPartitions;
use crate::record::batch::{BatchHeader, MAGIC_V2};
use crate::storage::producer_state::{FirstOfTransaction, VerificationGuard};

/// Where in the request a partition stands: topic and partition, by position.
pub type Place = (usize, usize);

/// What came of the verification of the batches that needed one.
pub type Proofs = HashMap<Place, Result<VerificationGuard, ErrorCode>>;

/// Batches that must not be appended before the coordinator was asked.
pub struct Unverified {
    producer: Producer,
    transactional_id: StrBytes,
    membership: Membership,
    asked: Vec<(Place, TopicPartition, VerificationGuard)>,
    /// What was refused without asking.
    proofs: Proofs,
}

/// Looks for batches that need verification.
///
/// # Errors
/// INVALID_PRODUCER_ID_MAPPING if several producers share the transaction.
pub fn needed(cx: &Context, request: &ProduceRequest) -> Result<Option<Unverified>, ErrorCode> {
    let Some(transactional_id) = &request.transactional_id else { return Ok(None) };
    let membership = match cx.version() {
        12.. => Membership::Added,
        11 => Membership::VerifiedOrAbortable,
        _ => Membership::Verified,
    };
    if !membership.adds() && !cx.broker().config().transaction.partition_verification_enable {
        return Ok(None);
    }
    let mut unverified: Option<Unverified> = None;
    for (at, topic) in request.topic_data.iter().enumerate() {
        for (within, data) in topic.partition_data.iter().enumerate() {
            let Some(header) = transactional(data) else { continue };
            let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
            let found = unverified.get_or_insert_with(|| Unverified {
                producer,
                transactional_id: transactional_id.0.clone(),
                membership,
                asked: Vec::new(),
                proofs: Proofs::new(),
            });
            if found.producer != producer {
                return Err(ErrorCode::InvalidProducerIdMapping);
            }
            found.look_at(cx, (at, within), topic, data, &header);
        }
    }
    Ok(unverified.filter(|found| !found.asked.is_empty() || !found.proofs.is_empty()))
}

/// The header of a batch, if it belongs to a transaction. Whether it is a valid one is found out when it is appended.
fn transactional(data: &PartitionProduceData) -> Option<BatchHeader> {
    let header = BatchHeader::parse(data.records.as_ref()?)?;
    (header.magic == MAGIC_V2 && header.is_transactional()).then_some(header)
}

impl Unverified {
    fn look_at(
        &mut self,
        cx: &Context,
        place: Place,
        topic: &TopicProduceData,
        data: &PartitionProduceData,
        header: &BatchHeader,
    ) {
        let broker = cx.broker();
        let replicas = &broker.replicas;
        let hosted = if cx.version() >= 13 { replicas.topic_by_id(topic.topic_id) } else { replicas.topic(&topic.name) };
        // What is not for clients to write to is refused when it is to be appended.
        if hosted.as_ref().is_some_and(|hosted| hosted.is_internal()) {
            return;
        }
        // What is not here is refused now: it may be here by the time at which the others have their proofs, and would be without one.
        let found = match &hosted {
            Some(hosted) => hosted.partition_or_error(data.index),
            None if cx.version() >= 13 => Err(ErrorCode::UnknownTopicId),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        let partition = match found {
            Ok(partition) => partition,
            Err(absent) => {
                self.proofs.insert(place, Err(absent));
                return;
            }
        };
        let first = FirstOfTransaction {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
            supports_epoch_bump: self.membership.adds(),
        };
        match partition.start_verification(&first, broker.clock.wall_ms()) {
            Ok(None) => {}
            Ok(Some(guard)) => self.asked.push((place, partition.name().clone(), guard)),
            Err(code) => drop(self.proofs.insert(place, Err(code))),
        }
    }

    /// Asks the coordinator.
    pub async fn ask(self, broker: &Broker) -> Proofs {
        let Self { producer, transactional_id, membership, asked, mut proofs } = self;
        if asked.is_empty() {
            return proofs;
        }
        let partitions: BTreeSet<_> = asked.iter().map(|(_, partition, _)| partition.clone()).collect();
        let request = AddPartitions { id: transactional_id, producer, partitions, transaction_version: 0 };
        let refused: HashMap<_, _> = broker.include_in_transaction(request, membership).await.into_iter().collect();
        for (place, partition, guard) in asked {
            let error = refused.get(&partition).copied().flatten();
            proofs.insert(place, error.map_or(Ok(guard), |code| Err(produce_error(code, membership))));
        }
        proofs
    }
}

/// What a producer is told of an error of the coordinator. Those that pass become one on which every client tries again at once, without
/// looking for another leader first.
fn produce_error(code: ErrorCode, membership: Membership) -> ErrorCode {
    use ErrorCode::*;
    match code {
        ConcurrentTransactions if membership.adds() => ConcurrentTransactions,
        ConcurrentTransactions | NetworkException | CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator => {
            NotEnoughReplicas
        }
        other => other,
    }
}
