//! DescribeTopicPartitions: v0. Topics with their partitions and eligible leaders, a page at a time (KIP-966).
//!
//! Topics come in the order of their names, whatever order they were asked for in; a page holds at most [`MOST_PARTITIONS`] partitions, and
//! its cursor says where the next one begins. `partitions of a page ≤ limit`, and a topic that does not exist takes no room.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::describe_topic_partitions_request::Cursor;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor as NextCursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::cluster::metadata::ALL_TOPIC_OPERATIONS;
use crate::api::partition_view::{PartitionView, ids as ids_of};
use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::{self, NO_LEADER};
use crate::broker::topics::is_internal;
use crate::controller::validate_topic_name;
use crate::metadata::{MetadataImage, PartitionRegistration, TopicImage};
use crate::replica::manager::OfflinePartitions;

/// `max.request.partition.size.limit`.
const MOST_PARTITIONS: i32 = 2000;

pub fn handle(cx: &Context, request: DescribeTopicPartitionsRequest) -> Reply<DescribeTopicPartitionsResponse> {
    let image = cx.broker().metadata.image();
    let page = Page {
        image: &image,
        listener: &cx.session.listener,
        broker: cx.broker().id,
        offline: cx.broker().replicas.offline(),
        cursor: request.cursor.as_ref(),
        left: request.response_partition_limit.clamp(1, MOST_PARTITIONS) as usize,
        response: DescribeTopicPartitionsResponse::default(),
    };
    let named: BTreeSet<&str> = request.topics.iter().map(|topic| &**topic.name).collect();
    if page.is_cursor_wrong(&named) {
        return Reply::Now(invalid_request(&request));
    }
    Reply::Now(match named.is_empty() {
        true => page.fill(image.topics().iter().map(|topic| &*topic.name)),
        false => page.fill(named.into_iter()),
    })
}

/// `DescribeTopicPartitionsRequest.getErrorResponse`: without topics there is no place for the error.
fn invalid_request(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| {
        DescribeTopicPartitionsResponseTopic::default()
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_name(Some(topic.name.clone()))
    });
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

struct Page<'a> {
    image: &'a MetadataImage,
    listener: &'a str,
    broker: ids::BrokerId,
    /// Those of this broker.
    offline: Arc<OfflinePartitions>,
    cursor: Option<&'a Cursor>,
    /// Partitions for which there is still room.
    left: usize,
    response: DescribeTopicPartitionsResponse,
}

impl<'a> Page<'a> {
    /// A cursor must point into the topics that are asked for, and at a partition that could be.
    fn is_cursor_wrong(&self, named: &BTreeSet<&str>) -> bool {
        self.cursor.is_some_and(|cursor| cursor.partition_index < 0 || !named.is_empty() && !named.contains(&**cursor.topic_name))
    }

    /// Topics in the order of their names, from the cursor on.
    fn fill(mut self, names: impl Iterator<Item = &'a str>) -> DescribeTopicPartitionsResponse {
        let from = self.cursor.map_or("", |cursor| &**cursor.topic_name);
        for name in names.skip_while(|name| *name < from) {
            if self.left == 0 {
                self.go_on_at(name, 0);
                break;
            }
            let next = match self.image.topic(name) {
                Some(topic) => self.add(topic),
                None => self.add_unknown(name),
            };
            if let Some(partition) = next {
                self.go_on_at(name, partition);
                break;
            }
        }
        self.response
    }

    /// Adds a topic as far as there is room; gives the first partition for which there is none.
    fn add(&mut self, topic: &TopicImage) -> Option<i32> {
        let cursor = self.cursor.filter(|cursor| **cursor.topic_name == *topic.name);
        let first = cursor.map_or(0, |cursor| cursor.partition_index as usize);
        let partitions: Vec<_> =
            topic.iter().skip(first).take(self.left).map(|(index, p)| self.partition(topic, index, p)).collect();
        let next = first + partitions.len();
        self.left -= partitions.len();
        self.response.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(topic_name(&topic.name)))
                .with_topic_id(topic.id)
                .with_is_internal(is_internal(&topic.name))
                .with_partitions(partitions)
                .with_topic_authorized_operations(ALL_TOPIC_OPERATIONS),
        );
        (next < topic.partitions.len()).then_some(next as i32)
    }

    fn add_unknown(&mut self, name: &str) -> Option<i32> {
        let code = match validate_topic_name(name) {
            Ok(()) => ErrorCode::UnknownTopicOrPartition,
            Err(_) => ErrorCode::InvalidTopicException,
        };
        self.response.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(code.code())
                .with_name(Some(topic_name(name)))
                .with_is_internal(is_internal(name))
                .with_topic_authorized_operations(ALL_TOPIC_OPERATIONS),
        );
        None
    }

    fn partition(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
    ) -> DescribeTopicPartitionsResponsePartition {
        let offline_at = self.offline.contains(&(topic.id, index)).then_some(self.broker);
        let view = PartitionView { image: self.image, listener: self.listener, partition, offline_at };
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(view.leader().unwrap_or(BrokerId(NO_LEADER)))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(ids_of(partition.replicas.iter().copied()))
            .with_isr_nodes(ids_of(partition.isr.iter().copied()))
            .with_eligible_leader_replicas(Some(ids_of(partition.elr().iter().copied())))
            .with_last_known_elr(Some(ids_of(partition.last_known_elr().iter().copied())))
            .with_offline_replicas(view.offline_replicas())
    }

    fn go_on_at(&mut self, name: &str, partition: i32) {
        let cursor = NextCursor::default().with_topic_name(topic_name(name)).with_partition_index(partition);
        self.response.next_cursor = Some(cursor);
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
