//! What starts, deletions and creations leave alone: logs that cannot be opened, the names of logs that are still there, and what the checkpoints
//! and the markers of the last stop say of either.

use super::manager::{config, create, open, shutdown, topic};
use super::*;
use crate::base::disk::simulated::{Crash, Operation};
use crate::storage::{LogError, LogManager, LogManagerConfig, Opened};

fn in_boot(boot_id: &str) -> LogManagerConfig {
    LogManagerConfig { boot_id: boot_id.into(), threads_per_dir: 1, ..config(&["/a"]) }
}

fn fill(log: &mut Log, count: usize) {
    for n in 0..count {
        append(log, &[&format!("value {n}")]).unwrap();
    }
    log.set_high_watermark(log.log_end_offset());
}

fn dirs(disk: &SimulatedDisk) -> Vec<String> {
    disk.list(Path::new("/a")).unwrap().into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect()
}

fn checkpoint_all(manager: &LogManager) {
    manager.checkpoint_recovery_points();
    manager.checkpoint_high_watermarks();
    manager.checkpoint_log_start_offsets();
}

fn no_room_for(refused: Operation) -> impl FnMut(Operation, &Path) -> Option<std::io::ErrorKind> {
    move |operation, _| (operation == refused).then_some(std::io::ErrorKind::StorageFull)
}

#[test]
fn what_the_checkpoints_said_of_a_log_is_not_believed_of_the_next_of_its_name() {
    for put_aside in [false, true] {
        let disk = SimulatedDisk::default();
        let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
        let mut log = create(&manager, 0);
        fill(&mut log, 600);
        log.maybe_increment_log_start_offset(500).unwrap();
        log.shared().durable_end.store(600, std::sync::atomic::Ordering::Release);
        checkpoint_all(&manager);
        match put_aside {
            true => drop(manager.put_aside(&mut log, NOW).unwrap()),
            false => assert!(manager.delete_logs(vec![log], NOW).is_empty()),
        }
        let mut log = create(&manager, 0);
        fill(&mut log, 10);
        drop((log, manager));
        disk.crash(Crash::Process);
        let Opened { logs, .. } = open(&disk, config(&["/a"])).unwrap();
        let log = &logs[0].log;
        assert_eq!((log.log_start_offset(), log.log_end_offset(), log.durable_end()), (0, 10, 10));
        assert_eq!(read_all(log, 0, 10, 1000).len(), 10);
    }
}

#[test]
fn no_log_is_made_while_the_checkpoints_speak_of_another_of_its_name() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
    let mut log = create(&manager, 0);
    fill(&mut log, 600);
    log.maybe_increment_log_start_offset(500).unwrap();
    checkpoint_all(&manager);
    // Names can be changed, but nothing can be written.
    disk.fail_when(no_room_for(Operation::Write));
    assert!(manager.delete_logs(vec![log], NOW).is_empty());
    let refused = manager.create_log(&topic(0), None, &Arc::default(), NOW);
    assert!(matches!(refused, Err(LogError::Shortage { .. })), "{refused:?}");
    assert!(!disk.exists(Path::new("/a/t-0")));
    disk.fail_no_more();
    let mut log = create(&manager, 0);
    fill(&mut log, 10);
    drop((log, manager));
    disk.crash(Crash::Process);
    let Opened { logs, .. } = open(&disk, config(&["/a"])).unwrap();
    assert_eq!(read_all(&logs[0].log, 0, 10, 1000).len(), 10);
}

#[test]
fn the_checkpoints_of_a_log_that_cannot_be_opened_wait_for_it() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, in_boot("boot")).unwrap();
    let mut logs: Vec<Log> = (0..2).map(|n| create(&manager, n)).collect();
    for log in &mut logs {
        fill(log, 20);
        log.maybe_increment_log_start_offset(5).unwrap();
    }
    assert!(shutdown(&manager, logs));
    drop(manager);
    disk.damage(Path::new("/a/t-1/partition.metadata"), |text| text.truncate(3));
    let Opened { manager, mut logs } = open(&disk, in_boot("boot")).unwrap();
    fill(&mut logs[0].log, 1);
    checkpoint_all(&manager);
    assert!(!shutdown(&manager, logs.into_iter().map(|opened| opened.log).collect()), "one log was never closed");
    drop(manager);
    let Opened { manager, logs } = open(&disk, in_boot("boot")).unwrap();
    assert_eq!(manager.previous_run().stop, LastStop::Killed);
    let offsets: Vec<_> = logs.iter().map(|opened| (opened.log.log_start_offset(), opened.log.log_end_offset())).collect();
    assert_eq!(offsets, [(5, 21), (5, 20)]);
    for name in [offsets::RECOVERY_POINT, offsets::HIGH_WATERMARK] {
        assert_eq!(logs[1].log.directory().checkpointed(name, &topic(1)), Some(20), "{name}");
    }
    assert_eq!(logs[1].log.topic_id(), None);
    assert!(shutdown(&manager, logs.into_iter().map(|opened| opened.log).collect()));
    drop(manager);
    let Opened { manager, logs } = open(&disk, in_boot("boot")).unwrap();
    assert_eq!(
        (manager.previous_run().stop, logs.len()),
        (LastStop::Clean, 2),
        "what said nothing is not kept to be taken for damage"
    );
}

#[test]
fn a_log_that_was_not_repaired_after_a_loss_of_power_is_still_to_be_repaired_at_the_next_start() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, in_boot("first")).unwrap();
    let mut log = create(&manager, 0);
    fill(&mut log, 20);
    drop((log, manager));
    disk.crash(Crash::Process);
    disk.fail_when(|operation, path| {
        (operation == Operation::Read && path.ends_with("t-0/00000000000000000000.log")).then_some(std::io::ErrorKind::Other)
    });
    for broker_epoch in [4, 5] {
        let Opened { manager, logs } = open(&disk, in_boot("second")).unwrap();
        assert!(logs.is_empty() && manager.unopened(&topic(0)).is_some());
        assert_eq!(manager.previous_run().stop, LastStop::Lost);
        manager.set_broker_epoch(broker_epoch);
        assert!(!shutdown(&manager, vec![]));
    }
    disk.fail_no_more();
    let Opened { manager, logs } = open(&disk, in_boot("second")).unwrap();
    assert_eq!(manager.previous_run().stop, LastStop::Lost);
    assert_eq!(read_all(&logs[0].log, 0, 20, 1000).len(), 20);
    drop((manager, logs));
    assert_eq!(open(&disk, in_boot("second")).unwrap().manager.previous_run().stop, LastStop::Killed, "now it is repaired");
}

#[test]
fn a_kill_during_the_recovery_from_a_loss_of_power_leaves_the_next_start_the_same_work() {
    let lost = || {
        let disk = SimulatedDisk::default();
        let Opened { manager, .. } = open(&disk, in_boot("first")).unwrap();
        let mut log = create(&manager, 0);
        fill(&mut log, 20);
        drop((log, manager));
        disk.crash(Crash::Process);
        disk
    };
    let disk = lost();
    let before = disk.changes();
    drop(open(&disk, in_boot("second")).unwrap());
    let changes = disk.changes() - before;
    // The last two changes rename the marker of this process to its place, and make that durable.
    assert!(changes > 5, "{changes}");
    for more in 0..changes {
        let disk = lost();
        disk.stop_after(more);
        drop(open(&disk, in_boot("second")));
        assert!(disk.has_stopped());
        disk.crash(Crash::Process);
        let Opened { manager, logs } = open(&disk, in_boot("second")).unwrap();
        let expected = if more + 2 <= changes { LastStop::Lost } else { LastStop::Killed };
        assert_eq!(manager.previous_run().stop, expected, "stopped after {more} of {changes} changes");
        assert_eq!(read_all(&logs[0].log, 0, 20, 1000).len(), 20);
    }
}

#[test]
fn a_log_keeps_its_name_until_its_directory_has_another() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
    let mut log = create(&manager, 0);
    fill(&mut log, 20);
    disk.fail_when(no_room_for(Operation::Rename));
    let failures = manager.delete_logs(vec![log], NOW);
    assert!(matches!(&failures[..], [(partition, LogError::Shortage { .. })] if *partition == topic(0)), "{failures:?}");
    assert!(manager.logs().is_empty(), "it is deleted for everybody else");
    let refused = manager.create_log(&topic(0), None, &Arc::default(), NOW);
    assert!(matches!(refused, Err(LogError::Shortage { .. })), "{refused:?}");
    assert_eq!(dirs(&disk), ["t-0"]);
    assert!(!disk.read(Path::new("/a/t-0/00000000000000000000.log")).unwrap().is_empty());
    disk.fail_no_more();
    let log = create(&manager, 0);
    assert_eq!((log.log_end_offset(), dirs(&disk).len()), (0, 2));
    // Without somebody who wants the name the deletion goes on all the same.
    disk.fail_when(no_room_for(Operation::Rename));
    assert_eq!(manager.delete_logs(vec![log], NOW).len(), 1);
    disk.fail_no_more();
    manager.tick(NOW);
    assert!(dirs(&disk).len() == 2 && dirs(&disk).iter().all(|name| name.ends_with("-delete")), "{:?}", dirs(&disk));
    manager.tick(NOW + 60_000);
    assert!(dirs(&disk).is_empty());
}

#[test]
fn a_log_that_could_not_be_opened_goes_once_there_is_room_to_delete_it_unless_it_was_put_aside() {
    for put_aside in [false, true] {
        let disk = SimulatedDisk::default();
        let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
        let mut log = create(&manager, 0);
        fill(&mut log, 20);
        assert!(shutdown(&manager, vec![log]));
        drop(manager);
        disk.damage(Path::new("/a/t-0/partition.metadata"), |text| text.truncate(3));
        let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
        let unopened = manager.unopened(&topic(0)).unwrap();
        disk.fail_when(no_room_for(Operation::Rename));
        let deleted = manager.delete_unopened(&topic(0), &unopened, 60_000, NOW);
        assert!(matches!(deleted, Err(LogError::Shortage { .. })), "{deleted:?}");
        manager.tick(NOW);
        assert_eq!(dirs(&disk), ["t-0"]);
        disk.fail_no_more();
        if put_aside {
            manager.put_unopened_aside(&topic(0), &unopened, NOW).unwrap();
            let mut log = create(&manager, 0);
            fill(&mut log, 3);
            manager.checkpoint_high_watermarks();
            manager.tick(NOW);
            assert_eq!(log.directory().checkpointed(offsets::HIGH_WATERMARK, &topic(0)), Some(3));
        } else {
            manager.tick(NOW);
            assert!(manager.unopened(&topic(0)).is_none() && dirs(&disk)[0].ends_with("-delete"), "{:?}", dirs(&disk));
        }
        manager.tick(NOW + 60_000);
        let left = dirs(&disk);
        match put_aside {
            true => assert!(
                left.len() == 2 && left.iter().any(|name| name == "t-0") && left.iter().any(|name| name.ends_with("-stray"))
            ),
            false => assert!(left.is_empty(), "{left:?}"),
        }
    }
}

#[test]
fn a_directory_with_files_of_a_log_is_not_taken_for_a_new_one() {
    let empty_but_not_new = "00000000000000000500.log";
    for (name, contents) in [("00000000000000000000.log", "x"), ("00000000000000000007.log.swap", "x"), (empty_but_not_new, "")] {
        let disk = SimulatedDisk::default();
        let Opened { manager, .. } = open(&disk, config(&["/a"])).unwrap();
        let path = Path::new("/a/t-0").join(name);
        disk.create_dir_all(Path::new("/a/t-0")).unwrap();
        disk.replace(&path, contents.as_bytes()).unwrap();
        let refused = manager.create_log(&topic(0), None, &Arc::default(), NOW);
        let Err(error @ LogError::Occupied { .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        assert_eq!(disk.read(&path).unwrap(), contents.as_bytes());
        assert!(manager.directories().all(|directory| directory.offline().is_none()));
    }
}

#[test]
fn at_whatever_operation_space_runs_out_a_log_can_be_made_later() {
    for fail_at in 0usize.. {
        let disk = SimulatedDisk::default();
        let Opened { manager, .. } = open(&disk, config(&["/a", "/b"])).unwrap();
        let _other = create(&manager, 1);
        let mut count = 0;
        disk.fail_when(move |operation, _| {
            let changes = matches!(operation, Operation::Write | Operation::Create | Operation::CreateDir | Operation::Rename);
            count += usize::from(changes);
            (changes && count > fail_at).then_some(std::io::ErrorKind::StorageFull)
        });
        let created = manager.create_log(&topic(0), Some(Uuid::from_u128(7)), &Arc::default(), NOW);
        disk.fail_no_more();
        if created.is_ok() {
            assert!(fail_at > 4, "{fail_at} operations");
            return;
        }
        assert!(matches!(created, Err(LogError::Shortage { .. })), "{created:?}");
        // Another log comes first, so this one's turn is in the other directory.
        let _next = create(&manager, 2);
        let mut log = create(&manager, 0);
        fill(&mut log, 3);
        drop((log, manager));
        disk.crash(Crash::Process);
        let Opened { logs, .. } = open(&disk, config(&["/a", "/b"])).unwrap();
        let log = &logs.iter().find(|opened| *opened.log.partition() == topic(0)).unwrap().log;
        assert_eq!(read_all(log, 0, 3, 1000).len(), 3, "after {fail_at} operations");
    }
}

#[test]
fn what_a_failed_creation_could_not_take_away_again_is_taken_over_by_the_next() {
    let disk = SimulatedDisk::default();
    let Opened { manager, .. } = open(&disk, config(&["/a", "/b"])).unwrap();
    // No descriptor for a file, and none to list what has to be removed.
    disk.fail_when(|operation, path| {
        let strikes = match operation {
            Operation::Create => path.starts_with("/a/t-0"),
            Operation::Remove => path == Path::new("/a/t-0"),
            _ => false,
        };
        strikes.then(|| std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()))
    });
    let refused = manager.create_log(&topic(0), Some(Uuid::from_u128(7)), &Arc::default(), NOW);
    assert!(matches!(refused, Err(LogError::Shortage { .. })), "{refused:?}");
    disk.fail_no_more();
    assert!(disk.exists(Path::new("/a/t-0")));
    // Another log comes first, so the turn is the other directory's.
    let _next = create(&manager, 1);
    let mut log = create(&manager, 0);
    fill(&mut log, 3);
    drop((log, manager));
    disk.crash(Crash::Process);
    let Opened { logs, .. } = open(&disk, config(&["/a", "/b"])).unwrap();
    assert_eq!(logs.len(), 2);
    let log = &logs.iter().find(|opened| *opened.log.partition() == topic(0)).unwrap().log;
    assert_eq!(read_all(log, 0, 3, 1000).len(), 3);
}
