//! What is hosted when logs, or whole log directories, cannot be had.

use std::path::{Path, PathBuf};

use smallvec::smallvec;

use super::*;
use crate::base::ErrorCode;
use crate::base::disk::Disk;
use crate::base::disk::simulated::{Crash, Operation, SimulatedDisk};
use crate::base::ids::Offset;
use crate::metadata::{DIRECTORY_UNASSIGNED, PartitionRegistration};
use crate::record::builder::{BatchBuilder, Producer};
use crate::record::compression::Codec;
use crate::replica::fetch::Isolation;
use crate::replica::partition::{ListOffset, OffsetQuestion, ReadRequest};
use crate::storage::producer_state::{AppendOrigin, FirstOfTransaction, LATE_TRANSACTION_BUFFER_MS};
use crate::storage::{LastStop, LogManagerConfig};

const NOW: TimestampMs = 1_700_000_000_000;
const STORAGE: Option<ErrorCode> = Some(ErrorCode::KafkaStorageError);

fn start(disk: &SimulatedDisk, dirs: &[&str]) -> ReplicaManager {
    start_in_boot(disk, dirs, "boot")
}

fn start_in_boot(disk: &SimulatedDisk, dirs: &[&str], boot_id: &str) -> ReplicaManager {
    let config = LogManagerConfig {
        log_dirs: dirs.iter().map(PathBuf::from).collect(),
        node_id: 1,
        cluster_id: None,
        boot_id: boot_id.into(),
        threads_per_dir: 1,
        open_files: 100,
        settings: Arc::default(),
    };
    let opened = LogManager::open(Arc::new(disk.clone()), config, &|_| Arc::default(), NOW).unwrap();
    let found = opened.logs.into_iter().map(|opened| opened.log).collect();
    ReplicaManager::new(1, opened.manager, found, Metrics::new([]))
}

/// The topic "t" under this id, with partitions that this broker leads.
fn topic(id: u128, directories: &[Uuid]) -> TopicImage {
    let partition = |directory| Arc::new(PartitionRegistration::new(smallvec![1], smallvec![directory], smallvec![1]));
    TopicImage { id: Uuid::from_u128(id), name: "t".into(), partitions: directories.iter().copied().map(partition).collect() }
}

fn apply(replicas: &ReplicaManager, topic: &TopicImage, is_new: bool) -> Vec<i32> {
    let applied = replicas.apply(topic, false, TopicConfig::default(), is_new, NOW);
    applied.elected.into_iter().map(|(number, _)| number).collect()
}

fn write(replicas: &ReplicaManager, number: i32) {
    let mut batch = BatchBuilder::new(Codec::None);
    batch.push_plain(NOW, None, Some(&b"value"[..]));
    let origin = AppendOrigin::Coordinator { transaction_version: 0 };
    let partition = replicas.partition("t", number).unwrap();
    partition.with_log(|log| log.append_built(&batch.build(), 0, origin, None, NOW)).unwrap().unwrap();
}

/// Where the log of each partition ends; `None` where there is no log.
fn ends(replicas: &ReplicaManager) -> Vec<Option<Offset>> {
    let partitions = replicas.topic("t").unwrap().partitions();
    partitions.iter().map(|partition| partition.as_ref()?.with_log(|log| log.log_end_offset())).collect()
}

/// Asserts that whoever asks for the partition is told that its storage failed.
fn assert_offline(replicas: &ReplicaManager, number: i32) {
    let partition = replicas.partition("t", number).unwrap();
    assert_eq!(partition.leader_epoch().err(), STORAGE);
    assert_eq!(partition.delete_records(0).err(), STORAGE);
    for current_leader_epoch in [-1, 0, 9] {
        let read = ReadRequest {
            offset: 0,
            max_bytes: 100,
            at_least_one_batch: true,
            current_leader_epoch,
            last_fetched_epoch: -1,
            isolation: Isolation::ReadUncommitted,
        };
        assert_eq!(partition.read(&read).err(), STORAGE);
        let asked = ListOffset { question: OffsetQuestion::Latest, isolation: Isolation::ReadUncommitted, current_leader_epoch };
        assert_eq!(partition.list_offset(&asked).err(), STORAGE);
    }
    assert!(partition.gauges(NOW, 0).is_some_and(|gauges| gauges.offline && gauges.log.is_none()));
}

fn names(disk: &SimulatedDisk, dir: &str) -> Vec<String> {
    let dirs = disk.list(Path::new(dir)).unwrap().into_iter().filter(|entry| entry.is_dir);
    dirs.map(|entry| entry.name).collect()
}

/// A disk on which partition 0 of topic 7 cannot be opened, and partition 1 can; both have a record.
fn with_a_damaged_log() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let replicas = start(&disk, &["/a"]);
    assert_eq!(apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), true), [0, 1]);
    (0..2).for_each(|number| write(&replicas, number));
    assert!(replicas.close(5));
    disk.damage(Path::new("/a/t-0/partition.metadata"), |text| text.truncate(3));
    disk
}

#[test]
fn a_log_that_cannot_be_opened_is_not_served_and_stays_as_it_is() {
    let disk = with_a_damaged_log();
    let files = || {
        let mut files: Vec<_> =
            disk.list(Path::new("/a/t-0")).unwrap().into_iter().map(|entry| (entry.name, entry.len)).collect();
        files.sort();
        files
    };
    let before = files();
    let replicas = start(&disk, &["/a"]);
    for is_new in [false, true] {
        assert_eq!(apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), is_new), if is_new { vec![] } else { vec![1] });
        assert_offline(&replicas, 0);
        assert_eq!(ends(&replicas), [None, Some(1)]);
        assert_eq!(*replicas.offline(), OfflinePartitions::from([(Uuid::from_u128(7), 0)]));
    }
    write(&replicas, 1);
    assert_eq!(files(), before);
    assert!(!replicas.close(6), "the directory is not clean: one of its logs was never opened");
    drop(replicas);
    // After a stop that was not clean the damaged file counts as one that was not written out. It is written anew, so that it stays so after one that is.
    for stop in [LastStop::Killed, LastStop::Clean] {
        let replicas = start(&disk, &["/a"]);
        assert_eq!(replicas.logs.previous_run().stop, stop);
        apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), false);
        assert_eq!(ends(&replicas), [Some(1), Some(2)]);
        assert!(replicas.close(6));
    }
}

#[test]
fn a_log_whose_topic_a_loss_of_power_has_made_unknown_is_there_after_the_next_stop() {
    let (mut unknown, topic) = (0, topic(7, &[DIRECTORY_UNASSIGNED]));
    for seed in 0..100 {
        let disk = SimulatedDisk::default();
        apply(&start_in_boot(&disk, &["/a"], "first"), &topic, true);
        disk.crash(Crash::Power { seed });
        let replicas = start_in_boot(&disk, &["/a"], "second");
        unknown += replicas.found.lock().values().filter(|log| log.topic_id().is_none()).count();
        apply(&replicas, &topic, false);
        write(&replicas, 0);
        assert!(replicas.close(5));
        drop(replicas);
        let replicas = start_in_boot(&disk, &["/a"], "second");
        assert_eq!(replicas.logs.previous_run().stop, LastStop::Clean);
        let told: Vec<_> = replicas.found.lock().values().map(|log| log.topic_id()).collect();
        assert_eq!(told, [Some(topic.id)], "seed {seed}");
        apply(&replicas, &topic, false);
        assert_eq!(ends(&replicas), [Some(1)], "seed {seed}");
    }
    assert!(unknown > 10, "{unknown}");
}

#[test]
fn a_log_whose_topic_cannot_be_noted_for_want_of_room_is_served_and_told_again_by_the_next_start() {
    let (disk, topic) = (with_a_damaged_log(), topic(7, &[DIRECTORY_UNASSIGNED; 2]));
    assert!(!start(&disk, &["/a"]).close(6));
    let replicas = start(&disk, &["/a"]);
    disk.fail_when(|operation, path| {
        (operation == Operation::Write && path.ends_with("partition.metadata.tmp")).then_some(std::io::ErrorKind::StorageFull)
    });
    assert_eq!(apply(&replicas, &topic, false), [0, 1]);
    write(&replicas, 0);
    assert!(replicas.close(6));
    drop(replicas);
    disk.fail_no_more();
    for topic_id in [None, Some(topic.id)] {
        let replicas = start(&disk, &["/a"]);
        assert_eq!(replicas.found.lock()[&TopicPartition::new("t", 0)].topic_id(), topic_id);
        apply(&replicas, &topic, false);
        assert_eq!(ends(&replicas), [Some(2), Some(1)]);
        assert!(replicas.close(6));
    }
}

#[test]
fn a_log_that_cannot_be_opened_goes_with_its_topic() {
    let disk = with_a_damaged_log();
    let replicas = start(&disk, &["/a"]);
    apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), false);
    replicas.delete(Uuid::from_u128(7), NOW).unwrap();
    assert!(replicas.offline().is_empty());
    let left = names(&disk, "/a");
    assert!(left.len() == 2 && left.iter().all(|name| name.ends_with("-delete")), "{left:?}");
    assert_eq!(apply(&replicas, &topic(8, &[DIRECTORY_UNASSIGNED; 2]), true), [0, 1]);
    assert_eq!(ends(&replicas), [Some(0), Some(0)]);
    replicas.logs.tick(NOW + 60_000);
    assert_eq!(names(&disk, "/a"), ["t-0", "t-1"]);
    assert!(replicas.close(6));
}

#[test]
fn a_log_that_cannot_be_opened_is_put_aside_for_a_new_topic_of_its_name() {
    let disk = with_a_damaged_log();
    let replicas = start(&disk, &["/a"]);
    assert_eq!(apply(&replicas, &topic(8, &[DIRECTORY_UNASSIGNED; 2]), true), [0, 1]);
    assert_eq!(ends(&replicas), [Some(0), Some(0)]);
    let aside: Vec<_> = names(&disk, "/a").into_iter().filter(|name| name.ends_with("-stray")).collect();
    let sizes = aside.iter().map(|name| disk.read(&Path::new("/a").join(name).join("00000000000000000000.log")).unwrap().len());
    assert!(aside.len() == 2 && sizes.into_iter().all(|size| size > 0), "{aside:?}");
}

#[test]
fn what_may_lie_in_a_directory_that_is_missing_is_not_made_anew_elsewhere() {
    let disk = SimulatedDisk::default();
    let replicas = start(&disk, &["/a", "/b"]);
    let here = replicas.logs.directories().next().unwrap().id();
    let mut image = topic(7, &[DIRECTORY_UNASSIGNED; 4]);
    apply(&replicas, &image, true);
    (0..4).for_each(|number| write(&replicas, number));
    assert_eq!((names(&disk, "/a").len(), names(&disk, "/b").len()), (2, 2));
    let in_b: Vec<i32> = (0..4).filter(|number| disk.exists(&Path::new("/b").join(format!("t-{number}")))).collect();
    assert!(replicas.close(5));
    drop(replicas);

    disk.fail_when(|_, path| path.starts_with("/b").then_some(std::io::ErrorKind::Other));
    let replicas = start(&disk, &["/a", "/b"]);
    // Partition 4 was decided, but not made yet, when the broker stopped; partition 5 is said to be in the directory that is there.
    image.partitions.extend(topic(7, &[DIRECTORY_UNASSIGNED, here]).partitions);
    apply(&replicas, &image, false);
    for number in in_b.iter().copied().chain([4]) {
        assert_offline(&replicas, number);
    }
    assert_eq!(ends(&replicas).iter().flatten().count(), 3);
    assert_eq!(ends(&replicas)[5], Some(0));
    // What is decided from now on cannot be there. Nor does it change what is known of the others.
    image.partitions.extend(topic(7, &[DIRECTORY_UNASSIGNED]).partitions);
    assert_eq!(apply(&replicas, &image, true), [6]);
    assert_eq!(ends(&replicas).iter().flatten().count(), 4);
    in_b.iter().for_each(|number| assert_offline(&replicas, *number));
    replicas.close(6);
    drop(replicas);

    disk.fail_no_more();
    let replicas = start(&disk, &["/a", "/b"]);
    apply(&replicas, &image, false);
    assert_eq!(ends(&replicas), [Some(1), Some(1), Some(1), Some(1), Some(0), Some(0), Some(0)]);
}

#[test]
fn a_log_that_was_put_aside_is_not_made_anew_beside_it() {
    let disk = SimulatedDisk::default();
    let replicas = start(&disk, &["/a"]);
    apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), true);
    (0..2).for_each(|number| write(&replicas, number));
    assert!(replicas.close(5));
    drop(replicas);
    // A start with other metadata has the topic under another id.
    let replicas = start(&disk, &["/a"]);
    apply(&replicas, &topic(8, &[DIRECTORY_UNASSIGNED]), true);
    replicas.delete(Uuid::from_u128(8), NOW).unwrap();
    replicas.logs.tick(NOW + 60_000);
    assert!(replicas.close(6));
    drop(replicas);
    let before = names(&disk, "/a");
    let [stray, other] = &before[..] else { panic!("{before:?}") };
    assert!(stray.starts_with("t-0.") && stray.ends_with("-stray") && other == "t-1", "{before:?}");

    let replicas = start(&disk, &["/a"]);
    assert_eq!(apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), false), [1]);
    assert_offline(&replicas, 0);
    assert_eq!(ends(&replicas), [None, Some(1)]);
    replicas.tell_of_strays();
    assert!(replicas.close(7));
    drop(replicas);
    assert_eq!(names(&disk, "/a"), before);
    disk.rename(&Path::new("/a").join(stray), Path::new("/a/t-0")).unwrap();
    let replicas = start(&disk, &["/a"]);
    assert_eq!(apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), false), [0, 1]);
    assert_eq!(ends(&replicas), [Some(1), Some(1)]);
}

#[test]
fn the_log_of_another_topic_that_cannot_be_put_aside_now_is_not_written_over() {
    let disk = SimulatedDisk::default();
    let replicas = start(&disk, &["/a"]);
    apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED]), true);
    write(&replicas, 0);
    assert!(replicas.close(5));
    drop(replicas);
    let replicas = start(&disk, &["/a"]);
    disk.fail_when(|operation, _| (operation == Operation::Rename).then_some(std::io::ErrorKind::StorageFull));
    for _ in 0..2 {
        assert!(apply(&replicas, &topic(8, &[DIRECTORY_UNASSIGNED]), true).is_empty());
        assert_eq!(names(&disk, "/a"), ["t-0"]);
    }
    assert!(!disk.read(Path::new("/a/t-0/00000000000000000000.log")).unwrap().is_empty());
    disk.fail_no_more();
    assert_eq!(apply(&replicas, &topic(8, &[DIRECTORY_UNASSIGNED]), true), [0]);
    assert_eq!(ends(&replicas), [Some(0)]);
    assert!(names(&disk, "/a").iter().any(|name| name.ends_with("-stray")));
}

#[test]
fn a_new_topic_does_not_get_the_records_of_one_of_its_name_whose_id_is_not_known() {
    let disk = with_a_damaged_log();
    // After a stop that was not clean a log can be opened whose topic is not known. None of that name is there any more.
    start(&disk, &["/a"]).close(6);
    let replicas = start(&disk, &["/a"]);
    assert_eq!(replicas.found.lock()[&TopicPartition::new("t", 0)].topic_id(), None);
    assert_eq!(apply(&replicas, &topic(8, &[DIRECTORY_UNASSIGNED; 2]), true), [0, 1]);
    assert_eq!(ends(&replicas), [Some(0), Some(0)]);
    assert_eq!(names(&disk, "/a").into_iter().filter(|name| name.ends_with("-stray")).count(), 2);
}

#[test]
fn once_the_logs_are_closed_none_is_made_or_deleted() {
    let disk = SimulatedDisk::default();
    let replicas = start(&disk, &["/a"]);
    apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED]), true);
    write(&replicas, 0);
    assert!(replicas.close(5));
    let changes = disk.changes();
    assert!(apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), true).is_empty());
    assert!(replicas.delete(Uuid::from_u128(7), NOW).is_none());
    assert!(apply(&replicas, &topic(8, &[DIRECTORY_UNASSIGNED]), true).is_empty());
    assert_eq!(disk.changes(), changes);
    drop(replicas);
    let replicas = start(&disk, &["/a"]);
    assert_eq!(replicas.logs.previous_run().stop, LastStop::Clean);
    apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED]), false);
    assert_eq!(ends(&replicas), [Some(1)]);
}

#[test]
fn what_there_is_no_room_to_host_is_remembered_until_it_is_hosted_or_gone() {
    for descriptors in [false, true] {
        let disk = SimulatedDisk::default();
        let replicas = start(&disk, &["/a"]);
        let (first, second) =
            (topic(7, &[DIRECTORY_UNASSIGNED; 2]), TopicImage { name: "u".into(), ..topic(8, &[DIRECTORY_UNASSIGNED]) });
        match descriptors {
            false => disk.set_capacity(Some(disk.used())),
            true => disk.fail_when(|operation, path| {
                let strikes = operation == Operation::Create && path.starts_with("/a");
                strikes.then(|| std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()))
            }),
        }
        for _ in 0..2 {
            assert!(apply(&replicas, &first, true).is_empty() && apply(&replicas, &second, true).is_empty());
            assert_eq!(replicas.unhosted(), [first.id, second.id]);
        }
        replicas.delete(second.id, NOW).unwrap();
        assert_eq!(replicas.unhosted(), [first.id]);
        disk.set_capacity(None);
        disk.fail_no_more();
        assert_eq!(apply(&replicas, &first, true), [0, 1]);
        assert!(replicas.unhosted().is_empty());
        write(&replicas, 1);
        assert_eq!(ends(&replicas), [Some(0), Some(1)]);
    }
}

#[test]
fn a_transaction_that_nobody_ends_shows() {
    let replicas = start(&SimulatedDisk::default(), &["/a"]);
    apply(&replicas, &topic(7, &[DIRECTORY_UNASSIGNED; 2]), true);
    let mut batch = BatchBuilder::new(Codec::None);
    batch.producer = Producer { id: 5, epoch: 0, base_sequence: 0 };
    batch.transactional = true;
    batch.push_plain(NOW, None, Some(&b"value"[..]));
    let origin = AppendOrigin::Coordinator { transaction_version: 0 };
    let partition = replicas.partition("t", 0).unwrap();
    let begun = FirstOfTransaction { producer_id: 5, epoch: 0, sequence: 0, supports_epoch_bump: false };
    let appended = partition.with_log(|log| {
        let guard = log.start_verification(&begun, NOW).unwrap();
        log.append_built(&batch.build(), 0, origin, guard, NOW).map(drop)
    });
    appended.unwrap().unwrap();
    let late = |number, now| {
        let partition = replicas.partition("t", number).unwrap();
        partition.gauges(now, 1000).unwrap().leader.unwrap().late_transaction
    };
    let longest = NOW + 1000 + LATE_TRANSACTION_BUFFER_MS;
    assert_eq!((late(0, longest), late(0, longest + 1), late(1, longest + 1)), (false, true, false));
}
