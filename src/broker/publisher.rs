//! How a change of metadata becomes true on this broker, in one order: configuration, partitions, coordinators, and at last what clients
//! are told.
//!
//! Invariants: changes are applied one after the other, in the order of the metadata log, none left out; a client is told only what the
//! broker already does. Creating and deleting logs waits for the disk, so all of this has a thread of its own.
//!
//! A start reads the metadata log back, and nobody knows where its end was before this broker's new registration stands behind it. Until then images may
//! show topics that are long deleted, whose names others have now, with logs that are on this disk. So the first change that is applied leads from
//! nothing to that registration: it holds all that was decided before, and what is created later is new (Kafka's `MetadataLoader`
//! likewise publishes nothing before it has caught up).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_protocol::protocol::StrBytes;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::Broker;
use super::groups::group_config;
use super::markers;
use super::topics::{CONSUMER_OFFSETS, TRANSACTION_STATE, is_internal};
use super::transactions::transaction_config;
use crate::base::ids::TopicId;
use crate::coordinator::group::request::DeletedTopic;
use crate::coordinator::partition_log::PartitionLog;
use crate::metadata::{MetadataDelta, MetadataImage, ResourceType, TRANSACTION_VERSION, TopicImage};
use crate::quorum::MetadataChange;
use crate::replica::manager::Applied;

/// Applies changes until the controller ends; the first with the registration of this incarnation of the broker.
pub fn run(broker: &Arc<Broker>, incarnation_id: Uuid, mut changes: UnboundedReceiver<MetadataChange>) {
    let mut caught_up = false;
    while let Some(change) = changes.blocking_recv() {
        if caught_up {
            publish(broker, &change, true);
            continue;
        }
        let registered = change.new.broker(broker.id);
        caught_up = registered.is_some_and(|registered| registered.incarnation_id == incarnation_id);
        if caught_up {
            let old = Arc::<MetadataImage>::default();
            let delta = Arc::new(MetadataDelta::between(&old, &change.new));
            publish(broker, &MetadataChange { old, delta, new: change.new }, false);
            broker.replicas.tell_of_strays();
        }
    }
}

/// Follows topics anew of which there was no room to host all partitions. To be called now and then, where tasks can be spawned.
pub fn retry(broker: &Arc<Broker>) {
    if broker.replicas.unhosted().is_empty() {
        return;
    }
    let _alone = broker.following.lock();
    let image = broker.metadata.image();
    for id in broker.replicas.unhosted() {
        // A partition that may have had a log before the start is hosted without it, so it is not among these.
        follow_topic(broker, &image, &image, id, true);
    }
}

/// Applies a change; `is_new` says that what it creates was not there when this broker was started.
fn publish(broker: &Arc<Broker>, change: &MetadataChange, is_new: bool) {
    let _alone = broker.following.lock();
    let MetadataChange { old, new, delta } = change;
    // At the start what the file says has to be followed, too, whether anything is set besides.
    let configured = !is_new || delta.configs.iter().any(|resource| resource.kind == ResourceType::Broker);
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
    // What is gone first: one round of the controller may delete a topic and make another of its name.
    touched.sort_by_key(|id| new.topic_by_id(*id).is_some());
    let mut deleted = Vec::new();
    for id in touched {
        deleted.extend(follow_topic(broker, old, new, id, is_new));
    }
    broker.metadata.show(new.clone());
    // Now that OffsetCommit refuses them. What passes all the same, as a transaction under way may, has the id of its topic and counts for no other.
    if !deleted.is_empty() {
        broker.groups.on_topics_deleted(deleted);
    }
}

/// Follows one topic; gives it back if it was deleted.
fn follow_topic(
    broker: &Arc<Broker>,
    old: &MetadataImage,
    new: &MetadataImage,
    id: TopicId,
    is_new: bool,
) -> Option<DeletedTopic> {
    let now = broker.clock.wall_ms();
    if let Some(topic) = new.topic_by_id(id) {
        count_isr_changes(broker, old, topic);
        let config = broker.effective.topic(new, &topic.name);
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use kafka_protocol::messages::create_topics_request::CreatableTopic;
    use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
    use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, TopicName};
    use tempfile::TempDir;

    use super::*;
    use crate::config::{Inputs, load};
    use crate::metadata::testing::{partition, topic};
    use crate::metadata::{MetadataRecord, RecordBatch};
    use crate::node::Node;

    /// The step that these records make.
    fn step(old: &Arc<MetadataImage>, records: Vec<MetadataRecord>) -> MetadataChange {
        let (mut new, mut delta) = (MetadataImage::clone(old), MetadataDelta::default());
        let batch = RecordBatch { claim_epoch: old.claim_epoch(), seq: old.last_seq() + 1, records };
        new.apply(old.offset() + 1, &batch, &mut delta).unwrap();
        MetadataChange { old: old.clone(), new: Arc::new(new), delta: Arc::new(delta) }
    }

    async fn start(data: &Path) -> Node {
        let set = vec!["listeners=PLAINTEXT://127.0.0.1:0".to_owned(), format!("log.dirs={}", data.display())];
        Node::start(load(Inputs { set, ..Inputs::default() }).unwrap()).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_may_take_the_name_of_one_that_is_deleted_in_the_same_step() {
        let data = TempDir::new().unwrap();
        let node = start(data.path()).await;
        let broker = node.broker().clone();
        let publishing = tokio::task::spawn_blocking(move || {
            let made = step(&broker.metadata.image(), vec![topic(2, "t"), partition(2, 0)]);
            publish(&broker, &made, true);
            let gone = MetadataRecord::RemoveTopic { topic_id: Uuid::from_u128(2) };
            let replaced = step(&made.new, vec![gone, topic(1, "t"), partition(1, 0)]);
            assert_eq!(replaced.delta.topics.len(), 2);
            publish(&broker, &replaced, true);
            let hosted = broker.replicas.topic("t").unwrap();
            assert_eq!(hosted.id(), Uuid::from_u128(1));
            assert_eq!(hosted.partition(0).unwrap().with_log(|log| log.topic_id()), Some(Some(Uuid::from_u128(1))));
            assert!(broker.replicas.topic_by_id(Uuid::from_u128(2)).is_none());
        });
        publishing.await.unwrap();
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_decided_before_a_stop_is_applied_before_the_logs_are_closed() {
        let data = TempDir::new().unwrap();
        let node = start(data.path()).await;
        let broker = node.broker().clone();
        let name = |topic: &str| TopicName(StrBytes::from_string(topic.to_owned()));
        let made = |topic| CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![made("slow"), made("t")]);
        broker.controller.create_topics(request).await.unwrap();
        broker.catch_up().await;
        // Whoever has the lock of a log keeps the deletion of its topic waiting, and every change behind it.
        let (slow, (held, is_held), (release, released)) =
            (broker.replicas.partition("slow", 0).unwrap(), mpsc::channel(), mpsc::channel::<()>());
        let holder = thread::spawn(move || slow.with_log(|_| held.send(()).map(|()| released.recv())));
        is_held.recv().unwrap();
        for topic in ["slow", "t"] {
            let state = DeleteTopicState::default().with_name(Some(name(topic)));
            broker.controller.delete_topics(DeleteTopicsRequest::default().with_topics(vec![state]), 6).await.unwrap();
        }
        let stopping = tokio::spawn(node.stop());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!stopping.is_finished());
        drop(release);
        stopping.await.unwrap();
        holder.join().unwrap();
        for topic in ["slow", "t"] {
            assert!(!data.path().join(format!("{topic}-0")).exists(), "a log of a topic that is gone stays behind: {topic}");
        }
        assert!(data.path().join(".kafka_cleanshutdown").exists());
    }
}
