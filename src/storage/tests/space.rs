//! A full disk, and one that fails.

use super::*;
use crate::base::disk::simulated::{Crash, Operation};
use crate::record::control::{EndTransactionMarker, TransactionResult};

#[test]
fn a_full_disk_refuses_the_write_serves_reads_and_goes_on_with_room() {
    let bench = Bench::small_segments(3000);
    let mut log = bench.create();
    let mut appended = 0;
    for round in 0..20 {
        bench.disk.set_capacity(Some(bench.disk.used() + 700 * round));
        loop {
            match append(&mut log, &[&format!("value {appended} {}", "x".repeat(100))]) {
                Ok(_) => appended += 1,
                Err(AppendError::Shortage { .. }) => break,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((log.log_end_offset(), read_all(&log, 0, appended, 1000).len() as Offset), (appended, appended));
        bench.disk.set_capacity(None);
        append(&mut log, &[&format!("value {appended}")]).unwrap();
        appended += 1;
    }
    assert!(log.segments().len() > 3, "rolls were among the refused");
    assert!(bench.directory.offline().is_none());
    let mut bench = bench;
    let log = bench.reopen(log);
    assert_eq!(read_all(&log, 0, appended, 1000).len() as Offset, appended);
}

#[test]
fn at_whatever_operation_space_runs_out_the_log_stays_whole() {
    let run = |fail_at: Option<usize>| {
        let bench = Bench::small_segments(700);
        let mut log = bench.create();
        let (mut count, mut struck) = (0, false);
        let counter = Arc::new(parking_lot::Mutex::new((0usize, false)));
        let seen = counter.clone();
        bench.disk.fail_when(move |operation, _| {
            if !matches!(operation, Operation::Write | Operation::Create | Operation::Reserve) {
                return None;
            }
            let mut seen = seen.lock();
            seen.0 += 1;
            let strikes = fail_at == Some(seen.0);
            seen.1 |= strikes;
            strikes.then_some(std::io::ErrorKind::StorageFull)
        });
        for n in 0..30 {
            match append(&mut log, &[&format!("value {n} {}", "y".repeat(60))]) {
                Ok(appended) => {
                    assert_eq!(appended.first_offset, count);
                    count += 1;
                }
                Err(AppendError::Shortage { .. }) => struck = true,
                Err(other) => panic!("at operation {fail_at:?}: {other}"),
            }
        }
        assert!(!struck || counter.lock().1);
        bench.disk.fail_no_more();
        let mut bench = bench;
        assert_eq!(read_all(&log, 0, count, 500).len() as Offset, count, "at operation {fail_at:?}");
        let log = bench.reopen(log);
        assert_eq!(read_all(&log, 0, count, 500).len() as Offset, count);
        counter.lock().0
    };
    let operations = run(None);
    assert!(operations > 50);
    for at in 1..=operations {
        run(Some(at));
    }
}

/// A large batch wants a new segment, of which only a part can be made; a small one behind it still fits the old segment.
#[test]
fn a_roll_that_fails_half_way_leaves_nothing_that_readers_or_the_next_start_could_take_for_a_segment() {
    use rustix::io::Errno;
    for (errno, extension) in
        [(Errno::MFILE, "log"), (Errno::MFILE, "index"), (Errno::NOSPC, "index"), (Errno::NOSPC, "timeindex")]
    {
        for (stop, rolls_later) in
            [(LastStop::Clean, false), (LastStop::Clean, true), (LastStop::Killed, false), (LastStop::Killed, true)]
        {
            let mut bench = Bench::small_segments(1000);
            let mut log = bench.create();
            append(&mut log, &[&"x".repeat(600)]).unwrap();
            bench.disk.fail_when(move |operation, path| {
                let strikes = operation == Operation::Create && path.extension().is_some_and(|e| e == extension);
                strikes.then_some(errno)
            });
            let refused = append(&mut log, &[&"y".repeat(600)]);
            assert!(matches!(refused, Err(AppendError::Shortage { .. })), "{refused:?}");
            bench.disk.fail_no_more();
            append(&mut log, &["small"]).unwrap();
            if rolls_later {
                append(&mut log, &[&"z".repeat(600)]).unwrap();
            }
            let (when, end) = (format!("{errno} {extension} {stop:?} {rolls_later}"), log.log_end_offset());
            let expected = read_all(&log, 0, end, 5000);
            assert_eq!(expected.len() as Offset, end, "{when}: {:?}", bench.files());
            let log = match stop {
                LastStop::Clean => bench.reopen(log),
                _ => {
                    drop(log);
                    bench.disk.crash(Crash::Process);
                    bench.open(stop, Checkpoints::default()).0
                }
            };
            assert_eq!(log.log_end_offset(), end, "{when}: {:?}", bench.files());
            for from in 0..end {
                assert_eq!(read_all(&log, from, end, 5000), expected[from as usize..], "{when}: {:?}", bench.files());
            }
        }
    }
}

/// Whatever comes behind the next checkpoint is not read again: what the index of a sealed segment lacks would be lacking for good.
#[test]
fn a_segment_is_not_sealed_while_there_is_no_room_for_its_index() {
    use rustix::io::Errno;
    for errno in [Errno::NOSPC, Errno::MFILE] {
        for extension in ["index", "timeindex"] {
            let mut bench = Bench::new(TopicConfig { index_interval_bytes: 1, ..TopicConfig::default() });
            let mut log = bench.create();
            log.set_flush_on_ack(true);
            for n in 0..1000 {
                append_at(&mut log, &[("v", NOW + n)], 0).unwrap();
            }
            let index = bench.path(&format!("00000000000000000000.{extension}"));
            bench.disk.fail_when(move |operation, path| (operation == Operation::Write && path == index).then_some(errno));
            let refused = log.roll(NOW);
            assert!(matches!(refused, Err(LogError::Shortage { .. })), "{errno} {extension}: {refused:?}");
            assert_eq!(log.segments().len(), 1, "{errno} {extension}");
            append_at(&mut log, &[("v", NOW + 1000)], 0).unwrap();
            bench.disk.fail_no_more();
            log.roll(NOW).unwrap();
            append_at(&mut log, &[("v", NOW + 1001)], 0).unwrap();
            bench.flush();
            assert_eq!(log.durable_end(), 1002);
            bench.checkpoint(&log).unwrap();
            drop(log);
            bench.disk.crash(Crash::Process);
            let (log, _) = bench.open_as_left(LastStop::Killed).unwrap();
            assert_eq!(log.segments()[0].largest_timestamp().unwrap(), NOW + 1000, "{errno} {extension}");
            let found = log.search_timestamps().unwrap().first_at_or_after(NOW + 900, 1002).unwrap();
            assert_eq!(found.map(|found| found.offset), Some(900), "{errno} {extension}");
        }
    }
}

#[test]
fn retention_makes_room_on_a_disk_without_a_byte_left() {
    let mut bench = Bench::new(TopicConfig { index_interval_bytes: 1, retention_ms: 1000, ..TopicConfig::default() });
    let mut log = bench.create();
    for n in 0..100 {
        append_at(&mut log, &[("old", NOW - 5000 + n)], 0).unwrap();
    }
    log.set_high_watermark(100);
    bench.flush();
    let used = bench.disk.used();
    bench.disk.set_capacity(Some(used));
    assert_eq!(delete_old_segments(&mut log, NOW).unwrap(), 1);
    bench.directory.deletions.run(&bench.disk, TimestampMs::MAX).unwrap();
    assert!(bench.disk.used() < used / 2);
    assert_eq!(append(&mut log, &["new"]).unwrap().first_offset, 100);
    let log = bench.reopen(log);
    assert_eq!((log.log_start_offset(), read_all(&log, 100, 101, 1000).len()), (100, 1));
}

/// Whoever tries a sync again does all of it.
#[test]
fn a_sync_that_found_no_descriptor_forgets_nothing() {
    use rustix::io::Errno;
    let run = |strike: usize, seed: u64| {
        let mut bench = Bench::small_segments(100_000);
        bench.settings = Arc::new(LogSettings { transaction_verification: false.into(), ..LogSettings::default() });
        let mut log = bench.create();
        log.set_flush_on_ack(true);
        append(&mut log, &["first"]).unwrap();
        let (count, mut seen) = (Arc::new(parking_lot::Mutex::new(0)), 0);
        let counted = count.clone();
        let mut transaction = BatchBuilder::new(Codec::None);
        (transaction.producer, transaction.transactional) = (Producer { id: 1, epoch: 0, base_sequence: 0 }, true);
        transaction.push_plain(NOW, None, Some(b"aborted"));
        let abort = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 1 }.batch(NOW, 1, 0);
        for batch in [transaction.build(), abort] {
            log.append_built(&batch, 0, AppendOrigin::Coordinator { transaction_version: 0 }, None, NOW).unwrap();
        }
        bench.disk.fail_when(move |operation, _| {
            let is_one = matches!(operation, Operation::Open | Operation::SyncDir);
            seen += usize::from(is_one);
            *counted.lock() = seen;
            (is_one && seen == strike).then_some(Errno::MFILE)
        });
        bench.flush();
        bench.disk.fail_no_more();
        assert_eq!(log.durable_end(), 3, "at operation {strike}");
        drop(log);
        bench.disk.crash(Crash::Power { seed });
        // What is checkpointed is not looked at again.
        let checkpoints = Checkpoints { recovery_point: Some(3), high_watermark: Some(3), ..Checkpoints::default() };
        let (log, loss) = bench.open(LastStop::Lost, checkpoints);
        assert!(loss.is_none(), "at operation {strike}: {loss:?}");
        assert_eq!(read_all(&log, 0, 2, 5000).len(), 2, "at operation {strike}");
        let aborted = log.segments()[0].transactions().all(&bench.disk).unwrap();
        assert_eq!(aborted.len(), 1, "at operation {strike}");
        *count.lock()
    };
    let operations = run(usize::MAX, 0);
    assert!(operations >= 3, "{operations}");
    for strike in 1..=operations {
        for seed in 0..8 {
            run(strike, seed * 7919);
        }
    }
}

/// The directory is about to say that it ends here, and of what stands in front of that all has to be there: the entry of an aborted transaction too.
#[test]
fn the_end_of_a_log_is_not_told_before_the_transactions_that_end_there_are_entered() {
    let mut bench = Bench::small_segments(100_000);
    bench.settings = Arc::new(LogSettings { transaction_verification: false.into(), ..LogSettings::default() });
    let mut log = bench.create();
    let mut transaction = BatchBuilder::new(Codec::None);
    (transaction.producer, transaction.transactional) = (Producer { id: 1, epoch: 0, base_sequence: 0 }, true);
    transaction.push_plain(NOW, None, Some(b"aborted"));
    let abort = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 1 }.batch(NOW, 1, 0);
    let origin = AppendOrigin::Coordinator { transaction_version: 0 };
    log.append_built(&transaction.build(), 0, origin, None, NOW).unwrap();
    let (shared, told) = (log.shared().clone(), Arc::new(parking_lot::Mutex::new(Vec::new())));
    let ends = told.clone();
    bench.disk.fail_when(move |operation, path| {
        if operation == Operation::Write && path.extension().is_some_and(|e| e == "txnindex") {
            ends.lock().push(shared.log_end_offset());
        }
        None::<std::io::ErrorKind>
    });
    log.append_built(&abort, 0, origin, None, NOW).unwrap();
    assert_eq!((told.lock().clone(), log.log_end_offset()), (vec![1], 2));
}

/// Likewise the epoch that begins there: it is not read out of the records again, once they lie in front of the recovery point.
#[test]
fn the_end_of_a_log_is_not_told_before_the_epochs_that_begin_there_are_entered() {
    let bench = Bench::small_segments(100_000);
    let mut log = bench.create();
    let (shared, told) = (log.shared().clone(), Arc::new(parking_lot::Mutex::new(Vec::new())));
    let ends = told.clone();
    bench.disk.fail_when(move |operation, path| {
        if operation == Operation::Rename && path.to_string_lossy().contains("leader-epoch-checkpoint") {
            ends.lock().push(shared.log_end_offset());
        }
        None::<std::io::ErrorKind>
    });
    append_at(&mut log, &[("first", NOW)], 3).unwrap();
    append_at(&mut log, &[("second", NOW)], 3).unwrap();
    append_at(&mut log, &[("third", NOW)], 4).unwrap();
    assert_eq!((told.lock().clone(), log.log_end_offset()), (vec![0, 2], 3));
}

#[test]
fn any_other_error_of_a_write_takes_the_directory_offline_for_good() {
    let bench = Bench::small_segments(3000);
    let mut log = bench.create();
    append(&mut log, &["before"]).unwrap();
    bench.disk.fail_when(|operation, _| (operation == Operation::Write).then_some(std::io::ErrorKind::Other));
    let error = append(&mut log, &["x"]).unwrap_err();
    assert_eq!(error.code(), crate::base::ErrorCode::KafkaStorageError);
    bench.disk.fail_no_more();
    assert!(matches!(append(&mut log, &["x"]), Err(AppendError::Offline(_))));
    assert!(matches!(log.truncate_to(0, NOW), Err(LogError::Offline(_))));
    assert!(matches!(log.roll(NOW), Err(LogError::Offline(_))));
    assert!(log.close().is_err());
    let reason = bench.directory.offline().unwrap().to_string();
    assert!(reason.contains("append to /data/t-0/00000000000000000000.log"), "{reason}");
}

#[test]
fn a_write_that_cannot_be_cut_back_is_not_a_mere_want_of_space() {
    let bench = Bench::small_segments(3000);
    let mut log = bench.create();
    bench.disk.fail_when(|operation, _| match operation {
        Operation::Write => Some(std::io::ErrorKind::StorageFull),
        Operation::SetLen => Some(std::io::ErrorKind::Other),
        _ => None,
    });
    assert!(matches!(append(&mut log, &["x"]), Err(AppendError::Offline(_))));
}
