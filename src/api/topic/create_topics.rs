//! CreateTopics: v2–7. Creates topics, or says whether they could be created.
//!
//! v4 defaults for partitions and replication factor (KIP-464) · v5 flexible, partitions and configurations in the answer (KIP-525) ·
//! v6 THROTTLING_QUOTA_EXCEEDED (KIP-599) · v7 topic ids in the answer.

use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};

use crate::api::forward::mutate;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::controller::ApiError;

pub fn handle(cx: &Context, request: CreateTopicsRequest) -> Reply<CreateTopicsResponse> {
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    mutate(
        cx,
        request.timeout_ms,
        |controller| async move { controller.create_topics(request).await },
        |decided| decided.unwrap_or_else(|error| refused(names, &error)),
    )
}

/// `CreateTopicsRequest.getErrorResponse`.
fn refused(names: Vec<TopicName>, error: &ApiError) -> CreateTopicsResponse {
    let topics = names.into_iter().map(|name| {
        CreatableTopicResult::default().with_name(name).with_error_code(error.code.code()).with_error_message(error.text())
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}
