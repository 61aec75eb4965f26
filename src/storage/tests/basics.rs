//! Appending, reading, rolling, opening.

use super::*;
use crate::storage::ReadError;

#[test]
fn records_are_read_as_they_were_appended() {
    let bench = Bench::small_segments(1000);
    let mut log = bench.create();
    let mut expected = Vec::new();
    for n in 0..100 {
        let values: Vec<String> = (0..n % 3 + 1).map(|k| format!("value {n} {k}")).collect();
        let first = expected.len() as Offset;
        let appended = append(&mut log, &values.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!((appended.first_offset, appended.last_offset), (first, first + values.len() as Offset - 1));
        expected.extend((first..).zip(values));
    }
    assert!(log.segments().len() > 5, "{log:?}");
    let end = log.log_end_offset();
    for max_bytes in [1, 100, 500, 10_000] {
        for start in 0..end {
            assert_eq!(read_all(&log, start, end, max_bytes), expected[start as usize..], "from {start} by {max_bytes}");
        }
    }
}

#[test]
fn nothing_at_the_bound_or_behind_it_is_read() {
    let bench = Bench::small_segments(700);
    let mut log = bench.create();
    for n in 0..30 {
        append(&mut log, &[&format!("a{n}"), &format!("b{n}")]).unwrap();
    }
    for bound in 0..=60 {
        for start in 0..=60 {
            let records = read_all(&log, start, bound, 1 << 20);
            // Batches hold two records: one that holds the bound is not given.
            let whole = bound / 2 * 2;
            let expected: Vec<Offset> = (start..whole).collect();
            assert_eq!(records.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), expected, "{start}..{bound}");
        }
    }
}

#[test]
fn sizes_are_kept_and_a_large_first_batch_is_given_only_on_request() {
    let bench = Bench::small_segments(1 << 20);
    let mut log = bench.create();
    append(&mut log, &[&"x".repeat(5000)]).unwrap();
    append(&mut log, &["y"]).unwrap();
    let finish = |max, one| log.read(0, max, one, 2).unwrap().finish().unwrap();
    assert!(finish(1000, true).records.len() > 5000);
    let cut = finish(1000, false);
    assert_eq!((cut.records.len(), cut.first_entry_incomplete), (1000, true));
    assert!(log.read(2, 1000, true, 2).unwrap().is_empty(), "the end of the log is no error");
    for offset in [-1, 3] {
        assert!(matches!(log.read(offset, 1, true, 2), Err(ReadError::OffsetOutOfRange { log_end_offset: 2, .. })));
    }
}

#[test]
fn a_log_closed_in_order_opens_without_reading_its_contents() {
    let mut bench = Bench::small_segments(1000);
    let mut log = bench.create();
    for n in 0..50 {
        append(&mut log, &[&format!("value {n}")]).unwrap();
    }
    log.set_high_watermark(40);
    let before = read_all(&log, 0, 50, 1000);
    log.close().unwrap();
    let checkpoints = checkpoints_of(&log);
    drop(log);
    bench.disk.fail_when(|operation, path| {
        use crate::base::disk::simulated::Operation::*;
        let contents = matches!(operation, Read | Map | Write) && path.extension().is_some_and(|e| e != "snapshot");
        contents.then_some(std::io::ErrorKind::Other)
    });
    let (log, loss) = bench.open(LastStop::Clean, checkpoints);
    bench.disk.fail_no_more();
    assert!(loss.is_none());
    assert_eq!((log.log_start_offset(), log.high_watermark(), log.log_end_offset()), (0, 40, 50));
    assert_eq!(read_all(&log, 0, 50, 1000), before);
    let mut log = bench.reopen(log);
    assert_eq!(append(&mut log, &["more"]).unwrap().first_offset, 50);
    assert_eq!(read_all(&log, 48, 51, 1000).len(), 3);
}

#[test]
fn a_killed_process_loses_nothing_it_wrote() {
    let mut bench = Bench::small_segments(1000);
    let mut log = bench.create();
    for n in 0..50 {
        append(&mut log, &[&format!("value {n}")]).unwrap();
    }
    let expected = read_all(&log, 0, 50, 1000);
    bench.disk.crash(crate::base::disk::simulated::Crash::Process);
    let (log, loss) = bench.open(LastStop::Killed, Checkpoints::default());
    assert!(loss.is_none(), "{loss:?}");
    assert_eq!(log.log_end_offset(), 50);
    assert_eq!(read_all(&log, 0, 50, 1000), expected);
}
