//! IncrementalAlterConfigs v0–1 and AlterConfigs v0–2 (`ConfigurationControlManager`, and the checks of `ControllerApis` that need no principal).
//! What a key may be set to is declared in `config`; here is which resources there are, and what else a change entails.
//!
//! A resource is changed whole or not at all, and what changes nothing writes nothing. With ELR, `min.insync.replicas` is one number for all
//! brokers, and changing it for a topic empties the ELRs that were judged by the old one (KIP-966).

use std::collections::BTreeSet;

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as ReplaceResult;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as AlterResult;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP, code_and_text};
use super::{Controller, topic_name};
use crate::base::ErrorCode;
use crate::config::alter::{self, Alteration, Change, Op};
use crate::config::{Overrides, Refused, Resource};
use crate::metadata::{
    ConfigMap, ConfigResource, ELIGIBLE_LEADER_REPLICAS_VERSION, MetadataImage, MetadataRecord, PartitionChange, ResourceType,
    TopicImage,
};

pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
pub(super) const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";
/// Bytes of a value (`Short.MAX_VALUE`, what Kafka's record could hold).
const MAX_VALUE_BYTES: usize = i16::MAX as usize;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        ApiError::new(refused.code, refused.message)
    }
}

impl Controller {
    /// # Errors
    /// POLICY_VIOLATION for more than 10,000 changes.
    pub fn incremental_alter_configs(
        &mut self,
        draft: &MetadataImage,
        request: &IncrementalAlterConfigsRequest,
    ) -> Result<Decision<IncrementalAlterConfigsResponse>, ApiError> {
        let duplicates = duplicates(request.resources.iter().map(|r| (r.resource_type, &*r.resource_name)));
        let mut records = Vec::new();
        let mut results = Vec::new();
        for asked in &request.resources {
            let key = (asked.resource_type, &*asked.resource_name);
            let outcome = self.alter(draft, key, &duplicates, &mut records, |resource, settings, current| {
                let alteration = |c: &'_ kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig| {
                    Op::of(c.config_operation)
                };
                let mut asks = Vec::with_capacity(asked.configs.len());
                for config in &asked.configs {
                    asks.push(Alteration { name: &config.name, op: alteration(config)?, value: config.value.as_deref() });
                }
                alter::alter(resource, settings, current, &asks)
            });
            let (code, text) = code_and_text(&outcome);
            results.push(
                AlterResult::default()
                    .with_resource_type(asked.resource_type)
                    .with_resource_name(asked.resource_name.clone())
                    .with_error_code(code)
                    .with_error_message(text),
            );
        }
        once_each(&mut results, |r| (r.resource_type, r.resource_name.to_string()), &duplicates);
        let records = finish(records, request.validate_only)?;
        Ok(Decision::atomic(records, IncrementalAlterConfigsResponse::default().with_responses(results)))
    }

    /// # Errors
    /// POLICY_VIOLATION for more than 10,000 changes.
    pub fn alter_configs(
        &mut self,
        draft: &MetadataImage,
        request: &AlterConfigsRequest,
    ) -> Result<Decision<AlterConfigsResponse>, ApiError> {
        let duplicates = duplicates(request.resources.iter().map(|r| (r.resource_type, &*r.resource_name)));
        let mut records = Vec::new();
        let mut results = Vec::new();
        for asked in &request.resources {
            let key = (asked.resource_type, &*asked.resource_name);
            let outcome = self.alter(draft, key, &duplicates, &mut records, |resource, settings, current| {
                let asks: Vec<_> = asked.configs.iter().map(|c| (&*c.name, c.value.as_deref())).collect();
                alter::replace(resource, settings, current, &asks)
            });
            let (code, text) = code_and_text(&outcome);
            results.push(
                ReplaceResult::default()
                    .with_resource_type(asked.resource_type)
                    .with_resource_name(asked.resource_name.clone())
                    .with_error_code(code)
                    .with_error_message(text),
            );
        }
        once_each(&mut results, |r| (r.resource_type, r.resource_name.to_string()), &duplicates);
        let records = finish(records, request.validate_only)?;
        Ok(Decision::atomic(records, AlterConfigsResponse::default().with_responses(results)))
    }

    fn alter(
        &self,
        draft: &MetadataImage,
        (code, name): (i8, &str),
        duplicates: &BTreeSet<(i8, String)>,
        records: &mut Vec<MetadataRecord>,
        changes: impl FnOnce(Resource, &crate::config::Settings, &Overrides) -> Result<Vec<Change>, Refused>,
    ) -> Result<(), ApiError> {
        let kind = ResourceType::from_code(code)
            .ok_or_else(|| ApiError::new(ErrorCode::UnsupportedVersion, format!("Unknown resource type {code}.")))?;
        if duplicates.contains(&(code, name.to_owned())) {
            return Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate resource."));
        }
        let resource = self.resource(kind, name)?;
        let current = draft.configs().get(kind, name);
        let changes = changes(resource, &self.settings, &overrides(current))?;
        if changes.iter().filter_map(|c| c.value.as_ref()).any(|value| value.len() > MAX_VALUE_BYTES) {
            let message = format!(
                "The configuration value cannot be added because it exceeds the maximum value size of {MAX_VALUE_BYTES} bytes."
            );
            return Err(ApiError::new(ErrorCode::InvalidConfig, message));
        }
        let elr_enabled = draft.feature_level(ELIGIBLE_LEADER_REPLICAS_VERSION) > 0;
        if let Some(change) = changes.iter().find(|c| c.name == MIN_INSYNC_REPLICAS).filter(|_| elr_enabled) {
            let refuse = |message: &str| Err(ApiError::new(ErrorCode::InvalidConfig, message));
            match resource {
                Resource::Broker => return refuse("Broker-level min.insync.replicas cannot be altered while ELR is enabled."),
                Resource::BrokerDefault if change.value.is_none() => {
                    return refuse("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
                }
                Resource::BrokerDefault => clear_elrs(draft.topics().iter_by_id().map(|t| &**t), records),
                Resource::Topic => clear_elrs(draft.topic(name).map(|t| &**t).into_iter(), records),
                Resource::Group => {}
            }
        }
        check_exists(draft, kind, name)?;
        let resource = ConfigResource::new(kind, name);
        records.extend(changes.into_iter().map(|Change { name, value }| MetadataRecord::Config {
            resource: resource.clone(),
            key: name.into(),
            value: value.map(Into::into),
        }));
        Ok(())
    }

    fn resource(&self, kind: ResourceType, name: &str) -> Result<Resource, ApiError> {
        match kind {
            ResourceType::Topic if !name.is_empty() => topic_name::validate(name)?,
            ResourceType::Broker if !name.is_empty() => {
                // Any broker may be named here: whether the one asked takes it is for its API to say.
                let invalid = |message: &str| ApiError::new(ErrorCode::InvalidRequest, message);
                let id: i32 = name.parse().map_err(|_| invalid("Unable to parse broker name as a base 10 number."))?;
                return if id < 0 { Err(invalid("Invalid negative broker ID.")) } else { Ok(Resource::Broker) };
            }
            _ => {}
        }
        Ok(Resource::of(kind as i8, name, self.node_id)?)
    }
}

/// Emptied ELRs: they were drawn up by another `min.insync.replicas`.
pub(super) fn clear_elrs<'a>(topics: impl Iterator<Item = &'a TopicImage>, records: &mut Vec<MetadataRecord>) {
    for topic in topics {
        for (index, partition) in topic.iter().filter(|(_, p)| !p.elr().is_empty() || !p.last_known_elr().is_empty()) {
            records.push(MetadataRecord::PartitionChange(Box::new(PartitionChange {
                topic_id: topic.id,
                partition: index,
                elr: (!partition.elr().is_empty()).then(Default::default),
                last_known_elr: (!partition.last_known_elr().is_empty()).then(Default::default),
                ..Default::default()
            })));
        }
    }
}

fn check_exists(draft: &MetadataImage, kind: ResourceType, name: &str) -> Result<(), ApiError> {
    match kind {
        ResourceType::Topic if draft.topic(name).is_none() => {
            Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist.")))
        }
        ResourceType::Broker if !name.is_empty() && !name.parse().is_ok_and(|id| draft.broker(id).is_some()) => {
            Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, format!("No node with id {name} found.")))
        }
        _ => Ok(()),
    }
}

/// Dynamic values in the form that `config` reads.
pub(super) fn overrides(configs: &ConfigMap) -> Overrides {
    configs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Resources that are named more than once.
fn duplicates<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> BTreeSet<(i8, String)> {
    let mut seen = BTreeSet::new();
    resources.filter(|r| !seen.insert(*r)).map(|(kind, name)| (kind, name.to_owned())).collect()
}

/// Kafka answers a resource that is named more than once, once.
fn once_each<T>(results: &mut Vec<T>, key: impl Fn(&T) -> (i8, String), duplicates: &BTreeSet<(i8, String)>) {
    let mut told = BTreeSet::new();
    results.retain(|result| {
        let key = key(result);
        !duplicates.contains(&key) || ResourceType::from_code(key.0).is_none() || told.insert(key)
    });
}

fn finish(mut records: Vec<MetadataRecord>, validate_only: bool) -> Result<Vec<MetadataRecord>, ApiError> {
    if records.len() > MAX_RECORDS_PER_USER_OP {
        return Err(ApiError::too_many_records());
    }
    if validate_only {
        records.clear();
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
