//! One Fetch request of a consumer, and the records in its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchRequest};

use super::{ConsumerOptions, Fetched};
use crate::base::ids::{BrokerId, NO_LEADER_EPOCH, Offset, TopicId, TopicPartition};
use crate::client::aborted::AbortedTransactions;
use crate::client::cluster::{Client, topic_name};
use crate::client::error::ClientError;
use crate::client::offsets::IsolationLevel;
use crate::record::owned::{self, Record};

/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// A batch may not decompress to more than this.
const DECOMPRESSED_LIMIT: usize = 1 << 30;

pub(super) async fn fetch(
    client: &Client,
    broker: BrokerId,
    options: &ConsumerOptions,
    wanted: &[(TopicPartition, Offset)],
    ids: &BTreeMap<Arc<str>, TopicId>,
) -> Result<Vec<(TopicPartition, PartitionData)>, ClientError> {
    let connection = client.broker(broker).await?;
    let id_of = |topic: &str| ids.get(topic).copied().unwrap_or_default();
    let named_only = wanted.iter().any(|(partition, _)| id_of(&partition.topic).is_nil());
    let version = connection.version_at_most::<FetchRequest>(if named_only { TOPIC_IDS - 1 } else { i16::MAX })?;
    // A topic may appear twice: the order of partitions is the order in which they are served.
    let mut topics: Vec<(&Arc<str>, Vec<FetchPartition>)> = Vec::new();
    for (partition, position) in wanted {
        let row = FetchPartition::default()
            .with_partition(partition.partition)
            .with_current_leader_epoch(NO_LEADER_EPOCH)
            .with_fetch_offset(*position)
            .with_partition_max_bytes(options.partition_max_bytes);
        match topics.iter_mut().find(|(topic, _)| **topic == partition.topic) {
            Some((_, rows)) => rows.push(row),
            None => topics.push((&partition.topic, vec![row])),
        }
    }
    let topic = |(name, rows): (&Arc<str>, Vec<FetchPartition>)| {
        let topic = FetchTopic::default().with_partitions(rows);
        if version >= TOPIC_IDS { topic.with_topic_id(id_of(name)) } else { topic.with_topic(topic_name(name)) }
    };
    let request = FetchRequest::default()
        .with_replica_id(WireBrokerId(-1))
        .with_max_wait_ms(i32::try_from(options.max_wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(options.min_bytes)
        .with_max_bytes(options.max_bytes)
        .with_isolation_level(options.isolation as i8)
        .with_session_epoch(-1)
        .with_topics(topics.into_iter().map(topic).collect());
    let response = connection.send_waiting(&request, version, options.max_wait).await?;
    if let Some(code) = response.error_code.err() {
        return Err(ClientError::refused(format!("fetching from broker {broker}"), code));
    }
    let mut rows = Vec::new();
    for topic in response.responses {
        let by_id = || ids.iter().find(|(_, id)| **id == topic.topic_id).map(|(name, _)| name.clone());
        let name = if version >= TOPIC_IDS { by_id() } else { Some(Arc::from(&**topic.topic)) };
        let Some(name) = name else { continue };
        let row = |data: PartitionData| (TopicPartition::new(name.clone(), data.partition_index), data);
        rows.extend(topic.partitions.into_iter().map(row));
    }
    Ok(rows)
}

fn records_from(position: Offset, batch: &owned::DecodedBatch) -> Result<Vec<Record>, String> {
    let wanted = |record: &Result<Record, _>| record.as_ref().map_or(true, |record: &Record| record.offset >= position);
    batch.records().filter(wanted).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// The records of one partition from `position` on; `None` if nothing came.
pub(super) fn read(
    partition: &TopicPartition,
    position: Offset,
    data: PartitionData,
    isolation: IsolationLevel,
) -> Result<Option<Fetched>, ClientError> {
    let bytes = data.records.unwrap_or_default();
    let mut aborted = AbortedTransactions::default();
    if isolation == IsolationLevel::ReadCommitted {
        let transactions = data.aborted_transactions.unwrap_or_default();
        aborted = AbortedTransactions::new(transactions.iter().map(|txn| (txn.first_offset, txn.producer_id.0)));
    }
    let damaged = |reason: String| ClientError::Records { partition: partition.clone(), reason };
    let mut records = Vec::new();
    let mut next = position;
    for batch in owned::decode(&bytes, DECOMPRESSED_LIMIT) {
        let taken = batch.map_err(|error| error.to_string()).and_then(|batch| {
            let wanted = if aborted.skips(&batch) { Vec::new() } else { records_from(position, &batch)? };
            Ok((wanted, batch.header.next_offset()))
        });
        match taken {
            Ok((wanted, end)) => {
                records.extend(wanted);
                next = next.max(end);
            }
            // What is whole in front of the damage is given first; the next fetch begins with the damage.
            Err(_) if next > position => break,
            Err(reason) => return Err(damaged(format!("from offset {next} on: {reason}"))),
        }
    }
    Ok((next > position).then_some(Fetched {
        partition: partition.clone(),
        records,
        position: next,
        high_watermark: data.high_watermark,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::builder::BatchBuilder;
    use crate::record::compression::Codec;

    #[test]
    fn what_is_whole_in_front_of_damage_is_read() {
        let mut bytes = Vec::new();
        for offset in 0..3 {
            let mut builder = BatchBuilder::new(Codec::None);
            builder.base_offset = offset;
            builder.push_plain(0, None, Some(b"value"));
            bytes.push(builder.build().to_vec());
        }
        bytes[2][70] ^= 1;
        let partition = TopicPartition::new("t", 0);
        let at = |position: Offset| {
            let data = PartitionData::default().with_records(Some(bytes[position as usize..].concat().into()));
            read(&partition, position, data, IsolationLevel::ReadUncommitted)
        };
        let fetched = at(0).unwrap().expect("there is something");
        assert_eq!((fetched.records.len(), fetched.position), (2, 2));
        let Err(error) = at(2) else { panic!("it begins with the damage") };
        assert!(error.to_string().contains("from offset 2 on"), "{error}");
    }
}
