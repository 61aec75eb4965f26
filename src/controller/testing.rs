//! A controller with brokers, for tests.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerRegistrationRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::*;
use crate::metadata::{BrokerRegistration, ConfigMap, MetadataDelta, MetadataImage, VersionRange, testing::broker};

/// Brokers as (id, rack, fenced).
pub fn image_with_brokers(brokers: impl IntoIterator<Item = (i32, Option<String>, bool)>) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (id, rack, fenced) in brokers {
        let registration = BrokerRegistration { rack: rack.map(Arc::from), fenced, ..broker(id) };
        apply(&mut image, &[MetadataRecord::RegisterBroker(Box::new(registration))]);
    }
    image
}

pub fn apply(image: &mut MetadataImage, records: &[MetadataRecord]) {
    let mut delta = MetadataDelta::default();
    for record in records {
        image.replay(record, &mut delta).unwrap();
    }
}

/// Rules that take every key but "bad", and read the two that matter.
pub fn rules() -> ConfigRules {
    ConfigRules {
        new_topic: Arc::new(|asked| {
            let nulls: Vec<&str> = asked.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| *key).collect();
            if !nulls.is_empty() {
                let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
                return Err(ApiError::new(crate::base::ErrorCode::InvalidConfig, message));
            }
            match asked.iter().find(|(key, _)| *key == "bad") {
                Some(_) => Err(ApiError::new(crate::base::ErrorCode::InvalidConfig, "Unknown topic config name: bad")),
                None => Ok(asked.iter().filter_map(|(key, value)| Some(((*key).into(), (*value)?.into()))).collect()),
            }
        }),
        describe_topic: Arc::new(|_| Vec::new()),
        topic: Arc::new(|configs: &ConfigMap| TopicRules {
            min_insync_replicas: configs.get("min.insync.replicas").map_or(1, |v| v.parse().unwrap()),
            unclean_leader_election: configs.get("unclean.leader.election.enable") == Some("true"),
        }),
    }
}

pub fn config() -> ControllerConfig {
    ControllerConfig {
        node_id: 1,
        default_num_partitions: 1,
        default_replication_factor: 1,
        delete_topic_enable: true,
        session_timeout: Duration::from_secs(9),
        rules: rules(),
    }
}

pub fn cluster_id() -> Uuid {
    Uuid::from_u128(0x1234_5678_0000_4000_8000_0000_0000_0001)
}

pub fn registration(id: i32, cluster_id: &str, incarnation: u128) -> BrokerRegistrationRequest {
    let feature = |(name, range): &(&'static str, VersionRange)| {
        Feature::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_supported_version(range.min)
            .with_max_supported_version(range.max)
    };
    BrokerRegistrationRequest::default()
        .with_broker_id(id.into())
        .with_cluster_id(StrBytes::from_string(cluster_id.to_owned()))
        .with_incarnation_id(Uuid::from_u128(incarnation))
        .with_features(supported_features().iter().map(feature).collect())
        .with_log_dirs(vec![Uuid::from_u128(500 + id as u128)])
        .with_previous_broker_epoch(-1)
}

pub fn heartbeat(id: i32, epoch: i64, metadata_offset: i64) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest::default()
        .with_broker_id(id.into())
        .with_broker_epoch(epoch)
        .with_current_metadata_offset(metadata_offset)
}
