//! What a step from one image to the next touched.
//!
//! A delta names things, the two images hold their states: a topic in `topics` that the old image lacks is new, one that the new image lacks
//! is gone. It may name more than has really changed, never less.

use std::collections::{BTreeMap, BTreeSet};

use super::configs::ConfigResource;
use super::image::MetadataImage;
use crate::base::ids::{BrokerId, TopicId};

/// Partitions of one topic that were created or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicDelta {
    pub partitions: BTreeSet<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataDelta {
    /// Topics created, deleted, or with changed partitions.
    pub topics: BTreeMap<TopicId, TopicDelta>,
    pub configs: BTreeSet<ConfigResource>,
    pub brokers: BTreeSet<BrokerId>,
    pub features: bool,
    pub producer_ids: bool,
    /// A controller took over.
    pub controller: bool,
}

impl MetadataDelta {
    /// Everything in which the two may differ. For a first image, and after a snapshot took the place of records.
    pub fn between(old: &MetadataImage, new: &MetadataImage) -> Self {
        let mut delta = Self {
            features: old.features != new.features,
            producer_ids: old.next_producer_id() != new.next_producer_id(),
            controller: old.claim_epoch() != new.claim_epoch(),
            ..Self::default()
        };
        for topic in old.topics().iter_by_id().filter(|t| new.topics().by_id(t.id).is_none()) {
            delta.topics.insert(topic.id, TopicDelta::default());
        }
        for topic in new.topics().iter_by_id() {
            let before = old.topics().by_id(topic.id);
            let changed: BTreeSet<i32> = topic
                .iter()
                .filter(|(index, partition)| before.and_then(|b| b.partition(*index)) != Some(*partition))
                .map(|(index, _)| index)
                .collect();
            if !changed.is_empty() || before.is_none() {
                delta.topics.insert(topic.id, TopicDelta { partitions: changed });
            }
        }
        for (a, b) in [(old, new), (new, old)] {
            let differing = a.configs().iter().filter(|(resource, map)| b.configs().get(resource.kind, &resource.name) != *map);
            delta.configs.extend(differing.map(|(resource, _)| resource));
            delta.brokers.extend(a.brokers().iter().filter(|(id, broker)| b.broker(**id) != Some(broker)).map(|(id, _)| *id));
        }
        delta
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
