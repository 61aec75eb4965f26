//! Compaction against a model: any sequence of records, tombstones, transactions, truncations, deletions and cleanings, on a disk that stops at any
//! change and forgets what it may forget.
//!
//! What is promised, and checked after every step: what is there was written, there and so; of what is not there somebody said that it may go:
//! a later record of its key, an abort, its being a tombstone or the marker of a transaction without records. Nothing that the cleaner could
//! not have looked at is missing. A tombstone goes after what it deletes, a marker after what it decides about, and neither before
//! `delete.retention.ms` after the first cleaning that met it. In front of the checkpoint nothing is left that should have gone. What is known of
//! producers is what they wrote last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::compaction::{Owner, cleaner_config, compacted_config, left, overlap};
use super::*;
use crate::base::disk::simulated::Crash;
use crate::base::time::{Clock, ManualClock};
use crate::record::control::{EndTransactionMarker, TransactionResult};
use crate::storage::cleaner::{LogCleaner, LogOwner, OffsetMap};

const TRANSACTIONAL: ProducerId = 9;
const DELETE_RETENTION_MS: i64 = 1000;

#[derive(Clone, Debug)]
enum Step {
    Put { keys: Vec<u8>, size: usize },
    Delete { key: u8 },
    PutIdempotent { producer: ProducerId, key: u8 },
    PutInTransaction { key: u8 },
    EndTransaction { abort: bool },
    Roll,
    Flush,
    Checkpoint,
    RaiseHighWatermark { by: Offset },
    Truncate { by: Offset },
    DeleteRecords { by: Offset },
    Clean,
    Wait { ms: i64 },
    Reopen,
    Kill,
    LosePower { seed: u64 },
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Plain,
    InTransaction,
    Idempotent { producer: ProducerId },
    Marker { abort: bool },
}

#[derive(Clone, Debug)]
struct Written {
    kind: Kind,
    key: String,
    /// As [`left`] tells it.
    text: String,
    ends_batch: bool,
}

impl Written {
    fn is_tombstone(&self) -> bool {
        self.text.ends_with("=∅")
    }
}

#[derive(Clone, Debug, Default)]
struct Model {
    /// Everything written and not truncated.
    records: BTreeMap<Offset, Written>,
    end: Offset,
    /// The largest high watermark there ever was: nothing below is truncated.
    committed: Offset,
    durable_end: Offset,
    /// Behind the last marker that was there when the log was opened: snapshots do not tell, as Kafka's do not, that the high watermark has not
    /// reached it, so that its transaction counts as decided.
    decided_to: Offset,
    /// How the open transaction ends, if its marker was there already and was lost: the coordinator decides once.
    decision: Option<bool>,
    /// Nothing is promised below.
    deleted_to: Offset,
    /// Up to where a cleaning may have looked, and when: the first that may have looked further than any before it.
    cleanings: Vec<(Offset, TimestampMs)>,
    /// The next sequence of each producer.
    sequences: BTreeMap<ProducerId, i32>,
    /// Producers none of whose batches were truncated since their last one: what came before may have been cleaned already.
    known: BTreeSet<ProducerId>,
    now: TimestampMs,
    epoch: LeaderEpoch,
    values: u64,
}

impl Model {
    fn truncate(&mut self, end: Offset) {
        let cut = self.records.split_off(&end);
        for record in cut.values() {
            if let Kind::Idempotent { producer } = record.kind {
                self.known.remove(&producer);
            }
        }
        let first_marker = cut.values().find_map(|record| match record.kind {
            Kind::Marker { abort } => Some(abort),
            _ => None,
        });
        self.decision = if self.has_open_transaction() { first_marker.or(self.decision) } else { None };
        self.end = end;
        self.durable_end = self.durable_end.min(end);
    }

    /// For each record of a transaction where it ends, if it does, and whether in an abort.
    fn transactions(&self) -> BTreeMap<Offset, Option<(Offset, bool)>> {
        let (mut all, mut ends) = (BTreeMap::new(), self.decision.map(|abort| (Offset::MAX, abort)));
        for (offset, record) in self.records.iter().rev() {
            match record.kind {
                Kind::Marker { abort } => ends = Some((*offset, abort)),
                Kind::InTransaction => drop(all.insert(*offset, ends)),
                Kind::Plain | Kind::Idempotent { .. } => {}
            }
        }
        all
    }

    fn open(&mut self) {
        let mut markers = self.records.iter().rev().filter(|(_, record)| matches!(record.kind, Kind::Marker { .. }));
        self.decided_to = markers.next().map_or(0, |(offset, _)| offset + 1);
    }

    /// Nothing at or behind this offset was looked at by a cleaning.
    fn cleaned_to(&self) -> Offset {
        self.cleanings.last().map_or(0, |(to, _)| *to)
    }

    /// Whether what may go some time after it was first met may have gone.
    fn has_rested(&self, offset: Offset) -> bool {
        let met = self.cleanings.iter().find(|(to, _)| *to > offset);
        met.is_some_and(|(_, at)| *at + DELETE_RETENTION_MS <= self.now)
    }

    fn has_open_transaction(&self) -> bool {
        let mut last = self.records.values().rev().map(|record| &record.kind);
        last.find(|kind| matches!(kind, Kind::InTransaction | Kind::Marker { .. })) == Some(&Kind::InTransaction)
    }

    /// What keeps the log from its promise, if anything does; `clean_to` is the checkpoint.
    fn broken_by(&self, left: &[(Offset, String)], clean_to: Offset) -> Option<String> {
        let left: BTreeMap<Offset, &String> = left.iter().map(|(offset, text)| (*offset, text)).collect();
        for (offset, text) in &left {
            if self.records.get(offset).is_none_or(|record| record.text != **text) {
                return Some(format!("{text:?} at {offset} was never written there"));
            }
        }
        let transactions = self.transactions();
        let aborted = |offset: &Offset| matches!(transactions.get(offset), Some(Some((_, true))));
        // Keys of records that the map may have held, from the end on; and those that it must have held.
        let (mut later, mut surely_later) = (BTreeSet::new(), BTreeSet::new());
        let cleaned_to = self.cleaned_to();
        for (offset, record) in self.records.range(self.deleted_to..).rev() {
            let is_gone = !left.contains_key(offset);
            let may_go = *offset < cleaned_to
                && match record.kind {
                    Kind::Marker { .. } => {
                        let decided = transactions.iter().filter(|(_, ends)| ends.is_some_and(|(end, _)| end == *offset));
                        self.has_rested(*offset) && !decided.map(|(record, _)| record).any(|record| left.contains_key(record))
                    }
                    _ if aborted(offset) || later.contains(&record.key) => true,
                    _ if record.is_tombstone() => {
                        let before = self.records.range(self.deleted_to..*offset).filter(|(at, _)| !aborted(at));
                        self.has_rested(*offset)
                            && !before.filter(|(_, other)| other.key == record.key).any(|(at, _)| left.contains_key(at))
                    }
                    _ => false,
                };
            if is_gone && !may_go {
                return Some(format!("{record:?} at {offset} is missing; cleaned to {cleaned_to} at most"));
            }
            let is_data = !matches!(record.kind, Kind::Marker { .. });
            if !is_gone && is_data && *offset < clean_to && (aborted(offset) || surely_later.contains(&record.key)) {
                return Some(format!("{record:?} at {offset} is left, though the log is clean to {clean_to}"));
            }
            if is_data && !aborted(offset) {
                if *offset < cleaned_to {
                    later.insert(&record.key);
                }
                if *offset < clean_to {
                    surely_later.insert(&record.key);
                }
            }
        }
        None
    }
}

struct Run {
    bench: Bench,
    time: Arc<ManualClock>,
    log: Arc<Owner>,
    cleaner: LogCleaner,
    model: Model,
    trace: Vec<String>,
}

impl Run {
    fn new(map_bytes: i64) -> Self {
        let mut bench =
            Bench::new(TopicConfig { segment_bytes: 500, delete_retention_ms: DELETE_RETENTION_MS, ..compacted_config() });
        bench.settings = Arc::new(LogSettings { transaction_verification: false.into(), ..LogSettings::default() });
        let log = Arc::new(Owner(Mutex::new(Some(bench.create()))));
        // That a new log outlives a loss of power is another test's matter.
        bench.disk.sync_all(Path::new("/")).unwrap();
        let (clock, time) = Clock::manual(NOW);
        let mut config = cleaner_config();
        config.dedupe_buffer_size = map_bytes;
        let model = Model { now: NOW, ..Model::default() };
        Self { bench, time, log, cleaner: LogCleaner::new(clock, config), model, trace: Vec::new() }
    }

    fn log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        work(self.log.0.lock().as_mut().expect("the log is open"))
    }

    fn step(&mut self, step: &Step) {
        let before = self.model.clone();
        let done = self.try_step(step);
        let stopped = self.bench.disk.has_stopped();
        self.trace.push(format!("{step:?} → {} {:?}", if stopped { "stopped" } else { "" }, self.bench.files()));
        match step {
            _ if stopped => {}
            Step::Kill => self.crash(Crash::Process, &before),
            Step::LosePower { seed } => self.crash(Crash::Power { seed: *seed }, &before),
            _ => done.unwrap_or_else(|error| panic!("{step:?}: {error}")),
        }
    }

    fn append(&mut self, kind: Kind, records: &[(u8, Option<String>)]) -> Result<(), String> {
        let mut builder = BatchBuilder::new(Codec::None);
        match kind {
            Kind::InTransaction => {
                builder.producer = Producer { id: TRANSACTIONAL, epoch: 0, base_sequence: 0 };
                builder.transactional = true;
            }
            Kind::Idempotent { producer } => {
                let next = self.model.sequences.entry(producer).or_default();
                builder.producer = Producer { id: producer, epoch: 0, base_sequence: *next };
                *next += records.len() as i32;
                self.model.known.insert(producer);
            }
            Kind::Plain | Kind::Marker { .. } => {}
        }
        for (n, (key, value)) in records.iter().enumerate() {
            let key = format!("k{key}");
            builder.push_plain(NOW, Some(key.as_bytes()), value.as_ref().map(|value| value.as_bytes()));
            let text = format!("{key}={}", value.as_deref().unwrap_or("∅"));
            self.model.records.insert(
                self.model.end + n as Offset,
                Written { kind: kind.clone(), key, text, ends_batch: n + 1 == records.len() },
            );
        }
        self.model.end += records.len() as Offset;
        self.append_batch(&builder.build())
    }

    fn append_batch(&self, batch: &Bytes) -> Result<(), String> {
        let origin = AppendOrigin::Coordinator { transaction_version: 0 };
        self.log(|log| log.append_built(batch, self.model.epoch, origin, None, NOW)).map(drop).map_err(|error| error.to_string())
    }

    fn value(&mut self, size: usize) -> Option<String> {
        self.model.values += 1;
        Some(format!("{}{}", self.model.values, "x".repeat(size)))
    }

    fn try_step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Put { keys, size } => {
                let records: Vec<_> = keys.iter().map(|key| (*key, self.value(*size))).collect();
                self.append(Kind::Plain, &records)
            }
            Step::Delete { key } => self.append(Kind::Plain, &[(*key, None)]),
            Step::PutInTransaction { key } => {
                let value = self.value(10);
                self.append(Kind::InTransaction, &[(*key, value)])
            }
            Step::PutIdempotent { producer, key } => {
                let value = self.value(20);
                self.append(Kind::Idempotent { producer: *producer }, &[(*key, value)])
            }
            Step::Wait { ms } => {
                self.time.advance(Duration::from_millis(*ms as u64));
                self.model.now += ms;
                Ok(())
            }
            Step::EndTransaction { abort } if self.model.has_open_transaction() => {
                let abort = self.model.decision.take().unwrap_or(*abort);
                let result = if abort { TransactionResult::Abort } else { TransactionResult::Commit };
                let text = format!("{result:?}").to_lowercase();
                let marker = Written { kind: Kind::Marker { abort }, key: String::new(), text, ends_batch: true };
                self.model.records.insert(self.model.end, marker);
                self.model.end += 1;
                self.append_batch(&EndTransactionMarker { result, coordinator_epoch: 1 }.batch(NOW, TRANSACTIONAL, 0))
            }
            Step::Roll => self.log(|log| log.roll(NOW)).map_err(|error| error.to_string()),
            Step::Flush => {
                self.log(|log| log.shared().flush_in_background());
                self.bench.flush();
                self.model.durable_end = self.log(|log| log.durable_end());
                Ok(())
            }
            Step::Checkpoint => self.log(|log| self.bench.checkpoint(log)).map_err(|error| error.to_string()),
            Step::RaiseHighWatermark { by } => {
                let from = self.log(|log| log.high_watermark());
                // Replicas get batches as a whole.
                let ends_batch = |offset: &Offset| self.model.records.get(&(offset - 1)).is_none_or(|record| record.ends_batch);
                let to = (from..=(from + by).min(self.model.end)).rev().find(ends_batch).unwrap_or(from);
                self.log(|log| log.maybe_increment_high_watermark(to));
                self.model.committed = self.model.committed.max(to);
                Ok(())
            }
            Step::Truncate { by } => {
                let target = (self.model.end - by).max(self.model.committed).max(self.model.decided_to);
                self.model.epoch += 1;
                let cut = self.log(|log| log.truncate_to(target, NOW)).map_err(|error| error.to_string());
                // A batch that straddles the target goes as a whole, unless it is committed: then the target lies at its end. The largest has three
                // records.
                let least = (target - 2).max(self.model.committed);
                let end = if self.bench.disk.has_stopped() { least } else { self.log(|log| log.log_end_offset()) };
                self.model.truncate(end.min(self.model.end));
                self.model.committed = self.model.committed.min(end);
                cut.map(drop)
            }
            Step::DeleteRecords { by } => {
                let to = self.log(|log| (log.log_start_offset() + by).min(log.high_watermark()));
                self.model.deleted_to = self.model.deleted_to.max(to);
                self.log(|log| log.maybe_increment_log_start_offset(to)).map(drop).map_err(|error| error.to_string())
            }
            Step::Clean => {
                let bound = self.log(|log| {
                    let active = log.segments().last().expect("there is one").base_offset();
                    active.min(log.last_stable_offset()).min(log.durable_end())
                });
                if bound > self.model.cleaned_to() {
                    self.model.cleanings.push((bound, self.model.now));
                }
                let owner: Arc<dyn LogOwner> = self.log.clone();
                self.cleaner.clean_filthiest(0, &mut OffsetMap::new(3), &[owner]);
                assert!(
                    self.cleaner.state().uncleanable.is_empty() || self.bench.disk.has_stopped(),
                    "{}",
                    self.trace.join("\n")
                );
                Ok(())
            }
            Step::Reopen => {
                let mut log = self.log.0.lock().take().expect("the log is open");
                log.close().map_err(|error| error.to_string())?;
                self.bench.disk.sync_all(Path::new("/")).map_err(|error| error.to_string())?;
                self.model.durable_end = self.model.end;
                let checkpoints = checkpoints_of(&log);
                self.bench.checkpoint(&log).map_err(|error| error.to_string())?;
                drop(log);
                let (log, loss) = self.bench.try_open(LastStop::Clean, checkpoints).map_err(|error| error.to_string())?;
                assert!(loss.is_none(), "{loss:?}\n{}", self.trace.join("\n"));
                *self.log.0.lock() = Some(log);
                self.model.open();
                Ok(())
            }
            Step::EndTransaction { .. } | Step::Kill | Step::LosePower { .. } => Ok(()),
        }
    }

    /// The disk stops, and a new process opens the log.
    fn crash(&mut self, crash: Crash, before: &Model) {
        drop(self.log.0.lock().take());
        self.bench.disk.crash(crash);
        let stop = if crash == Crash::Process { LastStop::Killed } else { LastStop::Lost };
        let (log, _) =
            self.bench.open_as_left(stop).unwrap_or_else(|error| panic!("{crash:?}: {error}\n{}", self.trace.join("\n")));
        self.trace.push(format!("{crash:?} → {log:?} {:?}", self.bench.files()));
        let after = self.model.clone();
        let (least, most) = match crash {
            Crash::Process => (before.end.min(after.end), before.end.max(after.end)),
            Crash::Power { .. } => (before.durable_end.min(after.durable_end), before.end.max(after.end)),
        };
        let end = log.log_end_offset();
        assert!((least..=most).contains(&end), "{least} ≤ {end} ≤ {most}\n{}", self.trace.join("\n"));
        // What was being truncated may still be there, in part.
        let mut model = if before.end > after.end { before.clone() } else { after.clone() };
        (model.cleanings, model.deleted_to) = (after.cleanings, after.deleted_to.max(log.log_start_offset()));
        (model.epoch, model.values, model.sequences) = (after.epoch + 1, after.values, after.sequences);
        model.truncate(end);
        // A checkpoint of before may tell of a higher one.
        model.committed = after.committed.min(end).max(log.high_watermark());
        model.durable_end = log.durable_end();
        model.open();
        self.model = model;
        *self.log.0.lock() = Some(log);
        if before.end > after.end {
            // What an interrupted truncation cut off may come back with a loss of power that follows before the next flush: no harm, since nothing
            // was promised about it, but more than this model wants to follow.
            self.bench.disk.sync_all(Path::new("/")).unwrap();
        }
    }

    fn check(&self) {
        let stop = self.bench.disk.do_not_stop();
        let (end, left) = self.log(|log| (log.log_end_offset(), left(log)));
        assert_eq!(end, self.model.end, "{}", self.trace.join("\n"));
        let clean_to = self.bench.directory.checkpointed(offsets::CLEANER, &partition()).unwrap_or(0);
        if let Some(broken) = self.model.broken_by(&left, clean_to) {
            panic!("{broken}\nleft {left:?}\n{}", self.trace.join("\n"));
        }
        assert_eq!(self.log(|log| overlap(log, &self.bench.disk)), None, "{}", self.trace.join("\n"));
        for producer in &self.model.known {
            let is_last = |record: &&Written| record.kind == Kind::Idempotent { producer: *producer };
            let last = self.model.records.range(self.model.deleted_to..).rev().find(|(_, record)| is_last(record));
            let known = self.log(|log| {
                let entry = log.producers().producers().find(|(id, _)| id == producer);
                entry.and_then(|(_, entry)| entry.last_batch().map(|batch| (batch.last_offset, batch.last_sequence)))
            });
            if let Some((offset, _)) = last {
                let expected = Some((*offset, self.model.sequences[producer] - 1));
                assert_eq!(known, expected, "producer {producer}\n{}", self.trace.join("\n"));
            }
        }
        if let Some(changes) = stop {
            self.bench.disk.stop_after(changes);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop::collection::vec(0u8..6, 1..4), 0usize..120).prop_map(|(keys, size)| Step::Put { keys, size }),
        2 => (0u8..6).prop_map(|key| Step::Delete { key }),
        2 => (0u8..6).prop_map(|key| Step::PutInTransaction { key }),
        3 => (1i64..4, 0u8..6).prop_map(|(producer, key)| Step::PutIdempotent { producer, key }),
        2 => any::<bool>().prop_map(|abort| Step::EndTransaction { abort }),
        2 => Just(Step::Roll),
        4 => Just(Step::Flush),
        1 => Just(Step::Checkpoint),
        4 => (1i64..30).prop_map(|by| Step::RaiseHighWatermark { by }),
        1 => (1i64..20).prop_map(|by| Step::Truncate { by }),
        1 => (1i64..10).prop_map(|by| Step::DeleteRecords { by }),
        5 => Just(Step::Clean),
        2 => (1i64..1500).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(|seed| Step::LosePower { seed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_left_may_have_gone(
        steps in prop::collection::vec(step(), 1..80),
        stop_after in prop::option::of(0u64..600),
        power in any::<Option<u64>>(),
        map_bytes in prop::sample::select(vec![300i64, 1 << 20]),
    ) {
        let mut run = Run::new(map_bytes);
        if let Some(changes) = stop_after {
            run.bench.disk.stop_after(changes);
        }
        for step in &steps {
            let before = run.model.clone();
            run.step(step);
            if run.bench.disk.has_stopped() {
                run.crash(power.map_or(Crash::Process, |seed| Crash::Power { seed }), &before);
            }
            run.check();
        }
    }
}
