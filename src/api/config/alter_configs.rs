//! AlterConfigs: v0–2. Replaces all that is set on a resource; superseded by IncrementalAlterConfigs (KIP-339), and still in use.
//!
//! v2 flexible.

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::alteration::Preprocessed;
use crate::api::forward::{FORWARD_TIMEOUT_MS, mutate};
use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, mut request: AlterConfigsRequest) -> Reply<AlterConfigsResponse> {
    let preprocessed = Preprocessed::new(
        cx.broker().id,
        &request.resources,
        |resource| (resource.resource_type, resource.resource_name.clone()),
        |resource| resource.configs.iter().map(|c| (&*c.name, c.value.is_none())),
    );
    preprocessed.retain(&mut request.resources);
    mutate(
        cx,
        FORWARD_TIMEOUT_MS,
        |controller| async move { controller.alter_configs(request).await },
        |decided| {
            let outcome = |r: AlterConfigsResourceResponse| ((r.resource_type, r.resource_name), (r.error_code, r.error_message));
            let decided = decided.map(|response| response.responses.into_iter().map(outcome).collect());
            let responses = preprocessed.reassemble(decided).map(|((resource_type, name), (code, message))| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(resource_type)
                    .with_resource_name(name)
                    .with_error_code(code)
                    .with_error_message(message)
            });
            AlterConfigsResponse::default().with_responses(responses.collect())
        },
    )
}
