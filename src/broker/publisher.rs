//! How a change of metadata becomes true on this broker, in one order: configuration, partitions, coordinators, and at last what clients
//! are told.
//!
//! Invariants: changes are applied one after the other, in the order of the metadata log, none left out; a client is told only what the
//! broker already does. Creating and deleting logs waits for the disk, so all of this has a thread of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_protocol::protocol::StrBytes;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Broker;
use super::groups::group_config;
use super::markers;
use super::topics::{CONSUMER_OFFSETS, TRANSACTION_STATE, is_internal};
use super::transactions::transaction_config;
use crate::base::ids::TopicId;
use crate::coordinator::group::request::DeletedTopic;
use crate::coordinator::partition_log::PartitionLog;
use crate::metadata::{MetadataImage, ResourceType, TRANSACTION_VERSION, TopicImage};
use crate::quorum::MetadataChange;
use crate::replica::manager::Applied;

/// Applies changes until the controller ends.
pub fn run(broker: &Arc<Broker>, mut changes: UnboundedReceiver<MetadataChange>) {
    let mut first = true;
    while let Some(change) = changes.blocking_recv() {
        publish(broker, &change);
        if first {
            broker.replicas.tell_of_strays();
            first = false;
        }
    }
}

fn publish(broker: &Arc<Broker>, change: &MetadataChange) {
    let MetadataChange { old, new, delta } = change;
    let configured = delta.configs.iter().any(|resource| resource.kind == ResourceType::Broker);
    if configured {
        broker.effective.follow(new);
        broker.replicas.logs.set_min_free_bytes(broker.config().log_upkeep.dir_min_free_bytes.max(0) as u64);
        broker.replicas.logs.set_threads_per_dir(broker.config().log_upkeep.num_recovery_threads_per_data_dir.max(1) as usize);
        let expiration = i64::from(broker.config().log_upkeep.producer_id_expiration_ms);
        broker.replicas.logs.settings().producer_id_expiration_ms.store(expiration, Ordering::Relaxed);
        let verifies = broker.config().transaction.partition_verification_enable;
        broker.replicas.logs.settings().transaction_verification.store(verifies, Ordering::Relaxed);
        broker.groups.reconfigure(group_config(&broker.config()));
    }
    let transaction_version = new.feature_level(TRANSACTION_VERSION);
    if configured || transaction_version != old.feature_level(TRANSACTION_VERSION) {
        broker.transactions.reconfigure(transaction_config(&broker.config(), transaction_version));
    }
    let mut touched: Vec<TopicId> = delta.topics.keys().copied().collect();
    if configured {
        // Broker keys are the defaults of topic keys.
        touched = new.topics().iter_by_id().map(|t| t.id).chain(touched).collect();
    }
    let renamed = delta.configs.iter().filter(|resource| resource.kind == ResourceType::Topic);
    touched.extend(renamed.filter_map(|resource| new.topics().id_of(&resource.name)));
    let mut deleted = Vec::new();
    for id in touched {
        deleted.extend(follow_topic(broker, old, new, id));
    }
    if !deleted.is_empty() {
        broker.groups.on_topics_deleted(deleted);
    }
    broker.metadata.show(new.clone());
}

/// Follows one topic; gives it back if it was deleted.
fn follow_topic(broker: &Arc<Broker>, old: &MetadataImage, new: &MetadataImage, id: TopicId) -> Option<DeletedTopic> {
    let now = broker.clock.wall_ms();
    if let Some(topic) = new.topic_by_id(id) {
        count_isr_changes(broker, old, topic);
        let config = broker.effective.topic(new, &topic.name);
        // What this broker hears of before it has joined, was decided before, and may have been so before it was started.
        let is_new = broker.joined.load(Ordering::Acquire);
        let applied = broker.replicas.apply(topic, is_internal(&topic.name), config, is_new, now);
        match &*topic.name {
            CONSUMER_OFFSETS => follow_offsets_topic(broker, topic, applied),
            TRANSACTION_STATE => follow_transaction_topic(broker, topic, applied),
            _ => {}
        }
        return None;
    }
    let gone = old.topic_by_id(id)?;
    broker.replicas.delete(id, now);
    for partition in 0..gone.partitions.len() as i32 {
        match &*gone.name {
            CONSUMER_OFFSETS => broker.groups.on_resigned(partition, None),
            TRANSACTION_STATE => broker.transactions.on_resigned(partition, None),
            _ => break,
        }
    }
    Some(DeletedTopic { name: StrBytes::from_string(gone.name.to_string()), id })
}

fn count_isr_changes(broker: &Broker, old: &MetadataImage, topic: &TopicImage) {
    let Some(before) = old.topic_by_id(topic.id) else { return };
    for (number, after) in topic.iter().filter(|(_, partition)| partition.leader == broker.id) {
        if let Some(before) = before.partition(number) {
            broker.metrics.isr.changed(before.isr.len(), after.isr.len());
        }
    }
}

/// Shards of the group coordinator follow the leadership of their partitions.
fn follow_offsets_topic(broker: &Broker, topic: &TopicImage, applied: Applied) {
    broker.groups.set_partitions(topic.partitions.len() as i32);
    for partition in applied.resigned {
        broker.groups.on_resigned(partition, topic.partition(partition).map(|p| p.leader_epoch));
    }
    for (number, leader_epoch) in applied.elected {
        if let Some(partition) = broker.replicas.partition(&topic.name, number) {
            broker.groups.on_elected(number, leader_epoch, Arc::new(PartitionLog(partition)));
        }
    }
}

/// Likewise those of the transaction coordinator, each with a task that does its work.
fn follow_transaction_topic(broker: &Arc<Broker>, topic: &TopicImage, applied: Applied) {
    broker.transactions.set_partitions(topic.partitions.len() as i32);
    for partition in applied.resigned {
        broker.transactions.on_resigned(partition, topic.partition(partition).map(|p| p.leader_epoch));
    }
    for (number, leader_epoch) in applied.elected {
        let Some(partition) = broker.replicas.partition(&topic.name, number) else { continue };
        if let Some(shard) = broker.transactions.on_elected(number, leader_epoch, Arc::new(PartitionLog(partition))) {
            tokio::spawn(markers::run(broker.clone(), shard));
        }
    }
}
