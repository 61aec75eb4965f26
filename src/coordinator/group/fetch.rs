//! OffsetFetch: what a group has committed. Pure.
//!
//! A group that does not exist has committed nothing; that is no error. `require_stable` refuses partitions for which a transaction is
//! open (KIP-447): a consumer that takes over must not begin before what its predecessor may just have committed.

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::base::ErrorCode;

use super::offsets::Committed;
use super::shard::GroupShard;

/// The answer for a partition without a committed offset.
pub fn no_offset(partition: i32, error: Option<ErrorCode>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(partition)
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(StrBytes::new()))
        .with_error_code(error.map_or(0, |error| error.code()))
}

/// The answer for a group that cannot be asked. Version 1 has no place for an error but the partitions.
pub fn group_error(request: &OffsetFetchRequestGroup, error: ErrorCode, version: i16) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(request.group_id.clone());
    if version >= 2 {
        return response.with_error_code(error.code());
    }
    let topics = request.topics.iter().flatten().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|partition| no_offset(*partition, Some(error)));
        OffsetFetchResponseTopics::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    response.with_topics(topics.collect())
}

impl GroupShard {
    pub(super) fn fetch_offsets(&self, request: &OffsetFetchRequestGroup, require_stable: bool) -> OffsetFetchResponseGroup {
        let group = &request.group_id.0;
        let committed = self.offsets.committed().group(group).filter(|_| self.groups.contains_key(group));
        let partition = |topic: &StrBytes, topic_id: Uuid, partition: i32, committed: Option<&Committed>| {
            if require_stable && self.offsets.is_pending(group, topic, partition) {
                return no_offset(partition, Some(ErrorCode::UnstableOffsetCommit));
            }
            match committed.filter(|committed| same_topic(committed.value.topic_id, topic_id)) {
                None => no_offset(partition, None),
                Some(Committed { value, .. }) => OffsetFetchResponsePartitions::default()
                    .with_partition_index(partition)
                    .with_committed_offset(value.offset)
                    .with_committed_leader_epoch(value.leader_epoch)
                    .with_metadata(Some(value.metadata.clone())),
            }
        };
        let topics = match &request.topics {
            Some(topics) => topics
                .iter()
                .map(|topic| {
                    let offsets = committed.and_then(|committed| committed.get(&topic.name.0));
                    let partitions = topic.partition_indexes.iter();
                    let partitions = partitions
                        .map(|p| partition(&topic.name.0, topic.topic_id, *p, offsets.and_then(|offsets| offsets.get(p))));
                    OffsetFetchResponseTopics::default()
                        .with_name(topic.name.clone())
                        .with_topic_id(topic.topic_id)
                        .with_partitions(partitions.collect())
                })
                .collect(),
            None => committed
                .into_iter()
                .flatten()
                .map(|(topic, offsets)| {
                    let partitions = offsets.iter().map(|(p, committed)| partition(topic, Uuid::nil(), *p, Some(committed)));
                    OffsetFetchResponseTopics::default().with_name(topic.clone().into()).with_partitions(partitions.collect())
                })
                .collect(),
        };
        OffsetFetchResponseGroup::default().with_group_id(request.group_id.clone()).with_topics(topics)
    }
}

/// A topic that was deleted and made again under its name is another topic, where both ids are known.
fn same_topic(committed: Uuid, asked: Uuid) -> bool {
    committed.is_nil() || asked.is_nil() || committed == asked
}
