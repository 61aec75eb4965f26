//! The facts of the metadata log. Names and meaning are Kafka's (`metadata/src/main/resources/common/metadata`), the encoding is klamm's own.
//!
//! A record says what is so, never what was asked for: two versions of klamm may decide differently, but never replay differently.

use std::sync::Arc;

use uuid::Uuid;

use super::broker::BrokerRegistration;
use super::configs::ConfigResource;
use super::partition::{PartitionChange, PartitionRegistration};
use crate::base::ids::{BrokerId, ProducerId, TimestampMs, TopicId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    /// A controller takes over; first record of its first batch. `epoch` is one more than the last.
    ClaimController {
        epoch: i32,
        controller_id: BrokerId,
    },
    /// Once, at the very first start.
    ClusterInit {
        cluster_id: Arc<str>,
        created_ms: TimestampMs,
    },
    /// A finalized feature level; 0 turns the feature off (KIP-584).
    FeatureLevel {
        name: Arc<str>,
        level: i16,
    },
    RegisterBroker(Box<BrokerRegistration>),
    /// What changes about a registered broker; `None` means "stays".
    BrokerRegistrationChange {
        broker_id: BrokerId,
        broker_epoch: i64,
        fenced: Option<bool>,
        in_controlled_shutdown: Option<bool>,
        log_dirs: Option<Vec<Uuid>>,
    },
    UnregisterBroker {
        broker_id: BrokerId,
        broker_epoch: i64,
    },
    Topic {
        topic_id: TopicId,
        name: Arc<str>,
    },
    /// Removes the topic, its partitions and its configuration.
    RemoveTopic {
        topic_id: TopicId,
    },
    Partition {
        topic_id: TopicId,
        partition: i32,
        registration: PartitionRegistration,
    },
    PartitionChange(Box<PartitionChange>),
    /// `None` removes the key.
    Config {
        resource: ConfigResource,
        key: Arc<str>,
        value: Option<Arc<str>>,
    },
    /// Producer ids below `next` have been given out, the last block to this broker.
    ProducerIds {
        broker_id: BrokerId,
        broker_epoch: i64,
        next: ProducerId,
    },
}
