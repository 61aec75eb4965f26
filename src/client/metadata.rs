//! What a cluster consists of, as one answer to a Metadata request has it. Pure.

use std::collections::BTreeMap;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

use super::address::Address;
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, LeaderEpoch, NO_LEADER, TopicId};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMetadata {
    pub cluster_id: Option<String>,
    /// The broker that takes administrative requests.
    pub controller: Option<BrokerId>,
    pub brokers: BTreeMap<BrokerId, Broker>,
    pub topics: BTreeMap<String, Topic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub address: Address,
    pub rack: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// Nil where the broker is too old to have ids.
    pub id: TopicId,
    pub internal: bool,
    pub error: Option<ErrorCode>,
    /// In the order of their numbers.
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    pub partition: i32,
    pub error: Option<ErrorCode>,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub offline: Vec<BrokerId>,
}

impl Partition {
    /// Whether a replica has fallen behind.
    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }
}

impl ClusterMetadata {
    pub fn new(response: MetadataResponse) -> Self {
        let broker = |b: &kafka_protocol::messages::metadata_response::MetadataResponseBroker| Broker {
            // A port that is none cannot be connected to, which will be said when it is tried.
            address: Address::new(&*b.host, u16::try_from(b.port).unwrap_or(0)),
            rack: b.rack.as_ref().map(|rack| rack.to_string()),
        };
        Self {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller: Some(response.controller_id.0).filter(|id| *id != NO_LEADER),
            brokers: response.brokers.iter().map(|b| (b.node_id.0, broker(b))).collect(),
            topics: response.topics.into_iter().map(Topic::new).map(|topic| (topic.name.clone(), topic)).collect(),
        }
    }
}

impl Topic {
    fn new(topic: MetadataResponseTopic) -> Self {
        let mut partitions: Vec<_> = topic.partitions.into_iter().map(Partition::new).collect();
        partitions.sort_by_key(|partition| partition.partition);
        Self {
            name: topic.name.map(|name| name.0.to_string()).unwrap_or_default(),
            id: topic.topic_id,
            internal: topic.is_internal,
            error: topic.error_code.err(),
            partitions,
        }
    }
}

impl Partition {
    fn new(partition: MetadataResponsePartition) -> Self {
        let ids = |ids: Vec<kafka_protocol::messages::BrokerId>| ids.into_iter().map(|id| id.0).collect();
        Self {
            partition: partition.partition_index,
            error: partition.error_code.err(),
            leader: Some(partition.leader_id.0).filter(|id| *id != NO_LEADER),
            leader_epoch: partition.leader_epoch,
            replicas: ids(partition.replica_nodes),
            isr: ids(partition.isr_nodes),
            offline: ids(partition.offline_replicas),
        }
    }
}
