//! UpdateFeatures: v0–2. Finalizes levels of features for the whole cluster (KIP-584).
//!
//! v1 kinds of downgrade, validation alone · v2 no results by feature.
//!
//! The request's timeout does not count, as in Kafka's controller.

use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::api::forward::{FORWARD_TIMEOUT_MS, mutate};
use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, request: UpdateFeaturesRequest) -> Reply<UpdateFeaturesResponse> {
    let version = cx.version();
    mutate(
        cx,
        FORWARD_TIMEOUT_MS,
        move |controller| async move { controller.update_features(request, version).await },
        |decided| {
            decided.unwrap_or_else(|error| {
                UpdateFeaturesResponse::default().with_error_code(error.code.code()).with_error_message(error.text())
            })
        },
    )
}
