//! What a request can reach: the parts of a running broker.
//!
//! Nothing here decides: parts are handed to handlers, which call them.

pub mod background;
pub mod cleaning;
pub mod effective;
pub mod endpoints;
pub mod groups;
pub mod lifecycle;
pub mod markers;
pub mod metadata_cache;
pub mod producer_ids;
pub mod publisher;
pub mod topics;
pub mod transactions;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::Guard;
use parking_lot::Mutex;
use uuid::Uuid;

use self::effective::Effective;
use self::endpoints::Endpoints;
use self::metadata_cache::MetadataCache;
use self::producer_ids::ProducerIds;
use crate::base::ids::BrokerId;
use crate::base::logging::Logging;
use crate::base::time::Clock;
use crate::config::BrokerConfig;
use crate::controller::ControllerHandle;
use crate::coordinator::group::coordinator::GroupCoordinator;
use crate::coordinator::transaction::coordinator::TransactionCoordinator;
use crate::metrics::Metrics;
use crate::replica::fetch_session::FetchSessionCache;
use crate::replica::manager::ReplicaManager;
use crate::storage::cleaner::LogCleaner;

pub struct Broker {
    pub id: BrokerId,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// The log of this process, if it is this broker's to change.
    pub logging: Option<Arc<Logging>>,
    pub effective: Arc<Effective>,
    pub endpoints: Endpoints,
    pub metadata: MetadataCache,
    pub controller: ControllerHandle,
    pub replicas: ReplicaManager,
    pub cleaner: LogCleaner,
    pub fetch_sessions: Mutex<FetchSessionCache>,
    pub producer_ids: ProducerIds,
    pub groups: GroupCoordinator,
    pub transactions: TransactionCoordinator,
    /// Held by whoever makes metadata true on this broker.
    pub following: Mutex<()>,
    /// Whether this broker follows all that was decided before it joined its cluster. Until then, what it does not know may exist.
    pub joined: AtomicBool,
}

impl Broker {
    /// The configuration in force, dynamic values included.
    pub fn config(&self) -> Guard<Arc<BrokerConfig>> {
        self.effective.config()
    }

    /// A random number, for ids that must not be guessed or collide.
    pub fn random_i32(&self) -> i32 {
        Uuid::new_v4().as_fields().0 as i32
    }
}
