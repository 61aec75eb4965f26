//! What is found after a bad stop or a bad disk: torn tails, flipped bits, indexes that are gone or wrong.

use parking_lot::Mutex;

use super::*;
use crate::base::disk::simulated::{Crash, Operation};
use crate::storage::ReadError;
use crate::storage::scan::BadBatchReason;

const RECORDS: Offset = 60;

/// A log of several segments, closed in order, and its contents.
fn closed_log() -> (Bench, Checkpoints, Vec<(Offset, String)>) {
    let bench = Bench::small_segments(2000);
    let mut log = bench.create();
    for n in 0..RECORDS {
        append_at(&mut log, &[(&format!("value {n}"), NOW + n)], 0).unwrap();
    }
    log.set_high_watermark(RECORDS);
    let contents = read_all(&log, 0, RECORDS, 500);
    log.close().unwrap();
    (bench, checkpoints_of(&log), contents)
}

fn first_segments(bench: &Bench, extension: &str) -> PathBuf {
    let names: Vec<String> = bench.files().iter().map(|name| name.split(' ').next().unwrap().to_owned()).collect();
    let of_kind = names.into_iter().filter(|name| name.ends_with(extension)).collect::<Vec<_>>();
    assert!(of_kind.len() > 2, "{of_kind:?}");
    bench.path(&of_kind[1])
}

fn unknown() -> Checkpoints {
    Checkpoints::default()
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    for torn in 1..70 {
        let mut bench = Bench::small_segments(1 << 20);
        let mut log = bench.create();
        append(&mut log, &["kept"]).unwrap();
        append(&mut log, &["torn, because the process was killed in the middle of the write"]).unwrap();
        bench.disk.crash(Crash::Process);
        let path = bench.path("00000000000000000000.log");
        let whole = bench.disk.read(&path).unwrap().len();
        bench.disk.damage(&path, |bytes| bytes.truncate(whole - torn));
        let (mut log, loss) = bench.open(LastStop::Killed, unknown());
        let loss = loss.unwrap();
        assert!(matches!(loss.bad.reason, BadBatchReason::CutOff { .. }), "{loss:?}");
        assert_eq!((loss.log_end_offset, loss.damaged), (1, false));
        assert_eq!(read_all(&log, 0, 1, 1000), [(0, "kept".to_owned())]);
        assert_eq!(append(&mut log, &["goes on"]).unwrap().first_offset, 1);
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_a_batch_is_covered() {
    let original = {
        let bench = Bench::small_segments(1 << 20);
        let mut log = bench.create();
        for n in 0..12 {
            append(&mut log, &[&format!("value {n}")]).unwrap();
        }
        bench.disk.read(&bench.path("00000000000000000000.log")).unwrap()
    };
    let ends: Vec<usize> = batches(&original)
        .scan(0, |end, batch| {
            *end += batch.unwrap().bytes().len();
            Some(*end)
        })
        .collect();
    for at in 0..original.len() {
        let good = ends.iter().filter(|end| **end <= at).count();
        let within = at - if good == 0 { 0 } else { ends[good - 1] };
        if within < 8 || (12..16).contains(&within) {
            continue; // base offset and leader epoch are the broker's to write, and not covered
        }
        let mut bench = Bench::small_segments(1 << 20);
        bench.create();
        bench.disk.damage(&bench.path("00000000000000000000.log"), |bytes| {
            *bytes = original.clone();
            bytes[at] ^= 1 << (at % 8);
        });
        let (log, loss) = bench.open(LastStop::Foreign, unknown());
        assert_eq!((log.log_end_offset(), loss.unwrap().log_end_offset), (good as Offset, good as Offset), "byte {at}");
        assert_eq!(read_all(&log, 0, good as Offset, 1000).len(), good);
    }
}

#[test]
fn damage_below_the_high_watermark_is_called_so() {
    let (mut bench, checkpoints, contents) = closed_log();
    let path = first_segments(&bench, ".log");
    bench.disk.damage(&path, |bytes| bytes[100] ^= 1);
    let running = Checkpoints { recovery_point: Some(0), active_size: None, ..checkpoints };
    let (log, loss) = bench.open(LastStop::Lost, running);
    let loss = loss.unwrap();
    assert!(loss.damaged && loss.bytes > 2000, "{loss:?}");
    assert_eq!(loss.path, path);
    assert_eq!(log.log_end_offset(), loss.log_end_offset);
    let end = log.log_end_offset();
    assert_eq!(read_all(&log, 0, end, 500), contents[..end as usize]);
    assert_eq!(log.high_watermark(), end);
}

#[test]
fn what_lies_below_the_recovery_point_is_not_read() {
    let (mut bench, checkpoints, _) = closed_log();
    bench.disk.damage(&first_segments(&bench, ".log"), |bytes| bytes[100] ^= 1);
    let (log, loss) = bench.open(LastStop::Killed, Checkpoints { active_size: None, ..checkpoints });
    assert!(loss.is_none());
    assert_eq!(log.log_end_offset(), RECORDS);
}

#[test]
fn a_bad_batch_met_by_a_reader_is_an_error_that_names_the_place() {
    // A magic byte, and a length that reaches behind the end of the segment.
    for (at, byte) in [(16, 9), (9, 1)] {
        let (mut bench, checkpoints, _) = closed_log();
        bench.disk.damage(&bench.path("00000000000000000000.log"), |bytes| bytes[at] = byte);
        let (log, _) = bench.open(LastStop::Clean, checkpoints);
        let mut plan = log.read(0, 1000, true, RECORDS).unwrap();
        match plan.load().and_then(|()| plan.finish().map(|_| ())) {
            Err(ReadError::Corrupt { position: 0, path }) => assert!(path.ends_with("00000000000000000000.log")),
            other => panic!("{at}: {other:?}"),
        }
        assert!(bench.directory.offline().is_none(), "one bad file does not condemn the directory");
    }
}

#[test]
fn indexes_that_are_missing_or_wrong_are_rebuilt() {
    type Damage = (&'static str, fn(&mut Vec<u8>));
    let damages: [Damage; 6] = [
        ("emptied", |bytes| bytes.clear()),
        ("cut inside an entry", |bytes| bytes.truncate(bytes.len() - 3)),
        ("preallocated", |bytes| bytes.resize(10 << 20, 0)),
        ("zeroed", |bytes| bytes.fill(0)),
        ("garbage", |bytes| bytes.iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * 37) as u8)),
        ("of another log", |bytes| bytes.iter_mut().skip(7).step_by(8).for_each(|byte| *byte ^= 0x15)),
    ];
    for (what, damage) in damages {
        for extension in [".index", ".timeindex"] {
            for stop in [LastStop::Clean, LastStop::Lost, LastStop::Foreign] {
                let (mut bench, checkpoints, contents) = closed_log();
                bench.disk.damage(&first_segments(&bench, extension), damage);
                let (mut log, loss) = bench.open(stop, checkpoints);
                assert!(loss.is_none(), "{what}: {loss:?}");
                assert_eq!(read_all(&log, 0, RECORDS, 300), contents, "{extension} {what} after {stop:?}");
                for n in 0..RECORDS {
                    let found = log.search_timestamps().unwrap().first_at_or_after(NOW + n, RECORDS).unwrap();
                    assert_eq!(found.map(|f| f.offset), Some(n), "{extension} {what} after {stop:?}");
                }
                assert_eq!(append(&mut log, &["goes on"]).unwrap().first_offset, RECORDS);
            }
        }
    }
}

#[test]
fn an_index_is_rebuilt_once_for_all_who_found_it_damaged() {
    let (mut bench, checkpoints, _) = closed_log();
    let (log, _) = bench.open(LastStop::Clean, checkpoints);
    let segment = log.segments()[1].clone();
    segment.distrust_index();
    let before = bench.disk.changes();
    segment.rebuild_index().unwrap();
    let rebuilt = bench.disk.changes();
    assert!(rebuilt > before);
    segment.rebuild_index().unwrap();
    assert_eq!(bench.disk.changes(), rebuilt, "whoever waited for the other");
}

#[test]
fn index_files_that_are_gone_are_made_anew() {
    let (mut bench, checkpoints, contents) = closed_log();
    for file in bench.files() {
        let name = file.split(' ').next().unwrap();
        if name.ends_with("index") {
            bench.disk.remove_file(&bench.path(name)).unwrap();
        }
    }
    let (log, loss) = bench.open(LastStop::Clean, checkpoints);
    assert!(loss.is_none());
    assert_eq!(read_all(&log, 0, RECORDS, 300), contents);
    let found = log.search_timestamps().unwrap().first_at_or_after(NOW + 33, RECORDS).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (33, NOW + 33));
    let log = bench.reopen(log);
    assert_eq!(read_all(&log, 0, RECORDS, 300), contents);
}

#[test]
fn where_all_segments_are_gone_that_is_told_and_no_offset_is_given_twice() {
    for stop in [LastStop::Clean, LastStop::Killed, LastStop::Lost, LastStop::Foreign] {
        let (mut bench, checkpoints, _) = closed_log();
        for file in bench.files() {
            bench.disk.remove_file(&bench.path(file.split(' ').next().unwrap())).unwrap();
        }
        let (mut log, loss) = bench.open(stop, checkpoints);
        assert_eq!(loss.is_some_and(|loss| loss.damaged), stop != LastStop::Clean, "{stop:?}");
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (RECORDS, RECORDS), "{stop:?}");
        assert_eq!(append(&mut log, &["goes on"]).unwrap().first_offset, RECORDS, "{stop:?}");
        assert_eq!(read_all(&log, RECORDS, RECORDS + 1, 300).len(), 1, "{stop:?}");
    }
}

#[test]
fn left_over_files_go_and_an_interrupted_swap_is_finished() {
    let (mut bench, checkpoints, contents) = closed_log();
    let first = bench.path("00000000000000000000.log");
    let bytes = bench.disk.read(&first).unwrap();
    for (name, contents) in [
        ("00000000000000000000.log.swap", &bytes[..]),
        ("00000000000000000000.index.swap", &[][..]),
        ("00000000000000000000.timeindex.swap", &[][..]),
        ("00000000000000000100.log.cleaned", b"half written"),
        ("00000000000000000777.log.deleted", b"going"),
        ("00000000000000000555.timeindex", &[0; 12]),
        ("leader-epoch-checkpoint.tmp", b"0"),
    ] {
        bench.disk.replace(&bench.path(name), contents).unwrap();
    }
    bench.disk.damage(&first, |bytes| bytes.fill(0xff));
    let (log, _) = bench.open(LastStop::Clean, checkpoints);
    assert_eq!(read_all(&log, 0, RECORDS, 300), contents, "the swapped file has taken the place of the old one");
    let strange: Vec<String> = bench
        .files()
        .into_iter()
        .filter(|n| ["swap", "cleaned", "deleted", "tmp", "0777", "0555"].iter().any(|s| n.contains(s)))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// Ten thousand small logs open in a second because of this: to make and rename a file is most of what a start could take.
#[test]
fn a_log_that_lost_nothing_is_opened_without_a_new_file() {
    let mut bench = Bench::small_segments(1 << 20);
    let mut log = bench.create();
    for epoch in 0..3 {
        append_at(&mut log, &[(&format!("{epoch}"), NOW)], epoch).unwrap();
    }
    let epochs = log.epochs().to_vec();
    drop(log);
    bench.disk.crash(Crash::Process);
    let made = Arc::new(Mutex::new(Vec::new()));
    let seen = made.clone();
    bench.disk.fail_when(move |operation, path| {
        if matches!(operation, Operation::Create | Operation::Rename | Operation::Remove) {
            seen.lock().push((operation, path.to_owned()));
        }
        None::<std::io::Error>
    });
    let (log, loss) = bench.open(LastStop::Killed, unknown());
    assert!(loss.is_none());
    assert_eq!(log.epochs(), epochs);
    assert_eq!(*made.lock(), []);
}

#[test]
fn a_damaged_epoch_file_is_rebuilt_from_the_log() {
    let mut bench = Bench::small_segments(1000);
    let mut log = bench.create();
    for epoch in 0..5 {
        for n in 0..4 {
            append_at(&mut log, &[(&format!("{epoch} {n}"), NOW)], epoch).unwrap();
        }
    }
    let epochs = log.epochs().to_vec();
    log.close().unwrap();
    let checkpoints = checkpoints_of(&log);
    bench.disk.damage(&bench.path("leader-epoch-checkpoint"), |bytes| bytes.truncate(5));
    let (log, _) = bench.open(LastStop::Clean, checkpoints);
    assert_eq!(log.epochs(), epochs);
    assert_eq!(log.last_offset_for_leader_epoch(2).unwrap().end_offset, 12);
}

/// Records that were deleted were never synced, and power is lost: what stands in front of the log's start is walked through by whoever looks for
/// an offset behind it.
#[test]
fn what_was_deleted_before_it_was_durable_leaves_no_garbage_in_front_of_the_start() {
    let mut met = 0;
    for seed in 0..200 {
        let mut bench = Bench::small_segments(100_000);
        let mut log = bench.create();
        for n in 0..6 {
            append(&mut log, &[&format!("value {n} {}", "x".repeat(300))]).unwrap();
        }
        log.set_high_watermark(5);
        log.maybe_increment_log_start_offset(5).unwrap();
        bench.checkpoint(&log).unwrap();
        bench.disk.sync_dir(Path::new("/data")).unwrap();
        bench.disk.sync_dir(Path::new("/data/t-0")).unwrap();
        drop(log);
        bench.disk.crash(Crash::Power { seed });
        let found = bench.disk.read(&bench.path("00000000000000000000.log")).unwrap();
        let whole =
            batches(&found).map_while(|batch| batch.ok().filter(|batch| batch.verify_checksum().is_ok())).count() as Offset;
        let (mut log, _) = bench.open_as_left(LastStop::Lost).unwrap_or_else(|error| panic!("{seed}: {error}"));
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (5, whole.max(5)), "{seed}");
        for segment in log.segments().iter() {
            let bytes = bench.disk.read(&segment.path()).unwrap();
            for batch in batches(&bytes[..segment.size() as usize]) {
                batch.unwrap_or_else(|bad| panic!("{seed}: {bad}")).verify_checksum().unwrap();
            }
        }
        // Rot in front of the start, with something behind it that a look-up would come to.
        met += usize::from(whole < 5 && found.len() > 5 * 300);
        let end = append(&mut log, &["more"]).unwrap().last_offset + 1;
        assert_eq!(read_all(&log, end - 1, end, 5000).len(), 1, "{seed}");
    }
    assert!(met > 20, "{met}");
}

/// A log at rest is rolled: what goes to the index then stands in front of the recovery point already, but no sync has covered it.
#[test]
fn the_index_of_a_segment_that_was_sealed_at_the_recovery_point_does_not_outlast_its_loss() {
    let right = |log: &Log, when: &str| {
        assert_eq!(log.segments()[0].largest_timestamp().unwrap(), NOW + 999, "{when}");
        let found = log.search_timestamps().unwrap().first_at_or_after(NOW + 900, 1000).unwrap();
        assert_eq!(found.map(|found| found.offset), Some(900), "{when}");
    };
    let mut sealed = 0;
    for (seed, stop) in (0..120).flat_map(|seed| [(seed, LastStop::Lost), (seed, LastStop::Killed)]) {
        let mut bench = Bench::new(TopicConfig { index_interval_bytes: 1, ..TopicConfig::default() });
        let mut log = bench.create();
        log.set_flush_on_ack(true);
        for n in 0..1000 {
            append_at(&mut log, &[("v", NOW + n)], 0).unwrap();
        }
        bench.flush();
        bench.checkpoint(&log).unwrap();
        assert_eq!(log.durable_end(), 1000);
        log.roll(NOW).unwrap();
        drop(log);
        bench.disk.crash(if stop == LastStop::Lost { Crash::Power { seed } } else { Crash::Process });
        let (mut log, loss) = bench.open_as_left(stop).unwrap();
        assert!(loss.is_none(), "{seed} {loss:?}");
        if log.segments().len() < 2 {
            continue; // the name of the new segment was lost
        }
        sealed += 1;
        right(&log, &format!("{seed} {stop:?}"));
        // It stands behind a recovery point from now on.
        log.set_flush_on_ack(true);
        append_at(&mut log, &[("v", NOW + 1000)], 0).unwrap();
        bench.flush();
        bench.checkpoint(&log).unwrap();
        assert_eq!(log.durable_end(), 1001);
        drop(log);
        bench.disk.crash(Crash::Power { seed: seed + 7919 });
        let (log, loss) = bench.open_as_left(LastStop::Lost).unwrap();
        assert!(loss.is_none(), "{seed} {loss:?}");
        right(&log, &format!("{seed} {stop:?}, and power lost again"));
    }
    assert!(sealed > 150, "{sealed}");
}
