//! UnregisterBroker: v0. Forgets a broker that will not come back; one that lives on has to be started again (KIP-500).

use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::api::forward::{FORWARD_TIMEOUT_MS, mutate};
use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, request: UnregisterBrokerRequest) -> Reply<UnregisterBrokerResponse> {
    mutate(
        cx,
        FORWARD_TIMEOUT_MS,
        |controller| async move { controller.unregister_broker(request).await },
        |decided| {
            decided.unwrap_or_else(|error| {
                UnregisterBrokerResponse::default().with_error_code(error.code.code()).with_error_message(error.text())
            })
        },
    )
}
