//! DescribeCluster: v0–2. The brokers, as seen through the listener the client came in on, and the cluster's id.
//!
//! v1 type of endpoints (KIP-919) · v2 fenced brokers (KIP-1073).

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use super::metadata::ALL_CLUSTER_OPERATIONS;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::NO_LEADER;

/// `EndpointType`.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub fn handle(cx: &Context, request: DescribeClusterRequest) -> Reply<DescribeClusterResponse> {
    let (code, message) = match request.endpoint_type {
        BROKERS => return Reply::Now(describe(cx, &request)),
        CONTROLLERS => (
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".to_owned(),
        ),
        other => (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
    };
    let response =
        DescribeClusterResponse::default().with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(message)));
    Reply::Now(response)
}

fn describe(cx: &Context, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let (session, broker) = (cx.session, cx.broker());
    let image = broker.metadata.image();
    let registered = broker.endpoints.registered(&image, &session.listener, session.local);
    let told = registered.filter(|(_, fenced)| !fenced || request.include_fenced_brokers).map(|(broker, fenced)| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker.id))
            .with_host(broker.host)
            .with_port(broker.port)
            .with_rack(broker.rack)
            .with_is_fenced(fenced)
    });
    let brokers: Vec<_> = told.collect();
    // Any broker takes admin requests, so any may be named as controller.
    let controller = brokers.iter().find(|b| !b.is_fenced).map_or(BrokerId(NO_LEADER), |b| b.broker_id);
    let cluster_id = image.cluster().map(|c| StrBytes::from_string(c.cluster_id.to_string()));
    let response = DescribeClusterResponse::default()
        .with_cluster_id(cluster_id.unwrap_or_default())
        .with_controller_id(controller)
        .with_brokers(brokers);
    match request.include_cluster_authorized_operations {
        true => response.with_cluster_authorized_operations(ALL_CLUSTER_OPERATIONS),
        false => response,
    }
}
