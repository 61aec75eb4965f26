//! What takes offsets and groups away on somebody's word: OffsetDelete, DeleteGroups, and the deletion of topics. Pure.

use std::collections::{HashMap, HashSet};

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::base::ids::TopicId;
use crate::coordinator::shard::{At, Effects, RequestId, Write};

use super::record::Record;
use super::request::{DeletedTopic, GroupResponse};
use super::shard::{Group, GroupShard};

impl GroupShard {
    pub(super) fn delete_offsets(&mut self, at: &At, id: RequestId, request: &OffsetDeleteRequest) -> Effects<Self> {
        let group_id = &request.group_id.0;
        let group = match self.groups.get(group_id) {
            None => Err(ErrorCode::GroupIdNotFound),
            // Only of consumers it is known what they read.
            Some(Group::Classic(group)) if group.members().len() > 0 && !group.uses_consumer_protocol() => {
                Err(ErrorCode::NonEmptyGroup)
            }
            Some(Group::Classic(group)) => Ok(group),
        };
        let group = match group {
            Ok(group) => group,
            Err(error) => return Effects::reply(id, OffsetDeleteResponse::default().with_error_code(error.code()).into()),
        };
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let name = &topic.name.0;
            let is_subscribed = group.is_subscribed_to(name);
            let partitions = topic.partitions.iter().map(|partition| {
                let partition = partition.partition_index;
                let exists = self.offsets.committed().get(group_id, name, partition).is_some()
                    || self.offsets.is_pending(group_id, name, partition);
                if exists && !is_subscribed {
                    records.push(Record::offset_tombstone(group_id, name, partition));
                }
                let error = if is_subscribed { ErrorCode::GroupSubscribedToTopic.code() } else { 0 };
                OffsetDeleteResponsePartition::default().with_partition_index(partition).with_error_code(error)
            });
            OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        let response = OffsetDeleteResponse::default().with_topics(topics.collect());
        // A group that loses its last offset may go, too.
        self.schedule_expiry_check(at);
        Effects { write: Write::Records(records), replies: vec![(id, response.into())] }
    }

    pub(super) fn delete_groups(&mut self, id: RequestId, groups: &[StrBytes]) -> Effects<Self> {
        let mut records = Vec::new();
        let results = groups.iter().map(|group_id| {
            let error = match self.groups.get(group_id) {
                None => Some(ErrorCode::GroupIdNotFound),
                Some(group) if !group.is_empty() => Some(ErrorCode::NonEmptyGroup),
                Some(_) => {
                    self.delete_all_offsets(group_id, &mut records);
                    records.push(Record::group_tombstone(group_id));
                    tracing::info!(group = %group_id, "deleted");
                    None
                }
            };
            DeletableGroupResult::default()
                .with_group_id(group_id.clone().into())
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        let results: Vec<_> = results.collect();
        Effects { write: Write::Records(records), replies: vec![(id, results.into())] }
    }

    fn delete_all_offsets(&self, group: &StrBytes, records: &mut Vec<Record>) {
        for (topic, partitions) in self.offsets.committed().group(group).into_iter().flatten() {
            records.extend(partitions.keys().map(|partition| Record::offset_tombstone(group, topic, *partition)));
        }
        for (topic, partition) in self.offsets.pending_of(group) {
            if self.offsets.committed().get(group, topic, partition).is_none() {
                records.push(Record::offset_tombstone(group, topic, partition));
            }
        }
    }

    /// Offsets of topics that are gone mean nothing any more, and would be wrong for a new topic of the same name.
    pub(super) fn topics_deleted(&mut self, at: &At, id: RequestId, deleted: &[DeletedTopic]) -> Effects<Self> {
        // A name may have been given again meanwhile.
        let mut ids: HashMap<&StrBytes, HashSet<TopicId>> = HashMap::new();
        for gone in deleted {
            ids.entry(&gone.name).or_default().insert(gone.id);
        }
        let is_gone =
            |topic: &StrBytes, topic_id: TopicId| ids.get(topic).is_some_and(|ids| topic_id.is_nil() || ids.contains(&topic_id));
        let committed = self.offsets.committed().iter().chain(self.offsets.pending());
        let gone = committed.filter(|(_, topic, _, committed)| is_gone(topic, committed.value.topic_id));
        let tombstones = gone.map(|(group, topic, partition, _)| Record::offset_tombstone(group, topic, partition));
        let records: Vec<_> = tombstones.collect();
        if !records.is_empty() {
            self.schedule_expiry_check(at);
        }
        Effects { write: Write::Records(records), replies: vec![(id, GroupResponse::Done(()))] }
    }
}
