//! DeleteRecords: v0–2. Moves the start of logs; what lies before is gone for readers at once (KIP-107).
//!
//! v2 flexible. Offset −1 means the high watermark. Answers the low watermark: the log start offset of the replicas, of which this broker
//! has the only ones.

use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::broker::Broker;
use crate::broker::topics::is_internal;

pub fn handle(cx: &Context, request: DeleteRecordsRequest) -> Reply<DeleteRecordsResponse> {
    let topics = request.topics.iter().map(|topic| delete_topic(cx.broker(), topic));
    Reply::Now(DeleteRecordsResponse::default().with_topics(topics.collect()))
}

fn delete_topic(broker: &Broker, topic: &DeleteRecordsTopic) -> DeleteRecordsTopicResult {
    let partitions = topic.partitions.iter().map(|asked| {
        let deleted = match broker.replicas.partition_or_error(&topic.name, asked.partition_index) {
            Err(absent) => Err(absent),
            Ok(_) if is_internal(&topic.name) => Err(ErrorCode::InvalidTopicException),
            Ok(partition) => partition.delete_records(asked.offset),
        };
        let result = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
        match deleted {
            Ok(low_watermark) => result.with_low_watermark(low_watermark),
            Err(code) => result.with_low_watermark(-1).with_error_code(code.code()),
        }
    });
    DeleteRecordsTopicResult::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
}
