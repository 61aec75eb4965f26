//! A controller with brokers, for tests.

use std::sync::Arc;

use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, CreateTopicsRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::*;
use crate::config::Inputs;
use crate::metadata::features::SUPPORTED;
use crate::metadata::{BrokerRegistration, MetadataDelta, MetadataImage, RecordBatch, testing::broker};

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

/// A controller with its metadata: decisions take effect at once.
pub struct World {
    pub controller: Controller,
    pub image: MetadataImage,
    pub now: Mono,
    /// Everything written, from the first record on.
    pub log: Vec<RecordBatch>,
}

impl World {
    /// A cluster of these brokers, unfenced, with directory 500 + id each.
    pub fn new(brokers: &[i32]) -> Self {
        Self::with_settings(brokers, "")
    }

    pub fn with_settings(brokers: &[i32], file: &str) -> Self {
        let mut image = MetadataImage::default();
        let activation = activation::activation_batch(&image, 1, Uuid::from_u128(7000), 1, 0);
        image.apply(0, &activation, &mut MetadataDelta::default()).unwrap();
        let controller = Controller::new(settings(file), 1, &image, Mono::ZERO);
        let mut world = Self { controller, image, now: Mono::ZERO, log: vec![activation] };
        for id in brokers {
            world.start(*id, 1);
        }
        world
    }

    pub fn cluster_id(&self) -> Arc<str> {
        self.image.cluster().unwrap().cluster_id.clone()
    }

    pub fn take<T>(&mut self, decision: Decision<T>) -> T {
        if !decision.records.is_empty() {
            let batch =
                RecordBatch { claim_epoch: self.image.claim_epoch(), seq: self.image.last_seq() + 1, records: decision.records };
            self.image.apply(self.image.offset() + 1, &batch, &mut MetadataDelta::default()).unwrap();
            for record in &batch.records {
                self.controller.observe(record, &self.image, self.now);
            }
            self.log.push(batch);
        }
        decision.response
    }

    /// Registers a new incarnation of a broker and has it unfenced.
    pub fn start(&mut self, id: i32, incarnation: u128) {
        let request = registration(id, &self.cluster_id(), incarnation)
            .with_previous_broker_epoch(self.image.broker(id).map_or(-1, |b| b.epoch));
        let decision = self.controller.register_broker(&self.image, self.now, &request, broker_registration::Origin::SameProcess);
        assert_eq!(self.take(decision).error_code, 0);
        self.beat(id, false, false);
    }

    pub fn epoch_of(&self, id: i32) -> i64 {
        self.image.broker(id).unwrap().epoch
    }

    pub fn beat(&mut self, id: i32, want_fence: bool, want_shut_down: bool) -> BrokerHeartbeatResponse {
        let request =
            heartbeat(id, self.epoch_of(id), self.image.offset()).with_want_fence(want_fence).with_want_shut_down(want_shut_down);
        let decision = self.controller.broker_heartbeat(&self.image, self.now, &request);
        self.take(decision)
    }

    pub fn create(&mut self, topic: CreatableTopic) -> CreatableTopicResult {
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let decision = self.controller.create_topics(&self.image, &request).unwrap();
        self.take(decision).topics.remove(0)
    }

    /// A topic whose partitions are on these brokers.
    pub fn create_on(&mut self, name: &str, replicas: &[&[i32]]) -> Uuid {
        let assignments = (0..).zip(replicas).map(|(index, ids)| assignment(index, ids)).collect();
        let result = self.create(topic(name).with_num_partitions(-1).with_replication_factor(-1).with_assignments(assignments));
        assert_eq!(result.error_code, 0, "{:?}", result.error_message);
        result.topic_id
    }

    pub fn set(&mut self, kind: ResourceType, name: &str, key: &str, value: &str) {
        let resource = crate::metadata::ConfigResource::new(kind, name);
        let record = MetadataRecord::Config { resource, key: key.into(), value: Some(value.into()) };
        self.take(Decision::atomic(vec![record], ()));
    }

    /// State of a partition in short: `leader@leader_epoch isr elr/last_known partition_epoch`.
    pub fn state(&self, name: &str, partition: i32) -> String {
        let p = self.image.topic(name).unwrap().partition(partition).unwrap();
        let elr = format!("{:?}/{:?}", p.elr(), p.last_known_elr());
        let recovering = if p.recovering { " recovering" } else { "" };
        format!("{}@{} {:?} {elr} {}{recovering}", p.leader, p.leader_epoch, &p.isr[..], p.partition_epoch)
    }
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// One partition, one replica.
pub fn topic(name: &str) -> CreatableTopic {
    CreatableTopic::default().with_name(text(name).into()).with_num_partitions(1).with_replication_factor(1)
}

pub fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
    let ids = brokers.iter().map(|id| (*id).into()).collect();
    CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(ids)
}

pub fn config(key: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig::default().with_name(text(key)).with_value(value.map(text))
}

/// Code and message of a result as one line.
pub fn told(code: i16, message: &Option<StrBytes>) -> String {
    match message {
        Some(message) => format!("{code}: {}", &**message),
        None => code.to_string(),
    }
}
