//! How a change of metadata becomes true on this broker, in one order: configuration, partitions, coordinators, and at last what clients
//! are told.
//!
//! Invariants: changes are applied one after the other, in the order of the metadata log, none left out; a client is told only what the
//! broker already does. Creating and deleting logs waits for the disk, so all of this has a thread of its own.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::Broker;
use super::topics::is_internal;
use crate::base::ids::TopicId;
use crate::metadata::{MetadataImage, ResourceType};
use crate::quorum::MetadataChange;

/// Applies changes until the controller ends.
pub fn run(broker: &Broker, mut changes: UnboundedReceiver<MetadataChange>) {
    let mut first = true;
    while let Some(change) = changes.blocking_recv() {
        publish(broker, &change);
        if first {
            broker.replicas.tell_of_strays();
            first = false;
        }
    }
}

fn publish(broker: &Broker, change: &MetadataChange) {
    let MetadataChange { old, new, delta } = change;
    let configured = delta.configs.iter().any(|resource| resource.kind == ResourceType::Broker);
    if configured {
        broker.effective.follow(new);
    }
    let mut touched: Vec<TopicId> = delta.topics.keys().copied().collect();
    if configured {
        // Broker keys are the defaults of topic keys.
        touched = new.topics().iter_by_id().map(|t| t.id).chain(touched).collect();
    }
    let renamed = delta.configs.iter().filter(|resource| resource.kind == ResourceType::Topic);
    touched.extend(renamed.filter_map(|resource| new.topics().id_of(&resource.name)));
    for id in touched {
        follow_topic(broker, old, new, id);
    }
    broker.metadata.show(new.clone());
}

fn follow_topic(broker: &Broker, old: &Arc<MetadataImage>, new: &Arc<MetadataImage>, id: TopicId) {
    let now = broker.clock.wall_ms();
    match new.topic_by_id(id) {
        Some(topic) => {
            let config = broker.effective.topic(new, &topic.name);
            broker.replicas.apply(topic, is_internal(&topic.name), config, now);
        }
        None if old.topic_by_id(id).is_some() => drop(broker.replicas.delete(id, now)),
        None => {}
    }
}
