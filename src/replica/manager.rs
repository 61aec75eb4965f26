//! The partitions this broker hosts, by topic name and id.
//!
//! Invariants: names ↔ ids is a bijection over the hosted topics; a partition that was deleted is not found any more, though a request
//! under way may still hold it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, RwLock};

use tracing::{error, warn};

use super::partition::{Partition, RoleChange};
use crate::base::ids::{BrokerId, LeaderEpoch, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicConfig;
use crate::metadata::TopicImage;
use crate::metrics::{Metrics, TopicMetrics};
use crate::storage::{Log, LogError, LogManager};

/// A topic of which this broker hosts partitions.
pub struct HostedTopic {
    id: TopicId,
    name: Arc<str>,
    internal: bool,
    config: ArcSwap<TopicConfig>,
    /// By number; `None` where another broker has the partition.
    partitions: RwLock<Vec<Option<Arc<Partition>>>>,
    metrics: Arc<TopicMetrics>,
}

impl HostedTopic {
    pub fn id(&self) -> TopicId {
        self.id
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn metrics(&self) -> &TopicMetrics {
        &self.metrics
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

    /// By number; `None` where another broker has the partition.
    pub fn partitions(&self) -> Vec<Option<Arc<Partition>>> {
        self.partitions.read().clone()
    }
}

#[derive(Default)]
struct Hosted {
    by_name: HashMap<Arc<str>, Arc<HostedTopic>>,
    by_id: HashMap<TopicId, Arc<HostedTopic>>,
}

/// What a change of metadata did to the partitions of a topic here.
#[derive(Debug, Default)]
pub struct Applied {
    /// Partitions this broker leads since, with their epochs.
    pub elected: Vec<(i32, LeaderEpoch)>,
    /// Partitions this broker no longer leads or has.
    pub resigned: Vec<i32>,
}

pub struct ReplicaManager {
    broker_id: BrokerId,
    pub logs: LogManager,
    metrics: Arc<Metrics>,
    hosted: RwLock<Hosted>,
    /// Logs found at the start that no metadata has named yet.
    found: Mutex<HashMap<TopicPartition, Log>>,
}

impl ReplicaManager {
    /// `found` are the logs that lie in the directories.
    pub fn new(broker_id: BrokerId, logs: LogManager, found: Vec<Log>, metrics: Arc<Metrics>) -> Self {
        let found = found.into_iter().map(|log| (log.partition().clone(), log)).collect();
        Self { broker_id, logs, metrics, hosted: RwLock::default(), found: Mutex::new(found) }
    }

    pub fn topic(&self, name: &str) -> Option<Arc<HostedTopic>> {
        self.hosted.read().by_name.get(name).cloned()
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<HostedTopic>> {
        self.hosted.read().by_id.get(&id).cloned()
    }

    pub fn topics(&self) -> Vec<Arc<HostedTopic>> {
        self.hosted.read().by_id.values().cloned().collect()
    }

    pub fn partition(&self, topic: &str, number: i32) -> Option<Arc<Partition>> {
        self.topic(topic)?.partition(number)
    }

    /// Takes over what the metadata says of a topic: hosts what is assigned to this broker, with the role it gives.
    pub fn apply(&self, topic: &TopicImage, internal: bool, config: TopicConfig, now: TimestampMs) -> Applied {
        let config = Arc::new(config);
        let hosted = self.host(topic, internal, &config);
        hosted.config.store(config.clone());
        let mut partitions = hosted.partitions();
        partitions.resize(topic.partitions.len(), None);
        let mut applied = Applied::default();
        for (number, registration) in topic.iter() {
            if !registration.replicas.contains(&self.broker_id) {
                continue;
            }
            let place = &mut partitions[number as usize];
            if place.is_none() {
                let name = TopicPartition { topic: topic.name.clone(), partition: number };
                match self.open(name.clone(), topic.id, &config, now) {
                    Ok(log) => *place = Some(Partition::new(name, topic.id, log, hosted.metrics.clone())),
                    Err(error) => error!(partition = %name, %error, "cannot host a partition"),
                }
            }
            let Some(partition) = place else { continue };
            match partition.apply(self.broker_id, registration, &config) {
                RoleChange::Elected => applied.elected.push((number, registration.leader_epoch)),
                RoleChange::Resigned => applied.resigned.push(number),
                RoleChange::None => {}
            }
        }
        *hosted.partitions.write() = partitions;
        applied
    }

    fn host(&self, topic: &TopicImage, internal: bool, config: &Arc<TopicConfig>) -> Arc<HostedTopic> {
        let mut hosted = self.hosted.write();
        if let Some(known) = hosted.by_id.get(&topic.id) {
            return known.clone();
        }
        let new = Arc::new(HostedTopic {
            id: topic.id,
            name: topic.name.clone(),
            internal,
            config: ArcSwap::new(config.clone()),
            partitions: RwLock::default(),
            metrics: self.metrics.topics.open(&topic.name),
        });
        hosted.by_name.insert(topic.name.clone(), new.clone());
        hosted.by_id.insert(topic.id, new.clone());
        new
    }

    /// The log of a partition: one that was found if it is of this very topic, else a new one.
    fn open(&self, name: TopicPartition, id: TopicId, config: &Arc<TopicConfig>, now: TimestampMs) -> Result<Log, LogError> {
        if let Some(mut log) = self.found.lock().remove(&name) {
            if log.topic_id().is_none_or(|known| known == id) {
                log.set_config(config.clone());
                return Ok(log);
            }
            let path = self.logs.put_aside(log, now)?;
            warn!(partition = %name, path = %path.display(), "the log found belongs to another topic of this name; it was put aside");
        }
        self.logs.create_log(&name, Some(id), config, now)
    }

    /// Gives up a deleted topic; its files go after `file.delete.delay.ms`.
    pub fn delete(&self, id: TopicId, now: TimestampMs) -> Option<Arc<HostedTopic>> {
        let mut hosted = self.hosted.write();
        let topic = hosted.by_id.remove(&id)?;
        if hosted.by_name.get(&topic.name).is_some_and(|t| t.id == id) {
            hosted.by_name.remove(&topic.name);
        }
        drop(hosted);
        for partition in topic.partitions().iter().flatten() {
            if let Err(error) = partition.delete(&self.logs, now) {
                warn!(partition = %partition.name(), %error, "cannot delete a partition's files");
            }
        }
        Some(topic)
    }

    /// Closes every log in order, when nothing is appended any more; true if all are proven clean.
    pub fn close(&self, broker_epoch: i64) -> bool {
        let hosted = self.topics().into_iter().flat_map(|topic| topic.partitions()).flatten();
        let found = std::mem::take(&mut *self.found.lock()).into_values();
        let logs: Vec<_> = hosted.filter_map(|partition| partition.take_log()).chain(found).map(Mutex::new).collect();
        self.logs.shutdown(&logs, |log| log.lock().close(), Some(broker_epoch))
    }

    /// Tells of what was found at the start and no topic has claimed: logs of topics that were deleted while this broker was away, or
    /// that metadata now lost once knew. They are left as they are until a topic of that name comes.
    pub fn tell_of_strays(&self) {
        for log in self.found.lock().values() {
            warn!(partition = %log.partition(), path = %log.dir().display(), "no topic claims this log; it is left as it is");
        }
    }
}
