//! The follower's side: taking over what a leader sent, truncation, gaps, epochs; and the checks that protect it.

use super::*;
use crate::base::disk::simulated::{Crash, Operation};

/// Everything a leader's log holds, as it would be fetched.
fn fetched(log: &Log) -> Bytes {
    let end = log.log_end_offset();
    let mut all = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < end {
        let records = log.read(offset, 1 << 20, true, end).unwrap().finish().unwrap().records;
        offset = batches(&records).last().unwrap().unwrap().header.next_offset();
        all.extend_from_slice(&records);
    }
    all.into()
}

fn leader(records: Offset) -> (Bench, Log) {
    let bench = Bench::small_segments(5000);
    let mut log = bench.create();
    for n in 0..records {
        append_at(&mut log, &[(&format!("value {n}"), NOW + n)], (n / 10) as LeaderEpoch).unwrap();
    }
    (bench, log)
}

#[test]
fn a_follower_becomes_the_same_log_with_segments_of_its_own() {
    let (_leader_bench, leader) = leader(60);
    let bench = Bench::small_segments(700);
    let mut log = bench.create();
    let all = fetched(&leader);
    let appended = log.append_as_follower(&all, NOW).unwrap().unwrap();
    assert_eq!((appended.first_offset, appended.last_offset), (0, 59));
    assert!(log.segments().len() > 5);
    assert!(log.segments().iter().all(|segment| segment.size() <= 700));
    assert_eq!(fetched(&log), all, "byte for byte");
    assert_eq!(log.epochs(), leader.epochs());
    assert_eq!(log.append_as_follower(&Bytes::new(), NOW).unwrap(), None);
}

#[test]
fn a_last_batch_that_is_cut_off_is_left_for_the_next_fetch() {
    let (_bench, leader) = leader(3);
    let all = fetched(&leader);
    let bench = Bench::small_segments(5000);
    let mut log = bench.create();
    let appended = log.append_as_follower(&all.slice(..all.len() - 5), NOW).unwrap().unwrap();
    assert_eq!((appended.last_offset, log.log_end_offset()), (1, 2));
    assert_eq!(log.append_as_follower(&all.slice(..30), NOW).unwrap(), None);
}

#[test]
fn what_does_not_follow_or_is_damaged_is_refused_whole() {
    let (_bench, leader) = leader(4);
    let all = fetched(&leader);
    let bench = Bench::small_segments(5000);
    let mut log = bench.create();
    log.append_as_follower(&all, NOW).unwrap();
    let again = log.append_as_follower(&all, NOW);
    assert!(matches!(again, Err(AppendError::UnexpectedOffset { first_offset: 0, last_offset: 0, log_end_offset: 4 })));

    let mut log = Bench::small_segments(5000).create();
    let mut flipped = all.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(log.append_as_follower(&flipped.into(), NOW), Err(AppendError::Checksum(_))));
    let twice = [&all[..], &all[..]].concat();
    assert!(matches!(log.append_as_follower(&twice.into(), NOW), Err(AppendError::OffsetsOutOfOrder { last: 3, next: 0 })));
    assert_eq!(log.log_end_offset(), 0, "not even the good part");
}

#[test]
fn a_compacted_log_is_followed_with_its_gaps() {
    let bench = Bench::small_segments(600);
    let mut log = bench.create();
    let mut offsets = Vec::new();
    for n in 0..30i64 {
        let mut builder = BatchBuilder::new(Codec::None);
        (builder.base_offset, builder.leader_epoch) = (n * n * 7, 1);
        builder.push_plain(NOW, None, Some(b"value"));
        log.append_as_follower(&builder.build(), NOW).unwrap();
        offsets.push(n * n * 7);
    }
    let far = offsets.last().unwrap() + i64::from(i32::MAX) + 10;
    let mut builder = BatchBuilder::new(Codec::None);
    (builder.base_offset, builder.leader_epoch) = (far, 1);
    builder.push_plain(NOW, None, Some(b"value"));
    log.append_as_follower(&builder.build(), NOW).unwrap();
    offsets.push(far);
    assert_eq!(log.segments().last().unwrap().base_offset(), far, "offsets too far apart need another segment");

    let mut bench = bench;
    let end = log.log_end_offset();
    for _ in 0..2 {
        let read: Vec<Offset> = read_all(&log, 0, end, 300).into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(read, offsets);
        for start in [1, 8, 4000, far - 1, far] {
            let next = offsets.iter().copied().find(|offset| *offset >= start);
            assert_eq!(read_all(&log, start, end, 300).first().map(|(offset, _)| *offset), next, "from {start}");
        }
        log = bench.reopen(log);
    }
    bench.disk.crash(crate::base::disk::simulated::Crash::Process);
    let (log, loss) = bench.open(LastStop::Lost, Checkpoints::default());
    assert!(loss.is_none(), "gaps are not taken for holes: {loss:?}");
    assert_eq!(log.log_end_offset(), end);
}

#[test]
fn truncation_takes_whole_batches_and_everything_that_is_known_of_them() {
    let mut bench = Bench::small_segments(700);
    let mut log = bench.create();
    for n in 0..30 {
        append_at(&mut log, &[(&format!("a{n}"), NOW + n), (&format!("b{n}"), NOW + n)], (n / 5) as LeaderEpoch).unwrap();
    }
    assert!(!log.truncate_to(60, NOW).unwrap() && !log.truncate_to(100, NOW).unwrap());
    assert!(log.truncate_to(41, NOW).unwrap());
    assert_eq!(log.log_end_offset(), 40, "the batch of 40 and 41 is one");
    assert_eq!(log.latest_epoch(), Some(3));
    let largest = log.search_timestamps().unwrap().max_timestamp().unwrap().unwrap();
    assert_eq!((largest.timestamp, largest.offset), (NOW + 19, 38));
    assert_eq!(append_at(&mut log, &[("new", NOW + 100)], 9).unwrap().first_offset, 40);
    assert_eq!(log.last_offset_for_leader_epoch(5).map(|end| (end.epoch, end.end_offset)), Some((3, 40)));
    let mut log = bench.reopen(log);
    assert_eq!(read_all(&log, 38, 41, 1000).into_iter().map(|(_, value)| value).collect::<Vec<_>>(), ["a19", "b19", "new"]);
    log.truncate_to(0, NOW).unwrap();
    assert_eq!((log.log_end_offset(), log.size(), log.epochs().len()), (0, 0, 0));
    assert_eq!(append(&mut log, &["again"]).unwrap().first_offset, 0);
}

#[test]
fn a_log_can_begin_anew_anywhere() {
    let mut bench = Bench::small_segments(700);
    let mut log = bench.create();
    for n in 0..30 {
        append(&mut log, &[&format!("value {n}")]).unwrap();
    }
    log.truncate_fully_and_start_at(1000, NOW).unwrap();
    assert_eq!((log.log_start_offset(), log.high_watermark(), log.log_end_offset()), (1000, 1000, 1000));
    assert_eq!(append(&mut log, &["x"]).unwrap().first_offset, 1000);
    log.set_high_watermark(1001);
    let mut log = bench.reopen(log);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (1000, 1001));
    assert!(log.truncate_to(500, NOW).unwrap(), "below the first segment");
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (500, 500));
    log.truncate_fully_and_start_at(500, NOW).unwrap();
    assert_eq!(append(&mut log, &["y"]).unwrap().first_offset, 500);
}

#[test]
fn a_deleted_log_takes_nothing_more() {
    let bench = Bench::small_segments(700);
    let mut log = bench.create();
    append(&mut log, &["x"]).unwrap();
    log.delete(7, NOW).unwrap();
    assert!(matches!(append(&mut log, &["y"]), Err(AppendError::Closed)));
    assert_eq!(read_all(&log, 0, 1, 100).len(), 1, "who holds it can still read");
    let mut closed = Bench::small_segments(700).create();
    closed.close().unwrap();
    assert!(matches!(append(&mut closed, &["y"]), Err(AppendError::Closed)));
    let error: Result<(), LogError> = closed.close();
    error.unwrap();
}

/// Whatever names are lost, no segment lies where the log has none: what is appended then is found at its offset.
#[test]
fn a_log_that_begins_anew_is_whole_wherever_power_is_lost() {
    let filled = || {
        let bench = Bench::small_segments(5000);
        let mut log = bench.create();
        log.set_flush_on_ack(true);
        for n in 0..30 {
            append(&mut log, &[&format!("value {n}")]).unwrap();
        }
        log.set_high_watermark(30);
        bench.flush();
        bench.checkpoint(&log).unwrap();
        (bench, log)
    };
    for start in [20, 1000] {
        let changes = {
            let (bench, mut log) = filled();
            let before = bench.disk.changes();
            log.truncate_fully_and_start_at(start, NOW).unwrap();
            bench.disk.changes() - before
        };
        for (stop_after, seed) in (0..=changes).flat_map(|stop_after| (0..40).map(move |seed| (stop_after, seed))) {
            let (mut bench, mut log) = filled();
            bench.disk.stop_after(stop_after);
            let _ = log.truncate_fully_and_start_at(start, NOW);
            drop(log);
            bench.disk.crash(Crash::Power { seed: seed * 7919 + stop_after });
            let (mut log, _) = bench.open_as_left(LastStop::Lost).unwrap();
            append(&mut log, &["next"]).unwrap();
            let (from, to) = (log.log_start_offset(), log.log_end_offset());
            let offsets: Vec<Offset> = read_all(&log, from, to, 300).into_iter().map(|(offset, _)| offset).collect();
            assert_eq!(offsets, (from..to).collect::<Vec<_>>(), "{start} {stop_after} {seed}: {:?}", bench.files());
        }
    }
}

/// From where the end is lowered there is no way back: a log whose file is longer than it says would take new records in front of old ones.
#[test]
fn a_truncation_that_there_is_no_room_for_is_not_half_of_one() {
    let run = |target: Offset, strike: usize| {
        let bench = Bench::small_segments(700);
        let mut log = bench.create();
        log.set_flush_on_ack(true);
        for n in 0..30 {
            append_at(&mut log, &[(&format!("value {n}"), NOW)], (n / 5) as LeaderEpoch).unwrap();
        }
        log.set_high_watermark(30);
        bench.flush();
        bench.checkpoint(&log).unwrap();
        // Somebody reads what is cut, so that a copy takes its place.
        let held = log.read(27, 1000, true, 30).unwrap().finish().unwrap();
        let (count, mut seen) = (Arc::new(parking_lot::Mutex::new(0)), 0);
        let counted = count.clone();
        bench.disk.fail_when(move |operation, _| {
            seen += usize::from(matches!(operation, Operation::Create | Operation::Write));
            *counted.lock() = seen;
            (seen == strike).then_some(std::io::ErrorKind::StorageFull)
        });
        let truncated = log.truncate_to(target, NOW);
        bench.disk.fail_no_more();
        match truncated {
            Ok(true) => assert_eq!((log.log_end_offset(), append(&mut log, &["next"]).unwrap().first_offset), (target, target)),
            Err(LogError::Offline(_)) => assert!(append(&mut log, &["next"]).is_err(), "at operation {strike}"),
            other => panic!("at operation {strike}: {other:?}"),
        }
        drop(held);
        *count.lock()
    };
    for target in [28, 12] {
        let operations = run(target, usize::MAX);
        assert!(operations > 5, "{operations}");
        for strike in 1..=operations {
            run(target, strike);
        }
    }
}
