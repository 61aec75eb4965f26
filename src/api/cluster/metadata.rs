//! Metadata: v0–13. Brokers, topics, partitions and their leaders, as seen through the listener the client came in on.
//!
//! v1 controller, null topics means all (v0: empty) · v4 auto-creation flag (KIP-204; before: always allowed) · v5 offline replicas ·
//! v6 LISTENER_NOT_FOUND · v7 leader epoch · v8–10 authorized operations (KIP-430) · v9 flexible · v10 topic ids · v12 topics by id ·
//! v13 top-level error.
//!
//! A named topic that does not exist is created, where `auto.create.topics.enable` and the client allow it. The answer waits for that,
//! so the client finds its topic at once, where Kafka lets it ask again.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::distinct::distinct;
use crate::api::partition_view::{PartitionView, ids};
use crate::api::reply::Reply;
use crate::api::session::{Context, Session};
use crate::base::ErrorCode;
use crate::base::ids::{NO_LEADER, TopicId};
use crate::broker::topics::is_internal;
use crate::controller::validate_topic_name;
use crate::metadata::{MetadataImage, TopicImage};
use crate::replica::manager::OfflinePartitions;

/// All operations that ACLs know for a topic, as a bit field: READ 3, WRITE 4, CREATE 5, DELETE 6, ALTER 7, DESCRIBE 8,
/// DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11. Without an authorizer everybody may do everything.
pub const ALL_TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Likewise for the cluster: CREATE 5, ALTER 7, DESCRIBE 8, CLUSTER_ACTION 9, DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11, IDEMPOTENT_WRITE 12,
/// CREATE_TOKENS 13, DESCRIBE_TOKENS 14 are known; tokens belong to users.
pub const ALL_CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

pub fn handle(cx: &Context, request: MetadataRequest) -> Reply<MetadataResponse> {
    let version = cx.version();
    let all = match &request.topics {
        None => true,
        Some(topics) => version == 0 && topics.is_empty(),
    };
    // A set in Kafka, too.
    let topics = distinct(request.topics.unwrap_or_default(), |t| (t.topic_id, t.name.clone()));
    if version < 12 && topics.iter().any(|t| t.name.is_none() || !t.topic_id.is_nil()) {
        return Reply::Now(invalid_request(version, &topics));
    }
    let answer = Answer {
        version,
        all,
        topics,
        cluster_operations: request.include_cluster_authorized_operations,
        topic_operations: request.include_topic_authorized_operations,
    };
    let broker = cx.broker();
    let may_create = !all && (version < 4 || request.allow_auto_topic_creation) && broker.config().log.auto_create_topics_enable;
    let missing = if may_create { answer.missing(&broker.metadata.image()) } else { Vec::new() };
    if missing.is_empty() {
        return Reply::Now(answer.build(cx.session, &HashMap::new()));
    }
    let session = cx.session.clone();
    Reply::alone(async move {
        let failed = session.broker.create_missing_topics(missing).await.into_iter().collect();
        answer.build(&session, &failed)
    })
}

/// `MetadataRequest.getErrorResponse` for INVALID_REQUEST.
fn invalid_request(version: i16, topics: &[MetadataRequestTopic]) -> MetadataResponse {
    let code = ErrorCode::InvalidRequest.code();
    let topics = topics.iter().map(|t| {
        let name = t.name.clone().unwrap_or_default();
        MetadataResponseTopic::default().with_error_code(code).with_name(Some(name))
    });
    let response = MetadataResponse::default().with_topics(topics.collect());
    if version >= 13 { response.with_error_code(code) } else { response }
}

struct Answer {
    version: i16,
    all: bool,
    topics: Vec<MetadataRequestTopic>,
    cluster_operations: bool,
    topic_operations: bool,
}

impl Answer {
    /// Topics asked for by a lawful name that do not exist.
    fn missing(&self, image: &MetadataImage) -> Vec<Arc<str>> {
        let named = self.topics.iter().filter(|t| t.topic_id.is_nil()).filter_map(|t| t.name.as_ref());
        let missing = named.filter(|n| image.topic(n).is_none() && validate_topic_name(n).is_ok());
        missing.map(|n| Arc::from(n.as_str())).collect()
    }

    /// `failed` names topics that could not be created, and why.
    fn build(&self, session: &Session, failed: &HashMap<Arc<str>, ErrorCode>) -> MetadataResponse {
        let image = session.broker.metadata.image();
        let offline = session.broker.replicas.offline();
        let alive = session.broker.endpoints.alive(&image, &session.listener, session.local);
        let brokers = alive.into_iter().map(|broker| {
            let response =
                MetadataResponseBroker::default().with_node_id(BrokerId(broker.id)).with_host(broker.host).with_port(broker.port);
            if self.version >= 1 { response.with_rack(broker.rack) } else { response }
        });
        let brokers: Vec<_> = brokers.collect();
        // Any broker takes admin requests, so any may be named as controller.
        let controller = brokers.first().map_or(BrokerId(NO_LEADER), |b| b.node_id);
        let topics = match self.all {
            true => image.topics().iter().map(|t| self.topic(session, &image, &offline, t)).collect(),
            false => self.topics.iter().map(|t| self.requested(session, &image, &offline, t, failed)).collect(),
        };
        let response = MetadataResponse::default().with_brokers(brokers).with_controller_id(controller).with_topics(topics);
        let cluster_id = image.cluster().map(|c| StrBytes::from_string(c.cluster_id.to_string()));
        let response = if self.version >= 2 { response.with_cluster_id(cluster_id) } else { response };
        match (8..=10).contains(&self.version) && self.cluster_operations {
            true => response.with_cluster_authorized_operations(ALL_CLUSTER_OPERATIONS),
            false => response,
        }
    }

    fn requested(
        &self,
        session: &Session,
        image: &MetadataImage,
        offline: &OfflinePartitions,
        asked: &MetadataRequestTopic,
        failed: &HashMap<Arc<str>, ErrorCode>,
    ) -> MetadataResponseTopic {
        if !asked.topic_id.is_nil() {
            return match image.topic_by_id(asked.topic_id) {
                Some(topic) => self.topic(session, image, offline, topic),
                None => self.refused(ErrorCode::UnknownTopicId, None, asked.topic_id),
            };
        }
        let name = asked.name.clone().unwrap_or_default();
        if let Some(topic) = image.topic(&name) {
            return self.topic(session, image, offline, topic);
        }
        let code = match (validate_topic_name(&name), failed.get(name.as_str())) {
            (Err(_), _) => ErrorCode::InvalidTopicException,
            (_, Some(code)) => *code,
            _ => ErrorCode::UnknownTopicOrPartition,
        };
        self.refused(code, Some(name), TopicId::nil())
    }

    fn refused(&self, code: ErrorCode, name: Option<TopicName>, id: TopicId) -> MetadataResponseTopic {
        let internal = self.version >= 1 && name.as_ref().is_some_and(|n| is_internal(n));
        let name = if self.version < 12 { Some(name.unwrap_or_default()) } else { name };
        let topic = MetadataResponseTopic::default().with_error_code(code.code()).with_name(name).with_is_internal(internal);
        if self.version >= 10 { topic.with_topic_id(id) } else { topic }
    }

    fn topic(
        &self,
        session: &Session,
        image: &MetadataImage,
        offline: &OfflinePartitions,
        topic: &TopicImage,
    ) -> MetadataResponseTopic {
        let partitions = topic.iter().map(|(index, partition)| {
            let offline_at = offline.contains(&(topic.id, index)).then_some(session.broker.id);
            self.partition(index, &PartitionView { image, listener: &session.listener, partition, offline_at })
        });
        let mut response = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
            .with_partitions(partitions.collect())
            .with_is_internal(self.version >= 1 && is_internal(&topic.name));
        if self.version >= 10 {
            response.topic_id = topic.id;
        }
        if self.version >= 8 && self.topic_operations {
            response.topic_authorized_operations = ALL_TOPIC_OPERATIONS;
        }
        response
    }

    /// `KRaftMetadataCache.getPartitionMetadata`.
    fn partition(&self, index: i32, view: &PartitionView<'_>) -> MetadataResponsePartition {
        let partition = view.partition;
        // Version 0 has no way to say that a replica is offline, so such replicas are left out.
        let listed = |of: &[i32]| ids(of.iter().copied().filter(|id| self.version > 0 || view.is_alive(*id)));
        let (replicas, isr) = (listed(&partition.replicas), listed(&partition.isr));
        let incomplete = replicas.len() < partition.replicas.len() || isr.len() < partition.isr.len();
        let code = match view.leader() {
            Some(_) if incomplete => Some(ErrorCode::ReplicaNotAvailable),
            Some(_) => None,
            None if view.is_led() && self.version >= 6 => Some(ErrorCode::ListenerNotFound),
            None => Some(ErrorCode::LeaderNotAvailable),
        };
        let mut response = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(view.leader().unwrap_or(BrokerId(NO_LEADER)))
            .with_replica_nodes(replicas)
            .with_isr_nodes(isr);
        if let Some(code) = code {
            response.error_code = code.code();
        }
        if self.version >= 5 {
            response.offline_replicas = view.offline_replicas();
        }
        if self.version >= 7 {
            response.leader_epoch = partition.leader_epoch;
        }
        response
    }
}
