//! AlterPartition: v2–3 (`ReplicationControlManager.alterPartition`, KIP-497, KIP-841, KIP-903). A leader asks to change its ISR.
//! v3 broker epochs of the ISR members
//!
//! It is a compare-and-set on leader epoch and partition epoch. What it sets to what is so already succeeds and writes nothing.

use std::sync::Arc;

use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData};
use kafka_protocol::messages::alter_partition_response::{PartitionData as PartitionResult, TopicData as TopicResult};
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse};

use super::Controller;
use super::decision::Decision;
use super::leader_and_isr::TopicScope;
use super::partition_change::Election;
use crate::base::ErrorCode;
use crate::base::ids::BrokerId;
use crate::metadata::{MetadataImage, MetadataRecord, PartitionRegistration, Replicas};

/// `LeaderRecoveryState` on the wire.
const RECOVERED: i8 = 0;
const RECOVERING: i8 = 1;

impl Controller {
    /// `version` is that of the request.
    pub fn alter_partition(
        &mut self,
        draft: &MetadataImage,
        request: &AlterPartitionRequest,
        version: i16,
    ) -> Decision<AlterPartitionResponse> {
        let sender = request.broker_id.0;
        if let Err(error) = Self::check_broker_epoch(draft, sender, request.broker_epoch) {
            return Decision::reply(AlterPartitionResponse::default().with_error_code(error.code.code()));
        }
        let mut records = Vec::new();
        let mut topics = Vec::new();
        for asked in &request.topics {
            let topic = draft.topic_by_id(asked.topic_id);
            let scope = topic.map(|topic| self.scope(draft, topic));
            let partitions = asked
                .partitions
                .iter()
                .map(|data| {
                    let outcome = match &scope {
                        None => Err(ErrorCode::UnknownTopicId),
                        Some(scope) => alter(scope, sender, data, &isr_with_epochs(data, version), &mut records),
                    };
                    result(data.partition_index, outcome)
                })
                .collect();
            topics.push(TopicResult::default().with_topic_id(asked.topic_id).with_partitions(partitions));
        }
        Decision::divisible(records, AlterPartitionResponse::default().with_topics(topics))
    }
}

/// Before v3 members came without epochs; −1 is not checked.
fn isr_with_epochs(data: &PartitionData, version: i16) -> Vec<BrokerState> {
    match version {
        ..3 => data.new_isr.iter().map(|id| BrokerState::default().with_broker_id(*id).with_broker_epoch(-1)).collect(),
        _ => data.new_isr_with_epochs.clone(),
    }
}

fn alter(
    scope: &TopicScope<'_>,
    sender: BrokerId,
    data: &PartitionData,
    members: &[BrokerState],
    records: &mut Vec<MetadataRecord>,
) -> Result<PartitionRegistration, ErrorCode> {
    let partition: &Arc<PartitionRegistration> =
        scope.topic.partition(data.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if let Err(code) = check(scope.draft, partition, sender, data, members) {
        tracing::info!(
            topic = &*scope.topic.name,
            partition = data.partition_index,
            broker = sender,
            ?code,
            leader_epoch = data.leader_epoch,
            partition_epoch = data.partition_epoch,
            "refused a change of the ISR"
        );
        return Err(code);
    }
    let isr: Replicas = members.iter().map(|m| m.broker_id.0).collect();
    let election = if scope.is_unclean_allowed() { Election::Unclean } else { Election::Online };
    let active = |id| scope.draft.is_active(id);
    let change = scope.change(data.partition_index, partition, active, |b| {
        b.election(election).isr(isr).recovering(data.leader_recovery_state == RECOVERING)
    });
    let Some(MetadataRecord::PartitionChange(change)) = change else { return Ok((**partition).clone()) };
    let merged = partition.merge(&change);
    records.push(MetadataRecord::PartitionChange(change));
    if merged.leader != sender {
        // The change ended a reassignment that takes leadership away. Records are written all the same; the error makes the sender look
        // for newer metadata before it tries again.
        return Err(ErrorCode::NewLeaderElected);
    }
    Ok(merged)
}

/// In Kafka's order: an epoch above ours means that we have been deposed and do not know yet.
fn check(
    draft: &MetadataImage,
    partition: &PartitionRegistration,
    sender: BrokerId,
    data: &PartitionData,
    members: &[BrokerState],
) -> Result<(), ErrorCode> {
    if data.leader_epoch > partition.leader_epoch || data.partition_epoch > partition.partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if data.leader_epoch < partition.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if sender != partition.leader {
        return Err(ErrorCode::InvalidRequest);
    }
    if data.partition_epoch < partition.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let is_replica = |m: &BrokerState| partition.replicas.contains(&m.broker_id.0);
    let is_repeated = |at: usize| members[..at].iter().any(|m| m.broker_id == members[at].broker_id);
    if !members.iter().all(is_replica) || (0..members.len()).any(is_repeated) {
        return Err(ErrorCode::InvalidRequest);
    }
    if !members.iter().any(|m| m.broker_id.0 == partition.leader) {
        return Err(ErrorCode::InvalidRequest);
    }
    match data.leader_recovery_state {
        RECOVERED => {}
        RECOVERING if partition.recovering && members.len() == 1 => {}
        _ => return Err(ErrorCode::InvalidRequest),
    }
    let is_eligible = |m: &BrokerState| {
        draft.broker(m.broker_id.0).is_some_and(|b| b.is_active() && (m.broker_epoch == -1 || m.broker_epoch == b.epoch))
    };
    if !members.iter().all(is_eligible) {
        return Err(ErrorCode::IneligibleReplica);
    }
    Ok(())
}

fn result(index: i32, outcome: Result<PartitionRegistration, ErrorCode>) -> PartitionResult {
    let result = PartitionResult::default().with_partition_index(index);
    match outcome {
        Err(code) => result.with_error_code(code.code()),
        Ok(partition) => result
            .with_leader_id(partition.leader.into())
            .with_leader_epoch(partition.leader_epoch)
            .with_isr(partition.isr.iter().map(|id| (*id).into()).collect())
            .with_leader_recovery_state(if partition.recovering { RECOVERING } else { RECOVERED })
            .with_partition_epoch(partition.partition_epoch),
    }
}

#[cfg(test)]
mod tests;
