//! CreateTopics: v2–7 (`ReplicationControlManager.createTopics`, and the checks of `ControllerApis` that need no principal).
//! v5 configurations, number of partitions and replication factor in the answer (KIP-525) · v6 THROTTLING_QUOTA_EXCEEDED (KIP-599) · v7 topic ids
//!
//! Failures are per topic; a request for more than 10,000 partitions is refused whole. The answer always holds configurations: whoever may
//! not see them has them taken out by the API.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;

use super::decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP};
use super::leader_and_isr::default_dir;
use super::topic_name::{self, CLUSTER_METADATA_TOPIC};
use super::{Controller, placement};
use crate::base::ErrorCode;
use crate::base::ids::BrokerId;
use crate::config::describe::describe;
use crate::config::{Overrides, Resource, alter};
use crate::metadata::{ConfigResource, MetadataImage, MetadataRecord, PartitionRegistration, Replicas};

impl Controller {
    /// # Errors
    /// POLICY_VIOLATION if the request creates more than 10,000 partitions, or more records than fit in one batch.
    pub fn create_topics(
        &mut self,
        draft: &MetadataImage,
        request: &CreateTopicsRequest,
    ) -> Result<Decision<CreateTopicsResponse>, ApiError> {
        self.check_total_partitions(request)?;
        let duplicates = duplicate_names(request.topics.iter().map(|t| &*t.name.0));
        let mut records = Vec::new();
        let mut results = Vec::new();
        // Names of this request, unified: two of them may collide as well as one may with an existing topic.
        let mut unified: HashMap<Arc<str>, &str> = HashMap::new();
        for topic in &request.topics {
            let name = &*topic.name.0;
            if duplicates.contains(name) {
                continue;
            }
            let outcome = check_name(draft, &mut unified, name).and_then(|()| self.create_topic(draft, topic, &mut records));
            results.push(outcome.unwrap_or_else(|error| refused(name, &error)));
            if records.len() > MAX_RECORDS_PER_USER_OP {
                return Err(ApiError::too_many_records());
            }
        }
        let duplicate = ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
        results.extend(duplicates.iter().map(|name| refused(name, &duplicate)));
        if request.validate_only {
            records.clear();
        }
        Ok(Decision::atomic(records, CreateTopicsResponse::default().with_topics(results)))
    }

    fn check_total_partitions(&self, request: &CreateTopicsRequest) -> Result<(), ApiError> {
        let partitions = |topic: &CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
            (0, -1) => self.config.log.num_partitions as u64,
            (0, n) => u64::try_from(n).unwrap_or(0),
            (assigned, _) => assigned as u64,
        };
        match request.topics.iter().map(partitions).sum::<u64>() {
            0..=10_000 => Ok(()),
            _ => Err(ApiError::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request.")),
        }
    }

    fn create_topic(
        &mut self,
        draft: &MetadataImage,
        topic: &CreatableTopic,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<CreatableTopicResult, ApiError> {
        let asked: Vec<(&str, Option<&str>)> = topic.configs.iter().map(|c| (&*c.name, c.value.as_deref())).collect();
        let configs = alter::new_topic(&self.settings, &asked)?;
        let assignments = self.assign(draft, topic)?;
        let topic_id = self.random.uuid();
        let name: Arc<str> = (*topic.name.0).into();
        records.push(MetadataRecord::Topic { topic_id, name: name.clone() });
        records.extend(configs.iter().map(|(key, value)| MetadataRecord::Config {
            resource: ConfigResource::topic(name.clone()),
            key: key.as_str().into(),
            value: Some(value.as_str().into()),
        }));
        let replication_factor = assignments.first().map_or(0, |p| p.replicas.len() as i16);
        let num_partitions = assignments.len() as i32;
        for (partition, registration) in (0..).zip(assignments) {
            records.push(MetadataRecord::Partition { topic_id, partition, registration });
        }
        Ok(self.created(topic, topic_id, num_partitions, replication_factor, &configs))
    }

    fn created(
        &self,
        topic: &CreatableTopic,
        id: uuid::Uuid,
        partitions: i32,
        factor: i16,
        configs: &Overrides,
    ) -> CreatableTopicResult {
        CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_topic_id(id)
            .with_error_message(None)
            .with_num_partitions(partitions)
            .with_replication_factor(factor)
            .with_configs(Some(self.describe_topic(configs)))
    }

    fn describe_topic(&self, configs: &Overrides) -> Vec<CreatableTopicConfigs> {
        let mut described: Vec<_> = describe(Resource::Topic, &self.settings, configs, |_| true)
            .into_iter()
            .map(|d| {
                CreatableTopicConfigs::default()
                    .with_name(StrBytes::from_static_str(d.name))
                    .with_value(d.value.map(StrBytes::from_string))
                    .with_read_only(d.read_only)
                    .with_config_source(d.source as i8)
            })
            .collect();
        described.sort_by(|a, b| a.name.cmp(&b.name));
        described
    }

    fn assign(&mut self, draft: &MetadataImage, topic: &CreatableTopic) -> Result<Vec<PartitionRegistration>, ApiError> {
        if !topic.assignments.is_empty() {
            return assign_manually(draft, topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let message = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            let message = "Number of partitions was set to an invalid non-positive value.";
            return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
        }
        let or_default = |asked: i32, default: i32| if asked == -1 { default } else { asked };
        let partitions = or_default(topic.num_partitions, self.config.log.num_partitions);
        let factor = or_default(topic.replication_factor.into(), self.config.log.default_replication_factor) as i16;
        let refuse = |reason: &str| {
            let message = format!("Unable to replicate the partition {factor} time(s): {reason}");
            ApiError::new(ErrorCode::InvalidReplicationFactor, message)
        };
        let placed = placement::place(draft, &mut self.random, partitions.max(0) as usize, factor)
            .map_err(|e| refuse(e.message.as_deref().unwrap_or_default()))?;
        placed
            .into_iter()
            .map(|replicas| {
                registration(draft, replicas).ok_or_else(|| refuse("All brokers are currently fenced or in controlled shutdown."))
            })
            .collect()
    }
}

/// A new partition on these brokers; `None` if none of them is active.
pub(super) fn registration(draft: &MetadataImage, replicas: Replicas) -> Option<PartitionRegistration> {
    let isr: Replicas = replicas.iter().copied().filter(|id| draft.is_active(*id)).collect();
    let directories = replicas.iter().map(|id| default_dir(draft, *id)).collect();
    (!isr.is_empty()).then(|| PartitionRegistration::new(replicas, directories, isr))
}

fn assign_manually(draft: &MetadataImage, topic: &CreatableTopic) -> Result<Vec<PartitionRegistration>, ApiError> {
    let refuse = |code, message: &str| Err(ApiError::new(code, message));
    if topic.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but replication factor was not set to -1.";
        return refuse(ErrorCode::InvalidRequest, message);
    }
    if topic.num_partitions != -1 {
        return refuse(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        );
    }
    let mut partitions: BTreeMap<i32, PartitionRegistration> = BTreeMap::new();
    let mut factor = None;
    for CreatableReplicaAssignment { partition_index, broker_ids, .. } in &topic.assignments {
        if partitions.contains_key(partition_index) {
            let message = format!("Found multiple manual partition assignments for partition {partition_index}");
            return refuse(ErrorCode::InvalidReplicaAssignment, &message);
        }
        let replicas: Replicas = broker_ids.iter().map(|id| id.0).collect();
        check_manual_assignment(draft, &replicas, factor)?;
        factor = Some(replicas.len());
        let Some(partition) = registration(draft, replicas) else {
            return Err(nobody_active(*partition_index));
        };
        partitions.insert(*partition_index, partition);
    }
    if partitions.keys().copied().ne(0..partitions.len() as i32) {
        return refuse(ErrorCode::InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence");
    }
    Ok(partitions.into_values().collect())
}

pub(super) fn nobody_active(partition: i32) -> ApiError {
    let message = format!(
        "All brokers specified in the manual partition assignment for partition {partition} are fenced or in controlled shutdown."
    );
    ApiError::new(ErrorCode::InvalidReplicaAssignment, message)
}

/// Registered brokers, each once, as many as in the partitions before.
pub(super) fn check_manual_assignment(
    draft: &MetadataImage,
    replicas: &[BrokerId],
    factor: Option<usize>,
) -> Result<(), ApiError> {
    let refuse = |what: String| {
        Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, format!("The manual partition assignment includes {what}")))
    };
    if replicas.is_empty() {
        return refuse("an empty replica list.".into());
    }
    let mut sorted = Replicas::from_slice(replicas);
    sorted.sort_unstable();
    let mut previous = None;
    for id in &sorted {
        if draft.broker(*id).is_none() {
            return refuse(format!("broker {id}, but no such broker is registered."));
        }
        if previous == Some(id) {
            return refuse(format!("the broker {id} more than once."));
        }
        previous = Some(id);
    }
    match factor {
        Some(factor) if factor != replicas.len() => refuse(format!(
            "a partition with {} replica(s), but this is not consistent with previous partitions, which have {factor} replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}

fn check_name<'a>(draft: &MetadataImage, unified: &mut HashMap<Arc<str>, &'a str>, name: &'a str) -> Result<(), ApiError> {
    if name == CLUSTER_METADATA_TOPIC {
        let message = format!("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    topic_name::validate(name)?;
    if draft.topic(name).is_some() {
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    let collides = |other: &str| {
        Err(ApiError::new(ErrorCode::InvalidTopicException, format!("Topic '{name}' collides with existing topic: {other}")))
    };
    if let Some(other) = draft.topics().colliding_with(name) {
        return collides(other);
    }
    match unified.insert(crate::metadata::unify(name), name) {
        Some(other) => collides(other),
        None => Ok(()),
    }
}

/// Names that occur more than once.
pub(super) fn duplicate_names<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut seen = HashSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

fn refused(name: &str, error: &ApiError) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(StrBytes::from_string(name.to_owned()).into())
        .with_error_code(error.code.code())
        .with_error_message(error.text())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}

#[cfg(test)]
mod tests;
