//! Records of `__transaction_state` as people read them: the JSON that Kafka's dump tool prints. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::ids::{NO_PRODUCER_ID, ProducerEpoch, ProducerId, TimestampMs};
use crate::coordinator::transaction::metadata::TransactionMetadata;
use crate::coordinator::transaction::record::Record;
use crate::coordinator::transaction::state::TransactionState;

/// What a key says.
#[derive(Debug, Serialize)]
pub struct Key {
    /// Number of the type, in quotation marks as Kafka's tool prints it.
    #[serde(rename = "type")]
    kind: String,
    data: KeyData,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum KeyData {
    #[serde(rename_all = "camelCase")]
    Id {
        transactional_id: String,
    },
    Unread(String),
}

/// What a value says.
#[derive(Debug, Serialize)]
pub struct Value {
    version: String,
    data: ValueData,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ValueData {
    #[serde(rename_all = "camelCase")]
    Transaction {
        producer_id: ProducerId,
        /// Tagged fields are not shown with their defaults.
        #[serde(skip_serializing_if = "Option::is_none")]
        previous_producer_id: Option<ProducerId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_producer_id: Option<ProducerId>,
        producer_epoch: ProducerEpoch,
        transaction_timeout_ms: i32,
        /// Number of the state.
        transaction_status: i8,
        /// Null in a log for an id without a transaction.
        transaction_partitions: Option<Vec<Partitions>>,
        transaction_last_update_timestamp_ms: TimestampMs,
        transaction_start_timestamp_ms: TimestampMs,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_transaction_version: Option<i16>,
    },
    Unread(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Partitions {
    topic: String,
    partition_ids: Vec<i32>,
}

/// Key and value of a record. One of a type that is not known, or damaged, is told by its type and size.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> (Key, Option<Value>) {
    let number = |bytes: Option<&[u8]>| {
        let number = bytes.and_then(|bytes| bytes.first_chunk()).map(|number| i16::from_be_bytes(*number));
        number.map_or_else(|| "none".into(), |number| number.to_string())
    };
    let (key_data, value_data) = match Record::decode(key, value) {
        Ok(record) => (KeyData::Id { transactional_id: record.id.to_string() }, record.value.map(transaction)),
        Err(error) => {
            let unread = value.map(|value| ValueData::Unread(format!("{} bytes", value.len())));
            (KeyData::Unread(format!("{error}: {} bytes", key.len())), unread)
        }
    };
    let key = Key { kind: number(Some(key)), data: key_data };
    (key, value_data.map(|data| Value { version: number(value), data }))
}

fn transaction(it: TransactionMetadata) -> ValueData {
    let mut topics = BTreeMap::<String, Vec<i32>>::new();
    for partition in &it.partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition.partition);
    }
    ValueData::Transaction {
        producer_id: it.producer_id,
        previous_producer_id: (it.previous_producer_id != NO_PRODUCER_ID).then_some(it.previous_producer_id),
        next_producer_id: (it.next_producer_id != NO_PRODUCER_ID).then_some(it.next_producer_id),
        producer_epoch: it.producer_epoch,
        transaction_timeout_ms: it.timeout_ms,
        transaction_status: it.state as i8,
        transaction_partitions: (it.state != TransactionState::Empty)
            .then(|| topics.into_iter().map(|(topic, partition_ids)| Partitions { topic, partition_ids }).collect()),
        transaction_last_update_timestamp_ms: it.last_update_timestamp,
        transaction_start_timestamp_ms: it.start_timestamp,
        client_transaction_version: (it.client_transaction_version != 0).then_some(it.client_transaction_version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::TopicPartition;

    #[test]
    fn transactions_read_as_in_kafkas_tool() {
        let value = TransactionMetadata {
            producer_id: 7,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: 3,
            last_producer_epoch: 2,
            timeout_ms: 60_000,
            state: TransactionState::Ongoing,
            partitions: [TopicPartition::new("t", 0), TopicPartition::new("t", 2)].into(),
            last_update_timestamp: 20,
            start_timestamp: 10,
            client_transaction_version: 2,
        };
        let (key, encoded) = Record::of(&"id".into(), value.clone(), 2).encode();
        let (shown_key, shown_value) = decode(&key, encoded.as_deref());
        assert_eq!(serde_json::to_string(&shown_key).unwrap(), r#"{"type":"0","data":{"transactionalId":"id"}}"#);
        let data = r#"{"producerId":7,"producerEpoch":3,"transactionTimeoutMs":60000,"transactionStatus":1,"transactionPartitions":[{"topic":"t","partitionIds":[0,2]}],"transactionLastUpdateTimestampMs":20,"transactionStartTimestampMs":10,"clientTransactionVersion":2}"#;
        assert_eq!(serde_json::to_string(&shown_value).unwrap(), format!(r#"{{"version":"1","data":{data}}}"#));
        let empty =
            TransactionMetadata { state: TransactionState::Empty, partitions: [].into(), previous_producer_id: 6, ..value };
        let (key, encoded) = Record::of(&"id".into(), empty, 2).encode();
        let shown = serde_json::to_string(&decode(&key, encoded.as_deref()).1).unwrap();
        assert!(
            shown.contains(r#""previousProducerId":6,"producerEpoch""#) && shown.contains(r#""transactionPartitions":null"#),
            "{shown}"
        );
        assert!(decode(&key, None).1.is_none(), "a tombstone has no value");
        let (unknown, _) = decode(&[0, 9], None);
        assert!(matches!(unknown.data, KeyData::Unread(_)) && unknown.kind == "9");
    }
}
