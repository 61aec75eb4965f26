//! OffsetCommit and TxnOffsetCommit: who may commit, and what is written (`OffsetMetadataManager.commitOffset`, `ClassicGroup.validateOffsetCommit`).
//! Pure.

use std::collections::HashMap;

use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::base::ids::{NO_TIMESTAMP, TopicId};
use crate::coordinator::shard::{At, Effects, Producer, RequestId, Write};

use super::classic::{ClassicGroup, State};
use super::record::{OffsetCommitKey, OffsetCommitValue, Record, STRING_MAX, owned};
use super::shard::{Group, GroupShard, fits};
use crate::storage::producer_state::VerificationGuard;

/// From this version on a group that does not exist has its own error; before, its generation is said to be wrong.
const GROUP_ID_NOT_FOUND_SINCE: i16 = 9;
/// `retention_time_ms` of a commit that leaves its expiry to the broker.
const DEFAULT_RETENTION: i64 = -1;

/// The member that commits, as it says itself.
struct Committer<'a> {
    member_id: &'a StrBytes,
    instance_id: Option<&'a StrBytes>,
    generation: i32,
}

impl Committer<'_> {
    fn validate(&self, group: &ClassicGroup, is_transactional: bool) -> Result<(), ErrorCode> {
        let is_empty = group.state() == State::Empty;
        if self.generation < 0 && is_empty {
            // An admin, or a consumer that assigns itself.
            return Ok(());
        }
        if self.generation >= 0 || !self.member_id.is_empty() || self.instance_id.is_some() {
            group.validate_member(self.member_id, self.instance_id)?;
            if self.generation != group.generation() {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !is_transactional && !is_empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        // The member knows of the new generation, but not yet what it may commit in it. Old producers do not say who they are.
        if !is_transactional && group.state() == State::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }
}

/// A commit of one partition in any of its request forms.
struct Commit<'a> {
    topic: &'a StrBytes,
    topic_id: TopicId,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a StrBytes>,
    expire_timestamp: i64,
}

impl Commit<'_> {
    /// `OffsetMetadataTooLarge` if the metadata has more characters, as Java counts them, than allowed.
    fn to_record(&self, at: &At, group: &StrBytes, metadata_max: usize) -> Result<Record, ErrorCode> {
        let metadata = self.metadata.map_or("", |metadata| metadata.as_str());
        // A string never has more UTF-16 units than UTF-8 bytes.
        if metadata.len() > metadata_max.min(STRING_MAX)
            && (metadata.len() > STRING_MAX || metadata.encode_utf16().count() > metadata_max)
        {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let key = OffsetCommitKey { group: owned(group), topic: owned(self.topic), partition: self.partition };
        let value = OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch.max(-1),
            metadata: owned(metadata),
            commit_timestamp: at.wall_ms,
            expire_timestamp: self.expire_timestamp,
            topic_id: self.topic_id,
        };
        Ok(Record::OffsetCommit { key, value: Some(value) })
    }
}

/// Refuses all partitions of a commit.
pub fn refuse_commit(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index).with_error_code(error.code())
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Refuses all partitions of a transactional commit.
pub fn refuse_transactional_commit(request: &TxnOffsetCommitRequest, error: ErrorCode) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

impl GroupShard {
    pub(super) fn commit_offsets(
        &mut self,
        at: &At,
        id: RequestId,
        version: i16,
        request: &OffsetCommitRequest,
    ) -> Effects<Self> {
        let group_id = &request.group_id.0;
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            generation: request.generation_id_or_member_epoch,
        };
        let validated = match self.groups.get(group_id) {
            Some(Group::Classic(group)) => committer.validate(group, false),
            None if committer.generation < 0 => Ok(()),
            None if version >= GROUP_ID_NOT_FOUND_SINCE => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        };
        if let Err(error) = validated {
            return Effects::reply(id, refuse_commit(request, error).into());
        }
        let has_expiry = request.retention_time_ms != DEFAULT_RETENTION;
        let expire_timestamp = if has_expiry { at.wall_ms.saturating_add(request.retention_time_ms) } else { NO_TIMESTAMP };
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let commit = Commit {
                    topic: &topic.name.0,
                    topic_id: topic.topic_id,
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.as_ref(),
                    expire_timestamp,
                };
                let record = commit.to_record(at, group_id, self.config.offset_metadata_max);
                let error = record.map(|record| records.push(record)).err();
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error.map_or(0, |error| error.code()))
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions.collect())
        });
        let response = OffsetCommitResponse::default().with_topics(topics.collect());
        if !fits(at, records.iter()) {
            return Effects::reply(id, refuse_commit(request, ErrorCode::InvalidCommitOffsetSize).into());
        }
        self.commits_keep_alive(at, group_id, committer.member_id);
        self.schedule_expiry_of_commit(at, expire_timestamp);
        Effects { write: Write::Records(records), replies: vec![(id, response.into())] }
    }

    /// A commit is word of its member.
    fn commits_keep_alive(&mut self, at: &At, group: &StrBytes, member: &StrBytes) {
        self.with_classic(at, group, |group, step| {
            if matches!(group.state(), State::Stable | State::PreparingRebalance) {
                group.renew_session(step, member);
            }
        });
    }

    pub(super) fn commit_transactional_offsets(
        &mut self,
        at: &At,
        id: RequestId,
        request: &TxnOffsetCommitRequest,
        topic_ids: &HashMap<TopicName, TopicId>,
        guard: Option<VerificationGuard>,
    ) -> Effects<Self> {
        let group_id = &request.group_id.0;
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            generation: request.generation_id,
        };
        let validated = match self.groups.get(group_id) {
            Some(Group::Classic(group)) => committer.validate(group, true),
            None if committer.generation < 0 => Ok(()),
            None => Err(ErrorCode::IllegalGeneration),
        };
        if let Err(error) = validated {
            return Effects::reply(id, refuse_transactional_commit(request, error).into());
        }
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let commit = Commit {
                    topic: &topic.name.0,
                    topic_id: topic_ids.get(&topic.name).copied().unwrap_or_default(),
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.as_ref(),
                    expire_timestamp: NO_TIMESTAMP,
                };
                let record = commit.to_record(at, group_id, self.config.offset_metadata_max);
                let error = record.map(|record| records.push(record)).err();
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error.map_or(0, |error| error.code()))
            });
            TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        let response = TxnOffsetCommitResponse::default().with_topics(topics.collect());
        if !fits(at, records.iter()) {
            return Effects::reply(id, refuse_transactional_commit(request, ErrorCode::InvalidCommitOffsetSize).into());
        }
        self.schedule_expiry_check(at);
        let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
        Effects { write: Write::Transactional { producer, records, guard }, replies: vec![(id, response.into())] }
    }
}
