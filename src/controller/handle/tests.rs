//! The controller as a whole: its thread, the metadata log on a real disk, restarts.

use std::path::Path;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::base::ErrorCode;
use crate::base::disk::RealDisk;
use crate::controller::testing;

async fn open(dir: &Path) -> StartedController {
    let options = ControllerOptions {
        settings: testing::settings(""),
        cluster_id: uuid::Uuid::from_u128(7000),
        dir: dir.join("metadata"),
        node: VoterNode::default(),
        max_bytes_between_snapshots: 20 << 20,
        max_snapshot_interval: Duration::from_secs(3600),
    };
    start(options, Arc::new(RealDisk), Clock::system()).await.unwrap()
}

/// Registers the local broker and has it unfenced; its epoch.
async fn join(handle: &ControllerHandle, incarnation: u128) -> i64 {
    let mut images = handle.images();
    let image = images.wait_for(|image| image.cluster().is_some()).await.unwrap().clone();
    let request = testing::registration(1, &image.cluster().unwrap().cluster_id, incarnation);
    let response = handle.register_local_broker(request).await.unwrap();
    assert_eq!(response.error_code, 0);
    let beat = testing::heartbeat(1, response.broker_epoch, handle.image().offset());
    let answer = handle.broker_heartbeat(beat).await.unwrap();
    assert_eq!((answer.error_code, answer.is_fenced, answer.is_caught_up), (0, false, true));
    response.broker_epoch
}

fn create(names: &[&str]) -> CreateTopicsRequest {
    let topics =
        names.iter().map(|n| CreatableTopic::default().with_name(name(n)).with_num_partitions(2).with_replication_factor(1));
    CreateTopicsRequest::default().with_topics(topics.collect())
}

fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

#[tokio::test]
async fn a_first_start_makes_a_cluster_and_a_restart_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let started = open(dir.path()).await;
    let epoch = join(&started.handle, 1).await;
    let created = started.handle.create_topics(create(&["a", "b"])).await.unwrap();
    assert!(created.topics.iter().all(|t| t.error_code == 0 && t.num_partitions == 2));
    let before = started.handle.image();
    assert_eq!(before.cluster().unwrap().cluster_id.len(), 22);
    assert_eq!(
        before.features().collect::<Vec<_>>(),
        [("eligible.leader.replicas.version", 1), ("metadata.version", 30), ("transaction.version", 2)]
    );
    let topic = before.topic("a").unwrap();
    assert_eq!((topic.partitions.len(), topic.partitions[0].leader, topic.partitions[0].leader_epoch), (2, 1, 0));
    started.running.stop().await.unwrap();

    let started = open(dir.path()).await;
    assert_eq!(join(&started.handle, 2).await, epoch + 1);
    let after = started.handle.image();
    assert_eq!(after.cluster(), before.cluster());
    assert_eq!(after.claim_epoch(), before.claim_epoch() + 1);
    let topic_after = after.topic("a").unwrap();
    assert_eq!(topic_after.id, topic.id);
    assert!(
        topic_after.partitions[0].leader == 1 && topic_after.partitions[0].leader_epoch > 0,
        "led anew by the new incarnation"
    );
    started.running.stop().await.unwrap();
}

#[tokio::test]
async fn changes_come_in_order_without_gaps_and_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut started = open(dir.path()).await;
    join(&started.handle, 1).await;
    started.handle.create_topics(create(&["a"])).await.unwrap();
    let by_id = started.handle.image().topics().id_of("a").unwrap();
    let delete = DeleteTopicsRequest::default().with_topics(vec![DeleteTopicState::default().with_topic_id(by_id)]);
    let deleted = started.handle.delete_topics(delete, 6).await.unwrap();
    assert_eq!((deleted.responses[0].error_code, deleted.responses[0].name.clone()), (0, Some(name("a"))));

    let mut image = Arc::new(MetadataImage::default());
    let mut seen = Vec::new();
    while let Ok(MetadataChange { old, new, delta }) = started.changes.try_recv() {
        assert_eq!(old, image);
        if delta.topics.contains_key(&by_id) {
            seen.push((old.topic("a").is_some(), new.topic("a").is_some()));
        }
        image = new;
    }
    assert_eq!(image, started.handle.image());
    assert_eq!(seen, [(false, true), (true, false)]);
    started.running.stop().await.unwrap();
}

#[tokio::test]
async fn many_at_once_are_all_answered() {
    let dir = tempfile::tempdir().unwrap();
    let started = open(dir.path()).await;
    join(&started.handle, 1).await;
    let before = started.handle.image().offset();
    let asked: Vec<_> = (0..50)
        .map(|n| {
            let handle = started.handle.clone();
            tokio::spawn(async move { handle.create_topics(create(&[&format!("t{}", n / 2)])).await })
        })
        .collect();
    let mut codes = Vec::new();
    for task in asked {
        codes.push(task.await.unwrap().unwrap().topics[0].error_code);
    }
    assert_eq!(codes.iter().filter(|c| **c == 0).count(), 25);
    assert_eq!(codes.iter().filter(|c| **c == ErrorCode::TopicAlreadyExists.code()).count(), 25);
    let image = started.handle.image();
    assert_eq!(image.topics().len(), 25);
    assert!(image.offset() - before < 25, "requests that wait together share a batch");
    started.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_controller_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let started = open(dir.path()).await;
    let handle = started.handle.clone();
    started.running.stop().await.unwrap();
    assert_eq!(handle.create_topics(create(&["a"])).await.unwrap_err().code, ErrorCode::NotController);
    let wrong = BrokerRegistrationRequest::default().with_broker_id(BrokerId(1));
    assert_eq!(handle.register_broker(wrong).await.unwrap_err().code, ErrorCode::NotController);
}
