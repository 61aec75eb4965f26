//! The requests of a producer: a producer id, and one Produce with the batches of a broker.

use std::collections::BTreeMap;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};

use super::accumulator::SealedBatch;
use super::{Acks, Delivered};
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, NO_LEADER, ProducerEpoch, ProducerId, TopicId};
use crate::client::cluster::{Client, topic_name};
use crate::client::error::ClientError;

/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;

/// `None` where the broker knows no producer ids.
pub(super) async fn init_producer_id(client: &Client) -> Result<Option<(ProducerId, ProducerEpoch)>, ClientError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let mut retry = client.retry();
    loop {
        let error = match client.send_any(&request).await {
            Ok(response) => match response.error_code.err() {
                None => return Ok(Some((response.producer_id.0, response.producer_epoch))),
                Some(code) => ClientError::refused("a producer id", code),
            },
            Err(ClientError::Version { .. }) => return Ok(None),
            Err(error) => error,
        };
        retry.after(error).await?;
    }
}

pub(super) async fn produce(
    client: &Client,
    broker: BrokerId,
    topic: &str,
    id: TopicId,
    acks: Acks,
    batches: &[SealedBatch],
) -> Result<BTreeMap<i32, Result<Delivered, ClientError>>, ClientError> {
    if broker == NO_LEADER {
        let partition = batches.first().map_or(-1, |batch| batch.partition);
        return Err(ClientError::refused(format!("partition {topic}-{partition}"), ErrorCode::LeaderNotAvailable));
    }
    let connection = client.broker(broker).await?;
    // A topic without an id comes from a broker that knows none.
    let version = connection.version_at_most::<ProduceRequest>(if id.is_nil() { TOPIC_IDS - 1 } else { i16::MAX })?;
    let rows = batches
        .iter()
        .map(|batch| PartitionProduceData::default().with_index(batch.partition).with_records(Some(batch.bytes.clone())));
    let data = TopicProduceData::default().with_partition_data(rows.collect());
    let data = if version >= TOPIC_IDS { data.with_topic_id(id) } else { data.with_name(topic_name(topic)) };
    let wait = client.options().request_timeout;
    let request = ProduceRequest::default()
        .with_acks(acks as i16)
        .with_timeout_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_topic_data(vec![data]);
    if acks == Acks::None {
        connection.send_unanswered(&request, version).await?;
        let unknown = Delivered { base_offset: -1, log_append_time: None };
        return Ok(batches.iter().map(|batch| (batch.partition, Ok(unknown))).collect());
    }
    let response = connection.send_waiting(&request, version, wait).await?;
    let rows = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
    let result = |row: &kafka_protocol::messages::produce_response::PartitionProduceResponse| match row.error_code.err() {
        None => {
            Ok(Delivered { base_offset: row.base_offset, log_append_time: Some(row.log_append_time_ms).filter(|at| *at >= 0) })
        }
        Some(code) => {
            let first = row.record_errors.first().and_then(|error| error.batch_index_error_message.as_deref());
            let message = first.or(row.error_message.as_deref());
            Err(ClientError::refused_with(format!("partition {topic}-{}", row.index), code, message))
        }
    };
    Ok(rows.map(|row| (row.index, result(&row))).collect())
}
