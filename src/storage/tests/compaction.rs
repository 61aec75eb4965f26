//! The cleaner on a whole log: what is left, whom it disturbs, and what a stop at any point leaves.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::*;
use crate::base::disk::simulated::{Crash, Operation};
use crate::base::time::Clock;
use crate::config::def::cleaner::CleanerConfig;
use crate::record::control::{EndTransactionMarker, TransactionResult};
use crate::storage::cleaner::{LogCleaner, LogOwner, OffsetMap};

/// A log with a lock, as a partition has it.
pub(super) struct Owner(pub Mutex<Option<Log>>);

impl LogOwner for Owner {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        self.0.lock().as_mut().map(visit).is_some()
    }
}

/// A cleaner with its own time, and one log.
struct Compacted {
    bench: Bench,
    owner: Arc<Owner>,
    cleaner: LogCleaner,
    map: OffsetMap,
    time: Arc<crate::base::time::ManualClock>,
}

pub(super) fn compacted_config() -> TopicConfig {
    TopicConfig {
        segment_bytes: 1000,
        index_interval_bytes: 200,
        cleanup_delete: false,
        cleanup_compact: true,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1000,
        ..TopicConfig::default()
    }
}

pub(super) fn cleaner_config() -> CleanerConfig {
    crate::config::BrokerConfig::default().cleaner
}

impl Compacted {
    fn new(config: TopicConfig) -> Self {
        Self::on(Bench::new(config))
    }

    fn on(mut bench: Bench) -> Self {
        bench.settings = Arc::new(LogSettings { transaction_verification: false.into(), ..LogSettings::default() });
        let log = bench.create();
        let (clock, time) = Clock::manual(NOW);
        let owner = Arc::new(Owner(Mutex::new(Some(log))));
        Self { bench, owner, cleaner: LogCleaner::new(clock, cleaner_config()), map: OffsetMap::new(1), time }
    }

    fn log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        work(self.owner.0.lock().as_mut().unwrap())
    }

    fn put(&self, records: &[(&str, Option<&str>)]) -> Offset {
        self.put_as(Producer::NONE, false, records)
    }

    fn put_as(&self, producer: Producer, transactional: bool, records: &[(&str, Option<&str>)]) -> Offset {
        let mut builder = BatchBuilder::new(Codec::None);
        (builder.producer, builder.transactional) = (producer, transactional);
        for (key, value) in records {
            builder.push_plain(NOW, Some(key.as_bytes()), value.map(str::as_bytes));
        }
        self.append(&builder.build())
    }

    fn end_transaction(&self, id: ProducerId, result: TransactionResult) -> Offset {
        self.append(&EndTransactionMarker { result, coordinator_epoch: 1 }.batch(NOW, id, 0))
    }

    fn append(&self, batch: &Bytes) -> Offset {
        self.log(|log| {
            let appended = log.append_built(batch, 0, AppendOrigin::Coordinator { transaction_version: 0 }, None, NOW).unwrap();
            log.set_high_watermark(appended.last_offset + 1);
            appended.first_offset
        })
    }

    /// Makes all of the log cleanable.
    fn roll(&self) {
        self.log(|log| log.roll(NOW).unwrap());
        self.log(|log| log.shared().flush_in_background());
        self.bench.flush();
    }

    fn clean(&mut self) -> bool {
        let owner: Arc<dyn LogOwner> = self.owner.clone();
        self.cleaner.clean_filthiest(0, &mut self.map, &[owner])
    }

    fn roll_and_clean(&mut self) {
        self.roll();
        assert!(self.clean(), "{:?}", self.cleaner.state());
    }

    fn checkpoint(&self) -> Option<Offset> {
        offsets::read(&self.bench.disk, &Path::new(DIR).join(offsets::CLEANER)).unwrap().get(&partition()).copied()
    }

    fn left(&self) -> Vec<(Offset, String)> {
        self.log(|log| left(log))
    }

    fn files(&self) -> Vec<String> {
        let names = self.bench.files().into_iter().map(|name| name.split(' ').next().unwrap().to_owned());
        names.filter(|name| !name.ends_with(".deleted") && name.contains(".log")).collect()
    }
}

/// Offsets of all records with `key=value`, read through the log; markers as `commit`, `abort`.
pub(super) fn left(log: &Log) -> Vec<(Offset, String)> {
    let (mut offset, end, mut all) = (log.log_start_offset(), log.log_end_offset(), Vec::new());
    let mut last = -1;
    while offset < end {
        let mut plan = log.read(offset, 700, true, end).unwrap();
        plan.load().unwrap();
        let fetched = plan.finish().unwrap();
        let before = offset;
        for batch in batches(&fetched.records) {
            let batch = batch.unwrap();
            batch.verify_checksum().unwrap();
            assert!(batch.header.base_offset > last, "offsets go up");
            last = batch.header.last_offset();
            for record in records(&batch.header, batch.body()) {
                let record = record.unwrap();
                let text = |bytes: Option<&[u8]>| bytes.map_or("∅".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
                let told = match EndTransactionMarker::parse(record.key, record.value) {
                    Ok(marker) if batch.header.is_control() => format!("{:?}", marker.result).to_lowercase(),
                    _ => format!("{}={}", text(record.key), text(record.value)),
                };
                if record.offset >= offset {
                    all.push((record.offset, told));
                }
            }
            offset = offset.max(batch.header.next_offset());
        }
        if offset == before {
            break; // nothing but a gap up to the end
        }
    }
    all
}

/// A segment that reaches into the next one: what was replaced must not come back beside what replaced it.
pub(super) fn overlap(log: &Log, disk: &SimulatedDisk) -> Option<String> {
    let segments = log.segments();
    segments.iter().zip(&segments[1..]).find_map(|(segment, next)| {
        let bytes = disk.read(&segment.path()).unwrap();
        let last = batches(&bytes[..segment.size() as usize]).last()?.unwrap().header.last_offset();
        (last >= next.base_offset()).then(|| format!("{segment:?} reaches to {last}, into {next:?}"))
    })
}

fn owned(left: &[(Offset, &str)]) -> Vec<(Offset, String)> {
    left.iter().map(|(offset, text)| (*offset, text.to_string())).collect()
}

#[test]
fn of_each_key_the_last_record_is_left_at_its_offset() {
    let mut log = Compacted::new(compacted_config());
    for round in 0..30 {
        for key in ["a", "b", "c"] {
            log.put(&[(key, Some(&format!("{round} {}", "x".repeat(50))))]);
        }
    }
    let before = log.log(|log| log.size());
    log.roll_and_clean();
    let value = |key| format!("{key}=29 {}", "x".repeat(50));
    assert_eq!(log.left(), [(87, value("a")), (88, value("b")), (89, value("c"))]);
    assert_eq!(log.checkpoint(), Some(90));
    assert_eq!(log.log(|log| (log.log_start_offset(), log.log_end_offset())), (0, 90));
    assert!(log.log(|log| log.size()) < before / 10);
    assert_eq!(log.files().len(), log.log(|log| log.segments().len()));
    assert!(!log.clean(), "there is nothing to do");

    // The next round starts where this one ended, and takes what it left.
    log.put(&[("a", Some("new"))]);
    log.roll_and_clean();
    assert_eq!(log.left(), [(88, value("b")), (89, value("c")), (90, "a=new".into())]);
}

#[test]
fn small_segments_become_one_and_none_larger_than_it_may_be() {
    let mut log = Compacted::new(compacted_config());
    for n in 0..60 {
        log.put(&[(&format!("key {n}"), Some(&"x".repeat(100)))]);
        log.put(&[("same", Some(&"x".repeat(100)))]);
    }
    log.roll_and_clean();
    log.put(&[("more", Some("1"))]);
    log.roll_and_clean();
    let sizes: Vec<u64> = log.log(|log| log.segments().iter().map(|segment| segment.size()).collect());
    assert!(sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
    assert!(sizes.len() <= 60 * 185 / 1000 + 6, "{sizes:?}");
    assert_eq!(log.left().len(), 62);
}

#[test]
fn a_tombstone_is_seen_for_as_long_as_was_promised_and_then_goes() {
    let mut log = Compacted::new(compacted_config());
    log.put(&[("a", Some("1")), ("b", Some("1"))]);
    log.put(&[("a", None)]);
    log.roll_and_clean();
    assert_eq!(log.left(), owned(&[(1, "b=1"), (2, "a=∅")]));
    log.time.advance(std::time::Duration::from_millis(999));
    log.put(&[("x", Some("1"))]);
    log.roll_and_clean();
    assert_eq!(log.left(), owned(&[(1, "b=1"), (2, "a=∅"), (3, "x=1")]));
    log.time.advance(std::time::Duration::from_millis(1));
    log.put(&[("x", Some("2"))]);
    log.roll_and_clean();
    assert_eq!(log.left(), owned(&[(1, "b=1"), (4, "x=2")]));
}

#[test]
fn aborted_records_go_and_markers_follow_them() {
    let mut log = Compacted::new(compacted_config());
    let producer = |id| Producer { id, epoch: 0, base_sequence: 0 };
    log.put_as(producer(1), true, &[("a", Some("aborted"))]);
    log.put_as(producer(2), true, &[("b", Some("committed"))]);
    log.end_transaction(1, TransactionResult::Abort);
    log.end_transaction(2, TransactionResult::Commit);
    log.put(&[("a", Some("before"))]);
    log.roll_and_clean();
    assert_eq!(log.left(), owned(&[(1, "b=committed"), (2, "abort"), (3, "commit"), (4, "a=before")]));
    let aborted = |log: &Compacted| -> Vec<Offset> {
        let disk = log.bench.disk.clone();
        let of = |segment: &Arc<crate::storage::Segment>| segment.transactions().all(&disk).unwrap();
        log.log(|log| log.segments().iter().flat_map(of).map(|txn| txn.first_offset).collect())
    };
    assert_eq!(aborted(&log), [0], "its first record may be read from a replica that has it");
    // What tells of a producer's sequence stays until it has written more; what it wrote then stays likewise.
    log.put_as(producer(1), true, &[("d", Some("1"))]);
    log.end_transaction(1, TransactionResult::Commit);
    log.put_as(producer(2), true, &[("e", Some("1"))]);
    log.end_transaction(2, TransactionResult::Commit);
    log.put(&[("b", Some("later"))]);
    log.roll_and_clean();
    let rest = [(4, "a=before"), (5, "d=1"), (6, "commit"), (7, "e=1"), (8, "commit"), (9, "b=later")];
    assert_eq!(log.left(), owned(&[&[(2, "abort"), (3, "commit")], &rest[..]].concat()));
    assert_eq!(aborted(&log), [0], "the batch was met, if empty");
    log.put(&[("c", Some("1"))]);
    log.roll_and_clean();
    assert_eq!(
        log.left(),
        owned(&[&[(2, "abort"), (3, "commit")], &rest[..], &[(10, "c=1")]].concat()),
        "they have a horizon now"
    );
    assert_eq!(aborted(&log), [0; 0]);
    log.time.advance(std::time::Duration::from_millis(1000));
    log.put(&[("c", Some("2"))]);
    log.roll_and_clean();
    assert_eq!(log.left(), owned(&[&rest[..], &[(11, "c=2")]].concat()));
    let known = |log: &Log| {
        let mut known: Vec<_> = log.producers().producers().map(|(id, entry)| (id, entry.epoch, entry.last_offset())).collect();
        known.sort_unstable();
        known
    };
    let before = log.log(|log| known(log));
    assert_eq!(before, [(1, 0, 5), (2, 0, 7)]);

    // A follower that reads the whole log knows as much of the producers.
    let mut follower = Bench::new(compacted_config());
    follower.settings = log.bench.settings.clone();
    let mut copy = follower.create();
    for segment in log.log(|log| log.segments().to_vec()) {
        let bytes = Bytes::from(log.bench.disk.read(&segment.path()).unwrap());
        copy.append_as_follower(&bytes, NOW).unwrap();
    }
    assert_eq!(known(&copy), before);
    assert_eq!(copy.log_end_offset(), log.log(|log| log.log_end_offset()));
}

#[test]
fn nothing_is_cleaned_that_is_not_decided_replicated_and_durable() {
    let mut log = Compacted::new(compacted_config());
    let put = |log: &Compacted| log.put(&[("a", Some(&"x".repeat(300)))]);
    for _ in 0..10 {
        put(&log);
    }
    assert!(log.log(|log| log.segments().len()) > 3);
    assert!(!log.clean(), "nothing is durable");
    log.log(|log| log.shared().flush_in_background());
    log.bench.flush();
    log.log(|log| log.set_high_watermark(4));
    assert!(log.clean());
    assert!(log.left().len() > 6, "only below the high watermark");

    let mut log = Compacted::new(compacted_config());
    log.put_as(Producer { id: 1, epoch: 0, base_sequence: 0 }, true, &[("t", Some("open"))]);
    for _ in 0..10 {
        put(&log);
    }
    log.roll();
    assert!(!log.clean(), "a transaction is open from the start on");
    log.end_transaction(1, TransactionResult::Commit);
    log.roll_and_clean();
    assert_eq!(log.left().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 10, 11]);
}

#[test]
fn a_full_map_takes_several_rounds() {
    let mut log = Compacted::new(compacted_config());
    // Room for 14 keys.
    let bytes = 64 + 16 * 25;
    log.cleaner.set_config(CleanerConfig { dedupe_buffer_size: bytes, ..cleaner_config() });
    for round in 0..3 {
        for key in 0..50 {
            log.put(&[(&format!("key {key}"), Some(&format!("{round}")))]);
        }
    }
    log.roll();
    let mut rounds = 0;
    while log.clean() {
        rounds += 1;
    }
    assert!((10..13).contains(&rounds), "{rounds}");
    assert_eq!(log.checkpoint(), Some(150));
    assert_eq!(log.left(), (0..50).map(|key| (100 + key, format!("key {key}=2"))).collect::<Vec<_>>());

    let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    log.put(&keys.iter().map(|key| (key.as_str(), Some("v"))).collect::<Vec<_>>());
    log.roll();
    assert!(!log.clean());
    assert_eq!(log.cleaner.state().uncleanable.len(), 1, "such a batch never fits");
}

#[test]
fn a_reader_of_what_is_replaced_goes_on() {
    let mut log = Compacted::new(compacted_config());
    for n in 0..20 {
        log.put(&[("a", Some(&format!("{n} {}", "x".repeat(200))))]);
    }
    let mut plan = log.log(|log| log.read(0, 600, true, 20).unwrap());
    plan.load().unwrap();
    let mut planned = log.log(|log| log.read(5, 600, true, 20).unwrap());
    log.roll_and_clean();
    assert_eq!(log.left().len(), 1);
    let fetched = plan.finish().unwrap();
    assert_eq!(batches(&fetched.records).next().unwrap().unwrap().header.base_offset, 0);
    planned.load().unwrap();
    let records = planned.finish().unwrap().records;
    assert_eq!(batches(&records).next().unwrap().unwrap().header.base_offset, 5, "the files are there for a while");
    let disk = log.bench.disk.clone();
    log.log(|log| log.directory().deletions.run(&disk, TimestampMs::MAX).unwrap());
    assert_eq!(batches(&fetched.records).next().unwrap().unwrap().verify_checksum(), Ok(()), "a slice outlives the file");
}

#[test]
fn retention_and_compaction_work_side_by_side() {
    let config = TopicConfig { cleanup_delete: true, retention_ms: 10_000, ..compacted_config() };
    let mut log = Compacted::new(config);
    for n in 0..10 {
        log.put(&[(&format!("old {n}"), Some(&"x".repeat(150)))]);
    }
    log.roll_and_clean();
    assert_eq!(log.left().len(), 10);
    log.time.advance(std::time::Duration::from_millis(11_000));
    let late = |key: &str| {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push_plain(NOW + 11_000, Some(key.as_bytes()), Some(b"1"));
        builder.build()
    };
    log.append(&late("a"));
    log.clean();
    assert_eq!(log.log(|log| log.log_start_offset()), 10, "the cleaner has retention look at compacted logs");
    // What was deleted lies in front of the checkpoint, and some behind it.
    log.append(&late("a"));
    log.append(&late("b"));
    log.roll_and_clean();
    assert_eq!(log.left(), owned(&[(11, "a=1"), (12, "b=1")]));
}

/// An owner whose log gets another record, older than is kept, each time that somebody comes to it.
struct Backfilled {
    owner: Arc<Owner>,
    visits: Mutex<usize>,
}

impl LogOwner for Backfilled {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        let mut log = self.owner.0.lock();
        let mut visits = self.visits.lock();
        *visits += 1;
        if let Some(log) = log.as_mut().filter(|_| *visits < 500) {
            append_at(log, &[("old", NOW - 5000)], 0).unwrap();
            log.set_high_watermark(log.log_end_offset());
        }
        log.as_mut().map(visit).is_some()
    }
}

#[test]
fn the_cleaner_comes_back_from_a_log_that_goes_on_getting_records_which_are_too_old() {
    let log = Compacted::new(TopicConfig { cleanup_delete: true, retention_ms: 1000, ..compacted_config() });
    let backfilled = Arc::new(Backfilled { owner: log.owner.clone(), visits: Mutex::new(0) });
    let owner: Arc<dyn LogOwner> = backfilled.clone();
    log.cleaner.clean_filthiest(0, &mut OffsetMap::new(9), &[owner]);
    assert!(*backfilled.visits.lock() < 20, "{} visits", backfilled.visits.lock());
    assert!(log.log(|log| log.log_start_offset()) > 0);
}

#[test]
fn a_truncation_takes_the_checkpoint_back() {
    let mut log = Compacted::new(compacted_config());
    for _ in 0..10 {
        log.put(&[("a", Some(&"x".repeat(150)))]);
    }
    log.roll_and_clean();
    assert_eq!(log.checkpoint(), Some(10));
    log.log(|log| log.truncate_to(7, NOW).unwrap());
    assert!(log.checkpoint().unwrap() <= 7);
    log.log(|log| log.truncate_fully_and_start_at(100, NOW).unwrap());
    log.put(&[("a", Some("1"))]);
    log.put(&[("a", Some("2"))]);
    log.roll_and_clean();
    assert_eq!((log.left(), log.checkpoint()), (owned(&[(101, "a=2")]), Some(102)));
}

/// An owner whose log is truncated, deleted, or stops, the n-th time that the cleaner comes to it.
struct Meddler {
    owner: Arc<Owner>,
    left: Mutex<usize>,
    meddle: fn(&mut Option<Log>),
}

impl LogOwner for Meddler {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        let mut log = self.owner.0.lock();
        let mut left = self.left.lock();
        if *left == 0 {
            (self.meddle)(&mut log);
        }
        *left = left.wrapping_sub(1);
        log.as_mut().map(visit).is_some()
    }
}

#[test]
fn what_happens_to_the_log_meanwhile_aborts_the_cleaning_and_harms_nothing() {
    let filled = || {
        let log = Compacted::new(compacted_config());
        for n in 0..30 {
            log.put(&[(["a", "b", "c"][n % 3], Some(&format!("{n} {}", "x".repeat(100))))]);
            log.put(&[(&format!("key {n}"), Some(&"x".repeat(100)))]);
        }
        log.roll();
        log
    };
    fn truncate(log: &mut Option<Log>) {
        // As after an unclean election: below the high watermark.
        assert!(log.as_mut().unwrap().truncate_to(31, NOW).unwrap());
    }
    fn delete(log: &mut Option<Log>) {
        log.take().unwrap().delete(7, NOW).unwrap();
    }
    fn change_policy(log: &mut Option<Log>) {
        let config = TopicConfig { cleanup_compact: false, cleanup_delete: true, ..compacted_config() };
        log.as_mut().unwrap().set_config(Arc::new(config));
    }
    let mut aborted = 0;
    for visit in 0..12 {
        for meddle in [truncate as fn(&mut Option<Log>), delete, change_policy] {
            let log = filled();
            let before = log.left();
            let meddler = Meddler { owner: log.owner.clone(), left: Mutex::new(visit), meddle };
            // The cleaner wants an owner that lives as long as it may.
            let meddler: Arc<dyn LogOwner> = Arc::new(meddler);
            let mut map = OffsetMap::new(9);
            let cleaned = log.cleaner.clean_filthiest(0, &mut map, &[meddler]);
            aborted += usize::from(!cleaned);
            assert!(log.cleaner.state().uncleanable.is_empty());
            let Some(open) = &*log.owner.0.lock() else { continue };
            assert!(
                log.bench.files().iter().all(|name| !name.contains(".cleaned") && !name.contains(".swap")),
                "{:?}",
                log.bench.files()
            );
            let after = left(open);
            let end = open.log_end_offset();
            // Of each key the last record is there; unless it went with the end of the log: then a cleaning may have dropped those before it.
            let mut last: BTreeMap<&str, Offset> =
                before.iter().map(|(offset, record)| (record.split_once('=').unwrap().0, *offset)).collect();
            last.retain(|_, offset| *offset < end);
            assert!(last.len() >= 15, "{last:?}");
            for (key, offset) in last {
                let is_there = after.iter().any(|(at, record)| *at == offset && record.split_once('=').unwrap().0 == key);
                assert!(is_there, "{key} at {offset} after {visit} visits: {after:?}");
            }
        }
    }
    assert!(aborted > 12, "{aborted}");
}

#[test]
fn damage_makes_a_log_uncleanable_and_leaves_it_as_it_is() {
    let mut log = Compacted::new(compacted_config());
    for n in 0..20 {
        log.put(&[("a", Some(&format!("{n} {}", "x".repeat(100))))]);
    }
    log.roll();
    let path = log.bench.path("00000000000000000000.log");
    log.bench.disk.damage(&path, |bytes| bytes[300] ^= 1);
    let files = log.bench.files();
    assert!(!log.clean());
    assert_eq!(log.bench.files(), files);
    let uncleanable = log.cleaner.state().uncleanable;
    assert_eq!(uncleanable.len(), 1);
    assert!(uncleanable[0].1 > 1000, "{uncleanable:?}");
    assert!(!log.clean(), "it is not tried again");
    assert_eq!(log.cleaner.state().uncleanable, uncleanable);
}

#[test]
fn a_log_does_not_inherit_from_one_of_its_name_that_it_cannot_be_cleaned() {
    let mut log = Compacted::new(compacted_config());
    let fill = |log: &Compacted| {
        for n in 0..20 {
            log.put(&[("a", Some(&format!("{n} {}", "x".repeat(100))))]);
        }
        log.roll();
    };
    fill(&log);
    let path = log.bench.path("00000000000000000000.log");
    log.bench.disk.damage(&path, |bytes| bytes[300] ^= 1);
    assert!(!log.clean());
    log.log(|log| log.delete(1, NOW).unwrap());
    let next = log.bench.create();
    *log.owner.0.lock() = Some(next);
    fill(&log);
    assert!(log.clean(), "{:?}", log.cleaner.state());
    assert!(log.cleaner.state().uncleanable.is_empty());
    let lag = log.cleaner.lag(&log.log(|log| log.shared().clone())).unwrap();
    assert!(!lag.uncleanable);
}

#[test]
fn want_of_room_passes() {
    let mut log = Compacted::new(compacted_config());
    for n in 0..40 {
        log.put(&[(&format!("{n}"), Some(&"x".repeat(100)))]);
    }
    log.put(&[("0", Some("new"))]);
    log.roll();
    let before = log.left();
    log.bench.disk.set_capacity(Some(log.bench.disk.used() + 500));
    assert!(!log.clean());
    assert!(log.cleaner.state().uncleanable.is_empty() && log.bench.directory.offline().is_none());
    assert_eq!(log.left(), before);
    log.bench.disk.set_capacity(None);
    assert!(log.clean());
    assert_eq!(log.left(), before[1..]);
}

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
