//! WriteTxnMarkers: v1–2. Writes the ends of transactions to partitions: for coordinators elsewhere, and for people who abort a transaction
//! that nobody ends any more (`kafka-transactions.sh abort`, KIP-664).
//!
//! v2 transaction version: from level 2 on a marker must have a newer epoch than the records before it (KIP-1228).

use std::iter::repeat;

use futures_util::future::join_all;
use kafka_protocol::messages::WriteTxnMarkersResponse;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};

use crate::api::distinct::distinct;
use crate::api::reply::{Pending, Reply};
use crate::api::session::Context;
use crate::base::ids::TopicPartition;
use crate::broker::Broker;
use crate::coordinator::shard::{EndOfTransaction, Producer, TransactionResult};
use crate::protocol::supplement::WriteTxnMarkersRequest;

pub fn handle(cx: &Context, request: WriteTxnMarkersRequest) -> Reply<WriteTxnMarkersResponse> {
    let WriteTxnMarkersRequest { request, transaction_versions } = request;
    let versions = transaction_versions.into_iter().chain(repeat(0));
    let answers: Vec<_> =
        request.markers.into_iter().zip(versions).map(|(marker, version)| write(cx.broker(), marker, version)).collect();
    Reply::later(async move { WriteTxnMarkersResponse::default().with_markers(join_all(answers).await) })
}

fn write(broker: &Broker, marker: WritableTxnMarker, transaction_version: i8) -> Pending<WritableTxnMarkerResult> {
    let end = EndOfTransaction {
        producer: Producer { id: marker.producer_id.0, epoch: marker.producer_epoch },
        coordinator_epoch: marker.coordinator_epoch,
        transaction_version: transaction_version.into(),
        result: if marker.transaction_result { TransactionResult::Commit } else { TransactionResult::Abort },
    };
    let mut topics = Vec::with_capacity(marker.topics.len());
    for topic in marker.topics {
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        let write = |index: i32| {
            let written = broker.write_marker(&TopicPartition { topic: name.clone(), partition: index }, end);
            async move {
                let code = written.await.map_or_else(|code| code.code(), |()| 0);
                WritableTxnMarkerPartitionResult::default().with_partition_index(index).with_error_code(code)
            }
        };
        let indexes = distinct(topic.partition_indexes, |index| *index);
        topics.push((topic.name, join_all(indexes.into_iter().map(write).collect::<Vec<_>>())));
    }
    Box::pin(async move {
        let mut results = Vec::with_capacity(topics.len());
        for (name, partitions) in topics {
            results.push(WritableTxnMarkerTopicResult::default().with_name(name).with_partitions(partitions.await));
        }
        WritableTxnMarkerResult::default().with_producer_id(marker.producer_id).with_topics(results)
    })
}
