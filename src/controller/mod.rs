//! The control plane's decisions. Everything but `driver.rs` and `handle.rs` is pure: a [`Controller`] looks at a draft of the metadata, the time and
//! a request, and returns a [`Decision`]: records to write and the response to send once they are committed. One file a concern, named as in
//! Kafka's controller where it has a name.
//!
//! Lifecycle: [`handle::start`] gives the quorum and the driver a thread of their own; the driver claims leadership, then works in rounds:
//! all requests that wait are decided on one draft, their records are proposed as one batch, and their responses leave once it is applied.
//!
//! Invariant: no response tells of a state that a crash could undo.

mod activation;
mod alter_partition;
mod broker_heartbeat_manager;
mod broker_heartbeats;
mod broker_registration;
mod configs;
mod create_partitions;
mod create_topics;
mod decision;
mod delete_topics;
mod describe_quorum;
mod directories;
mod driver;
mod elections;
mod features;
mod handle;
mod leader_and_isr;
mod partition_change;
mod placement;
mod producer_ids;
mod random;
mod reassignments;
mod round;
#[cfg(test)]
mod invariant_tests;
#[cfg(test)]
mod testing;
mod topic_name;

use std::sync::Arc;
use std::time::Duration;

pub use decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP};
pub use handle::{ControllerHandle, ControllerOptions, RunningController, StartedController, start};
pub use topic_name::{CLUSTER_METADATA_TOPIC, validate as validate_topic_name};

use crate::base::ids::BrokerId;
use crate::base::time::Mono;
use crate::config::{BrokerConfig, Overrides, Settings, TopicConfig};
use crate::metadata::{MetadataImage, MetadataRecord, ResourceType};
use broker_heartbeat_manager::BrokerHeartbeatManager;
use configs::{MIN_INSYNC_REPLICAS, UNCLEAN_LEADER_ELECTION, overrides};
use elections::ELECTION_INTERVAL;
use random::Random;

/// What decisions must know of a topic's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TopicRules {
    min_insync_replicas: i32,
    unclean_leader_election: bool,
}

/// The active controller: what it decides with beside the image. All of this is soft: a new controller starts without it.
pub struct Controller {
    node_id: BrokerId,
    /// What the node was started with.
    started_with: Arc<Settings>,
    /// The same with the dynamic values of the draft.
    settings: Settings,
    config: BrokerConfig,
    /// For topics that say nothing else.
    topic_defaults: TopicRules,
    heartbeats: BrokerHeartbeatManager,
    random: Random,
    next_election: Mono,
}

impl Controller {
    /// A controller that has just claimed leadership: every registered broker gets a full session to be heard of.
    pub fn new(started_with: Arc<Settings>, seed: u128, image: &MetadataImage, now: Mono) -> Self {
        let config = BrokerConfig::of(&started_with);
        let session_timeout = Duration::from_millis(config.replication.broker_session_timeout_ms.max(0) as u64);
        let mut heartbeats = BrokerHeartbeatManager::new(session_timeout);
        for broker in image.brokers().values() {
            heartbeats.register(broker.id, broker.fenced, now);
        }
        let mut controller = Self {
            node_id: config.node.node_id,
            settings: Settings::clone(&started_with),
            started_with,
            config,
            topic_defaults: TopicRules { min_insync_replicas: 1, unclean_leader_election: false },
            heartbeats,
            random: Random::new(seed),
            next_election: now + ELECTION_INTERVAL,
        };
        controller.load_settings(image);
        controller
    }

    /// Must see every record this controller decided on, after they were applied to the draft.
    pub fn observe(&mut self, record: &MetadataRecord, draft: &MetadataImage, now: Mono) {
        match record {
            MetadataRecord::RegisterBroker(broker) => self.heartbeats.register(broker.id, broker.fenced, now),
            MetadataRecord::BrokerRegistrationChange { broker_id, .. } => {
                if let Some(broker) = draft.broker(*broker_id) {
                    self.heartbeats.register(*broker_id, broker.fenced, now);
                }
            }
            MetadataRecord::UnregisterBroker { broker_id, .. } => self.heartbeats.remove(*broker_id),
            MetadataRecord::Config { resource, key, .. } => {
                if resource.kind == ResourceType::Broker {
                    self.load_settings(draft);
                }
                if **key == *UNCLEAN_LEADER_ELECTION {
                    // Leaderless partitions may get a leader now.
                    self.next_election = now;
                }
            }
            _ => {}
        }
    }

    /// The next moment at which [`on_time`](Self::on_time) has something to do.
    pub fn next_deadline(&self) -> Mono {
        self.heartbeats.next_check().map_or(self.next_election, |check| check.min(self.next_election))
    }

    /// Fences one broker whose session has expired, so that its effects are seen before the next is looked at; or else elects leaders where
    /// a better one is at hand.
    pub fn on_time(&mut self, draft: &MetadataImage, now: Mono) -> Decision<()> {
        let mut records = Vec::new();
        if let Some(stale) = self.heartbeats.find_one_stale(now) {
            tracing::info!(broker = stale, "fencing a broker because its session has timed out");
            self.fence(draft, stale, &mut records);
            self.heartbeats.fence(stale);
        } else if self.next_election <= now {
            let all = self.elect_unasked(draft, &mut records);
            self.next_election = if all { now + ELECTION_INTERVAL } else { now };
        }
        Decision::divisible(records, ())
    }

    fn load_settings(&mut self, image: &MetadataImage) {
        let of = |name: &str| overrides(image.configs().get(ResourceType::Broker, name));
        let (settings, problems) = self.started_with.with_dynamic(&of(""), &of(&self.node_id.to_string()));
        for problem in problems {
            tracing::warn!(%problem, "a dynamic value cannot be used");
        }
        self.config = BrokerConfig::of(&settings);
        let defaults = TopicConfig::resolve(&settings, &Overrides::new());
        self.topic_defaults = TopicRules {
            min_insync_replicas: defaults.min_insync_replicas,
            unclean_leader_election: defaults.unclean_leader_election,
        };
        self.settings = settings;
    }

    fn topic_rules(&self, draft: &MetadataImage, topic: &str) -> TopicRules {
        let configs = draft.configs().get(ResourceType::Topic, topic);
        let min_isr = configs.get(MIN_INSYNC_REPLICAS).and_then(|text| text.trim().parse().ok());
        let unclean = configs.get(UNCLEAN_LEADER_ELECTION).map(|text| text.trim().eq_ignore_ascii_case("true"));
        TopicRules {
            min_insync_replicas: min_isr.unwrap_or(self.topic_defaults.min_insync_replicas),
            unclean_leader_election: unclean.unwrap_or(self.topic_defaults.unclean_leader_election),
        }
    }
}
