//! What the HTTP listener tells of a node: gauges over its parts, and whether it serves.
//!
//! The listener answers before there is a broker, because opening logs after a loss of power can take minutes: until then the node is alive
//! and not ready. Everything is read when somebody asks; nothing here is done otherwise.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::base::ids::{BrokerId, NO_LEADER, TopicPartition};
use crate::base::logging::EventCounts;
use crate::base::time::Clock;
use crate::broker::Broker;
use crate::http::{App, Check, Readiness};
use crate::metadata::MetadataImage;
use crate::metrics::cleaner::CleanerGauges;
use crate::metrics::controller::{BrokerState, ClusterGauges, QuorumGauges};
use crate::metrics::log::LogDirectoryGauges;
use crate::metrics::partitions::PartitionGauges;
use crate::metrics::replication::FetchSessionGauges;
use crate::metrics::{Exporter, Metrics, Samples};
use crate::replica::manager::OfflinePartitions;
use crate::replica::partition::Partition;
use crate::server::limits::RequestMemory;
use crate::storage::cleaner::CleanerStats;

/// The parts of a running node that are looked at.
pub(super) struct Observed {
    pub broker: Arc<Broker>,
    pub memory: Arc<RequestMemory>,
    pub stop: CancellationToken,
}

/// Where the node puts its parts once it has them.
pub(super) type Place = Arc<OnceLock<Observed>>;

/// What the HTTP listener serves.
pub(super) fn app(
    place: &Place,
    metrics: Arc<Metrics>,
    log: Option<Arc<EventCounts>>,
    clock: Clock,
    per_partition: bool,
) -> Arc<App> {
    let runtime = Handle::current();
    let mut exporter = Exporter::new(metrics, runtime.metrics(), per_partition).source({
        let place = place.clone();
        move |out| match place.get() {
            Some(observed) => observed.collect(&runtime, out),
            None => out.broker_state(BrokerState::Starting),
        }
    });
    if let Some(log) = log {
        exporter = exporter.source(move |out| out.log_events(&log));
    }
    let place = place.clone();
    App::new(exporter, clock, move || match place.get() {
        Some(observed) => observed.readiness(),
        None => Readiness::of(vec![Check::new("started", false, "logs are being opened, or the broker registers")]),
    })
}

impl Observed {
    /// Asks the coordinator's shards, so it must run where blocking is allowed.
    fn collect(&self, runtime: &Handle, out: &mut Samples) {
        let Observed { broker, memory, .. } = self;
        let image = broker.metadata.image();
        out.broker_state(self.state(&image));
        out.controller((image.controller_id() == broker.id).then(|| cluster(&image, broker.id, &broker.replicas.offline())));
        out.quorum(QuorumGauges {
            leader: Some(image.controller_id()).filter(|id| *id >= 0),
            epoch: image.claim_epoch().into(),
            committed_offset: broker.controller.image().offset(),
            applied_offset: image.offset(),
        });
        out.request_memory(memory.limit(), memory.free());
        out.fetch_sessions({
            let sessions = broker.fetch_sessions.lock();
            FetchSessionGauges { sessions: sessions.len(), partitions: sessions.partitions(), evictions: sessions.evictions() }
        });
        self.collect_partitions(out);
        self.collect_cleaner(out);
        let mut groups = runtime.block_on(broker.groups.gauges());
        for offsets in groups.iter_mut().flat_map(|group| &mut group.topics) {
            let topic = broker.replicas.topic(&offsets.topic);
            for committed in &mut offsets.partitions {
                let partition = topic.as_ref().and_then(|topic| topic.partition(committed.partition));
                committed.high_watermark = partition.and_then(|p| p.with_log(|log| log.high_watermark()));
            }
        }
        out.groups(groups);
    }

    fn collect_partitions(&self, out: &mut Samples) {
        let replicas = &self.broker.replicas;
        let hosted: Vec<Arc<Partition>> = replicas.topics().iter().flat_map(|topic| topic.partitions()).flatten().collect();
        let (now, timeout) = (self.broker.clock.wall_ms(), self.broker.config().transaction.max_timeout_ms.into());
        let gauges: Vec<PartitionGauges<'_>> = hosted.iter().filter_map(|partition| partition.gauges(now, timeout)).collect();
        out.partitions(gauges);
        let mut sizes = HashMap::new();
        for log in replicas.logs.logs() {
            *sizes.entry(log.directory().id()).or_insert(0) += log.size();
        }
        let directories = replicas.logs.directories().map(|directory| LogDirectoryGauges {
            path: directory.path(),
            online: directory.offline().is_none(),
            bytes: sizes.get(&directory.id()).copied().unwrap_or(0),
            space: directory.disk().space(directory.path()).ok(),
            flushes: directory.flushes(),
        });
        out.log_directories(directories, replicas.logs.unusable_directories().iter().map(|directory| &*directory.path));
    }

    fn collect_cleaner(&self, out: &mut Samples) {
        let (state, logs) = (self.broker.cleaner.state(), &self.broker.replicas.logs);
        let homes = logs.logs();
        let home = |partition: &TopicPartition| homes.iter().find(|log| log.partition() == partition);
        let uncleanable =
            state.uncleanable.iter().filter_map(|(partition, bytes)| Some((home(partition)?.directory().path(), *bytes)));
        let longest = |value: fn(&CleanerStats) -> f64| state.last.iter().map(value).fold(0.0, f64::max);
        out.cleaner(&CleanerGauges {
            max_dirty_ratio: state.max_dirty_ratio,
            since_last_run_ms: state.since_last_run_ms,
            max_compaction_delay_ms: state.max_compaction_delay_ms,
            last_bytes_read: state.last.iter().map(|last| last.bytes_read).sum(),
            last_bytes_written: state.last.iter().map(|last| last.bytes_written).sum(),
            max_clean_time_secs: longest(|last| last.elapsed_secs),
            max_buffer_utilization: longest(|last| last.buffer_utilization),
            dead_threads: state.dead_threads,
            bytes_read: state.bytes_read,
            bytes_written: state.bytes_written,
            directories: logs.directories().map(|directory| directory.path()).collect(),
            uncleanable: uncleanable.collect(),
        });
    }

    fn state(&self, image: &MetadataImage) -> BrokerState {
        if self.stop.is_cancelled() {
            return BrokerState::ShuttingDown;
        }
        if image.is_active(self.broker.id) { BrokerState::Running } else { BrokerState::Recovery }
    }

    fn readiness(&self) -> Readiness {
        let image = self.broker.metadata.image();
        let registered = image.broker(self.broker.id);
        let mut checks = vec![
            Check::new("started", !self.stop.is_cancelled(), if self.stop.is_cancelled() { "it stops" } else { "" }),
            Check::new("registered", registered.is_some(), ""),
            Check::new("unfenced", registered.is_some_and(|b| !b.fenced), ""),
        ];
        checks.extend(self.broker.replicas.logs.directories().map(|directory| {
            let offline = directory.offline();
            let detail = offline.map_or_else(String::new, |offline| offline.reason.to_string());
            Check::new(format!("log directory {}", directory.path().display()), offline.is_none(), detail)
        }));
        checks.extend(self.broker.replicas.logs.unusable_directories().iter().map(|directory| {
            Check::new(format!("log directory {}", directory.path.display()), false, directory.reason.to_string())
        }));
        Readiness::of(checks)
    }
}

/// `offline` is what this broker hosts without its log: nobody serves that, though the metadata name a leader.
fn cluster(image: &MetadataImage, this: BrokerId, offline: &OfflinePartitions) -> ClusterGauges {
    let mut cluster = ClusterGauges { topics: image.topics().len(), ..ClusterGauges::default() };
    for broker in image.brokers().values() {
        if broker.fenced {
            cluster.fenced_brokers += 1;
        } else {
            cluster.active_brokers += 1;
        }
    }
    let partitions = image.topics().iter_by_id().flat_map(|topic| topic.iter().map(|(number, p)| ((topic.id, number), p)));
    for (id, partition) in partitions {
        cluster.partitions += 1;
        cluster.offline_partitions +=
            usize::from(partition.leader == NO_LEADER || partition.leader == this && offline.contains(&id));
        cluster.not_preferred += usize::from(partition.replicas.first() != Some(&partition.leader));
    }
    cluster
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::metadata::testing::{broker, claim, partition, replay_all, topic};
    use crate::metadata::{MetadataRecord, RecordBatch};

    #[test]
    fn a_partition_that_its_leader_hosts_without_a_log_is_offline() {
        let records = vec![MetadataRecord::RegisterBroker(Box::new(broker(1))), topic(7, "t"), partition(7, 0), partition(7, 1)];
        let image = replay_all(MetadataImage::default(), &[claim(1), RecordBatch { claim_epoch: 1, seq: 1, records }]);
        let led = image.topics().iter().flat_map(|topic| topic.iter()).all(|(_, partition)| partition.leader == 1);
        assert!(led, "the broker in question leads them");
        let offline = |this, partitions: &[i32]| {
            let partitions = partitions.iter().map(|number| (Uuid::from_u128(7), *number)).collect();
            cluster(&image, this, &partitions).offline_partitions
        };
        assert_eq!((offline(1, &[]), offline(1, &[1]), offline(1, &[0, 1]), offline(2, &[1])), (0, 1, 2, 0));
    }
}
