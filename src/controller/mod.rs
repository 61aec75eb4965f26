//! The control plane's decisions. Everything but `driver.rs` and `handle.rs` is pure: a [`Controller`] looks at a draft of the metadata, the time and
//! a request, and returns a [`Decision`]: records to write and the response to send once they are committed. One file a concern, named as in
//! Kafka's controller where it has a name.
//!
//! Lifecycle: [`handle::start`] gives the quorum and the driver a thread of their own; the driver claims leadership, then works in rounds:
//! all requests that wait are decided on one draft, their records are proposed as one batch, and their responses leave once it is applied.
//!
//! Invariant: no response tells of a state that a crash could undo.

mod activation;
mod broker_heartbeat_manager;
mod broker_heartbeats;
mod broker_registration;
mod config_rules;
mod create_topics;
mod decision;
mod delete_topics;
mod driver;
mod features;
mod handle;
mod leader_and_isr;
mod partition_change;
mod placement;
mod random;
mod round;
#[cfg(test)]
mod testing;
mod topic_name;

use std::time::Duration;

pub use activation::bootstrap_features;
pub use config_rules::{Asked, ConfigRules, Pairs, TopicRules};
pub use decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP};
pub use features::supported_features;
pub use handle::{ControllerHandle, ControllerOptions, RunningController, StartedController, start};
pub use topic_name::{CLUSTER_METADATA_TOPIC, validate as validate_topic_name};

use crate::base::ids::BrokerId;
use crate::base::time::Mono;
use crate::metadata::{MetadataImage, MetadataRecord, ResourceType};
use broker_heartbeat_manager::BrokerHeartbeatManager;
use random::Random;

/// What the controller is configured with.
#[derive(Clone)]
pub struct ControllerConfig {
    pub node_id: BrokerId,
    /// `num.partitions`
    pub default_num_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i16,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
    /// `broker.session.timeout.ms`
    pub session_timeout: Duration,
    pub rules: ConfigRules,
}

/// The active controller: what it decides with beside the image. All of this is soft: a new controller starts without it.
pub struct Controller {
    config: ControllerConfig,
    heartbeats: BrokerHeartbeatManager,
    random: Random,
}

impl Controller {
    /// A controller that has just claimed leadership: every registered broker gets a full session to be heard of.
    pub fn new(config: ControllerConfig, seed: u128, image: &MetadataImage, now: Mono) -> Self {
        let mut heartbeats = BrokerHeartbeatManager::new(config.session_timeout);
        for broker in image.brokers().values() {
            heartbeats.register(broker.id, broker.fenced, now);
        }
        Self { config, heartbeats, random: Random::new(seed) }
    }

    /// Must see every record this controller decided on, as it is applied to the draft.
    pub fn observe(&mut self, record: &MetadataRecord, draft: &MetadataImage, now: Mono) {
        match record {
            MetadataRecord::RegisterBroker(broker) => self.heartbeats.register(broker.id, broker.fenced, now),
            MetadataRecord::BrokerRegistrationChange { broker_id, .. } => {
                if let Some(broker) = draft.broker(*broker_id) {
                    self.heartbeats.register(*broker_id, broker.fenced, now);
                }
            }
            MetadataRecord::UnregisterBroker { broker_id, .. } => self.heartbeats.remove(*broker_id),
            _ => {}
        }
    }

    /// The next moment at which [`on_time`](Self::on_time) has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.heartbeats.next_check()
    }

    /// Fences one broker whose session has expired, so that its effects are seen before the next is looked at.
    pub fn on_time(&mut self, draft: &MetadataImage, now: Mono) -> Decision<()> {
        let mut records = Vec::new();
        if let Some(stale) = self.heartbeats.find_one_stale(now) {
            tracing::info!(broker = stale, "fencing a broker because its session has timed out");
            self.fence(draft, stale, &mut records);
            self.heartbeats.fence(stale);
        }
        Decision::divisible(records, ())
    }

    fn topic_rules(&self, draft: &MetadataImage, topic: &str) -> TopicRules {
        (self.config.rules.topic)(draft.configs().get(ResourceType::Topic, topic))
    }
}
