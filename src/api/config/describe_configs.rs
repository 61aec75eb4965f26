//! DescribeConfigs: v1–4. Every key of a topic, a broker or a group with its value, and where the value comes from (`ConfigHelper`).
//!
//! v1 synonyms (KIP-226) · v3 types and documentation (KIP-569) · v4 flexible.
//!
//! A broker describes itself and the default of all brokers; clients send what is about another broker to that broker.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::broker_logger;
use crate::api::distinct::distinct;
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::broker::Broker;
use crate::broker::effective::overrides;
use crate::config::describe::{Described, describe};
use crate::config::{Overrides, Refused, Resource};
use crate::controller::{ApiError, validate_topic_name};
use crate::metadata::{ConfigResource, ResourceType};

/// `Errors.INVALID_REQUEST.message()`.
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the message was sent to an \
                         incompatible broker. See the broker logs for more details.";

pub fn handle(cx: &Context, request: DescribeConfigsRequest) -> Reply<DescribeConfigsResponse> {
    let detail =
        Detail { version: cx.version(), synonyms: request.include_synonyms, documentation: request.include_documentation };
    // One resource of a type that nobody knows spoils the whole request.
    let malformed = request.resources.iter().any(|r| ResourceType::from_code(r.resource_type).is_none());
    let resources = distinct(request.resources, |r| (r.resource_type, r.resource_name.clone()));
    let results = resources.iter().map(|asked| {
        let described = match ResourceType::from_code(asked.resource_type) {
            _ if malformed => Err(ApiError::new(ErrorCode::InvalidRequest, MALFORMED)),
            Some(ResourceType::BrokerLogger) => broker_logger::describe(cx.broker(), &asked.resource_name, wanted(asked)),
            _ => describe_resource(cx.broker(), asked)
                .map(|configs| configs.into_iter().map(|config| detail.told(config)).collect()),
        };
        let result = DescribeConfigsResult::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone());
        match described {
            Ok(configs) => result.with_configs(configs),
            Err(error) => {
                result.with_error_code(error.code.code()).with_error_message(error.text().or(Some(StrBytes::default())))
            }
        }
    });
    Reply::Now(DescribeConfigsResponse::default().with_results(results.collect()))
}

fn describe_resource(broker: &Broker, asked: &DescribeConfigsResource) -> Result<Vec<Described>, ApiError> {
    let name = &*asked.resource_name;
    let refused = |message: &str| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    let kind = ResourceType::from_code(asked.resource_type);
    match kind {
        Some(ResourceType::Topic) => validate_topic_name(name)?,
        Some(ResourceType::Group) if name.is_empty() => return refused("Group name must not be empty"),
        Some(ResourceType::ClientMetrics) if name.is_empty() => {
            return refused("Client metrics subscription name must not be empty");
        }
        // No client is asked for metrics (KIP-714), so every subscription is as it is before anybody sets it: empty.
        Some(ResourceType::ClientMetrics) => return Ok(Vec::new()),
        _ => {}
    }
    let resource =
        Resource::of(asked.resource_type, name, broker.id).map_err(|Refused { code, message }| ApiError::new(code, message))?;
    let image = broker.metadata.image();
    let own = match (resource, kind) {
        (Resource::Topic, _) if image.topic(name).is_none() => return Err(ErrorCode::UnknownTopicOrPartition.into()),
        (Resource::Topic | Resource::Group, Some(kind)) => overrides(image.configs_of(&ConfigResource::new(kind, name))),
        _ => Overrides::new(),
    };
    Ok(describe(resource, &broker.effective.settings(), &own, wanted(asked)))
}

/// Whether a key is asked for: any is, where none is named.
fn wanted(asked: &DescribeConfigsResource) -> impl Fn(&str) -> bool {
    let keys = asked.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
    move |name| keys.is_none_or(|keys| keys.iter().any(|key| **key == *name))
}

/// What the client wants to know of every key.
struct Detail {
    version: i16,
    synonyms: bool,
    documentation: bool,
}

impl Detail {
    fn told(&self, config: Described) -> DescribeConfigsResourceResult {
        let synonyms = config.synonyms.into_iter().filter(|_| self.synonyms).map(|synonym| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_static_str(synonym.name))
                .with_value(Some(StrBytes::from_string(synonym.value)))
                .with_source(synonym.source as i8)
        });
        let result = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(config.name))
            .with_value(config.value.map(StrBytes::from_string))
            .with_read_only(config.read_only)
            .with_config_source(config.source as i8)
            .with_synonyms(synonyms.collect());
        if self.version < 3 {
            return result;
        }
        let documentation = self.documentation.then(|| StrBytes::from_static_str(config.documentation));
        result.with_config_type(config.value_type as i8).with_documentation(documentation)
    }
}
