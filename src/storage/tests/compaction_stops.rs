//! Cleanings that stop or fail half-way, at each of their changes: no record is lost that compaction has to keep.

use parking_lot::Mutex;

use super::compaction::{Compacted, compacted_config, left, overlap};
use super::*;
use crate::base::disk::simulated::{Crash, Operation};
use crate::record::control::TransactionResult;

#[test]
fn a_failed_rename_takes_the_directory_offline() {
    let mut log = Compacted::new(compacted_config());
    for _ in 0..20 {
        log.put(&[("a", Some(&"x".repeat(100)))]);
    }
    log.roll();
    log.bench.disk.fail_when(|operation, _| (operation == Operation::Rename).then_some(std::io::ErrorKind::Other));
    assert!(!log.clean());
    assert!(log.log(|log| log.directory().offline().is_some()));
}

/// A log of 28 offsets, durable and checkpointed, whose segments are all to be cleaned.
fn filled() -> Compacted {
    let log = Compacted::new(compacted_config());
    for n in 0..24 {
        log.put(&[(["a", "b"][n % 2], Some(&format!("{n} {}", "x".repeat(150))))]);
    }
    log.put(&[("gone", Some("1"))]);
    log.put(&[("gone", None)]);
    log.put_as(Producer { id: 1, epoch: 0, base_sequence: 0 }, true, &[("a", Some("aborted"))]);
    log.end_transaction(1, TransactionResult::Abort);
    log.roll();
    log.log(|opened| log.bench.checkpoint(opened).unwrap());
    log.bench.disk.sync_all(Path::new("/")).unwrap();
    log
}

/// Asserts that of [`filled`] the last record of each key is there, and nothing that was not.
fn assert_every_key(opened: &Log, whole: &[(Offset, String)], when: &str) {
    let after = left(opened);
    assert!(after.iter().all(|record| whole.contains(record)), "{when}: {after:?}");
    for kept in &whole[whole.len() - 3 - 3..] {
        let is_aborted = kept.1 == "a=aborted" || kept.1 == "gone=1";
        assert!(is_aborted || after.contains(kept), "{when}: {kept:?} is missing in {after:?}");
    }
}

/// One operation of a cleaning fails, and all after it work: where the old segments are on their way out, the new one must not go as well.
#[test]
fn one_failure_at_any_name_costs_no_record() {
    use rustix::io::Errno;
    let whole = filled().left();
    let run = |strike: usize, errno: Errno| {
        let mut log = filled();
        let (count, mut seen) = (Arc::new(Mutex::new(0)), 0);
        let counted = count.clone();
        log.bench.disk.fail_when(move |operation, _| {
            seen += usize::from(matches!(operation, Operation::Rename | Operation::SyncDir));
            *counted.lock() = seen;
            (seen == strike && matches!(operation, Operation::Rename | Operation::SyncDir)).then_some(errno)
        });
        log.clean();
        log.bench.disk.fail_no_more();
        let when = format!("{errno} at operation {strike}");
        if log.bench.directory.offline().is_none() {
            log.bench.directory.deletions.run(&log.bench.disk, TimestampMs::MAX).unwrap();
            log.log(|log| assert_every_key(log, &whole, &when));
        }
        drop(log.owner.0.lock().take());
        log.bench.disk.crash(Crash::Process);
        let (opened, loss) = log.bench.open_as_left(LastStop::Killed).unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_eq!((loss.is_none(), opened.log_end_offset()), (true, 28), "{when}: {:?}", log.bench.files());
        assert_every_key(&opened, &whole, &when);
        *count.lock()
    };
    let operations = run(usize::MAX, Errno::IO);
    assert!(operations > 10, "{operations}");
    for strike in 1..=operations {
        for errno in [Errno::IO, Errno::MFILE, Errno::NOSPC] {
            run(strike, errno);
        }
    }
}

/// From one operation to the next the directory is gone, and with it every name that the cleaner makes or looks for there.
#[test]
fn a_log_that_is_deleted_while_it_is_cleaned_takes_nothing_else_with_it() {
    let run = |strike: usize| {
        let mut log = filled();
        let (count, shared, dir) = (Arc::new(Mutex::new(0)), log.log(|log| log.shared().clone()), log.bench.path(""));
        let (counted, mut seen, mut is_taken) = (count.clone(), 0, false);
        log.bench.disk.fail_when(move |operation, path| {
            // Its segments take their place under the lock of the owner, as the deletion does.
            is_taken |= operation == Operation::Rename && path.starts_with(&dir);
            let by_name = matches!(operation, Operation::Open | Operation::Create | Operation::SyncDir);
            if is_taken || !by_name || !path.starts_with(&dir) {
                return None;
            }
            seen += 1;
            *counted.lock() = seen;
            (seen >= strike).then(|| {
                shared.deleted.store(true, std::sync::atomic::Ordering::Release);
                std::io::ErrorKind::NotFound
            })
        });
        assert_eq!(log.clean(), strike == usize::MAX, "at operation {strike}");
        let offline = log.bench.directory.offline();
        assert!(offline.is_none(), "at operation {strike}: {offline:?}");
        assert!(log.cleaner.state().uncleanable.is_empty(), "at operation {strike}");
        *count.lock()
    };
    let operations = run(usize::MAX);
    assert!(operations > 5, "{operations}");
    for strike in 1..=operations {
        run(strike);
    }
}

/// Two segments of one name are on their way out, and each has a reader who has not opened it yet.
#[test]
fn readers_of_what_was_cleaned_twice_read_what_they_saw() {
    // Hardly anything stays open: what a reader has not looked at yet, he opens by its name.
    let mut bench = Bench::new(compacted_config());
    bench.directory = directory(&bench.disk, 1);
    let mut log = Compacted::on(bench);
    let fill = |log: &Compacted, from: usize| {
        for n in from..from + 12 {
            log.put(&[(["a", "b"][n % 2], Some(&format!("{n} {}", "x".repeat(200))))]);
        }
    };
    fill(&log, 0);
    let mut first = log.log(|log| log.read(0, 600, true, 12).unwrap());
    log.roll_and_clean();
    fill(&log, 12);
    let mut second = log.log(|log| log.read(0, 600, true, 24).unwrap());
    log.roll_and_clean();
    let begins = |plan: &mut crate::storage::ReadPlan| {
        plan.load().unwrap();
        let records = plan.finish().unwrap().records;
        let batch = batches(&records).next().unwrap().unwrap();
        batch.verify_checksum().unwrap();
        batch.header.base_offset
    };
    assert_eq!((begins(&mut first), begins(&mut second)), (0, 10));
    let disk = log.bench.disk.clone();
    log.log(|log| log.directory().deletions.run(&disk, TimestampMs::MAX).unwrap());
    assert!(log.bench.files().iter().all(|name| !name.contains(".deleted")), "{:?}", log.bench.files());
}

/// A cleaning that stops at each of its changes, by kill and by loss of power: what is left is the log before or after, or in between, and never
/// less than the last record of each key.
#[test]
fn a_stop_at_any_change_leaves_a_log_with_every_key() {
    let changes = {
        let mut log = filled();
        let before = log.bench.disk.changes();
        assert!(log.clean());
        log.bench.disk.changes() - before
    };
    assert!(changes > 40, "{changes}");
    let whole = filled().left();
    let renames = Arc::new(Mutex::new(0));
    for stop_after in 0..=changes {
        let powers = (0..12).map(|seed| (Crash::Power { seed: seed * 7919 + stop_after }, LastStop::Lost));
        for (crash, stop) in std::iter::once((Crash::Process, LastStop::Killed)).chain(powers) {
            let mut log = filled();
            let (counted, from) = (renames.clone(), log.bench.disk.changes());
            log.bench.disk.stop_after(stop_after);
            log.clean();
            *counted.lock() += usize::from(log.bench.disk.changes() > from);
            drop(log.owner.0.lock().take());
            log.bench.disk.crash(crash);
            // The start may be interrupted, too.
            log.bench.disk.stop_after(stop_after % 9);
            let first = log.bench.open_as_left(stop);
            let opened = if log.bench.disk.has_stopped() {
                drop(first);
                log.bench.disk.crash(crash);
                log.bench.open_as_left(stop)
            } else {
                log.bench.disk.do_not_stop();
                first
            };
            let (mut opened, loss) = opened.unwrap_or_else(|error| panic!("{stop_after} {crash:?}: {error}"));
            let files = log.bench.files();
            assert!(loss.is_none(), "{stop_after} {crash:?}: {loss:?} {files:?}");
            assert_eq!(opened.log_end_offset(), 28, "{stop_after} {crash:?} {files:?}");
            assert!(
                files.iter().all(|name| ![".cleaned", ".swap", ".deleted"].iter().any(|suffix| name.contains(suffix))),
                "{files:?}"
            );
            assert_eq!(overlap(&opened, &log.bench.disk), None, "{stop_after} {crash:?} {files:?}");
            assert_every_key(&opened, &whole, &format!("{stop_after} {crash:?} {files:?}"));
            // It goes on: appends, and cleans to the same end.
            opened.set_high_watermark(28);
            let mut again = Compacted::new(compacted_config());
            std::mem::swap(&mut again.bench, &mut log.bench);
            *again.owner.0.lock() = Some(opened);
            again.put(&[("z", Some("1"))]);
            again.roll_and_clean();
            let left: Vec<String> = again.left().into_iter().map(|(_, record)| record.chars().take(5).collect()).collect();
            assert_eq!(left, ["a=22 ", "b=23 ", "gone=", "abort", "z=1"], "{stop_after} {crash:?}");
        }
    }
    assert!(*renames.lock() > 100);
}

/// The names of the first cleaning's segments need not be durable when the second begins.
#[test]
fn a_stop_in_a_second_cleaning_costs_nothing_that_the_first_one_left() {
    let filled = || {
        let mut log = Compacted::new(compacted_config());
        for n in 0..24 {
            log.put(&[(&format!("key {n}"), Some(&"x".repeat(200)))]);
        }
        log.roll();
        log.put(&[("more", Some("1"))]);
        log.roll();
        log.log(|log| log.set_high_watermark(20));
        assert!(log.clean());
        log.log(|log| log.set_high_watermark(25));
        log
    };
    let changes = {
        let mut log = filled();
        let before = log.bench.disk.changes();
        assert!(log.clean());
        log.bench.disk.changes() - before
    };
    let whole = filled().left();
    for stop_after in 0..=changes.min(30) {
        for seed in 0..12 {
            let mut log = filled();
            log.bench.disk.stop_after(stop_after);
            log.clean();
            drop(log.owner.0.lock().take());
            log.bench.disk.crash(Crash::Power { seed: seed * 7919 + stop_after });
            let (opened, _) =
                log.bench.open_as_left(LastStop::Lost).unwrap_or_else(|error| panic!("{stop_after} {seed}: {error}"));
            assert_eq!(left(&opened), whole, "{stop_after} {seed}");
        }
    }
}

/// A transaction index that was torn is made anew from the start of its segment on; what was compacted there is no hole.
#[test]
fn a_torn_transaction_index_costs_no_record_of_a_compacted_log() {
    let mut log = Compacted::new(TopicConfig { segment_bytes: 1000, ..compacted_config() });
    log.put_as(Producer { id: 1, epoch: 0, base_sequence: 0 }, true, &[("a", Some("aborted"))]);
    log.end_transaction(1, TransactionResult::Abort);
    for n in 0..6 {
        log.put(&[(&format!("key {n}"), Some(&"x".repeat(200)))]);
        log.put(&[("again", Some(&n.to_string()))]);
    }
    log.roll_and_clean();
    let ends_in_front_of_the_next = log.log(|log| {
        let segments = log.segments();
        let last = |n: usize| {
            read_all(log, segments[n].base_offset(), segments[n + 1].base_offset(), 1 << 20).last().map(|(offset, _)| *offset)
        };
        (0..segments.len() - 1).any(|n| last(n).is_some_and(|last| last + 1 < segments[n + 1].base_offset()))
    });
    assert!(ends_in_front_of_the_next, "{:?}", log.left());
    let whole = log.left();
    log.log(|open| log.bench.checkpoint(open).unwrap());
    let index = log.log(|log| log.segments()[0].transactions().path().to_owned());
    drop(log.owner.0.lock().take());
    let mut torn = log.bench.disk.read(&index).unwrap();
    torn[9] ^= 1;
    log.bench.disk.replace(&index, &torn).unwrap();
    let (opened, loss) = log.bench.open_as_left(LastStop::Lost).unwrap();
    assert!(loss.is_none(), "{loss:?}");
    assert_eq!(left(&opened), whole);
}
