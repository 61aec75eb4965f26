//! The partitions this broker hosts, by topic name and id.
//!
//! Invariants: names ↔ ids is a bijection over the hosted topics; a partition that was deleted is not found any more, though a request
//! under way may still hold it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, RwLock};

use super::partition::Partition;
use crate::base::ids::{BrokerId, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicConfig;
use crate::metadata::TopicImage;
use crate::storage::{Log, LogManager};

/// A topic of which this broker hosts partitions.
pub struct HostedTopic {
    id: TopicId,
    name: Arc<str>,
    internal: bool,
    config: ArcSwap<TopicConfig>,
    /// By number; `None` where another broker has the partition.
    partitions: RwLock<Vec<Option<Arc<Partition>>>>,
}

impl HostedTopic {
    pub fn id(&self) -> TopicId {
        self.id
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether only coordinators write to it.
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    pub fn config(&self) -> Guard<Arc<TopicConfig>> {
        self.config.load()
    }

    pub fn partition(&self, number: i32) -> Option<Arc<Partition>> {
        self.partitions.read().get(usize::try_from(number).ok()?)?.clone()
    }

    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().iter().flatten().cloned().collect()
    }
}

#[derive(Default)]
struct Hosted {
    by_name: HashMap<Arc<str>, Arc<HostedTopic>>,
    by_id: HashMap<TopicId, Arc<HostedTopic>>,
}
