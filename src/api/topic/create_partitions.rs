//! CreatePartitions: v0–3. Adds partitions to topics (KIP-195).
//!
//! v2 flexible · v3 THROTTLING_QUOTA_EXCEEDED (KIP-599).

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};

use crate::api::forward::mutate;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::controller::ApiError;

pub fn handle(cx: &Context, request: CreatePartitionsRequest) -> Reply<CreatePartitionsResponse> {
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    mutate(
        cx,
        request.timeout_ms,
        |controller| async move { controller.create_partitions(request).await },
        |decided| decided.unwrap_or_else(|error| refused(names, &error)),
    )
}

/// `CreatePartitionsRequest.getErrorResponse`.
fn refused(names: Vec<TopicName>, error: &ApiError) -> CreatePartitionsResponse {
    let results = names.into_iter().map(|name| {
        CreatePartitionsTopicResult::default().with_name(name).with_error_code(error.code.code()).with_error_message(error.text())
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}
