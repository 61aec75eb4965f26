//! Topics as the broker itself knows them: which are internal, and how topics come into being that nobody created explicitly.

use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Broker;
use crate::base::ErrorCode;

pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
pub const TRANSACTION_STATE: &str = "__transaction_state";

/// Topics that only coordinators write to (`Topic.INTERNAL_TOPICS`).
const INTERNAL: &[&str] = &[CONSUMER_OFFSETS, TRANSACTION_STATE, "__share_group_state"];

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
        let config = self.config();
        let (partitions, replicas, configs) = match name {
            CONSUMER_OFFSETS => {
                let group = &config.group;
                let configs = vec![
                    ("compression.type", "producer".to_owned()),
                    ("segment.bytes", group.offsets_topic_segment_bytes.to_string()),
                ];
                (group.offsets_topic_num_partitions, group.offsets_topic_replication_factor, configs)
            }
            // `TransactionStateManager.transactionTopicConfigs`: no setting of the broker may weaken these.
            TRANSACTION_STATE => {
                let transaction = &config.transaction;
                let configs = vec![
                    ("compression.type", "uncompressed".to_owned()),
                    ("segment.bytes", transaction.state_log_segment_bytes.to_string()),
                    ("min.insync.replicas", transaction.state_log_min_isr.to_string()),
                    ("unclean.leader.election.enable", "false".to_owned()),
                ];
                (transaction.state_log_num_partitions, transaction.state_log_replication_factor, configs)
            }
            _ => return topic.with_num_partitions(-1).with_replication_factor(-1),
        };
        let brokers = self.metadata.image().brokers().values().filter(|b| !b.fenced).count() as i16;
        let set = |(name, value): (&'static str, String)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_string(value)))
        };
        let configs = std::iter::once(("cleanup.policy", "compact".to_owned())).chain(configs);
        topic
            .with_num_partitions(partitions)
            .with_replication_factor(replicas.min(brokers).max(1))
            .with_configs(configs.map(set).collect())
    }
}
