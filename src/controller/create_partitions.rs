//! CreatePartitions: v0–3 (`ReplicationControlManager.createPartitions`). A topic only grows, and keeps its replication factor.
//! v2 flexible · v3 THROTTLING_QUOTA_EXCEEDED (KIP-599)

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::create_topics::{check_manual_assignment, duplicate_names, nobody_active, registration};
use super::decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP, code_and_text};
use super::{Controller, placement};
use crate::base::ErrorCode;
use crate::metadata::{MetadataImage, MetadataRecord, Replicas};

impl Controller {
    /// # Errors
    /// POLICY_VIOLATION if the request creates more than 10,000 partitions.
    pub fn create_partitions(
        &mut self,
        draft: &MetadataImage,
        request: &CreatePartitionsRequest,
    ) -> Result<Decision<CreatePartitionsResponse>, ApiError> {
        let duplicates = duplicate_names(request.topics.iter().map(|t| &*t.name.0));
        let mut records = Vec::new();
        let mut results = Vec::new();
        for topic in &request.topics {
            if duplicates.contains(&*topic.name.0) {
                continue;
            }
            let outcome = self.grow(draft, topic, MAX_RECORDS_PER_USER_OP - records.len()).map(|new| records.extend(new));
            if outcome.as_ref().is_err_and(|error| *error == ApiError::too_many_records()) {
                return Err(ApiError::too_many_records());
            }
            results.push(result(topic, &outcome));
        }
        let duplicate: Result<(), _> = Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."));
        let mut untold = duplicates;
        results.extend(request.topics.iter().filter(|t| untold.remove(&*t.name.0)).map(|topic| result(topic, &duplicate)));
        if request.validate_only {
            records.clear();
        }
        Ok(Decision::atomic(records, CreatePartitionsResponse::default().with_results(results)))
    }

    /// Records of the new partitions, of which there may be `room`.
    fn grow(
        &mut self,
        draft: &MetadataImage,
        asked: &CreatePartitionsTopic,
        room: usize,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let name = &*asked.name.0;
        let topic = draft.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let present = topic.partitions.len();
        let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidPartitions, message));
        let count = usize::try_from(asked.count).unwrap_or(0);
        if count == present {
            return refuse(format!("Topic already has {present} partition(s)."));
        }
        if count < present {
            return refuse(format!(
                "The topic {name} currently has {present} partition(s); {} would not be an increase.",
                asked.count
            ));
        }
        let additional = count - present;
        if let Some(assignments) = asked.assignments.as_ref().filter(|a| a.len() != additional) {
            let message = format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        if additional > room {
            return Err(ApiError::too_many_records());
        }
        let factor = topic.partitions.first().map_or(0, |p| p.replicas.len());
        let replicas: Vec<Replicas> = match &asked.assignments {
            Some(assignments) => assignments.iter().map(|a| a.broker_ids.iter().map(|id| id.0).collect()).collect(),
            None => placement::place(draft, &mut self.random, additional, factor as i16)?,
        };
        let manual = asked.assignments.is_some();
        (present as i32..)
            .zip(replicas)
            .map(|(partition, replicas)| {
                if manual {
                    check_manual_assignment(draft, &replicas, Some(factor))?;
                }
                let registration = registration(draft, replicas).ok_or_else(|| match manual {
                    true => nobody_active(partition),
                    false => ApiError::new(
                        ErrorCode::InvalidReplicationFactor,
                        format!(
                            "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in controlled shutdown."
                        ),
                    ),
                })?;
                Ok(MetadataRecord::Partition { topic_id: topic.id, partition, registration })
            })
            .collect()
    }
}

fn result(topic: &CreatePartitionsTopic, outcome: &Result<(), ApiError>) -> CreatePartitionsTopicResult {
    let (code, text) = code_and_text(outcome);
    CreatePartitionsTopicResult::default().with_name(topic.name.clone()).with_error_code(code).with_error_message(text)
}

#[cfg(test)]
mod tests;
