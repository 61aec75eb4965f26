//! The only way an image moves: record by record.
//!
//! Invariant: replay is a function of image and records alone, so every node that has read the log up to an offset has the same image.
//! The active controller replays its decisions on a draft before it proposes them; an error here after commit therefore means a damaged log
//! or a newer writer, and the node stops rather than diverge.

use std::sync::Arc;

use super::batch::{Applied, RecordBatch};
use super::configs::{ConfigResource, ResourceType};
use super::delta::MetadataDelta;
use super::image::{ClusterInfo, MetadataImage};
use super::record::MetadataRecord;
use crate::base::ids::{BrokerId, Offset, TopicId};

/// A record that does not fit the image it is replayed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("topic id {0} is unknown")]
    UnknownTopic(TopicId),
    #[error("partition {partition} of topic id {topic_id} is unknown")]
    UnknownPartition { topic_id: TopicId, partition: i32 },
    #[error("partition {partition} of topic id {topic_id} is not the next one")]
    PartitionOutOfOrder { topic_id: TopicId, partition: i32 },
    #[error("topic {0} exists already")]
    TopicExists(Arc<str>),
    #[error("partition {partition} of topic id {topic_id}: {broken}")]
    BrokenPartition { topic_id: TopicId, partition: i32, broken: &'static str },
    #[error("broker {broker_id} is not registered with epoch {epoch}")]
    UnknownBroker { broker_id: BrokerId, epoch: i64 },
    #[error("producer ids would go back from {from} to {to}")]
    ProducerIdsGoBack { from: i64, to: i64 },
    #[error("the cluster has an id already")]
    ClusterInitTwice,
}

impl MetadataImage {
    /// Applies a committed batch, or ignores it if a newer controller has taken over. On an error nothing has changed.
    pub fn apply(&mut self, offset: Offset, batch: &RecordBatch, delta: &mut MetadataDelta) -> Result<Applied, ReplayError> {
        self.offset = offset;
        let claims = batch.seq == 0
            && batch.claim_epoch == self.claim_epoch + 1
            && matches!(batch.records.first(), Some(MetadataRecord::ClaimController { epoch, .. }) if *epoch == batch.claim_epoch);
        let follows = batch.seq == self.last_seq + 1 && batch.claim_epoch == self.claim_epoch;
        if !claims && !follows {
            return Ok(Applied::Fenced { epoch: self.claim_epoch });
        }
        let mut next = self.clone();
        for record in &batch.records {
            next.replay(record, delta)?;
        }
        next.last_seq = batch.seq;
        *self = next;
        Ok(Applied::Ok { offset })
    }

    /// Notes that the log has an entry without records here.
    pub fn skip_to(&mut self, offset: Offset) {
        self.offset = offset;
    }

    /// Applies one record. The image's offset is that of the entry the record is in.
    pub fn replay(&mut self, record: &MetadataRecord, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::ClaimController { epoch, controller_id } => {
                self.claim_epoch = *epoch;
                self.last_seq = 0;
                self.controller_id = *controller_id;
                delta.controller = true;
            }
            MetadataRecord::ClusterInit { cluster_id, created_ms } => {
                if self.cluster.is_some() {
                    return Err(ReplayError::ClusterInitTwice);
                }
                self.cluster = Some(Arc::new(ClusterInfo { cluster_id: cluster_id.clone(), created_ms: *created_ms }));
            }
            MetadataRecord::FeatureLevel { name, level } => {
                let features = Arc::make_mut(&mut self.features);
                match level {
                    0 => features.remove(name),
                    level => features.insert(name.clone(), *level),
                };
                delta.features = true;
            }
            MetadataRecord::RegisterBroker(registration) => {
                let mut broker = (**registration).clone();
                if broker.registered_at < 0 {
                    broker.registered_at = self.offset;
                }
                self.next_broker_epoch = self.next_broker_epoch.max(broker.epoch + 1);
                delta.brokers.insert(broker.id);
                Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::new(broker));
            }
            MetadataRecord::BrokerRegistrationChange { broker_id, broker_epoch, fenced, in_controlled_shutdown, log_dirs } => {
                let mut broker = self.broker_with_epoch(*broker_id, *broker_epoch)?;
                broker.fenced = fenced.unwrap_or(broker.fenced);
                broker.in_controlled_shutdown = in_controlled_shutdown.unwrap_or(broker.in_controlled_shutdown);
                if let Some(log_dirs) = log_dirs {
                    broker.log_dirs.clone_from(log_dirs);
                }
                delta.brokers.insert(*broker_id);
                Arc::make_mut(&mut self.brokers).insert(*broker_id, Arc::new(broker));
            }
            MetadataRecord::UnregisterBroker { broker_id, broker_epoch } => {
                self.broker_with_epoch(*broker_id, *broker_epoch)?;
                Arc::make_mut(&mut self.brokers).remove(broker_id);
                delta.brokers.insert(*broker_id);
            }
            MetadataRecord::Topic { topic_id, name } => {
                if self.topics.id_of(name).is_some() || self.topics.by_id(*topic_id).is_some() {
                    return Err(ReplayError::TopicExists(name.clone()));
                }
                self.topics.add_topic(*topic_id, name);
                delta.topics.entry(*topic_id).or_default();
            }
            MetadataRecord::RemoveTopic { topic_id } => {
                let topic = self.topics.remove_topic(*topic_id).ok_or(ReplayError::UnknownTopic(*topic_id))?;
                delta.topics.entry(*topic_id).or_default().partitions.clear();
                if self.configs.remove(ResourceType::Topic, &topic.name) {
                    delta.configs.insert(ConfigResource::topic(topic.name.clone()));
                }
            }
            MetadataRecord::Partition { topic_id, partition, registration } => {
                let (topic_id, partition) = (*topic_id, *partition);
                if let Some(broken) = registration.broken_invariant() {
                    return Err(ReplayError::BrokenPartition { topic_id, partition, broken });
                }
                if !self.topics.add_partition(topic_id, partition, registration.clone()) {
                    return Err(ReplayError::PartitionOutOfOrder { topic_id, partition });
                }
                delta.topics.entry(topic_id).or_default().partitions.insert(partition);
            }
            MetadataRecord::PartitionChange(change) => {
                let (topic_id, partition) = (change.topic_id, change.partition);
                let before = self.topics.by_id(topic_id).and_then(|t| t.partition(partition));
                let merged = before.ok_or(ReplayError::UnknownPartition { topic_id, partition })?.merge(change);
                if let Some(broken) = merged.broken_invariant() {
                    return Err(ReplayError::BrokenPartition { topic_id, partition, broken });
                }
                self.topics.replace_partition(topic_id, partition, merged);
                delta.topics.entry(topic_id).or_default().partitions.insert(partition);
            }
            MetadataRecord::Config { resource, key, value } => {
                self.configs.set(resource, key, value.clone());
                delta.configs.insert(resource.clone());
            }
            MetadataRecord::ProducerIds { next, .. } => {
                if *next <= self.next_producer_id {
                    return Err(ReplayError::ProducerIdsGoBack { from: self.next_producer_id, to: *next });
                }
                self.next_producer_id = *next;
                delta.producer_ids = true;
            }
        }
        Ok(())
    }

    fn broker_with_epoch(&self, broker_id: BrokerId, epoch: i64) -> Result<super::BrokerRegistration, ReplayError> {
        match self.broker(broker_id) {
            Some(broker) if broker.epoch == epoch => Ok((**broker).clone()),
            _ => Err(ReplayError::UnknownBroker { broker_id, epoch }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::testing::{broker, claim, partition, topic};

    fn apply(image: &mut MetadataImage, batch: &RecordBatch) -> Applied {
        image.apply(image.offset() + 1, batch, &mut MetadataDelta::default()).unwrap()
    }

    fn batch(claim_epoch: i32, seq: u64, records: Vec<MetadataRecord>) -> RecordBatch {
        RecordBatch { claim_epoch, seq, records }
    }

    fn feature(level: i16) -> Vec<MetadataRecord> {
        vec![MetadataRecord::FeatureLevel { name: "f".into(), level }]
    }

    #[test]
    fn only_the_next_batch_of_the_current_controller_takes_effect() {
        let mut image = MetadataImage::default();
        assert_eq!(apply(&mut image, &batch(0, 1, feature(1))), Applied::Ok { offset: 0 }, "nobody has claimed yet: epoch 0");
        assert_eq!(apply(&mut image, &claim(1)), Applied::Ok { offset: 1 });
        assert_eq!(apply(&mut image, &batch(1, 1, feature(2))), Applied::Ok { offset: 2 });
        assert_eq!(apply(&mut image, &batch(1, 1, feature(3))), Applied::Fenced { epoch: 1 }, "twice");
        assert_eq!(apply(&mut image, &batch(1, 3, feature(3))), Applied::Fenced { epoch: 1 }, "one was lost");
        assert_eq!(apply(&mut image, &claim(1)), Applied::Fenced { epoch: 1 }, "a claim that lost the race");
        assert_eq!(apply(&mut image, &claim(3)), Applied::Fenced { epoch: 1 }, "a claim of the future");
        assert_eq!(apply(&mut image, &claim(2)), Applied::Ok { offset: 7 });
        assert_eq!(apply(&mut image, &batch(1, 2, feature(3))), Applied::Fenced { epoch: 2 }, "a deposed controller");
        assert_eq!((image.feature_level("f"), image.offset()), (2, 8));
    }

    #[test]
    fn a_batch_with_a_record_that_does_not_fit_changes_nothing() {
        let mut image = MetadataImage::default();
        apply(&mut image, &claim(1));
        let before = image.clone();
        let records = vec![topic(1000, "t"), MetadataRecord::RemoveTopic { topic_id: TopicId::from_u128(1) }];
        let error = image.apply(1, &batch(1, 1, records), &mut MetadataDelta::default());
        assert_eq!(error, Err(ReplayError::UnknownTopic(TopicId::from_u128(1))));
        assert_eq!((image.topics(), image.last_seq()), (before.topics(), before.last_seq()));
    }

    #[test]
    fn removing_a_topic_removes_its_configuration_and_says_so() {
        let mut image = MetadataImage::default();
        let mut delta = MetadataDelta::default();
        let resource = ConfigResource::topic("t");
        let config = MetadataRecord::Config { resource: resource.clone(), key: "k".into(), value: Some("v".into()) };
        for record in [topic(1000, "t"), partition(1000, 0), config] {
            image.replay(&record, &mut delta).unwrap();
        }
        assert_eq!(image.configs_of(&resource).get("k"), Some("v"));
        let mut delta = MetadataDelta::default();
        image.replay(&MetadataRecord::RemoveTopic { topic_id: TopicId::from_u128(1000) }, &mut delta).unwrap();
        assert!(image.configs_of(&resource).is_empty() && delta.configs.contains(&resource));
        assert!(image.topic("t").is_none() && delta.topics.contains_key(&TopicId::from_u128(1000)));
    }

    #[test]
    fn a_change_of_another_incarnation_is_refused() {
        let mut image = MetadataImage::default();
        let mut delta = MetadataDelta::default();
        image.replay(&MetadataRecord::RegisterBroker(Box::new(broker(1))), &mut delta).unwrap();
        let change = |broker_epoch| MetadataRecord::BrokerRegistrationChange {
            broker_id: 1,
            broker_epoch,
            fenced: Some(true),
            in_controlled_shutdown: None,
            log_dirs: None,
        };
        assert_eq!(image.replay(&change(9), &mut delta), Err(ReplayError::UnknownBroker { broker_id: 1, epoch: 9 }));
        assert!(!image.broker(1).unwrap().fenced);
        image.replay(&change(1), &mut delta).unwrap();
        assert!(image.broker(1).unwrap().fenced);
        assert_eq!(image.next_broker_epoch(), 2);
    }

    #[test]
    fn producer_ids_never_go_back() {
        let mut image = MetadataImage::default();
        let ids = |next| MetadataRecord::ProducerIds { broker_id: 1, broker_epoch: 1, next };
        let mut delta = MetadataDelta::default();
        image.replay(&ids(1000), &mut delta).unwrap();
        assert_eq!(image.replay(&ids(1000), &mut delta), Err(ReplayError::ProducerIdsGoBack { from: 1000, to: 1000 }));
        assert_eq!(image.next_producer_id(), 1000);
    }
}
