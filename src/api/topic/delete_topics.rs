//! DeleteTopics: v1–6. Deletes topics by name or id.
//!
//! v4 flexible · v5 error messages, THROTTLING_QUOTA_EXCEEDED (KIP-599) · v6 topic ids (KIP-516); names move into `topics`.

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::api::forward::mutate;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::controller::ApiError;

pub fn handle(cx: &Context, request: DeleteTopicsRequest) -> Reply<DeleteTopicsResponse> {
    let version = cx.version();
    let by_name = request.topic_names.iter().map(|name| DeleteTopicState::default().with_name(Some(name.clone())));
    let asked = request.topics.iter().cloned().chain(by_name).collect();
    mutate(
        cx,
        request.timeout_ms,
        move |controller| async move { controller.delete_topics(request, version).await },
        |decided| decided.unwrap_or_else(|error| refused(asked, &error)),
    )
}

/// `DeleteTopicsRequest.getErrorResponse`, which leaves the message out.
fn refused(asked: Vec<DeleteTopicState>, error: &ApiError) -> DeleteTopicsResponse {
    let topics = asked.into_iter().map(|topic| {
        DeletableTopicResult::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_error_code(error.code.code())
            .with_error_message(None)
    });
    DeleteTopicsResponse::default().with_responses(topics.collect())
}
