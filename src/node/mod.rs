//! The composition root: opens the directories, starts the controller, the broker and its listeners, in an order in which each finds what
//! it needs; and stops them in the reverse order.
//!
//! Start: bind → lock and open the logs → controller → register, catch up, be unfenced → serve.
//! Stop: no new requests → answers under way → controller → what it has decided is applied → logs closed and proven clean.
//!
//! Invariant: logs are closed when nobody makes, changes or deletes any more.

mod data_dirs;
mod error;
mod listening;
mod memory;
mod observe;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use uuid::Uuid;

pub use self::error::StartError;
use self::listening::{bind, listen, serve};
use self::memory::request_memory;
use crate::api::table::APIS;
use crate::base::disk::{Disk, RealDisk};
use crate::base::logging::Logging;
use crate::base::tasks::spawn_vital_thread;
use crate::base::time::Clock;
use crate::broker::effective::Effective;
use crate::broker::endpoints::{Endpoints, registered_host};
use crate::broker::groups::group_config;
use crate::broker::lifecycle::{self, Registration};
use crate::broker::transactions::transaction_config;
use crate::broker::{Broker, background, publisher};
use crate::config::{BrokerConfig, Overrides, Settings, TopicConfig};
use crate::controller::{self, ControllerOptions, RunningController};
use crate::coordinator::group::coordinator::GroupCoordinator;
use crate::coordinator::transaction::coordinator::TransactionCoordinator;
use crate::http::HttpListener;
use crate::metadata::uuid64;
use crate::metrics::Metrics;
use crate::quorum::{QuorumError, VoterNode};
use crate::replica::fetch_session::FetchSessionCache;
use crate::replica::manager::ReplicaManager;
use crate::server::limits::RequestMemory;
use crate::storage::cleaner::LogCleaner;
use crate::storage::{FileCache, LastStop, LogManager, LogManagerConfig, LogSettings, boot_id_of_machine};

/// Directory of the metadata log, in the first data directory. No partition can have this name: it has no number.
const METADATA_DIR: &str = "metadata";
/// A metadata snapshot is due after so many bytes of log, or so much time (Kafka's defaults).
const SNAPSHOT_BYTES: u64 = 20 << 20;
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(3600);

/// A running node.
pub struct Node {
    broker: Arc<Broker>,
    epoch: i64,
    listening: Vec<(String, SocketAddr)>,
    http: Option<SocketAddr>,
    data_dirs: Vec<PathBuf>,
    stop: CancellationToken,
    tasks: TaskTracker,
    controller: Option<RunningController>,
    upkeep: Upkeep,
    publisher: Option<JoinHandle<()>>,
}

struct Upkeep {
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts a node; it serves when this returns.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_logged(settings, None).await
    }

    /// Starts a node that tells of the log of this process, and lets clients change its levels.
    pub async fn start_logged(settings: Settings, logging: Option<Arc<Logging>>) -> Result<Self, StartError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let clock = Clock::system();
        let config = BrokerConfig::of(&settings);
        let data_dirs: Vec<PathBuf> = config.node.data_dirs().iter().map(PathBuf::from).collect();

        let is_new = data_dirs::check(&*disk, &data_dirs)?;

        let metrics = Metrics::new(APIS.iter().map(|api| api.name));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        // An error below must not leave the listener behind.
        let stop_on_error = stop.clone().drop_guard();
        let observed: observe::Place = Arc::new(OnceLock::new());
        let http = match &config.node.http_listener {
            None => None,
            Some(address) => {
                let listener = HttpListener::bind(address).await.map_err(StartError::Http)?;
                let bound = listener.local_addr().map_err(StartError::Http)?;
                let log = logging.as_ref().map(|logging| logging.counts().clone());
                let app = observe::app(&observed, metrics.clone(), log, clock.clone(), config.node.http_metrics_per_partition);
                tasks.spawn(listener.serve(app, stop.clone()));
                Some(bound)
            }
        };
        let bound = bind(&config)?;
        if is_new {
            // First of all, so that a start that was killed is told from a node that lost its metadata. If it fails, opening the logs tells why.
            let _ = disk.create_dir_all(&data_dirs[0].join(METADATA_DIR)).and_then(|()| disk.sync_dir(&data_dirs[0]));
        }
        let (logs, found) = open_logs(&disk, &config, &settings, &data_dirs, clock.wall_ms())?;
        let cluster_id = uuid64::parse(logs.cluster_id()).unwrap_or_else(Uuid::new_v4);
        let controller_options = ControllerOptions {
            settings: Arc::new(settings.clone()),
            cluster_id,
            dir: data_dirs[0].join(METADATA_DIR),
            node: VoterNode::default(),
            max_bytes_between_snapshots: SNAPSHOT_BYTES,
            max_snapshot_interval: SNAPSHOT_INTERVAL,
        };
        let id = config.node.node_id;
        let advertised = config.network.advertised_listeners();
        let previous = logs.previous_run();
        // A killed process left everything it wrote in the page cache: its replicas are as good as after a clean stop.
        let previous_epoch = match previous.stop {
            LastStop::Clean | LastStop::Killed => previous.broker_epoch.unwrap_or(-1),
            LastStop::Lost | LastStop::Foreign => -1,
        };
        let log_dirs = logs.directories().map(|directory| directory.id()).collect();
        let replicas = ReplicaManager::new(id, logs, found, metrics.clone());
        let opened = async {
            let bound = listen(bound)?;
            Ok::<_, StartError>((bound, controller::start(controller_options, disk, clock.clone()).await?))
        };
        let (bound, started) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                // Nothing was written to the logs: if they were closed in order, they still are.
                replicas.close(previous_epoch);
                return Err(error);
            }
        };
        let broker = Arc::new(Broker {
            id,
            clock: clock.clone(),
            metrics: metrics.clone(),
            logging,
            effective: Arc::new(Effective::new(id, settings)),
            endpoints: Endpoints::new(id, &advertised),
            metadata: Default::default(),
            controller: started.handle,
            replicas,
            cleaner: LogCleaner::new(clock.clone(), config.cleaner.clone()),
            fetch_sessions: Mutex::new(FetchSessionCache::new(
                config.network.max_incremental_fetch_session_cache_slots.max(0) as usize
            )),
            producer_ids: Default::default(),
            groups: GroupCoordinator::new(group_config(&config), clock.clone()),
            transactions: TransactionCoordinator::new(transaction_config(&config, 0), clock.clone()),
            following: Mutex::default(),
            joined: false.into(),
        });
        let incarnation_id = Uuid::new_v4();
        let publisher = spawn_vital_thread("metadata-publisher", {
            let broker = broker.clone();
            // Shards of coordinators are tasks: they are spawned from this thread onto the node's runtime.
            let runtime = tokio::runtime::Handle::current();
            move || {
                let _on_runtime = runtime.enter();
                publisher::run(&broker, incarnation_id, started.changes)
            }
        })
        .map_err(StartError::Thread)?;

        let listeners = bound.iter().zip(&advertised).map(|(listener, advertised)| {
            let at = listener.local_addr().map_err(|source| StartError::Bind {
                listener: listener.name().into(),
                address: String::new(),
                source,
            })?;
            Ok((listener.name().to_owned(), registered_host(advertised, at), advertised.port.unwrap_or(at.port())))
        });
        let registration = Registration {
            incarnation_id,
            listeners: listeners.collect::<Result<_, StartError>>()?,
            rack: config.node.broker_rack.clone(),
            log_dirs,
            previous_epoch,
        };
        let timeout = Duration::from_millis(config.replication.initial_broker_registration_timeout_ms.max(1) as u64);
        let joined = tokio::time::timeout(timeout, lifecycle::join(&broker, registration)).await;
        let epoch = joined.map_err(|_| StartError::JoinTimeout(timeout))??;
        broker.replicas.logs.set_broker_epoch(epoch);

        tasks.spawn(lifecycle::keep_alive(broker.clone(), epoch, stop.clone()));
        let (stop_upkeep, stopped) = mpsc::channel();
        let upkeep = spawn_vital_thread("log-upkeep", {
            let broker = broker.clone();
            // Likewise, when it hosts partitions that there was no room for.
            let runtime = tokio::runtime::Handle::current();
            move || {
                let _on_runtime = runtime.enter();
                background::run(&broker, &stopped)
            }
        })
        .map_err(StartError::Thread)?;
        let memory = RequestMemory::new(request_memory(config.network.queued_max_request_bytes));
        let listening = serve(bound, &broker, &config, &memory, &tasks, &stop);
        let _ = observed.set(observe::Observed { broker: broker.clone(), memory, stop: stop.clone() });
        stop_on_error.disarm();
        Ok(Self {
            broker,
            epoch,
            listening,
            http,
            data_dirs,
            stop,
            tasks,
            controller: Some(started.running),
            upkeep: Upkeep { stop: stop_upkeep, thread: Some(upkeep) },
            publisher: Some(publisher),
        })
    }

    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Listener names and the addresses they are bound to.
    pub fn listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    /// Where metrics and health are served, if they are.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    pub fn data_dirs(&self) -> &[PathBuf] {
        &self.data_dirs
    }

    /// Waits until the node cannot go on: the controller has failed.
    pub async fn failed(&mut self) -> QuorumError {
        let Some(controller) = &mut self.controller else { return std::future::pending().await };
        let error = controller.failed().await;
        self.controller = None;
        error
    }

    /// Stops in order, within `shutdown.timeout.ms`.
    pub async fn stop(mut self) {
        let timeout = Duration::from_millis(self.broker.config().node.shutdown_timeout_ms.max(0) as u64);
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(timeout, self.tasks.wait()).await.is_err() {
            warn!(left = self.tasks.len(), "connections were still busy at the end of shutdown.timeout.ms; they are cut off");
        }
        drop(self.upkeep.stop);
        if let Some(controller) = self.controller.take()
            && let Err(error) = controller.stop().await
        {
            warn!(%error, "the controller did not stop in order");
        }
        let (publisher, upkeep) = (self.publisher.take(), self.upkeep.thread.take());
        let (broker, epoch) = (self.broker.clone(), self.epoch);
        let closing = tokio::task::spawn_blocking(move || {
            // Without a controller the publisher ends once it has applied what was decided.
            for thread in [publisher, upkeep].into_iter().flatten() {
                let _ = thread.join();
            }
            broker.groups.shutdown();
            broker.transactions.shutdown();
            broker.replicas.close(epoch)
        });
        match closing.await {
            Ok(true) => info!("all logs are closed"),
            Ok(false) => warn!("some logs were not closed in order; they are checked at the next start"),
            Err(error) => warn!(%error, "closing the logs failed"),
        }
    }
}

fn open_logs(
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
    settings: &Settings,
    data_dirs: &[PathBuf],
    now: i64,
) -> Result<(LogManager, Vec<crate::storage::Log>), StartError> {
    let options = LogManagerConfig {
        log_dirs: data_dirs.to_vec(),
        node_id: config.node.node_id,
        cluster_id: None,
        boot_id: boot_id_of_machine(),
        threads_per_dir: config.log_upkeep.num_recovery_threads_per_data_dir.max(1) as usize,
        open_files: FileCache::capacity_of_process(),
        settings: Arc::new(LogSettings {
            producer_id_expiration_ms: i64::from(config.log_upkeep.producer_id_expiration_ms).into(),
            transaction_verification: config.transaction.partition_verification_enable.into(),
        }),
    };
    // What a topic sets for itself follows with the metadata, before anything is appended.
    let topic_config = Arc::new(TopicConfig::resolve(settings, &Overrides::new()));
    let opened = LogManager::open(disk.clone(), options, &|_| topic_config.clone(), now)?;
    for loss in opened.logs.iter().filter_map(|log| log.loss.as_ref().map(|loss| (log.log.partition(), loss))) {
        warn!(partition = %loss.0, loss = ?loss.1, "recovery had to cut off the end of a log");
    }
    Ok((opened.manager, opened.logs.into_iter().map(|opened| opened.log).collect()))
}
