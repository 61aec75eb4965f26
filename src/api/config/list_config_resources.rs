//! ListConfigResources: v0–1. What there is that can be configured (KIP-1142); until version 0 the subscriptions to client metrics (KIP-714).
//!
//! v1 all types, and which of them are wanted.

use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::metadata::{MetadataImage, ResourceType};

/// What is listed if nothing is said, in this order.
const ALL: [ResourceType; 5] =
    [ResourceType::Topic, ResourceType::Broker, ResourceType::BrokerLogger, ResourceType::ClientMetrics, ResourceType::Group];

pub fn handle(cx: &Context, request: ListConfigResourcesRequest) -> Reply<ListConfigResourcesResponse> {
    let wanted = match (cx.version(), &request.resource_types[..]) {
        (0, _) => vec![ResourceType::ClientMetrics as i8],
        (_, []) => ALL.map(|kind| kind as i8).to_vec(),
        (_, types) => types.to_vec(),
    };
    let is_known = |code: &i8| ALL.iter().any(|kind| *kind as i8 == *code);
    if !wanted.iter().all(is_known) {
        let code = ErrorCode::UnsupportedVersion.code();
        return Reply::Now(ListConfigResourcesResponse::default().with_error_code(code));
    }
    let image = cx.broker().metadata.image();
    let listed = ALL.iter().filter(|kind| wanted.contains(&(**kind as i8)));
    let resources = listed.flat_map(|kind| {
        names(&image, *kind).into_iter().map(|name| {
            let resource = ConfigResource::default().with_resource_name(StrBytes::from_string(name));
            // The type of the one kind that version 0 has is not told there.
            if cx.version() >= 1 { resource.with_resource_type(*kind as i8) } else { resource }
        })
    });
    Reply::Now(ListConfigResourcesResponse::default().with_config_resources(resources.collect()))
}

fn names(image: &MetadataImage, kind: ResourceType) -> Vec<String> {
    match kind {
        ResourceType::Topic => image.topics().iter().map(|topic| topic.name.to_string()).collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => {
            image.brokers().values().filter(|b| !b.fenced).map(|b| b.id.to_string()).collect()
        }
        // Of groups and subscriptions only those are there that something is set on.
        ResourceType::ClientMetrics | ResourceType::Group => {
            image.configs().of_type(kind).map(|(name, _)| name.to_string()).collect()
        }
    }
}
