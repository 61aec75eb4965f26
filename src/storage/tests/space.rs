//! A full disk, and one that fails.

use super::*;
use crate::base::disk::simulated::Operation;
use crate::storage::LogError;

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
