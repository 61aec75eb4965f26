//! What decisions must know of configuration keys. The keys themselves are declared in `config`.

use std::sync::Arc;

use kafka_protocol::messages::create_topics_response::CreatableTopicConfigs;

use super::decision::ApiError;
use crate::metadata::ConfigMap;

/// Keys and values to store.
pub type Pairs = Vec<(Arc<str>, Arc<str>)>;
/// Keys a client asks for, with their values.
pub type Asked<'a> = [(&'a str, Option<&'a str>)];

#[derive(Clone)]
pub struct ConfigRules {
    /// What to store for a new topic, or why not.
    pub new_topic: Arc<dyn Fn(&Asked<'_>) -> Result<Pairs, ApiError> + Send + Sync>,
    /// Every configuration of a topic with these overrides, as CreateTopics answers it.
    pub describe_topic: Arc<dyn Fn(&Pairs) -> Vec<CreatableTopicConfigs> + Send + Sync>,
    /// `min.insync.replicas` and `unclean.leader.election.enable` of a topic with these overrides.
    pub topic: Arc<dyn Fn(&ConfigMap) -> TopicRules + Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicRules {
    pub min_insync_replicas: i32,
    pub unclean_leader_election: bool,
}
