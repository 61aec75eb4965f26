//! IncrementalAlterConfigs: v0–1. Sets, deletes, appends to and subtracts from single keys (KIP-339).
//!
//! v1 flexible.

use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::alteration::Preprocessed;
use crate::api::forward::{FORWARD_TIMEOUT_MS, mutate};
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::config::alter::Op;

pub fn handle(cx: &Context, mut request: IncrementalAlterConfigsRequest) -> Reply<IncrementalAlterConfigsResponse> {
    let preprocessed = Preprocessed::new(
        cx.broker().id,
        &request.resources,
        |resource| (resource.resource_type, resource.resource_name.clone()),
        |resource| {
            let deletes = |operation| Op::of(operation) == Ok(Op::Delete);
            resource.configs.iter().map(move |c| (&*c.name, c.value.is_none() && !deletes(c.config_operation)))
        },
    );
    preprocessed.retain(&mut request.resources);
    mutate(
        cx,
        FORWARD_TIMEOUT_MS,
        |controller| async move { controller.incremental_alter_configs(request).await },
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
            IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
        },
    )
}
