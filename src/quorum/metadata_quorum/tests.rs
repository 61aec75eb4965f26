//! The quorum of one on a simulated disk: it leads at once, and no crash takes back what it acknowledged.

use uuid::Uuid;

use super::*;
use crate::base::disk::OpenMode;
use crate::base::disk::simulated::{Crash, Operation, SimulatedDisk};
use crate::metadata::{MetadataDelta, MetadataRecord};

fn options(max_bytes_between_snapshots: u64) -> QuorumOptions {
    QuorumOptions {
        node_id: 1,
        dir: "/data/metadata".into(),
        node: VoterNode::default(),
        max_bytes_between_snapshots,
        max_snapshot_interval: Duration::from_secs(3600),
    }
}

async fn open(disk: &SimulatedDisk, snapshot_bytes: u64) -> Result<MetadataQuorum, QuorumError> {
    MetadataQuorum::open(Arc::new(disk.clone()), options(snapshot_bytes), Mono::ZERO).await
}

fn topic(n: u128) -> Vec<MetadataRecord> {
    vec![MetadataRecord::Topic { topic_id: Uuid::from_u128(1000 + n), name: format!("topic-{n:04}").into() }]
}

/// Claims leadership, then creates topics 0, 1, 2 … one by one; how many were acknowledged.
async fn create_topics(quorum: &mut MetadataQuorum, count: u128) -> Result<u128, (u128, QuorumError)> {
    let image = quorum.lead().await.map_err(|e| (0, e))?;
    let epoch = image.claim_epoch() + 1;
    let first = image.topics().len() as u128;
    let claim = vec![MetadataRecord::ClaimController { epoch, controller_id: 1 }];
    quorum.propose(RecordBatch { claim_epoch: epoch, seq: 0, records: claim }).await.map_err(|e| (0, e))?;
    for n in 0..count {
        let batch = RecordBatch { claim_epoch: epoch, seq: n as u64 + 1, records: topic(first + n) };
        match quorum.propose(batch).await {
            Ok(applied) => assert!(matches!(applied, Applied::Ok { .. }), "{applied:?}"),
            Err(error) => return Err((n, error)),
        }
        quorum.maybe_snapshot(Mono::ZERO).await.map_err(|e| (n + 1, e))?;
    }
    Ok(count)
}

/// Waits until a snapshot holds all but at most `lag` of the entries.
async fn snapshotted(quorum: &mut MetadataQuorum, lag: u64) {
    let mut metrics = quorum.raft.metrics();
    loop {
        quorum.maybe_snapshot(Mono::ZERO).await.unwrap();
        let seen = metrics.borrow_and_update().clone();
        if seen.snapshot.map(|s| s.index + lag) >= seen.last_log_index {
            return;
        }
        metrics.changed().await.unwrap();
    }
}

/// The topics of an image are 0, 1, 2 … without gaps; their number.
fn topics(image: &MetadataImage) -> u128 {
    let names: Vec<String> = image.topics().iter().map(|t| t.name.to_string()).collect();
    let expected: Vec<String> = (0..names.len()).map(|n| format!("topic-{n:04}")).collect();
    assert_eq!(names, expected);
    names.len() as u128
}

#[tokio::test]
async fn a_restart_continues_where_it_stopped() {
    let disk = SimulatedDisk::default();
    let mut quorum = open(&disk, u64::MAX).await.unwrap();
    create_topics(&mut quorum, 3).await.unwrap();
    let (key, image) = (quorum.key(), quorum.image());
    quorum.shutdown().await;

    let quorum = open(&disk, u64::MAX).await.unwrap();
    let restored = quorum.lead().await.unwrap();
    assert_eq!((quorum.key(), &restored), (key, &image));
    let description = quorum.describe();
    assert_eq!((description.leader, description.high_watermark), (Some(key), image.offset() + 1));
    assert_eq!(description.voters, [(key, VoterNode::default())]);
    quorum.shutdown().await;
}

#[tokio::test]
async fn a_batch_of_another_controller_is_without_effect() {
    let disk = SimulatedDisk::default();
    let mut quorum = open(&disk, u64::MAX).await.unwrap();
    create_topics(&mut quorum, 1).await.unwrap();
    let stale = RecordBatch { claim_epoch: 0, seq: 2, records: topic(1) };
    assert_eq!(quorum.propose(stale).await.unwrap(), Applied::Fenced { epoch: 1 });
    assert_eq!(topics(&quorum.image()), 1);
    quorum.shutdown().await;
}

#[tokio::test]
async fn snapshots_bound_the_log_and_stand_for_what_they_replace() {
    let disk = SimulatedDisk::default();
    let mut quorum = open(&disk, 8 << 10).await.unwrap();
    for _ in 0..10 {
        // Enough for a snapshot each.
        create_topics(&mut quorum, 200).await.unwrap();
        snapshotted(&mut quorum, 200).await;
    }
    let image = quorum.image();
    quorum.shutdown().await;
    let files = disk.list(std::path::Path::new("/data/metadata")).unwrap();
    let log: u64 = files.iter().filter(|f| f.name.ends_with(".log")).map(|f| f.len).sum();
    let snapshots = files.iter().filter(|f| f.name.ends_with(".snapshot")).count();
    assert!(log < 48 << 10, "2000 entries take {log} bytes");
    assert_eq!(snapshots, 1);

    let quorum = open(&disk, 8 << 10).await.unwrap();
    assert_eq!(quorum.lead().await.unwrap(), image);
    quorum.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_is_due_by_age_only_if_something_was_logged() {
    let disk = SimulatedDisk::default();
    let mut quorum = open(&disk, u64::MAX).await.unwrap();
    create_topics(&mut quorum, 1).await.unwrap();
    let due = quorum.snapshot_deadline().unwrap();
    assert_eq!(due, Mono::ZERO + Duration::from_secs(3600));
    quorum.maybe_snapshot(due).await.unwrap();
    snapshotted(&mut quorum, 0).await;
    assert_eq!(quorum.snapshot_deadline(), None);
    quorum.shutdown().await;
}

#[tokio::test]
async fn no_crash_takes_back_what_was_acknowledged() {
    const TOPICS: u128 = 24;
    const SNAPSHOT_BYTES: u64 = 700;
    let whole = SimulatedDisk::default();
    let mut quorum = open(&whole, SNAPSHOT_BYTES).await.unwrap();
    create_topics(&mut quorum, TOPICS).await.unwrap();
    quorum.shutdown().await;
    assert!(whole.changes() > 100, "log, votes, hints and snapshots have been written");

    for point in 0..whole.changes() {
        for seed in 0..3 {
            let disk = SimulatedDisk::default();
            disk.stop_after(point);
            let acked = match open(&disk, SNAPSHOT_BYTES).await {
                Ok(mut quorum) => {
                    let acked = create_topics(&mut quorum, TOPICS).await.unwrap_or_else(|(acked, _)| acked);
                    quorum.shutdown().await;
                    acked
                }
                Err(_) => 0,
            };
            disk.crash(if seed == 0 { Crash::Process } else { Crash::Power { seed: point * 10 + seed } });
            let mut quorum = match open(&disk, SNAPSHOT_BYTES).await {
                Ok(quorum) => quorum,
                Err(error) => panic!("crash at {point}, seed {seed}: {error}"),
            };
            let found = topics(&quorum.lead().await.unwrap());
            assert!(found >= acked, "crash at {point}, seed {seed}: {found} of {acked} acknowledged topics");
            assert_eq!(create_topics(&mut quorum, 1).await.unwrap(), 1, "the quorum goes on");
            assert_eq!(topics(&quorum.image()), found + 1);
            quorum.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_failing_disk_stops_the_quorum_and_says_why() {
    let disk = SimulatedDisk::default();
    let mut quorum = open(&disk, u64::MAX).await.unwrap();
    create_topics(&mut quorum, 1).await.unwrap();
    disk.fail_when(|operation, path| {
        (operation == Operation::Write && path.extension().is_some_and(|e| e == "log")).then_some(std::io::ErrorKind::StorageFull)
    });
    let batch = RecordBatch { claim_epoch: 1, seq: 2, records: topic(1) };
    let error = quorum.propose(batch).await.unwrap_err();
    assert!(matches!(error, QuorumError::Stopped(_)));
    assert!(error.to_string().contains("cannot append to /data/metadata/00000000000000000000.log"), "{error}");
    quorum.shutdown().await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_told_and_one_half_written_is_removed() {
    let disk = SimulatedDisk::default();
    let mut quorum = open(&disk, 700).await.unwrap();
    create_topics(&mut quorum, 40).await.unwrap();
    snapshotted(&mut quorum, 40).await;
    quorum.shutdown().await;
    let dir = std::path::Path::new("/data/metadata");
    let left = dir.join("00000000000000000999.snapshot.tmp");
    disk.open(&left, OpenMode::ReadWrite).unwrap();
    open(&disk, 700).await.unwrap().shutdown().await;
    assert!(!disk.exists(&left));

    let snapshot = disk.list(dir).unwrap().into_iter().find(|f| f.name.ends_with(".snapshot")).unwrap();
    disk.damage(&dir.join(&snapshot.name), |bytes| bytes[20] ^= 1);
    let error = open(&disk, 700).await.err().unwrap();
    assert!(matches!(error, QuorumError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(&snapshot.name), "{error}");
}

#[tokio::test]
async fn changes_start_from_an_empty_image_and_have_no_gaps() {
    let disk = SimulatedDisk::default();
    let mut quorum = open(&disk, u64::MAX).await.unwrap();
    create_topics(&mut quorum, 5).await.unwrap();
    quorum.shutdown().await;

    let mut quorum = open(&disk, u64::MAX).await.unwrap();
    let (images, mut changes) = quorum.publish();
    create_topics(&mut quorum, 5).await.unwrap();
    let mut image = Arc::new(MetadataImage::default());
    let mut touched = MetadataDelta::default();
    while let Ok(change) = changes.try_recv() {
        assert_eq!(change.old, image);
        touched.topics.extend(change.delta.topics.clone());
        image = change.new;
    }
    assert_eq!(image, *images.borrow());
    assert_eq!(*image, quorum.image());
    assert_eq!(touched.topics.len(), 10, "topics from before the restart are told as well");
    quorum.shutdown().await;
}
