//! The state of the cluster at one offset of the metadata log. Immutable to its readers, O(1) to clone, moved only by records (`replay.rs`).
//!
//! Two images share everything in which they do not differ: persistent maps hold topics and configuration, the rest is small.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::{BrokerRegistration, Endpoint};
use super::configs::{ConfigMap, ConfigResource, ConfigsImage};
use super::topics::{TopicImage, TopicsImage};
use crate::base::ids::{BrokerId, Offset, ProducerId, TimestampMs, TopicId};

/// What was decided at the very first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterInfo {
    /// 22 characters, as Kafka prints a UUID.
    pub cluster_id: Arc<str>,
    pub created_ms: TimestampMs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataImage {
    /// Offset of the last entry of the metadata log that is in this image; −1 before the first.
    pub(super) offset: Offset,
    pub(super) claim_epoch: i32,
    pub(super) last_seq: u64,
    pub(super) controller_id: BrokerId,
    pub(super) cluster: Option<Arc<ClusterInfo>>,
    pub(super) features: Arc<BTreeMap<Arc<str>, i16>>,
    pub(super) brokers: Arc<BTreeMap<BrokerId, Arc<BrokerRegistration>>>,
    pub(super) topics: TopicsImage,
    pub(super) configs: ConfigsImage,
    pub(super) next_producer_id: ProducerId,
    pub(super) next_broker_epoch: i64,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            offset: -1,
            claim_epoch: 0,
            last_seq: 0,
            controller_id: -1,
            cluster: None,
            features: Arc::default(),
            brokers: Arc::default(),
            topics: TopicsImage::default(),
            configs: ConfigsImage::default(),
            next_producer_id: 0,
            next_broker_epoch: 1,
        }
    }
}

impl MetadataImage {
    /// Offset of the last entry of the metadata log that is in this image; −1 before the first. Also the epoch of the finalized features
    /// that ApiVersions shows: it only grows.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Epoch of the controller that wrote last; 0 before the first.
    pub fn claim_epoch(&self) -> i32 {
        self.claim_epoch
    }

    /// Sequence of the last batch of [`claim_epoch`](Self::claim_epoch).
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The node that claimed [`claim_epoch`](Self::claim_epoch); −1 before the first.
    pub fn controller_id(&self) -> BrokerId {
        self.controller_id
    }

    /// `None` only before the first claim of a new cluster.
    pub fn cluster(&self) -> Option<&Arc<ClusterInfo>> {
        self.cluster.as_ref()
    }

    /// Finalized features that are on, with their levels.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (&**name, *level))
    }

    /// Level of a finalized feature; 0 if it is off.
    pub fn feature_level(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    pub fn brokers(&self) -> &BTreeMap<BrokerId, Arc<BrokerRegistration>> {
        &self.brokers
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&id)
    }

    /// Registered, unfenced and not shutting down.
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|b| b.is_active())
    }

    /// The brokers clients may see, with their endpoint on the listener that the client came in on.
    pub fn alive_endpoints<'a>(&'a self, listener: &'a str) -> impl Iterator<Item = (&'a Arc<BrokerRegistration>, &'a Endpoint)> {
        self.brokers.values().filter(|b| !b.fenced).filter_map(move |b| Some((b, b.endpoint(listener)?)))
    }

    pub fn topics(&self) -> &TopicsImage {
        &self.topics
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.by_name(name)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.by_id(id)
    }

    pub fn configs(&self) -> &ConfigsImage {
        &self.configs
    }

    pub fn configs_of(&self, resource: &ConfigResource) -> &ConfigMap {
        self.configs.get(resource.kind, &resource.name)
    }

    /// First producer id that was never given out.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// Epoch that the next new incarnation of a broker gets.
    pub fn next_broker_epoch(&self) -> i64 {
        self.next_broker_epoch
    }
}
