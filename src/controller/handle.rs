//! How the rest of the node talks to the controller: one method a request, answered once the decision is durable and applied.
//!
//! The controller has a thread with a small runtime of its own: it may wait for the disk there without delaying anybody else, and its own
//! steps need no hops between threads.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterConfigsRequest, AlterConfigsResponse, AlterPartitionRequest,
    AlterPartitionResponse, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeQuorumRequest, DescribeQuorumResponse, ElectLeadersRequest, ElectLeadersResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::Controller;
use super::broker_registration::Origin;
use super::decision::{ApiError, Decision};
use super::describe_quorum::describe_quorum;
use super::driver::{Driver, Submission, not_controller};
use super::round::Decided;
use crate::base::disk::Disk;
use crate::base::time::{Clock, Mono};
use crate::config::{BrokerConfig, Settings};
use crate::metadata::MetadataImage;
use crate::quorum::{MetadataChange, MetadataQuorum, QuorumError, QuorumOptions, VoterNode};

/// Requests that may wait for the controller; whoever comes next waits for a place.
const MAILBOX: usize = 1024;

#[derive(Clone)]
pub struct ControllerOptions {
    /// What the node was started with; dynamic values come from the metadata itself.
    pub settings: Arc<Settings>,
    /// The id a new cluster gets: the one that this node's log directories are marked with.
    pub cluster_id: Uuid,
    /// Directory of the metadata log, used by nothing else.
    pub dir: PathBuf,
    /// Where other controllers reach this one.
    pub node: VoterNode,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub max_bytes_between_snapshots: u64,
    /// `metadata.log.max.snapshot.interval.ms`
    pub max_snapshot_interval: Duration,
}

/// A controller that runs. Dropping this without [`stop`](Self::stop) stops it as well, without waiting.
pub struct StartedController {
    pub handle: ControllerHandle,
    /// Every step of the metadata of this node, in order and without gaps. The first starts from an empty image.
    pub changes: mpsc::UnboundedReceiver<MetadataChange>,
    pub running: RunningController,
}

/// The controller's thread.
pub struct RunningController {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<Result<(), QuorumError>>,
}

impl RunningController {
    /// Finishes the round under way and closes the log.
    pub async fn stop(self) -> Result<(), QuorumError> {
        drop(self.stop);
        self.ended.await.unwrap_or_else(|_| Err(QuorumError::Stopped("its thread has panicked".into())))
    }

    /// Waits until the controller ends by itself, which only a failure makes it do. The node cannot go on without it.
    pub async fn failed(&mut self) -> QuorumError {
        match (&mut self.ended).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => QuorumError::Stopped("it was stopped".into()),
            Err(_) => QuorumError::Stopped("its thread has panicked".into()),
        }
    }
}

/// Opens the metadata log and starts the controller. Returns when the log is open; requests wait until the controller is active.
pub async fn start(options: ControllerOptions, disk: Arc<dyn Disk>, clock: Clock) -> Result<StartedController, QuorumError> {
    let (requests, mailbox) = mpsc::channel(MAILBOX);
    let (stop, stopped) = oneshot::channel();
    let (opened, is_open) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let told = clock.clone();
    let run = async move {
        let quorum_options = QuorumOptions {
            node_id: BrokerConfig::of(&options.settings).node.node_id,
            dir: options.dir,
            node: options.node,
            max_bytes_between_snapshots: options.max_bytes_between_snapshots,
            max_snapshot_interval: options.max_snapshot_interval,
        };
        let quorum = match MetadataQuorum::open(disk, quorum_options, clock.mono()).await {
            Ok(quorum) => quorum,
            Err(error) => return drop(opened.send(Err(error))),
        };
        let published = quorum.publish();
        if opened.send(Ok(published)).is_ok() {
            let driver =
                Driver { quorum, settings: options.settings, cluster_id: options.cluster_id, clock, mailbox, stop: stopped };
            let _ = end.send(driver.run().await);
        }
    };
    let io = |source| QuorumError::Io { op: "start a thread for", path: "the controller".into(), source };
    thread::Builder::new()
        .name("controller".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime without IO only takes memory").block_on(run);
        })
        .map_err(io)?;
    let (images, changes) = is_open.await.map_err(|_| QuorumError::Stopped("its thread has panicked".into()))??;
    let handle = ControllerHandle { requests, clock: told, images };
    Ok(StartedController { handle, changes, running: RunningController { stop, ended } })
}

/// Cheap to clone.
///
/// Every method is answered once what was decided is on the disks of a majority and applied to [`image`](Self::image). Errors of the whole
/// request come as `Err`: NOT_CONTROLLER if this node cannot decide now (the client will retry), and what the decision says.
#[derive(Clone)]
pub struct ControllerHandle {
    requests: mpsc::Sender<Submission>,
    clock: Clock,
    images: watch::Receiver<Arc<MetadataImage>>,
}

impl ControllerHandle {
    /// The newest metadata of this node.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.images.borrow().clone()
    }

    /// Follows [`image`](Self::image).
    pub fn images(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.images.clone()
    }

    pub async fn create_topics(&self, request: CreateTopicsRequest) -> Result<CreateTopicsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| controller.create_topics(draft, &request)).await
    }

    /// `version` is that of the request.
    pub async fn delete_topics(&self, request: DeleteTopicsRequest, version: i16) -> Result<DeleteTopicsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| controller.delete_topics(draft, &request, version)).await
    }

    /// A registration that came over the network.
    pub async fn register_broker(&self, request: BrokerRegistrationRequest) -> Result<BrokerRegistrationResponse, ApiError> {
        self.submit(move |controller, draft, _, now| Ok(controller.register_broker(draft, now, &request, Origin::Network))).await
    }

    /// The registration of the broker in this process: an older incarnation of it is dead.
    pub async fn register_local_broker(
        &self,
        request: BrokerRegistrationRequest,
    ) -> Result<BrokerRegistrationResponse, ApiError> {
        self.submit(move |controller, draft, _, now| Ok(controller.register_broker(draft, now, &request, Origin::SameProcess)))
            .await
    }

    pub async fn broker_heartbeat(&self, request: BrokerHeartbeatRequest) -> Result<BrokerHeartbeatResponse, ApiError> {
        self.submit(move |controller, draft, _, now| Ok(controller.broker_heartbeat(draft, now, &request))).await
    }

    pub async fn create_partitions(&self, request: CreatePartitionsRequest) -> Result<CreatePartitionsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| controller.create_partitions(draft, &request)).await
    }

    pub async fn incremental_alter_configs(
        &self,
        request: IncrementalAlterConfigsRequest,
    ) -> Result<IncrementalAlterConfigsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| controller.incremental_alter_configs(draft, &request)).await
    }

    pub async fn alter_configs(&self, request: AlterConfigsRequest) -> Result<AlterConfigsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| controller.alter_configs(draft, &request)).await
    }

    /// `version` is that of the request.
    pub async fn alter_partition(
        &self,
        request: AlterPartitionRequest,
        version: i16,
    ) -> Result<AlterPartitionResponse, ApiError> {
        self.submit(move |controller, draft, _, _| Ok(controller.alter_partition(draft, &request, version))).await
    }

    pub async fn assign_replicas_to_dirs(
        &self,
        request: AssignReplicasToDirsRequest,
    ) -> Result<AssignReplicasToDirsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| Ok(controller.assign_replicas_to_dirs(draft, &request))).await
    }

    pub async fn elect_leaders(&self, request: ElectLeadersRequest) -> Result<ElectLeadersResponse, ApiError> {
        self.submit(move |controller, draft, _, _| controller.elect_leaders(draft, &request)).await
    }

    pub async fn list_partition_reassignments(
        &self,
        request: ListPartitionReassignmentsRequest,
    ) -> Result<ListPartitionReassignmentsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| Ok(controller.list_partition_reassignments(draft, &request))).await
    }

    pub async fn allocate_producer_ids(
        &self,
        request: AllocateProducerIdsRequest,
    ) -> Result<AllocateProducerIdsResponse, ApiError> {
        self.submit(move |controller, draft, _, _| Ok(controller.allocate_producer_ids(draft, &request))).await
    }

    /// `version` is that of the request.
    pub async fn update_features(
        &self,
        request: UpdateFeaturesRequest,
        version: i16,
    ) -> Result<UpdateFeaturesResponse, ApiError> {
        self.submit(move |controller, draft, _, _| Ok(controller.update_features(draft, &request, version))).await
    }

    pub async fn describe_quorum(&self, request: DescribeQuorumRequest) -> Result<DescribeQuorumResponse, ApiError> {
        let wall_ms = self.clock.wall_ms();
        self.submit(move |_, draft, quorum, _| Ok(Decision::reply(describe_quorum(&request, draft, &quorum.describe(), wall_ms))))
            .await
    }

    pub async fn unregister_broker(&self, request: UnregisterBrokerRequest) -> Result<UnregisterBrokerResponse, ApiError> {
        self.submit(move |controller, draft, _, _| Ok(controller.unregister_broker(draft, &request))).await
    }

    async fn submit<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Controller, &MetadataImage, &MetadataQuorum, Mono) -> Result<Decision<T>, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let submission: Submission = Box::new(move |controller, draft, quorum, now| {
            let (records, atomic, outcome) = match decide(controller, draft, quorum, now) {
                Ok(Decision { records, response, atomic }) => (records, atomic, Ok(response)),
                Err(error) => (Vec::new(), true, Err(error)),
            };
            // Whoever asked may have gone; the decision stands all the same.
            let reply = Box::new(move |committed: Result<(), ApiError>| drop(answer.send(committed.and(outcome))));
            Decided { records, atomic, reply }
        });
        self.requests.send(submission).await.map_err(|_| not_controller())?;
        answered.await.unwrap_or_else(|_| Err(not_controller()))
    }
}

#[cfg(test)]
mod tests;
