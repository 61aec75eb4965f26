//! Committed offsets of a group: reading and writing them.

use std::collections::BTreeMap;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;

use super::group_id;
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset, TopicPartition};
use crate::client::cluster::{Client, topic_name};
use crate::client::coordinator::Coordinated;
use crate::client::error::ClientError;
use crate::client::leaders::PerPartition;

/// The last versions that name topics; later ones have ids only.
const NAMES: i16 = 9;
/// First version of OffsetFetch that asks for several groups (KIP-709).
const GROUPS: i16 = 8;

/// Where a group stands in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record the group will read.
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
}

/// Who commits. The default is nobody: an administrator, which a group with members refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
}

impl Default for Membership {
    fn default() -> Self {
        Self { member_id: String::new(), instance_id: None, generation: -1 }
    }
}

impl Client {
    /// All offsets that `group` has committed.
    pub async fn committed_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClientError> {
        let request = |version| {
            if version >= GROUPS {
                let group =
                    OffsetFetchRequestGroup::default().with_group_id(group_id(group)).with_topics(None).with_member_epoch(-1);
                OffsetFetchRequest::default().with_groups(vec![group])
            } else {
                OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(None)
            }
        };
        let refused = |code: i16| match code.err() {
            None => Ok(()),
            Some(code) => Err(ClientError::refused(format!("offsets of group {group}"), code)),
        };
        let check = |response: &kafka_protocol::messages::OffsetFetchResponse| {
            refused(response.error_code)?;
            response.groups.iter().try_for_each(|group| refused(group.error_code))
        };
        let response = self.ask_coordinator::<OffsetFetchRequest>(Coordinated::Group(group), NAMES, request, check).await?;
        let mut committed = BTreeMap::new();
        let mut add = |topic: &str, partition: i32, offset: Offset, leader_epoch, metadata: Option<StrBytes>, code: i16| {
            let partition = TopicPartition::new(topic, partition);
            if let Some(code) = code.err() {
                return Err(ClientError::refused(format!("offset of group {group} in {partition}"), code));
            }
            if offset >= 0 {
                let metadata = metadata.map(|text| text.to_string()).unwrap_or_default();
                committed.insert(partition, CommittedOffset { offset, leader_epoch, metadata });
            }
            Ok(())
        };
        for topic in response.groups.into_iter().flat_map(|group| group.topics) {
            for p in topic.partitions {
                add(&topic.name, p.partition_index, p.committed_offset, p.committed_leader_epoch, p.metadata, p.error_code)?;
            }
        }
        for topic in response.topics {
            for p in topic.partitions {
                add(&topic.name, p.partition_index, p.committed_offset, p.committed_leader_epoch, p.metadata, p.error_code)?;
            }
        }
        Ok(committed)
    }

    /// Commits offsets for a group, and tells of each partition whether it was taken.
    pub async fn commit_offsets(
        &self,
        group: &str,
        membership: &Membership,
        offsets: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<PerPartition<()>, ClientError> {
        let mut topics = BTreeMap::<&str, Vec<OffsetCommitRequestPartition>>::new();
        for (partition, offset) in offsets {
            let row = OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(NO_LEADER_EPOCH)
                .with_committed_metadata(Some(StrBytes::new()));
            topics.entry(&partition.topic).or_default().push(row);
        }
        let topic = |(name, rows): (&&str, &Vec<OffsetCommitRequestPartition>)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(rows.clone())
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id_or_member_epoch(membership.generation)
            .with_member_id(StrBytes::from_string(membership.member_id.clone()))
            .with_group_instance_id(membership.instance_id.clone().map(StrBytes::from_string))
            .with_topics(topics.iter().map(topic).collect());
        let check = |response: &kafka_protocol::messages::OffsetCommitResponse| {
            let codes = response.topics.iter().flat_map(|topic| &topic.partitions).filter_map(|p| p.error_code.err());
            match codes.into_iter().find(|code| coordinator_moved(*code)) {
                Some(code) => Err(ClientError::refused(format!("commit of group {group}"), code)),
                None => Ok(()),
            }
        };
        let response = self.ask_coordinator(Coordinated::Group(group), NAMES, |_| request.clone(), check).await?;
        let mut rows = PerPartition::new();
        for topic in response.topics {
            for p in topic.partitions {
                rows.insert(TopicPartition::new(&**topic.name, p.partition_index), p.error_code.err().map_or(Ok(()), Err));
            }
        }
        Ok(rows)
    }
}

/// Whether the request should be sent again, to whoever coordinates the group now.
pub fn coordinator_moved(code: ErrorCode) -> bool {
    use ErrorCode::*;
    matches!(code, NotCoordinator | CoordinatorNotAvailable | CoordinatorLoadInProgress)
}
