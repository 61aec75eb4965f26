//! The cleaner on a whole log: what is left, and whom it disturbs.

use parking_lot::Mutex;

use super::*;
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
pub(super) struct Compacted {
    pub(super) bench: Bench,
    pub(super) owner: Arc<Owner>,
    pub(super) cleaner: LogCleaner,
    pub(super) map: OffsetMap,
    pub(super) time: Arc<crate::base::time::ManualClock>,
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
    pub(super) fn new(config: TopicConfig) -> Self {
        Self::on(Bench::new(config))
    }

    pub(super) fn on(mut bench: Bench) -> Self {
        bench.settings = Arc::new(LogSettings { transaction_verification: false.into(), ..LogSettings::default() });
        let log = bench.create();
        let (clock, time) = Clock::manual(NOW);
        let owner = Arc::new(Owner(Mutex::new(Some(log))));
        Self { bench, owner, cleaner: LogCleaner::new(clock, cleaner_config()), map: OffsetMap::new(1), time }
    }

    pub(super) fn log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        work(self.owner.0.lock().as_mut().unwrap())
    }

    pub(super) fn put(&self, records: &[(&str, Option<&str>)]) -> Offset {
        self.put_as(Producer::NONE, false, records)
    }

    pub(super) fn put_as(&self, producer: Producer, transactional: bool, records: &[(&str, Option<&str>)]) -> Offset {
        let mut builder = BatchBuilder::new(Codec::None);
        (builder.producer, builder.transactional) = (producer, transactional);
        for (key, value) in records {
            builder.push_plain(NOW, Some(key.as_bytes()), value.map(str::as_bytes));
        }
        self.append(&builder.build())
    }

    pub(super) fn end_transaction(&self, id: ProducerId, result: TransactionResult) -> Offset {
        self.append(&EndTransactionMarker { result, coordinator_epoch: 1 }.batch(NOW, id, 0))
    }

    pub(super) fn append(&self, batch: &Bytes) -> Offset {
        self.log(|log| {
            let appended = log.append_built(batch, 0, AppendOrigin::Coordinator { transaction_version: 0 }, None, NOW).unwrap();
            log.set_high_watermark(appended.last_offset + 1);
            appended.first_offset
        })
    }

    /// Makes all of the log cleanable.
    pub(super) fn roll(&self) {
        self.log(|log| log.roll(NOW).unwrap());
        self.log(|log| log.shared().flush_in_background());
        self.bench.flush();
    }

    pub(super) fn clean(&mut self) -> bool {
        let owner: Arc<dyn LogOwner> = self.owner.clone();
        self.cleaner.clean_filthiest(0, &mut self.map, &[owner])
    }

    pub(super) fn roll_and_clean(&mut self) {
        self.roll();
        assert!(self.clean(), "{:?}", self.cleaner.state());
    }

    pub(super) fn checkpoint(&self) -> Option<Offset> {
        offsets::read(&self.bench.disk, &Path::new(DIR).join(offsets::CLEANER)).unwrap().get(&partition()).copied()
    }

    pub(super) fn left(&self) -> Vec<(Offset, String)> {
        self.log(|log| left(log))
    }

    pub(super) fn files(&self) -> Vec<String> {
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

pub(super) fn owned(left: &[(Offset, &str)]) -> Vec<(Offset, String)> {
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
