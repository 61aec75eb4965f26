//! Reading while the log changes: plans, cold pages, truncation and deletion under readers, many more segments than open files.

use super::*;
use crate::storage::ReadError;

fn filled(bench: &Bench, records: Offset) -> Log {
    let mut log = bench.create();
    for n in 0..records {
        append_at(&mut log, &[(&format!("value {n}"), NOW + n)], (n / 20) as LeaderEpoch).unwrap();
    }
    log.set_high_watermark(records);
    log
}

#[test]
fn what_is_cold_is_loaded_before_it_is_read() {
    let bench = Bench::small_segments(1000);
    let log = filled(&bench, 50);
    bench.disk.set_cold(true);
    let mut plan = log.read(3, 200, true, 50).unwrap();
    assert!(!plan.is_resident() && plan.len().is_none());
    plan.load().unwrap();
    let expected = plan.len().unwrap();
    assert_eq!(plan.finish().unwrap().records.len(), expected);
    bench.disk.set_cold(false);
    let mut plan = log.read(3, 200, true, 50).unwrap();
    assert!(plan.is_resident(), "open and in the page cache");
    assert_eq!(plan.len(), Some(expected));
}

#[test]
fn the_tail_is_found_at_once_even_if_the_system_says_it_is_cold() {
    let bench = Bench::small_segments(1 << 20);
    let log = filled(&bench, 50);
    read_all(&log, 0, 50, 1000);
    bench.disk.set_cold(true);
    let mut plan = log.read(45, 1000, true, 50).unwrap();
    assert!(plan.len().is_some() && plan.is_resident());
}

#[test]
fn a_slice_outlives_truncation_deletion_and_the_log_itself() {
    let bench = Bench::small_segments(1000);
    let mut log = filled(&bench, 50);
    let slice = |log: &Log, offset| log.read(offset, 400, true, 50).unwrap().finish().unwrap().records;
    let (first, last) = (slice(&log, 0), slice(&log, 46));
    let copies = (first.to_vec(), last.to_vec());
    // The simulated disk panics if bytes of a slice that is alive are changed or cut.
    log.truncate_to(47, NOW).unwrap();
    for n in 0..30 {
        append(&mut log, &[&format!("other {n}")]).unwrap();
    }
    log.set_high_watermark(60);
    log.maybe_increment_log_start_offset(30).unwrap();
    assert!(delete_old_segments(&mut log, NOW).unwrap() > 0);
    bench.directory.deletions.run(&bench.disk, i64::MAX).unwrap();
    drop(log);
    assert_eq!((&first[..], &last[..]), (&copies.0[..], &copies.1[..]));
}

#[test]
fn a_plan_that_a_truncation_overtook_says_so() {
    let bench = Bench::small_segments(1 << 20);
    let mut log = filled(&bench, 50);
    let mut early = log.read(10, 1 << 20, true, 50).unwrap();
    let mut found = log.read(10, 1 << 20, true, 50).unwrap();
    found.load().unwrap();
    log.set_high_watermark(0);
    log.truncate_to(20, NOW).unwrap();
    for n in 0..30 {
        append(&mut log, &[&format!("other {n}")]).unwrap();
    }
    assert!(matches!(early.finish(), Err(ReadError::Truncated)));
    assert!(matches!(found.finish(), Err(ReadError::Truncated)));
}

#[test]
fn more_segments_than_open_files_are_read_all_the_same() {
    let mut bench = Bench::small_segments(300);
    bench.directory = directory(&bench.disk, 5);
    let log = filled(&bench, 200);
    assert!(log.segments().len() > 40);
    for start in [0, 77, 199] {
        let records = read_all(&log, start, 200, 250);
        assert_eq!(records.len() as Offset, 200 - start);
    }
}

#[test]
fn readers_and_the_writer_do_not_disturb_one_another() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::new(Arc::new(crate::base::disk::RealDisk), 8);
    let directory = LogDirectory::new(dir.path().to_owned(), Uuid::nil(), cache);
    let settings = Arc::default();
    let loader = Loader { directory: &directory, settings: &settings, last_stop: LastStop::Clean, now: NOW };
    let config = TopicConfig { segment_bytes: 4000, index_interval_bytes: 200, ..TopicConfig::default() };
    let log = parking_lot::Mutex::new(loader.create(&partition(), None, &Arc::new(config)).unwrap());
    let done = AtomicBool::new(false);
    let value = |offset: Offset| format!("{offset}:{}", "z".repeat(offset as usize % 90));
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (log, done) = (&log, &done);
            scope.spawn(move || {
                let mut offset = 0;
                loop {
                    let finished = done.load(Ordering::Acquire);
                    let plan = {
                        let log = log.lock();
                        let end = log.log_end_offset();
                        offset = offset.clamp(log.log_start_offset(), end);
                        if finished && offset == end {
                            break;
                        }
                        log.read(offset, 700 + reader * 300, true, end)
                    };
                    let mut plan = plan.unwrap();
                    if !plan.is_resident() {
                        plan.load().or_else(|e| if matches!(e, ReadError::Truncated) { Ok(()) } else { Err(e) }).unwrap();
                    }
                    let Ok(fetched) = plan.finish() else { continue };
                    for batch in batches(&fetched.records) {
                        let batch = batch.unwrap();
                        batch.verify_checksum().unwrap();
                        for record in records(&batch.header, batch.body()).map(Result::unwrap).filter(|r| r.offset >= offset) {
                            assert_eq!(record.value.unwrap(), value(record.offset).as_bytes());
                        }
                        offset = offset.max(batch.header.next_offset());
                    }
                }
            });
        }
        for n in 0..3000 {
            let mut log = log.lock();
            append(&mut log, &[&value(n)]).unwrap();
            if n % 100 == 99 {
                log.set_high_watermark(n + 1);
                log.maybe_increment_log_start_offset(n - 90).unwrap();
                delete_old_segments(&mut log, NOW).unwrap();
                directory.deletions.run(&crate::base::disk::RealDisk, i64::MAX).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
}
