//! The manager: directories, starts and stops, deletion, directories that fail.

use std::time::Duration;

use super::*;
use crate::base::disk::RealDisk;
use crate::base::disk::simulated::{Crash, Operation};
use crate::storage::{LogManager, LogManagerConfig, OpenError, Opened};

pub(super) fn config(dirs: &[&str]) -> LogManagerConfig {
    LogManagerConfig {
        log_dirs: dirs.iter().map(PathBuf::from).collect(),
        node_id: 1,
        cluster_id: None,
        boot_id: "boot-1".into(),
        threads_per_dir: 2,
        open_files: 100,
        settings: Arc::default(),
    }
}

pub(super) fn open(disk: &SimulatedDisk, config: LogManagerConfig) -> Result<Opened, OpenError> {
    LogManager::open(Arc::new(disk.clone()), config, &|_| Arc::default(), NOW)
}

pub(super) fn topic(n: i32) -> TopicPartition {
    TopicPartition::new("t", n)
}

pub(super) fn create(manager: &LogManager, n: i32) -> Log {
    manager.create_log(&topic(n), Some(Uuid::from_u128(n as u128 + 1000)), &Arc::default(), NOW).unwrap()
}

pub(super) fn shutdown(manager: &LogManager, logs: Vec<Log>) -> bool {
    let owners: Vec<_> = logs.into_iter().map(parking_lot::Mutex::new).collect();
    manager.shutdown(&owners, |log| log.lock().close(), Some(9))
}

#[test]
fn logs_are_spread_over_directories_and_found_again_after_a_stop() {
    let disk = SimulatedDisk::default();
    let dirs = config(&["/a", "/b"]);
    let Opened { manager, logs, .. } = open(&disk, dirs.clone()).unwrap();
    assert!(logs.is_empty());
    let mut logs: Vec<Log> = (0..10).map(|n| create(&manager, n)).collect();
    for (n, log) in logs.iter_mut().enumerate() {
        for k in 0..n {
            append(log, &[&format!("{n} {k}")]).unwrap();
        }
        log.set_high_watermark(n as Offset / 2);
    }
    for dir in manager.directories() {
        assert_eq!(logs.iter().filter(|log| Arc::ptr_eq(log.directory(), dir)).count(), 5);
    }
    let cluster_id = manager.cluster_id().to_owned();
    assert!(shutdown(&manager, logs));
    drop(manager);
    disk.crash(Crash::Power { seed: 1 });

    let Opened { manager, logs } = open(&disk, dirs).unwrap();
    assert_eq!(manager.cluster_id(), cluster_id);
    let previous = manager.previous_run();
    assert_eq!((previous.stop, previous.broker_epoch), (LastStop::Clean, Some(9)));
    assert_eq!(logs.len(), 10);
    for opened in &logs {
        let (log, n) = (&opened.log, opened.log.partition().partition as Offset);
        assert!(opened.loss.is_none());
        assert_eq!((log.log_end_offset(), log.high_watermark(), log.durable_end()), (n, n / 2, n));
        assert_eq!(log.topic_id(), Some(Uuid::from_u128(n as u128 + 1000)));
        let expected: Vec<_> = (0..n).map(|k| (k, format!("{n} {k}"))).collect();
        assert_eq!(read_all(log, 0, n, 1000), expected);
    }
}

#[test]
fn a_process_that_was_killed_comes_back_with_all_it_wrote() {
    let disk = SimulatedDisk::default();
    let opened = open(&disk, config(&["/a"])).unwrap();
    opened.manager.set_broker_epoch(3);
    let mut log = create(&opened.manager, 0);
    append(&mut log, &["one", "two"]).unwrap();
    drop((log, opened));
    disk.crash(Crash::Process);
    let Opened { manager, logs, .. } = open(&disk, config(&["/a"])).unwrap();
    let previous = manager.previous_run();
    assert_eq!((previous.stop, previous.broker_epoch), (LastStop::Killed, Some(3)));
    assert_eq!(read_all(&logs[0].log, 0, 2, 1000).len(), 2);
    drop(manager);
    disk.crash(Crash::Process);
    let other_boot = LogManagerConfig { boot_id: "boot-2".into(), ..config(&["/a"]) };
    assert_eq!(open(&disk, other_boot).unwrap().manager.previous_run().stop, LastStop::Lost);
}

#[test]
fn a_start_after_a_kill_does_not_claim_that_what_was_deleted_is_durable() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
    let mut log = create(&manager, 0);
    append(&mut log, &["one", "two"]).unwrap();
    log.set_high_watermark(2);
    log.maybe_increment_log_start_offset(2).unwrap();
    manager.checkpoint_log_start_offsets();
    drop((log, manager));
    disk.crash(Crash::Process);
    let Opened { manager, logs } = open(&disk, config(&["/a"])).unwrap();
    assert_eq!((manager.previous_run().stop, logs[0].log.log_start_offset()), (LastStop::Killed, 2));
    let path = logs[0].log.segments()[0].path();
    assert_eq!(logs[0].log.durable_end(), 2);
    assert_eq!(disk.durable_contents(&path), Some(disk.read(&path).unwrap()));
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_left_as_it_was() {
    let disk = SimulatedDisk::default();
    drop(open(&disk, config(&["/a", "/b"])).unwrap());
    let before = disk.read(Path::new("/a/meta.properties")).unwrap();
    let other_node = open(&disk, LogManagerConfig { node_id: 2, ..config(&["/a"]) });
    assert!(matches!(other_node, Err(OpenError::OtherNode { found: 1, expected: 2, .. })));
    let other_cluster = open(&disk, LogManagerConfig { cluster_id: Some("other".into()), ..config(&["/a", "/new"]) });
    assert!(matches!(other_cluster, Err(OpenError::OtherCluster { .. })));
    assert_eq!(disk.read(Path::new("/a/meta.properties")).unwrap(), before);
    assert!(!disk.exists(Path::new("/new/meta.properties")), "nothing is written before all is checked");
    let twice = open(&disk, config(&["/a", "/a"]));
    assert!(matches!(twice, Err(OpenError::ConfiguredTwice(_))));
    disk.create_dir_all(Path::new("/copy")).unwrap();
    disk.replace(Path::new("/copy/meta.properties"), &before).unwrap();
    assert!(matches!(open(&disk, config(&["/a", "/copy"])), Err(OpenError::SameDirectoryId(_))));
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let disk = SimulatedDisk::default();
    let first = open(&disk, config(&["/a"])).unwrap();
    match open(&disk, config(&["/b", "/a"])) {
        Err(error @ OpenError::InUse { .. }) => assert!(error.to_string().contains("/a is in use by klamm process"), "{error}"),
        _ => panic!("two processes"),
    }
    drop(first);
    assert!(open(&disk, config(&["/b", "/a"])).is_ok());
}

#[test]
fn a_deleted_log_is_gone_at_once_its_files_later_and_its_name_is_free() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
    let mut log = create(&manager, 0);
    append(&mut log, &["old"]).unwrap();
    let mut plan = log.read(0, 1000, true, 1).unwrap();
    assert!(manager.delete_logs(vec![log], NOW).is_empty());
    assert!(manager.logs().is_empty());
    let mut again = create(&manager, 0);
    append(&mut again, &["new"]).unwrap();
    assert!(!plan.finish().unwrap().records.is_empty(), "who was reading reads on");
    let dirs = |disk: &SimulatedDisk| disk.list(Path::new("/a")).unwrap().into_iter().filter(|e| e.is_dir).count();
    manager.tick(NOW + 59_999);
    assert_eq!(dirs(&disk), 2);
    manager.tick(NOW + 60_000);
    assert_eq!(dirs(&disk), 1);
    assert_eq!(read_all(&again, 0, 1, 1000), [(0, "new".to_owned())]);
    assert!(manager.delete_logs(vec![again], NOW).is_empty());
    drop(manager);
    let Opened { manager, logs, .. } = open(&disk, config(&["/a"])).unwrap();
    assert!(logs.is_empty());
    manager.tick(NOW);
    assert_eq!(dirs(&disk), 0, "what a process left behind is removed by the next");
}

#[test]
fn a_directory_that_fails_takes_only_its_own_logs_with_it() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a", "/b"])).unwrap();
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let listener = told.clone();
    manager.set_offline_listener(Arc::new(move |offline| listener.lock().push(offline.path.clone())));
    let (mut first, mut second) = (create(&manager, 0), create(&manager, 1));
    let failing = first.directory().path().to_owned();
    let prefix = failing.clone();
    disk.fail_when(move |operation, path| {
        (operation == Operation::Write && path.starts_with(&prefix)).then_some(std::io::ErrorKind::Other)
    });
    assert!(matches!(append(&mut first, &["x"]), Err(AppendError::Offline(_))));
    assert!(append(&mut second, &["x"]).is_ok());
    disk.fail_no_more();
    assert!(matches!(append(&mut first, &["x"]), Err(AppendError::Offline(_))), "it is not tried again");
    assert!(first.read(0, 1, true, 0).is_err());
    assert_eq!(*told.lock(), std::slice::from_ref(&failing));
    let third = create(&manager, 2);
    assert_ne!(third.directory().path(), failing);
    assert!(!shutdown(&manager, vec![first, second, third]));
    assert!(!disk.exists(&failing.join(".kafka_cleanshutdown")));
}

#[test]
fn a_failed_sync_tells_who_waits_and_is_never_taken_back() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
    let mut log = create(&manager, 0);
    log.set_flush_on_ack(true);
    let (tell, told) = std::sync::mpsc::channel();
    log.set_flush_listener(Arc::new(move |result| tell.send(result).unwrap()));
    append(&mut log, &["x"]).unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(10)).unwrap().unwrap(), 1);
    assert_eq!(log.durable_end(), 1);
    disk.fail_when(|operation, _| (operation == Operation::Sync).then_some(std::io::ErrorKind::Other));
    append(&mut log, &["y"]).unwrap();
    assert!(told.recv_timeout(Duration::from_secs(10)).unwrap().is_err());
    disk.fail_no_more();
    assert!(append(&mut log, &["z"]).is_err());
    assert_eq!(log.durable_end(), 1);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let disk = SimulatedDisk::default();
    for dir in ["/a/__cluster_metadata-0", "/a/lost+found", "/a/t-0.00000000000000000000000000000001-stray"] {
        disk.create_dir_all(Path::new(dir)).unwrap();
    }
    disk.replace(Path::new("/a/bootstrap.checkpoint"), b"kafka's").unwrap();
    let Opened { manager, logs } = open(&disk, config(&["/a"])).unwrap();
    assert!(logs.is_empty());
    manager.tick(i64::MAX);
    for name in ["__cluster_metadata-0", "lost+found", "t-0.00000000000000000000000000000001-stray", "bootstrap.checkpoint"] {
        assert!(disk.exists(&Path::new("/a").join(name)), "{name}");
    }
}

#[test]
fn a_stop_is_in_order_only_if_every_checkpoint_could_be_written() {
    for name in [offsets::RECOVERY_POINT, offsets::HIGH_WATERMARK, offsets::LOG_START] {
        let disk = SimulatedDisk::default();
        let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
        let mut log = create(&manager, 0);
        append(&mut log, &["one"]).unwrap();
        append(&mut log, &["two"]).unwrap();
        log.set_high_watermark(2);
        log.maybe_increment_log_start_offset(1).unwrap();
        disk.fail_when(move |operation, path| {
            let is_its = path.to_string_lossy().starts_with(&format!("/a/{name}"));
            (operation == Operation::Write && is_its).then_some(std::io::ErrorKind::StorageFull)
        });
        assert!(!shutdown(&manager, vec![log]), "{name}");
        disk.fail_no_more();
        drop(manager);
        let Opened { manager, logs } = open(&disk, config(&["/a"])).unwrap();
        assert_eq!((manager.previous_run().stop, logs[0].log.log_end_offset()), (LastStop::Killed, 2), "{name}");
    }
}

#[test]
fn a_log_that_cannot_be_opened_does_not_keep_the_others_from_it() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
    let logs = (0..3).map(|n| create(&manager, n)).collect();
    assert!(shutdown(&manager, logs));
    drop(manager);
    disk.damage(Path::new("/a/t-1/partition.metadata"), |text| text.truncate(3));
    let Opened { manager, logs } = open(&disk, config(&["/a"])).unwrap();
    assert_eq!((logs.len(), manager.logs().len()), (2, 2));
    let unopened = manager.unopened(&topic(1)).unwrap();
    assert!(unopened.reason().to_string().contains("partition.metadata is damaged"), "{}", unopened.reason());
    assert_eq!(unopened.dir(), Path::new("/a/t-1"));
    assert!(manager.unopened(&topic(0)).is_none());
}

#[test]
fn a_file_where_a_directory_should_be_and_one_that_cannot_be_written_are_errors_that_name_it() {
    let disk = SimulatedDisk::default();
    disk.replace(Path::new("/a"), b"a file").unwrap();
    assert!(matches!(open(&disk, config(&["/a"])), Err(OpenError::NoDirectory(_))));
    let Opened { manager, .. } = open(&disk, config(&["/b", "/a"])).unwrap();
    assert_eq!(manager.directories().map(|d| d.path().to_owned()).collect::<Vec<_>>(), [PathBuf::from("/b")]);
    let [unusable] = manager.unusable_directories() else { panic!("{:?}", manager.unusable_directories()) };
    assert_eq!(unusable.path, Path::new("/a"));
    drop(manager);
    match open(&disk, config(&["/a", "/c"])) {
        Err(error @ OpenError::FirstDirectory(_)) => {
            assert!(error.to_string().contains("the first log directory, /a,"), "{error}")
        }
        _ => panic!("the owner keeps more in it than logs"),
    }
    assert!(!disk.exists(Path::new("/c/meta.properties")), "nothing is written before that is known");
    disk.fail_when(|operation, path| {
        (matches!(operation, Operation::Create | Operation::Write) && path.starts_with("/c"))
            .then_some(std::io::ErrorKind::ReadOnlyFilesystem)
    });
    disk.create_dir_all(Path::new("/c")).unwrap();
    assert!(matches!(open(&disk, config(&["/c"])), Err(OpenError::NoDirectory(_))));
}

#[test]
fn the_real_disk_does_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogManagerConfig { log_dirs: vec![dir.path().join("data")], ..config(&[]) };
    let open = || LogManager::open(Arc::new(RealDisk), config.clone(), &|_| Arc::default(), NOW).unwrap();
    let Opened { manager, .. } = open();
    let mut log = create(&manager, 0);
    for n in 0..1000 {
        append(&mut log, &[&format!("value {n}")]).unwrap();
    }
    let expected = read_all(&log, 0, 1000, 5000);
    assert_eq!(expected.len(), 1000);
    assert!(shutdown(&manager, vec![log]));
    drop(manager);
    let Opened { manager, mut logs, .. } = open();
    assert_eq!(manager.previous_run().stop, LastStop::Clean);
    let mut log = logs.remove(0).log;
    assert_eq!(read_all(&log, 0, 1000, 5000), expected);
    append(&mut log, &["more"]).unwrap();
    drop((log, manager)); // as if killed
    let Opened { manager, logs, .. } = open();
    assert_eq!(manager.previous_run().stop, LastStop::Killed);
    assert!(logs[0].loss.is_none());
    assert_eq!(read_all(&logs[0].log, 0, 1001, 5000).len(), 1001);
}
