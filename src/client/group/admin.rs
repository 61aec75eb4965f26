//! Looking at groups and deleting them, as an administrator does.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsRequest, DeleteGroupsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, ListGroupsRequest, OffsetDeleteRequest, OffsetDeleteResponse,
    consumer_group_describe_response, describe_groups_response,
};

use super::{group_id, protocol};
use crate::base::ErrorCode;
use crate::base::ids::TopicPartition;
use crate::client::cluster::{Client, Topics, topic_name};
use crate::client::coordinator::Coordinated;
use crate::client::error::ClientError;
use crate::client::leaders::PerPartition;

/// A group as its coordinator lists it. Old brokers leave state and type empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group: String,
    pub protocol_type: String,
    pub state: String,
    /// `classic`, `consumer`, `share`.
    pub group_type: String,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group: String,
    /// As Kafka spells it: `Stable`, `Empty`, `PreparingRebalance`…
    pub state: String,
    pub group_type: &'static str,
    pub assignor: String,
    pub members: Vec<GroupMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    /// In the order of their names.
    pub assignment: Vec<TopicPartition>,
}

/// What members mean who assign something else than partitions.
const CONSUMERS: &str = protocol::PROTOCOL_TYPE;

impl Client {
    /// All groups of the cluster, by name: every broker knows those it coordinates. One that is loading them is given time.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        let mut retry = self.retry();
        loop {
            match self.try_list_groups().await {
                Ok(groups) => return Ok(groups),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn try_list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        let brokers = self.metadata(Topics::None, false).await?.brokers;
        let lists = brokers.keys().map(async |id| {
            let response = self.broker(*id).await?.send(&ListGroupsRequest::default()).await?;
            match response.error_code.err() {
                None => Ok(response.groups),
                Some(code) => Err(ClientError::refused(format!("groups of broker {id}"), code)),
            }
        });
        let mut groups: Vec<_> = try_join_all(lists)
            .await?
            .into_iter()
            .flatten()
            .map(|listed| ListedGroup {
                group: listed.group_id.to_string(),
                protocol_type: listed.protocol_type.to_string(),
                state: listed.group_state.to_string(),
                group_type: listed.group_type.to_string(),
            })
            .collect();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        groups.dedup_by(|a, b| a.group == b.group);
        Ok(groups)
    }

    /// A group that exists, of the new protocol (KIP-848) or the classic one.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        match self.describe_consumer_group(group).await {
            // It is not of that kind, or the broker knows no such kind.
            Err(ClientError::Version { .. }) => self.describe_classic_group(group).await,
            Err(error) if matches!(error.code(), Some(ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion)) => {
                self.describe_classic_group(group).await
            }
            other => other,
        }
    }

    async fn describe_consumer_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = |_| ConsumerGroupDescribeRequest::default().with_group_ids(vec![group_id(group)]);
        let check = |response: &ConsumerGroupDescribeResponse| {
            response.groups.iter().try_for_each(|row| refused(group, row.error_code, row.error_message.as_deref()))
        };
        let response = self.ask_coordinator(Coordinated::Group(group), i16::MAX, request, check).await?;
        let row = response.groups.into_iter().next().ok_or_else(|| missing(ApiKey::ConsumerGroupDescribe, group))?;
        Ok(GroupDescription {
            group: group.to_owned(),
            state: row.group_state.to_string(),
            group_type: "consumer",
            assignor: row.assignor_name.to_string(),
            members: row.members.into_iter().map(consumer_member).collect(),
        })
    }

    async fn describe_classic_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = |_| DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        let check = |response: &DescribeGroupsResponse| {
            response.groups.iter().try_for_each(|row| refused(group, row.error_code, row.error_message.as_deref()))
        };
        let response = self.ask_coordinator(Coordinated::Group(group), i16::MAX, request, check).await?;
        let row = response.groups.into_iter().next().ok_or_else(|| missing(ApiKey::DescribeGroups, group))?;
        // Before version 6 a group that is not there was one that is dead (KIP-1043).
        if &*row.group_state == "Dead" {
            return Err(ClientError::refused(format!("group {group}"), ErrorCode::GroupIdNotFound));
        }
        let reads_partitions = &*row.protocol_type == CONSUMERS;
        Ok(GroupDescription {
            group: group.to_owned(),
            state: row.group_state.to_string(),
            group_type: "classic",
            assignor: row.protocol_data.to_string(),
            members: row.members.into_iter().map(|member| classic_member(member, reads_partitions)).collect(),
        })
    }

    /// Deletes a group that has no members, with its offsets.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let request = |_| DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        let check =
            |response: &DeleteGroupsResponse| response.results.iter().try_for_each(|row| refused(group, row.error_code, None));
        self.ask_coordinator(Coordinated::Group(group), i16::MAX, request, check).await.map(drop)
    }

    /// Deletes offsets of a group, in topics that it does not read now.
    pub async fn delete_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<PerPartition<()>, ClientError> {
        let mut topics = BTreeMap::<&str, Vec<OffsetDeleteRequestPartition>>::new();
        for partition in partitions {
            let row = OffsetDeleteRequestPartition::default().with_partition_index(partition.partition);
            topics.entry(&partition.topic).or_default().push(row);
        }
        let topic = |(name, rows)| OffsetDeleteRequestTopic::default().with_name(topic_name(name)).with_partitions(rows);
        let request =
            OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(topics.into_iter().map(topic).collect());
        let check = |response: &OffsetDeleteResponse| refused(group, response.error_code, None);
        let response = self.ask_coordinator(Coordinated::Group(group), i16::MAX, |_| request.clone(), check).await?;
        let mut rows = PerPartition::new();
        for topic in response.topics {
            for row in topic.partitions {
                let partition = TopicPartition::new(&**topic.name, row.partition_index);
                rows.insert(partition, row.error_code.err().map_or(Ok(()), Err));
            }
        }
        Ok(rows)
    }
}

fn refused(group: &str, code: i16, message: Option<&str>) -> Result<(), ClientError> {
    match code.err() {
        None => Ok(()),
        Some(code) => Err(ClientError::refused_with(format!("group {group}"), code, message)),
    }
}

fn missing(api: ApiKey, group: &str) -> ClientError {
    ClientError::Incomplete { api, missing: format!("group {group}") }
}

fn consumer_member(member: consumer_group_describe_response::Member) -> GroupMember {
    let mut assignment: Vec<_> = member
        .assignment
        .topic_partitions
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| TopicPartition::new(&**topic.topic_name, *partition)))
        .collect();
    assignment.sort();
    GroupMember {
        member_id: member.member_id.to_string(),
        instance_id: member.instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment,
    }
}

/// Members of groups that share out something else, as Connect does, have no partitions; nor have those that write what nobody can read.
fn classic_member(member: describe_groups_response::DescribedGroupMember, reads_partitions: bool) -> GroupMember {
    let decoded = if reads_partitions { protocol::decode_assignment(member.member_assignment) } else { Ok(Vec::new()) };
    let mut assignment = decoded.unwrap_or_default();
    assignment.sort();
    GroupMember {
        member_id: member.member_id.to_string(),
        instance_id: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment,
    }
}
