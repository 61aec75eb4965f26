//! What a request can reach: the parts of a running broker.
//!
//! Nothing here decides: parts are handed to handlers, which call them.

pub mod effective;
pub mod metadata_cache;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::Guard;
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;

use self::effective::Effective;
use self::metadata_cache::MetadataCache;
use crate::base::ids::BrokerId;
use crate::base::time::Clock;
use crate::config::broker::BrokerConfig;
use crate::config::listeners::AdvertisedHost;
use crate::controller::ControllerHandle;
use crate::metadata::{Endpoint, MetadataImage};
use crate::replica::fetch_session::FetchSessionCache;
use crate::replica::manager::ReplicaManager;

pub struct Broker {
    pub id: BrokerId,
    pub clock: Clock,
    pub effective: Effective,
    pub metadata: MetadataCache,
    pub controller: ControllerHandle,
    pub replicas: ReplicaManager,
    pub fetch_sessions: Mutex<FetchSessionCache>,
}

impl Broker {
    /// The configuration in force, dynamic values included.
    pub fn config(&self) -> Guard<Arc<BrokerConfig>> {
        self.effective.config()
    }
}
