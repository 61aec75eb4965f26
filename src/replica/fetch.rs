//! One fetch over many partitions: reads what is there within the limits, and waits until there is enough.
//!
//! Invariants: partitions are served in the order of the request; the first that has anything to give ignores the limits for its first
//! batch, so a client always gets on; a waiting fetch is registered before it looks a last time, so nothing appended is missed.
//! (`ReplicaManager.fetchMessages` and `readFromLog`, `DelayedFetch`.)

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::fetch_session::{FetchPartition, FetchPlan};
use super::manager::ReplicaManager;
use super::partition::{Partition, PartitionRead, ReadRequest};
use super::waiters::{Signal, Ticket};
use crate::base::ErrorCode;

/// How far a consumer may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset, with the aborted transactions named (KIP-98).
    ReadCommitted,
}

/// Bounds of the whole fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    pub isolation: Isolation,
    pub min_bytes: usize,
    pub max_bytes: usize,
}

/// What one partition of a fetch gives.
pub enum PartitionFetch {
    Read(Box<PartitionRead>),
    Failed(ErrorCode),
}

impl PartitionFetch {
    /// Bytes of records it gives; of what is not in memory, as much as was asked for.
    pub fn len(&self) -> usize {
        match self {
            PartitionFetch::Read(read) => read.len,
            PartitionFetch::Failed(_) => 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An answer that must not wait: an error, or directions for the client.
    fn is_urgent(&self) -> bool {
        match self {
            PartitionFetch::Read(read) => read.diverging.is_some(),
            PartitionFetch::Failed(_) => true,
        }
    }

    fn is_cold(&self) -> bool {
        matches!(self, PartitionFetch::Read(read) if read.plan.is_some())
    }

    /// Brings the records into memory and takes them. Blocks on the disk.
    fn load(self, isolation: Isolation) -> Self {
        let PartitionFetch::Read(mut read) = self else { return self };
        match read.plan.take().map(|mut plan| plan.load().and_then(|()| read.take(plan, isolation))) {
            None | Some(Ok(())) => PartitionFetch::Read(read),
            Some(Err(error)) => PartitionFetch::Failed(read.partition.read_failed(&error)),
        }
    }
}

/// Reads every partition of the plan as far as the limits allow. Never waits for the disk.
pub fn read(replicas: &ReplicaManager, plan: &FetchPlan, limits: FetchLimits) -> Vec<PartitionFetch> {
    let mut left = limits.max_bytes;
    let mut first = true;
    let read = |wanted: &FetchPartition| {
        let partition = match find(replicas, wanted) {
            Ok(partition) => partition,
            Err(code) => return PartitionFetch::Failed(code),
        };
        let request = ReadRequest {
            offset: wanted.fetch_offset,
            max_bytes: left.min(wanted.max_bytes.max(0) as usize),
            at_least_one_batch: first,
            current_leader_epoch: wanted.current_leader_epoch,
            last_fetched_epoch: wanted.last_fetched_epoch,
            isolation: limits.isolation,
        };
        let fetched = partition.read(&request).map_or_else(PartitionFetch::Failed, |read| PartitionFetch::Read(Box::new(read)));
        left = left.saturating_sub(fetched.len());
        first &= fetched.is_empty();
        fetched
    };
    plan.partitions.iter().map(read).collect()
}

/// Whether a fetch that read this may be answered now.
pub fn is_enough(fetched: &[PartitionFetch], limits: FetchLimits) -> bool {
    let bytes: usize = fetched.iter().map(PartitionFetch::len).sum();
    fetched.is_empty() || bytes >= limits.min_bytes || fetched.iter().any(PartitionFetch::is_urgent)
}

/// Waits until the fetch has enough or `max_wait` is over, and reads.
pub async fn wait(replicas: &ReplicaManager, plan: &FetchPlan, limits: FetchLimits, max_wait: Duration) -> Vec<PartitionFetch> {
    let deadline = Instant::now() + max_wait;
    let signal = Arc::new(Signal::default());
    loop {
        let watch = Watch::new(replicas, plan, limits, &signal);
        let fetched = read(replicas, plan, limits);
        if is_enough(&fetched, limits) {
            return fetched;
        }
        if timeout_at(deadline, signal.raised()).await.is_err() {
            return read(replicas, plan, limits);
        }
        drop(watch);
    }
}

/// Brings what was found but is not in memory there: on the pool for blocking work, so that no other connection waits for the disk.
pub async fn load(fetched: Vec<PartitionFetch>, isolation: Isolation) -> Vec<PartitionFetch> {
    if is_resident(&fetched) {
        return fetched;
    }
    let load = move || fetched.into_iter().map(|fetch| fetch.load(isolation)).collect();
    match tokio::task::spawn_blocking(load).await {
        Ok(fetched) => fetched,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// Whether all of it is in memory.
pub fn is_resident(fetched: &[PartitionFetch]) -> bool {
    !fetched.iter().any(PartitionFetch::is_cold)
}

/// The partition a fetch names; by id, an unknown one has its own error (KIP-516).
fn find(replicas: &ReplicaManager, wanted: &FetchPartition) -> Result<Arc<Partition>, ErrorCode> {
    let topic = match wanted.topic.id.is_nil() {
        false => replicas.topic_by_id(wanted.topic.id).ok_or(ErrorCode::UnknownTopicId)?,
        true => wanted.topic.name.as_deref().and_then(|n| replicas.topic(n)).ok_or(ErrorCode::UnknownTopicOrPartition)?,
    };
    topic.partition_or_error(wanted.partition)
}

/// The places of a waiting fetch in the partitions it waits for; given up on drop.
struct Watch {
    places: Vec<(Arc<Partition>, Isolation, Ticket)>,
}

impl Watch {
    fn new(replicas: &ReplicaManager, plan: &FetchPlan, limits: FetchLimits, signal: &Arc<Signal>) -> Self {
        let partitions = plan.partitions.iter().filter_map(|wanted| find(replicas, wanted).ok());
        let places = partitions.map(|partition| {
            let ticket = partition.watch_readable(limits.isolation, signal.clone());
            (partition, limits.isolation, ticket)
        });
        Self { places: places.collect() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for (partition, isolation, ticket) in &self.places {
            partition.unwatch_readable(*isolation, *ticket);
        }
    }
}
