//! Topics as the broker itself knows them: which are internal, and how topics come into being that nobody created explicitly.

use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Broker;
use crate::base::ErrorCode;

pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// Topics that only coordinators write to (`Topic.INTERNAL_TOPICS`).
const INTERNAL: &[&str] = &[CONSUMER_OFFSETS, "__transaction_state", "__share_group_state"];

/// How long the broker waits for a topic it asked for, in milliseconds, as the request has it.
const TIMEOUT_MS: i32 = 30_000;

pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

impl Broker {
    /// Creates topics that clients named and nobody has created (`AutoTopicCreationManager`). Returns once they can be used; gives those
    /// that could not be created.
    pub async fn create_missing_topics(&self, names: Vec<Arc<str>>) -> Vec<(Arc<str>, ErrorCode)> {
        let topics = names.iter().map(|name| self.missing_topic(name)).collect();
        let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(TIMEOUT_MS);
        let failed = match self.controller.create_topics(request).await {
            Ok(response) => {
                let failed = response.topics.into_iter().filter_map(|topic| {
                    let code = ErrorCode::try_from_code(topic.error_code)?;
                    // Somebody else was faster: the topic is there.
                    (code != ErrorCode::TopicAlreadyExists).then(|| (Arc::from(topic.name.as_str()), code))
                });
                failed.collect()
            }
            Err(_) => names.into_iter().map(|name| (name, ErrorCode::LeaderNotAvailable)).collect(),
        };
        self.catch_up().await;
        failed
    }

    /// Waits until this broker follows all that the controller has decided so far.
    pub async fn catch_up(&self) {
        let offset = self.controller.image().offset();
        self.metadata.wait_until(|image| image.offset() >= offset).await;
    }

    fn missing_topic(&self, name: &str) -> CreatableTopic {
        let topic = CreatableTopic::default().with_name(TopicName(StrBytes::from_string(name.to_owned())));
        if name != CONSUMER_OFFSETS {
            return topic.with_num_partitions(-1).with_replication_factor(-1);
        }
        let config = self.config();
        let group = &config.group;
        let brokers = self.metadata.image().brokers().values().filter(|b| !b.fenced).count() as i16;
        let set = |name: &'static str, value: String| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_string(value)))
        };
        let configs = vec![
            set("cleanup.policy", "compact".into()),
            set("compression.type", "producer".into()),
            set("segment.bytes", group.offsets_topic_segment_bytes.to_string()),
        ];
        topic
            .with_num_partitions(group.offsets_topic_num_partitions)
            .with_replication_factor(group.offsets_topic_replication_factor.min(brokers).max(1))
            .with_configs(configs)
    }
}
