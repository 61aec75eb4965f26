//! TxnOffsetCommit: v0–5. Writes down offsets of a group that count once the transaction is committed.
//!
//! v2 leader epochs, COORDINATOR_LOAD_IN_PROGRESS · v3 flexible, the member that commits (KIP-447) · v4 TRANSACTION_ABORTABLE · v5 the commit
//! itself adds the group's partition to the transaction (KIP-890).

use std::collections::BTreeSet;

use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use kafka_protocol::messages::txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::crash_point::crash_point;
use crate::base::ids::{NO_SEQUENCE, TopicPartition};
use crate::broker::Broker;
use crate::broker::topics::CONSUMER_OFFSETS;
use crate::broker::transactions::Membership;
use crate::coordinator::group::commit::refuse_transactional_commit;
use crate::coordinator::mailbox::client_error;
use crate::coordinator::shard::Producer;
use crate::coordinator::transaction::request::AddPartitions;
use crate::metadata::MetadataImage;
use crate::storage::producer_state::{FirstOfTransaction, VerificationGuard};

/// Clients before could not take COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296).
const LOAD_IN_PROGRESS_SINCE: i16 = 2;

pub fn handle(cx: &Context, mut request: TxnOffsetCommitRequest) -> Reply<TxnOffsetCommitResponse> {
    let version = cx.version();
    let mut refused = Vec::new();
    let image = cx.broker().metadata.image();
    let topics = std::mem::take(&mut request.topics);
    request.topics = topics.into_iter().filter_map(|topic| known(&image, topic, &mut refused)).collect();
    // Should a topic be deleted before its offsets count, those of the next one of its name they are not.
    let topic_ids = request.topics.iter().filter_map(|topic| Some((topic.name.clone(), image.topic(&topic.name)?.id))).collect();
    if request.topics.is_empty() {
        return Reply::Now(TxnOffsetCommitResponse::default().with_topics(refused));
    }
    if request.group_id.is_empty() {
        let response = refuse_transactional_commit(&request, ErrorCode::InvalidGroupId);
        return Reply::Now(merged(response, refused, version));
    }
    let broker = cx.broker().clone();
    // The end of the transaction, which may come right behind, is not to overtake what belongs to it.
    Reply::alone(async move {
        let response = match verify(&broker, &request, version).await {
            Ok(guard) => broker.groups.commit_transactional_offsets(request, topic_ids, guard).await,
            Err(error) => refuse_transactional_commit(&request, client_error(error)),
        };
        crash_point("transaction-offsets-staged");
        merged(response, refused, version)
    })
}

/// The part of a topic that exists; the rest is refused.
fn known(
    image: &MetadataImage,
    mut topic: TxnOffsetCommitRequestTopic,
    refused: &mut Vec<TxnOffsetCommitResponseTopic>,
) -> Option<TxnOffsetCommitRequestTopic> {
    let found = image.topic(&topic.name);
    let exists = |number: i32| found.is_some_and(|topic| topic.partition(number).is_some());
    let (there, absent): (Vec<_>, Vec<_>) = topic.partitions.into_iter().partition(|p| exists(p.partition_index));
    if !absent.is_empty() {
        let partitions = absent.into_iter().map(|p| {
            let response = TxnOffsetCommitResponsePartition::default().with_partition_index(p.partition_index);
            response.with_error_code(ErrorCode::UnknownTopicOrPartition.code())
        });
        let response = TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone());
        refused.push(response.with_partitions(partitions.collect()));
    }
    topic.partitions = there;
    (!topic.partitions.is_empty()).then_some(topic)
}

/// Makes sure that the transaction includes the group's partition, unless it has records there already.
async fn verify(broker: &Broker, request: &TxnOffsetCommitRequest, version: i16) -> Result<Option<VerificationGuard>, ErrorCode> {
    // Whether it is asked or not, what its coordinator would say to no producer: offsets of nobody would be pending for ever.
    if request.producer_id.0 < 0 {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if request.producer_epoch < 0 {
        return Err(ErrorCode::InvalidProducerEpoch);
    }
    let membership = match version {
        5.. => Membership::Added,
        4 => Membership::VerifiedOrAbortable,
        _ => Membership::Verified,
    };
    if !membership.adds() && !broker.config().transaction.partition_verification_enable {
        return Ok(None);
    }
    let number = broker.groups.partition_for(&request.group_id);
    let partition = broker.replicas.partition(CONSUMER_OFFSETS, number).ok_or(ErrorCode::NotCoordinator)?;
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let first = FirstOfTransaction {
        producer_id: producer.id,
        epoch: producer.epoch,
        sequence: NO_SEQUENCE,
        supports_epoch_bump: membership.adds(),
    };
    let Some(guard) = partition.start_verification(&first, broker.clock.wall_ms())? else { return Ok(None) };
    let request = AddPartitions {
        id: request.transactional_id.0.clone(),
        producer,
        partitions: BTreeSet::from([TopicPartition::new(CONSUMER_OFFSETS, number)]),
        transaction_version: 0,
    };
    let verified = broker.include_in_transaction(request, membership).await;
    verified.into_iter().find_map(|(_, error)| error).map_or(Ok(Some(guard)), Err)
}

fn merged(
    mut response: TxnOffsetCommitResponse,
    refused: Vec<TxnOffsetCommitResponseTopic>,
    version: i16,
) -> TxnOffsetCommitResponse {
    response.topics.extend(refused);
    if version < LOAD_IN_PROGRESS_SINCE {
        let loading = ErrorCode::CoordinatorLoadInProgress.code();
        let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.filter(|p| p.error_code == loading).for_each(|p| p.error_code = ErrorCode::CoordinatorNotAvailable.code());
    }
    response
}
