//! Produce: v3–13. Appends record batches to partition leaders.
//!
//! v5 log start offset · v7 zstd · v8 record errors (KIP-467) · v9 flexible · v10 leader hints (KIP-951) · v13 topic ids (KIP-516).
//! v0–2 are advertised so that old librdkafka turns compression on (KAFKA-18659), but their message formats are gone since Kafka 4.
//!
//! The walk: validate outside of any lock → append under the partition's lock → answer at once (acks=1), never (acks=0), or once every
//! append is committed (acks=all). What is appended is decided before the connection's next request is looked at.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::{Context, Session};
use crate::base::ErrorCode;
use crate::base::ids::{Offset, TopicId};
use crate::record::validate::{self, Refusal};
use crate::replica::manager::HostedTopic;
use crate::replica::partition::{Acks, Append, Appended, Partition, Wait};

/// Kafka's own admin client may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

pub fn handle(cx: &Context, request: ProduceRequest) -> Reply<ProduceResponse> {
    let acks = Acks::from_wire(request.acks);
    let mut wait = Wait::default();
    let mut failed = false;
    let topics = request.topic_data.into_iter().map(|topic| append_topic(cx, acks, topic, &mut wait, &mut failed)).collect();
    let response = ProduceResponse::default().with_responses(topics);
    match acks {
        Ok(Acks::None) if failed => Reply::Close("an acks=0 produce request failed; hanging up is how the producer learns of it"),
        Ok(Acks::None) => Reply::Silent,
        _ if wait.is_empty() => Reply::Now(with_endpoints(response, cx.session, cx.version())),
        _ => {
            let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
            let (session, version) = (cx.session.clone(), cx.version());
            Reply::later(async move {
                let mut response = response;
                let outcome = wait.committed(timeout).await;
                for (place, error) in outcome {
                    let partition = &mut response.responses[place.topic].partition_responses[place.partition];
                    refuse(partition, error, None);
                }
                with_endpoints(response, &session, version)
            })
        }
    }
}
