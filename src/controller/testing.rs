//! A controller with brokers, for tests.

use std::sync::Arc;

use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerRegistrationRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::*;
use crate::config::Inputs;
use crate::metadata::features::SUPPORTED;
use crate::metadata::{BrokerRegistration, MetadataDelta, MetadataImage, testing::broker};

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

/// Settings from lines of `klamm.toml`.
pub fn settings(file: &str) -> Arc<Settings> {
    let file = Some(("klamm.toml".to_owned(), file.to_owned()));
    Arc::new(crate::config::load(Inputs { file, ..Inputs::default() }).unwrap())
}

pub fn registration(id: i32, cluster_id: &str, incarnation: u128) -> BrokerRegistrationRequest {
    let features = SUPPORTED.iter().map(|f| {
        Feature::default()
            .with_name(StrBytes::from_static_str(f.name))
            .with_min_supported_version(f.min)
            .with_max_supported_version(f.max)
    });
    BrokerRegistrationRequest::default()
        .with_broker_id(id.into())
        .with_cluster_id(StrBytes::from_string(cluster_id.to_owned()))
        .with_incarnation_id(Uuid::from_u128(incarnation))
        .with_features(features.collect())
        .with_log_dirs(vec![Uuid::from_u128(500 + id as u128)])
        .with_previous_broker_epoch(-1)
}

pub fn heartbeat(id: i32, epoch: i64, metadata_offset: i64) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest::default()
        .with_broker_id(id.into())
        .with_broker_epoch(epoch)
        .with_current_metadata_offset(metadata_offset)
}
