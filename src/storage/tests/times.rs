//! Everything that goes by time or size: retention, time-based rolls, look-ups by timestamp, delayed deletion.

use super::*;
use crate::base::disk::simulated::Crash;
use crate::config::topic::CompressionType;
use crate::storage::TimestampAndOffset;

fn find(log: &Log, target: TimestampMs, bound: Offset) -> Option<(Offset, TimestampMs, LeaderEpoch)> {
    let found = log.search_timestamps().unwrap().first_at_or_after(target, bound).unwrap();
    found.map(|TimestampAndOffset { timestamp, offset, leader_epoch }| (offset, timestamp, leader_epoch))
}

#[test]
fn the_first_record_at_or_after_a_time_is_found_inside_batches_of_any_codec() {
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut bench = Bench::small_segments(600);
        let mut log = bench.create();
        let mut times = Vec::new();
        for n in 0..60i64 {
            // Times go up, with a record out of order in each batch.
            let batch_times = [NOW + n * 10, NOW + n * 10 + 5, NOW + n * 10 - 30];
            times.extend(batch_times);
            let values: Vec<(&str, TimestampMs)> = batch_times.iter().map(|time| ("value", *time)).collect();
            let batch = batch(&values, codec, Producer::NONE);
            log.append_built(&batch, 3, AppendOrigin::Coordinator { transaction_version: 0 }, None, NOW).unwrap();
        }
        let end = log.log_end_offset();
        for reopened in [false, true] {
            for target in (NOW - 50..NOW + 620).step_by(7) {
                let expected = times.iter().position(|time| *time >= target).map(|n| (n as Offset, times[n], 3));
                assert_eq!(find(&log, target, end), expected, "{codec:?} {target} reopened {reopened}");
            }
            let latest = log.search_timestamps().unwrap().max_timestamp().unwrap().unwrap();
            let largest = *times.iter().max().unwrap();
            assert_eq!((latest.timestamp, latest.offset), (largest, times.iter().position(|t| *t == largest).unwrap() as Offset));
            log = bench.reopen(log);
        }
        assert_eq!(find(&log, NOW, 0), None, "behind the bound");
        log.set_high_watermark(end);
        log.maybe_increment_log_start_offset(4).unwrap();
        assert_eq!(find(&log, NOW, end).map(|found| found.0), Some(4), "not in front of the log's start");
    }
}

#[test]
fn earliest_and_latest_have_no_timestamp_but_an_epoch() {
    let bench = Bench::small_segments(600);
    let mut log = bench.create();
    assert_eq!(log.earliest_offset(), TimestampAndOffset { timestamp: -1, offset: 0, leader_epoch: -1 });
    append_at(&mut log, &[("a", NOW)], 2).unwrap();
    append_at(&mut log, &[("b", NOW)], 5).unwrap();
    assert_eq!(log.earliest_offset(), TimestampAndOffset { timestamp: -1, offset: 0, leader_epoch: 2 });
    assert_eq!(log.latest_offset(1), TimestampAndOffset { timestamp: -1, offset: 1, leader_epoch: 5 });
    assert_eq!(log.search_timestamps().unwrap().first_at_or_after(NOW + 1, 2).unwrap(), None);
}

#[test]
fn segments_go_when_their_newest_record_is_too_old() {
    let mut bench = Bench::small_segments(400);
    bench.config.retention_ms = 1000;
    let mut log = bench.create();
    for n in 0..40 {
        append_at(&mut log, &[(&format!("value {n}"), NOW + n * 100)], 0).unwrap();
    }
    let segments = log.segments().len();
    assert_eq!(delete_old_segments(&mut log, NOW + 100_000).unwrap(), 0, "the high watermark protects all");
    log.set_high_watermark(40);
    let deleted = delete_old_segments(&mut log, NOW + 2500).unwrap();
    assert!(deleted > 0 && deleted < segments);
    let start = log.log_start_offset();
    // Everything of the first segment left is younger, or at least its newest record is.
    let next = log.segments()[1].base_offset();
    assert!(NOW + (next - 1) * 100 + 1000 >= NOW + 2500 && NOW + (start - 1) * 100 + 1000 < NOW + 2500);
    assert_eq!(read_all(&log, start, 40, 300).len() as Offset, 40 - start);
    assert_eq!(delete_old_segments(&mut log, NOW + 100_000).unwrap(), segments - deleted);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.segments().len()), (40, 40, 1), "an empty segment takes over");
    assert_eq!(delete_old_segments(&mut log, NOW + 200_000).unwrap(), 0, "and stays");
    assert_eq!(append(&mut log, &["x"]).unwrap().first_offset, 40);
}

#[test]
fn retention_comes_to_an_end_while_records_are_appended_that_are_too_old() {
    let mut bench = Bench::small_segments(400);
    bench.config.retention_ms = 1000;
    let mut log = bench.create();
    let append_old = |log: &mut Log| {
        append_at(log, &[("old", NOW - 5000)], 0).unwrap();
        log.set_high_watermark(log.log_end_offset());
    };
    (0..20).for_each(|_| append_old(&mut log));
    let (segments, before, mut deleted) = (log.segments().len(), log.log_end_offset(), 0);
    while log.delete_oldest_segment(before, NOW).unwrap() {
        deleted += 1;
        assert!(deleted <= segments, "only what was there at the beginning");
        (0..10).for_each(|_| append_old(&mut log));
    }
    assert_eq!(deleted, segments);
    assert!(log.log_start_offset() >= before && log.segments().len() > 1);
}

#[test]
fn a_record_from_the_future_keeps_its_segment() {
    let mut bench = Bench::small_segments(400);
    bench.config.retention_ms = 1000;
    let mut log = bench.create();
    append_at(&mut log, &[("future", NOW + 1_000_000)], 0).unwrap();
    for n in 0..20 {
        append_at(&mut log, &[(&format!("value {n}"), NOW)], 0).unwrap();
    }
    log.set_high_watermark(21);
    assert_eq!(delete_old_segments(&mut log, NOW + 500_000).unwrap(), 0, "only a prefix of the log goes");
}

#[test]
fn records_without_timestamps_age_by_the_file() {
    let mut bench = Bench::small_segments(400);
    bench.config.retention_ms = 1000;
    let mut log = bench.create();
    for n in 0..20 {
        append_at(&mut log, &[(&format!("value {n}"), NO_TIMESTAMP)], 0).unwrap();
    }
    log.set_high_watermark(20);
    assert_eq!(delete_old_segments(&mut log, NOW + 1000).unwrap(), 0);
    assert!(delete_old_segments(&mut log, NOW + 1001).unwrap() > 0);
}

#[test]
fn size_retention_keeps_at_least_what_it_says() {
    let mut bench = Bench::small_segments(400);
    bench.config.retention_bytes = 1000;
    let mut log = bench.create();
    for n in 0..50 {
        append(&mut log, &[&format!("value {n}")]).unwrap();
    }
    log.set_high_watermark(50);
    assert!(delete_old_segments(&mut log, NOW).unwrap() > 5);
    let first = log.segments()[0].size();
    assert!(log.size() >= 1000 && log.size() - first < 1000, "{} less {first}", log.size());
    let sum: u64 = log.segments().iter().map(|segment| segment.size()).sum();
    assert_eq!((log.size(), log.shared().segment_count()), (sum, log.segments().len() as u64));
}

/// An empty segment tells where the log has come to: the last one with records must not go before its name is durable.
#[test]
fn a_log_that_retention_empties_goes_on_behind_what_it_held_wherever_power_is_lost() {
    let filled = |rolled: bool| {
        let mut bench = Bench::small_segments(4000);
        bench.config.retention_ms = 1000;
        let mut log = bench.create();
        log.set_flush_on_ack(true);
        for n in 0..10 {
            append_at(&mut log, &[("v", NOW - 5000 + n)], 0).unwrap();
        }
        bench.flush();
        log.set_high_watermark(10);
        bench.checkpoint(&log).unwrap();
        if rolled {
            log.roll(NOW).unwrap();
        }
        (bench, log)
    };
    for rolled in [false, true] {
        let changes = {
            let (bench, mut log) = filled(rolled);
            let before = bench.disk.changes();
            assert_eq!(delete_old_segments(&mut log, NOW).unwrap(), 1);
            bench.disk.changes() - before
        };
        for (stop_after, seed) in (0..=changes).flat_map(|stop_after| (0..40).map(move |seed| (stop_after, seed))) {
            let (mut bench, mut log) = filled(rolled);
            bench.disk.stop_after(stop_after);
            let _ = delete_old_segments(&mut log, NOW);
            drop(log);
            bench.disk.crash(Crash::Power { seed: seed * 7919 + stop_after });
            let (log, loss) = bench.open_as_left(LastStop::Lost).unwrap();
            assert_eq!((log.log_end_offset(), loss.is_none()), (10, true), "{rolled} {stop_after} {seed}: {loss:?}");
        }
    }
}

#[test]
fn a_compacted_topic_keeps_old_segments_but_not_those_below_its_start() {
    let mut bench = Bench::small_segments(400);
    (bench.config.cleanup_delete, bench.config.cleanup_compact, bench.config.retention_ms) = (false, true, 1);
    let mut log = bench.create();
    for n in 0..30 {
        append(&mut log, &[&format!("value {n}")]).unwrap();
    }
    log.set_high_watermark(30);
    assert_eq!(delete_old_segments(&mut log, NOW + 1_000_000).unwrap(), 0);
    log.maybe_increment_log_start_offset(20).unwrap();
    assert!(delete_old_segments(&mut log, NOW).unwrap() > 0);
    assert!(log.segments()[0].base_offset() <= 20 && log.segments()[1].base_offset() > 20);
    assert_eq!(log.log_start_offset(), 20);
    assert_eq!(log.durable_end(), 0, "what is deleted is not on the disk for that");
    let above = log.maybe_increment_log_start_offset(31);
    assert!(matches!(above, Err(LogError::AboveHighWatermark { offset: 31, high_watermark: 30 })));
    assert!(!log.maybe_increment_log_start_offset(10).unwrap());
}

#[test]
fn files_stay_until_their_delay_is_over() {
    let mut bench = Bench::small_segments(400);
    (bench.config.retention_ms, bench.config.file_delete_delay_ms) = (1000, 500);
    let mut log = bench.create();
    for n in 0..20 {
        append(&mut log, &[&format!("value {n}")]).unwrap();
    }
    log.set_high_watermark(20);
    delete_old_segments(&mut log, NOW + 5000).unwrap();
    let going = |bench: &Bench| bench.files().iter().filter(|name| name.contains(".deleted")).count();
    let before = going(&bench);
    assert!(before >= 6, "{:?}", bench.files());
    bench.directory.deletions.run(&bench.disk, NOW + 5499).unwrap();
    assert_eq!(going(&bench), before);
    bench.directory.deletions.run(&bench.disk, NOW + 5500).unwrap();
    assert_eq!(going(&bench), 0);
}

#[test]
fn a_segment_is_rolled_when_its_first_record_is_old_enough() {
    let mut bench = Bench::small_segments(1 << 20);
    bench.config.segment_ms = 1000;
    let mut log = bench.create();
    append_at(&mut log, &[("a", NOW)], 0).unwrap();
    append_at(&mut log, &[("b", NOW + 1000)], 0).unwrap();
    assert_eq!(log.segments().len(), 1);
    append_at(&mut log, &[("c", NOW + 1001)], 0).unwrap();
    assert_eq!(log.segments().len(), 2);
    let mut log = bench.reopen(log);
    append_at(&mut log, &[("d", NOW + 1001 + 1000)], 0).unwrap();
    assert_eq!(log.segments().len(), 2, "the first timestamp is read again after a restart");
    append_at(&mut log, &[("e", NOW + 1001 + 1001)], 0).unwrap();
    assert_eq!(log.segments().iter().map(|s| s.base_offset()).collect::<Vec<_>>(), [0, 2, 4]);
}

#[test]
fn jitter_rolls_earlier_by_an_amount_that_a_restart_does_not_change() {
    let roll_after = |partition: i32| {
        let mut bench = Bench::small_segments(1 << 20);
        (bench.config.segment_ms, bench.config.segment_jitter_ms) = (1000, 600);
        let settings: Arc<LogSettings> = Arc::default();
        let loader = Loader { directory: &bench.directory, settings: &settings, last_stop: LastStop::Clean, now: NOW };
        let at = TopicPartition::new("t", partition);
        let mut log = loader.create(&at, None, &Arc::new(bench.config.clone())).unwrap();
        append_at(&mut log, &[("a", NOW)], 0).unwrap();
        (1..).find(|after| {
            append_at(&mut log, &[("b", NOW + after)], 0).unwrap();
            log.segments().len() == 2
        })
    };
    let after: Vec<i64> = (0..8).map(|partition| roll_after(partition).unwrap()).collect();
    assert!(after.iter().all(|after| (401..=1001).contains(after)), "{after:?}");
    assert!(after.iter().any(|other| *other != after[0]), "{after:?}");
    assert_eq!(roll_after(0), Some(after[0]));
}

#[test]
fn a_full_index_rolls_the_segment() {
    let mut bench = Bench::small_segments(1 << 20);
    (bench.config.index_interval_bytes, bench.config.segment_index_bytes) = (0, 8 * 6);
    let mut log = bench.create();
    for n in 0..20 {
        append_at(&mut log, &[("v", NOW + n)], 0).unwrap();
    }
    // 48 bytes hold 6 entries of the offset index, and 4 of the time index, the last of which is kept for the roll.
    for segment in &log.segments()[..log.segments().len() - 1] {
        let name = format!("{:020}.timeindex", segment.base_offset());
        assert!(bench.disk.read(&bench.path(&name)).unwrap().len() <= 48);
    }
    assert!(log.segments().len() >= 4, "{log:?}");
    assert_eq!(read_all(&log, 0, 20, 1000).len(), 20);
}

#[test]
fn recompression_is_what_the_topic_asks_for() {
    let config = TopicConfig { compression: CompressionType::Zstd { level: 3 }, ..TopicConfig::default() };
    let bench = Bench::new(config.clone());
    let mut log = bench.create();
    let batch = batch(&[("value", NOW)], Codec::None, Producer::NONE);
    let validated = crate::record::validate::validate(Some(&batch), &config, 9, NOW).unwrap();
    log.append_as_leader(&validated, 0, AppendOrigin::Client, None, NOW).unwrap();
    let records = log.read(0, 1000, true, 1).unwrap().finish().unwrap().records;
    let stored = batches(&records).next().unwrap().unwrap();
    stored.verify_checksum().unwrap();
    assert_eq!((stored.header.compression_id(), stored.header.base_offset, stored.header.leader_epoch), (Codec::Zstd.id(), 0, 0));
}
