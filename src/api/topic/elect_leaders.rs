//! ElectLeaders: v0–2. Gives leadership to the preferred replicas (KIP-183), or to whoever is left (KIP-460).
//!
//! v1 unclean elections, an error of the whole request · v2 flexible.

use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::api::forward::mutate;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::controller::ApiError;

pub fn handle(cx: &Context, request: ElectLeadersRequest) -> Reply<ElectLeadersResponse> {
    let version = cx.version();
    let asked = request.topic_partitions.clone().unwrap_or_default();
    mutate(
        cx,
        request.timeout_ms,
        |controller| async move { controller.elect_leaders(request).await },
        move |decided| decided.unwrap_or_else(|error| refused(asked, &error, version)),
    )
}

/// `ElectLeadersRequest.getErrorResponse`.
fn refused(asked: Vec<TopicPartitions>, error: &ApiError, version: i16) -> ElectLeadersResponse {
    let code = error.code.code();
    let results = asked.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            PartitionResult::default().with_partition_id(partition).with_error_code(code).with_error_message(error.text())
        });
        ReplicaElectionResult::default().with_topic(topic.topic).with_partition_result(partitions.collect())
    });
    let response = ElectLeadersResponse::default().with_replica_election_results(results.collect());
    if version >= 1 { response.with_error_code(code) } else { response }
}
