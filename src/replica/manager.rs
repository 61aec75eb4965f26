//! The partitions this broker hosts, by topic name and id.
//!
//! Invariants: names ↔ ids is a bijection over the hosted topics; a partition that was deleted is not found any more, though a request
//! under way may still hold it; a log is made only for a partition that cannot have one already. A partition whose log may be there, but cannot be
//! had, is hosted without it: nobody is told that it is empty, and nothing is written in its place. One whose log there was no room to make is not hosted
//! until there is.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::partition::{Partition, RoleChange};
use crate::base::ErrorCode;
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

    /// A partition that is asked for something (`ReplicaManager.getPartitionOrError`): NOT_LEADER_OR_FOLLOWER if there is one that is not hosted here,
    /// or not yet, for want of room.
    pub fn partition_or_error(&self, number: i32) -> Result<Arc<Partition>, ErrorCode> {
        let partitions = self.partitions.read();
        let hosted = usize::try_from(number).ok().and_then(|number| partitions.get(number));
        hosted.ok_or(ErrorCode::UnknownTopicOrPartition)?.clone().ok_or(ErrorCode::NotLeaderOrFollower)
    }

    /// By number; `None` where another broker has the partition.
    pub fn partitions(&self) -> Vec<Option<Arc<Partition>>> {
        self.partitions.read().clone()
    }
}

/// Why a partition has no log to be hosted with.
enum NoLog {
    /// It lies in its directory, but could not be opened.
    Unopened,
    /// It may lie in a log directory that cannot be used.
    Missing,
    /// It was put aside, by a start with other metadata.
    Aside,
    Failed(LogError),
}

impl From<LogError> for NoLog {
    fn from(error: LogError) -> Self {
        NoLog::Failed(error)
    }
}

#[derive(Default)]
struct Hosted {
    by_name: HashMap<Arc<str>, Arc<HostedTopic>>,
    by_id: HashMap<TopicId, Arc<HostedTopic>>,
    /// What the directories say of a stop in order must stay true: no log is made or deleted any more.
    closed: bool,
}

/// What a change of metadata did to the partitions of a topic here.
#[derive(Debug, Default)]
pub struct Applied {
    /// Partitions this broker leads since, with their epochs.
    pub elected: Vec<(i32, LeaderEpoch)>,
    /// Partitions this broker no longer leads or has.
    pub resigned: Vec<i32>,
}

/// Partitions hosted without their logs, by topic and number.
pub type OfflinePartitions = HashSet<(TopicId, i32)>;

pub struct ReplicaManager {
    broker_id: BrokerId,
    pub logs: LogManager,
    metrics: Arc<Metrics>,
    hosted: RwLock<Hosted>,
    /// Logs found at the start that no metadata has named yet.
    found: Mutex<HashMap<TopicPartition, Log>>,
    /// Topics with partitions for whose logs space or descriptors were wanting.
    unhosted: Mutex<BTreeSet<TopicId>>,
    /// Apart from the partitions, because every answer with metadata asks for it and there are none as a rule.
    offline: ArcSwap<OfflinePartitions>,
}

impl ReplicaManager {
    /// `found` are the logs that lie in the directories.
    pub fn new(broker_id: BrokerId, logs: LogManager, found: Vec<Log>, metrics: Arc<Metrics>) -> Self {
        let found = found.into_iter().map(|log| (log.partition().clone(), log)).collect();
        Self {
            broker_id,
            logs,
            metrics,
            hosted: RwLock::default(),
            found: Mutex::new(found),
            unhosted: Mutex::default(),
            offline: ArcSwap::default(),
        }
    }

    pub fn topic(&self, name: &str) -> Option<Arc<HostedTopic>> {
        self.hosted.read().by_name.get(name).cloned()
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<HostedTopic>> {
        self.hosted.read().by_id.get(&id).cloned()
    }

    /// Partitions that cannot be served here, because their logs cannot be had.
    pub fn offline(&self) -> Arc<OfflinePartitions> {
        self.offline.load_full()
    }

    pub fn topics(&self) -> Vec<Arc<HostedTopic>> {
        self.hosted.read().by_id.values().cloned().collect()
    }

    pub fn partition(&self, topic: &str, number: i32) -> Option<Arc<Partition>> {
        self.topic(topic)?.partition(number)
    }

    /// See [`HostedTopic::partition_or_error`].
    pub fn partition_or_error(&self, topic: &str, number: i32) -> Result<Arc<Partition>, ErrorCode> {
        self.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?.partition_or_error(number)
    }

    /// Topics of which not all partitions could be hosted for want of space or descriptors: to be applied again once there may be some.
    pub fn unhosted(&self) -> Vec<TopicId> {
        self.unhosted.lock().iter().copied().collect()
    }

    /// Takes over what the metadata says of a topic: hosts what is assigned to this broker, with the role it gives. Partitions that are not hosted yet
    /// are new if `is_new`; otherwise they may have been there before this broker was started (Kafka's `isNew`).
    pub fn apply(&self, topic: &TopicImage, internal: bool, config: TopicConfig, is_new: bool, now: TimestampMs) -> Applied {
        let config = Arc::new(config);
        let Some(hosted) = self.host(topic, internal, &config) else { return Applied::default() };
        hosted.config.store(config.clone());
        let mut partitions = hosted.partitions();
        partitions.resize(topic.partitions.len(), None);
        let mut applied = Applied::default();
        let (mut missing, mut offline) = (Vec::new(), Vec::new());
        let (mut lacks_room, lacked_room) = (false, self.unhosted.lock().contains(&topic.id));
        for (number, registration) in topic.iter() {
            if !registration.replicas.contains(&self.broker_id) {
                continue;
            }
            let place = &mut partitions[number as usize];
            if place.is_none() {
                let name = TopicPartition { topic: topic.name.clone(), partition: number };
                let directory = registration.directory_of(self.broker_id);
                *place = match self.open(&name, topic.id, directory, &config, is_new, now) {
                    Ok(log) => Some(Partition::new(name, topic.id, log, hosted.metrics.clone())),
                    Err(NoLog::Failed(error)) => {
                        let passes = matches!(error, LogError::Shortage { .. });
                        lacks_room |= passes;
                        // It is tried again and again; once is enough to be told.
                        if !(passes && lacked_room) {
                            error!(partition = %name, %error, "cannot host a partition");
                        }
                        None
                    }
                    Err(absent) => {
                        missing.extend(matches!(absent, NoLog::Missing).then_some(number));
                        offline.push((topic.id, number));
                        Some(Partition::offline(name, topic.id, hosted.metrics.clone()))
                    }
                };
            }
            let Some(partition) = place else { continue };
            match partition.apply(self.broker_id, registration, &config) {
                RoleChange::Elected => applied.elected.push((number, registration.leader_epoch)),
                RoleChange::Resigned => applied.resigned.push(number),
                RoleChange::None => {}
            }
        }
        if !missing.is_empty() {
            let unusable: Vec<_> =
                self.logs.unusable_directories().iter().map(|directory| directory.path.display().to_string()).collect();
            error!(
                topic = %topic.name, partitions = ?missing, directories = ?unusable,
                "partitions without a log in the directories that can be used are not served, as theirs may lie in one that cannot; mend it and \
                 restart, or take it out of log.dirs to have them begin anew, empty"
            );
        }
        *hosted.partitions.write() = partitions;
        match lacks_room {
            true => drop(self.unhosted.lock().insert(topic.id)),
            false => drop(self.unhosted.lock().remove(&topic.id)),
        }
        if lacked_room && !lacks_room {
            info!(topic = %topic.name, "its partitions are hosted, now that there is room");
        }
        if !offline.is_empty() {
            self.offline.rcu(|known| known.iter().chain(&offline).copied().collect::<OfflinePartitions>());
        }
        applied
    }

    /// `None` once the logs are closed.
    fn host(&self, topic: &TopicImage, internal: bool, config: &Arc<TopicConfig>) -> Option<Arc<HostedTopic>> {
        let mut hosted = self.hosted.write();
        if hosted.closed {
            return None;
        }
        if let Some(known) = hosted.by_id.get(&topic.id) {
            return Some(known.clone());
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
        Some(new)
    }

    /// The log of a partition: one that was found if it is of this very topic, else a new one, if there cannot be another.
    fn open(
        &self,
        name: &TopicPartition,
        id: TopicId,
        directory: Option<Uuid>,
        config: &Arc<TopicConfig>,
        is_new: bool,
        now: TimestampMs,
    ) -> Result<Log, NoLog> {
        if let Entry::Occupied(mut found) = self.found.lock().entry(name.clone()) {
            // A topic that is new has no log yet, so one whose topic is not known is of another.
            if found.get().topic_id().map_or(!is_new, |known| known == id) {
                let mut log = found.remove();
                log.set_config(config.clone());
                if log.topic_id().is_none()
                    && let Err(error) = log.assign_topic_id(id)
                {
                    warn!(partition = %name, %error, "the topic of a log is not noted in its directory");
                }
                return Ok(log);
            }
            let path = self.logs.put_aside(found.get_mut(), now)?;
            found.remove();
            warn!(partition = %name, path = %path.display(), "the log found belongs to another topic of this name; it was put aside");
        }
        if let Some(unopened) = self.logs.unopened(name) {
            if !is_new {
                return Err(NoLog::Unopened);
            }
            let path = self.logs.put_unopened_aside(name, &unopened, now)?;
            warn!(partition = %name, path = %path.display(), "the log that could not be opened is of an earlier topic of this name; it was put aside");
        }
        if let Some((.., path)) = self.logs.logs_put_aside().find(|(topic, number, _)| (*topic, *number) == (id, name.partition))
        {
            error!(
                partition = %name, path = %path.display(),
                "the log of this partition was put aside, by a start with other metadata; it is not served, nor made anew beside it. Stop the broker, \
                 give the directory the name of the partition again, and start"
            );
            return Err(NoLog::Aside);
        }
        if !is_new && self.may_be_missing(directory) {
            return Err(NoLog::Missing);
        }
        Ok(self.logs.create_log(name, Some(id), config, now)?)
    }

    /// Whether the log of a partition that was there before the start may lie in a directory that cannot be used now. `directory` is where the metadata
    /// say that it is, which may be nowhere in particular.
    fn may_be_missing(&self, directory: Option<Uuid>) -> bool {
        let is_here = || self.logs.directories().any(|online| Some(online.id()) == directory);
        !self.logs.unusable_directories().is_empty() && !is_here()
    }

    /// Gives up a deleted topic; its files go after `file.delete.delay.ms`, unless the logs are closed.
    pub fn delete(&self, id: TopicId, now: TimestampMs) -> Option<Arc<HostedTopic>> {
        let mut hosted = self.hosted.write();
        if hosted.closed {
            return None;
        }
        let topic = hosted.by_id.remove(&id)?;
        if hosted.by_name.get(&topic.name).is_some_and(|t| t.id == id) {
            hosted.by_name.remove(&topic.name);
        }
        drop(hosted);
        self.unhosted.lock().remove(&id);
        if self.offline.load().iter().any(|(of, _)| *of == id) {
            self.offline.rcu(|known| known.iter().filter(|(of, _)| *of != id).copied().collect::<OfflinePartitions>());
        }
        let mut logs = Vec::new();
        for partition in topic.partitions().iter().flatten() {
            let offline = partition.is_offline();
            match partition.take_log() {
                Some(log) => logs.push(log),
                None if offline => self.delete_offline(partition.name(), topic.config().file_delete_delay_ms, now),
                None => {}
            }
        }
        for (partition, error) in self.logs.delete_logs(logs, now) {
            warn!(%partition, %error, "cannot delete a partition's files now");
        }
        Some(topic)
    }

    /// Deletes what there is of a partition that was hosted without its log.
    fn delete_offline(&self, name: &TopicPartition, delay_ms: i64, now: TimestampMs) {
        match self.logs.unopened(name) {
            None => {
                warn!(partition = %name, "the files of a deleted partition stay, if they were put aside or lie in a log directory that cannot be used")
            }
            Some(unopened) => {
                if let Err(error) = self.logs.delete_unopened(name, &unopened, delay_ms, now) {
                    warn!(partition = %name, path = %unopened.dir().display(), %error, "cannot delete a partition's files now");
                }
            }
        }
    }

    /// Closes every log in order, when nothing is appended, applied or deleted any more; true if all are proven clean.
    pub fn close(&self, broker_epoch: i64) -> bool {
        self.hosted.write().closed = true;
        let hosted = self.topics().into_iter().flat_map(|topic| topic.partitions()).flatten();
        let found = std::mem::take(&mut *self.found.lock()).into_values();
        let logs: Vec<_> = hosted.filter_map(|partition| partition.take_log()).chain(found).map(Mutex::new).collect();
        self.logs.shutdown(&logs, |log| log.lock().close(), Some(broker_epoch))
    }

    /// Tells of what was found at the start and no topic has claimed: logs of topics that were deleted while this broker was away, or
    /// that metadata now lost once knew. They are left as they are until a topic of that name comes.
    pub fn tell_of_strays(&self) {
        for (topic, number, path) in self.logs.logs_put_aside() {
            if let Some(partition) = self.topic_by_id(topic).and_then(|topic| topic.partition(number))
                && !partition.is_offline()
            {
                warn!(partition = %partition.name(), path = %path.display(), "another log of this very partition lies put aside; its records are not served");
            }
        }
        for log in self.found.lock().values() {
            warn!(partition = %log.partition(), path = %log.dir().display(), "no topic claims this log; it is left as it is");
        }
        for (name, unopened) in self.logs.unopened_logs() {
            if self.partition(&name.topic, name.partition).is_none() {
                warn!(partition = %name, path = %unopened.dir().display(), "no topic claims this log, which cannot be opened; it is left as it is");
            }
        }
    }
}

#[cfg(test)]
mod tests;
