//! ElectLeaders: v0–2 (`ReplicationControlManager.electLeaders`, KIP-183, KIP-460), and the elections the controller holds by itself.
//! v1 unclean elections · v2 flexible

use std::time::Duration;

use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Controller;
use super::decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP, code_and_text};
use super::partition_change::Election;
use crate::base::ErrorCode;
use crate::metadata::{MetadataImage, MetadataRecord, TopicImage};

/// At most this many partitions change their leader in one round of the controller's own elections (`MAX_ELECTIONS_PER_IMBALANCE`).
const MAX_ELECTIONS: usize = 1_000;
/// `leader.imbalance.check.interval.seconds` and `unclean.leader.election.interval.ms`.
pub(super) const ELECTION_INTERVAL: Duration = Duration::from_secs(300);

impl Controller {
    /// # Errors
    /// INVALID_REQUEST for an unknown type of election, POLICY_VIOLATION for more than 10,000 changes.
    pub fn elect_leaders(
        &mut self,
        draft: &MetadataImage,
        request: &ElectLeadersRequest,
    ) -> Result<Decision<ElectLeadersResponse>, ApiError> {
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            other => return Err(ApiError::new(ErrorCode::InvalidRequest, format!("Unknown election type {other}"))),
        };
        let mut records = Vec::new();
        let mut results = Vec::new();
        match &request.topic_partitions {
            Some(asked) => {
                for TopicPartitions { topic, partitions, .. } in asked {
                    let found = draft.topic(&topic.0);
                    let partitions = partitions.iter().map(|index| {
                        let outcome = match found {
                            Some(found) => self.elect(draft, found, *index, election, &mut records),
                            None => Err(unknown(format!("No such topic as {}", &*topic.0))),
                        };
                        partition_result(*index, &outcome)
                    });
                    results.push(
                        ReplicaElectionResult::default().with_partition_result(partitions.collect()).with_topic(topic.clone()),
                    );
                }
            }
            None => {
                for topic in draft.topics().iter() {
                    let mut partitions = Vec::new();
                    for (index, _) in topic.iter() {
                        let outcome = self.elect(draft, topic, index, election, &mut records);
                        // Nobody asked for this partition by name, so it is only told of if something happened to it.
                        if outcome.as_ref().err().is_none_or(|e| e.code != ErrorCode::ElectionNotNeeded) {
                            partitions.push(partition_result(index, &outcome));
                        }
                    }
                    let name = TopicName(StrBytes::from_string(topic.name.to_string()));
                    results.push(ReplicaElectionResult::default().with_topic(name).with_partition_result(partitions));
                }
            }
        }
        if records.len() > MAX_RECORDS_PER_USER_OP {
            return Err(ApiError::too_many_records());
        }
        Ok(Decision::divisible(records, ElectLeadersResponse::default().with_replica_election_results(results)))
    }

    fn elect(
        &self,
        draft: &MetadataImage,
        topic: &TopicImage,
        index: i32,
        election: Election,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let partition = topic.partition(index).ok_or_else(|| unknown(format!("No such partition as {}-{index}", topic.name)))?;
        let needed = match election {
            Election::Preferred => partition.leader != partition.preferred_leader(),
            _ => !partition.has_leader(),
        };
        if !needed {
            return Err(ApiError::new(ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition."));
        }
        let active = |id| draft.is_active(id);
        match self.scope(draft, topic).change(index, partition, active, |b| b.election(election)) {
            Some(record) => {
                records.push(record);
                Ok(())
            }
            None if election == Election::Preferred => {
                Err(ApiError::new(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available."))
            }
            None => {
                Err(ApiError::new(ErrorCode::EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available."))
            }
        }
    }

    /// Gives leadership back to preferred leaders, and elects uncleanly where that is allowed and nobody leads. False if some are left.
    pub(super) fn elect_unasked(&self, draft: &MetadataImage, records: &mut Vec<MetadataRecord>) -> bool {
        let active = |id| draft.is_active(id);
        for topic in draft.topics().iter_by_id() {
            let mut scope = None;
            for (index, partition) in topic.iter().filter(|(_, p)| p.leader != p.preferred_leader()) {
                if records.len() >= MAX_ELECTIONS {
                    return false;
                }
                let scope = scope.get_or_insert_with(|| self.scope(draft, topic));
                let unclean = !partition.has_leader() && scope.is_unclean_allowed();
                let election = if unclean { Election::Unclean } else { Election::Preferred };
                records.extend(scope.change(index, partition, active, |b| b.election(election)));
            }
        }
        true
    }
}

fn unknown(message: String) -> ApiError {
    ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
}

fn partition_result(index: i32, outcome: &Result<(), ApiError>) -> PartitionResult {
    let (code, text) = code_and_text(outcome);
    PartitionResult::default().with_partition_id(index).with_error_code(code).with_error_message(text)
}

#[cfg(test)]
mod tests;
