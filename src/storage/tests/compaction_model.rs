//! Compaction against a model: any sequence of records, tombstones, transactions, truncations, deletions and cleanings, on a disk that stops at any
//! change and forgets what it may forget.
//!
//! What is promised, and checked after every step: what is there was written, there and so; of what is not there somebody said that it may go:
//! a later record of its key, an abort, its being a tombstone or the marker of a transaction without records. Nothing that the cleaner could
//! not have looked at is missing. A tombstone goes after what it deletes, a marker after what it decides about.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::compaction::{Owner, cleaner_config, compacted_config, left};
use super::*;
use crate::base::disk::simulated::Crash;
use crate::base::time::Clock;
use crate::record::control::{EndTransactionMarker, TransactionResult};
use crate::storage::cleaner::{LogCleaner, LogOwner, OffsetMap};

const TRANSACTIONAL: ProducerId = 9;

#[derive(Clone, Debug)]
enum Step {
    Put { keys: Vec<u8>, size: usize },
    Delete { key: u8 },
    PutInTransaction { key: u8 },
    EndTransaction { abort: bool },
    Roll,
    Flush,
    Checkpoint,
    RaiseHighWatermark { by: Offset },
    Truncate { by: Offset },
    DeleteRecords { by: Offset },
    Clean,
    Reopen,
    Kill,
    LosePower { seed: u64 },
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Plain,
    InTransaction,
    Marker { abort: bool },
}

#[derive(Clone, Debug)]
struct Written {
    kind: Kind,
    key: String,
    /// As [`left`] tells it.
    text: String,
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
    /// Nothing is promised below.
    deleted_to: Offset,
    /// No cleaning has looked at what lies here or behind.
    cleaned_to: Offset,
    epoch: LeaderEpoch,
    values: u64,
}

impl Model {
    fn truncate(&mut self, end: Offset) {
        self.records.split_off(&end);
        self.end = end;
        self.durable_end = self.durable_end.min(end);
    }

    /// For each record of a transaction where it ends, if it does, and whether in an abort.
    fn transactions(&self) -> BTreeMap<Offset, Option<(Offset, bool)>> {
        let (mut all, mut ends) = (BTreeMap::new(), None);
        for (offset, record) in self.records.iter().rev() {
            match record.kind {
                Kind::Marker { abort } => ends = Some((*offset, abort)),
                Kind::InTransaction => drop(all.insert(*offset, ends)),
                Kind::Plain => {}
            }
        }
        all
    }

    fn has_open_transaction(&self) -> bool {
        let last = self.records.values().rev().find(|record| record.kind != Kind::Plain);
        last.is_some_and(|record| record.kind == Kind::InTransaction)
    }

    /// What keeps the log from its promise, if anything does.
    fn broken_by(&self, left: &[(Offset, String)]) -> Option<String> {
        let left: BTreeMap<Offset, &String> = left.iter().map(|(offset, text)| (*offset, text)).collect();
        for (offset, text) in &left {
            if self.records.get(offset).is_none_or(|record| record.text != **text) {
                return Some(format!("{text:?} at {offset} was never written there"));
            }
        }
        let transactions = self.transactions();
        let aborted = |offset: &Offset| matches!(transactions.get(offset), Some(Some((_, true))));
        // Keys of records that the map may have held, from the end on.
        let mut later = BTreeSet::new();
        for (offset, record) in self.records.range(self.deleted_to..).rev() {
            let is_gone = !left.contains_key(offset);
            let may_go = *offset < self.cleaned_to
                && match record.kind {
                    Kind::Marker { .. } => {
                        let decided = transactions.iter().filter(|(_, ends)| ends.is_some_and(|(end, _)| end == *offset));
                        !decided.map(|(record, _)| record).any(|record| left.contains_key(record))
                    }
                    _ if aborted(offset) || later.contains(&record.key) => true,
                    _ if record.is_tombstone() => {
                        let before = self.records.range(self.deleted_to..*offset).filter(|(at, _)| !aborted(at));
                        !before.filter(|(_, other)| other.key == record.key).any(|(at, _)| left.contains_key(at))
                    }
                    _ => false,
                };
            if is_gone && !may_go {
                return Some(format!("{record:?} at {offset} is missing; cleaned to {}", self.cleaned_to));
            }
            if *offset < self.cleaned_to && !aborted(offset) && !matches!(record.kind, Kind::Marker { .. }) {
                later.insert(record.key.clone());
            }
        }
        None
    }
}

struct Run {
    bench: Bench,
    log: Arc<Owner>,
    cleaner: LogCleaner,
    model: Model,
    trace: Vec<String>,
}

impl Run {
    fn new(map_bytes: i64) -> Self {
        let mut bench = Bench::new(TopicConfig { segment_bytes: 500, delete_retention_ms: 0, ..compacted_config() });
        bench.settings = Arc::new(LogSettings { transaction_verification: false, ..LogSettings::default() });
        let log = Arc::new(Owner(Mutex::new(Some(bench.create()))));
        let (clock, _) = Clock::manual(NOW);
        let mut config = cleaner_config();
        config.dedupe_buffer_size = map_bytes;
        Self { bench, log, cleaner: LogCleaner::new(clock, config), model: Model::default(), trace: Vec::new() }
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
        if kind == Kind::InTransaction {
            builder.producer = Producer { id: TRANSACTIONAL, epoch: 0, base_sequence: 0 };
            builder.transactional = true;
        }
        for (n, (key, value)) in records.iter().enumerate() {
            let key = format!("k{key}");
            builder.push_plain(NOW, Some(key.as_bytes()), value.as_ref().map(|value| value.as_bytes()));
            let text = format!("{key}={}", value.as_deref().unwrap_or("∅"));
            self.model.records.insert(self.model.end + n as Offset, Written { kind: kind.clone(), key, text });
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
            Step::EndTransaction { abort } if self.model.has_open_transaction() => {
                let result = if *abort { TransactionResult::Abort } else { TransactionResult::Commit };
                let text = format!("{result:?}").to_lowercase();
                let marker = Written { kind: Kind::Marker { abort: *abort }, key: String::new(), text };
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
                let to = (self.log(|log| log.high_watermark()) + by).min(self.model.end);
                self.log(|log| log.maybe_increment_high_watermark(to));
                self.model.committed = self.model.committed.max(to);
                Ok(())
            }
            Step::Truncate { by } => {
                let target = (self.model.end - by).max(self.model.committed);
                self.model.epoch += 1;
                let cut = self.log(|log| log.truncate_to(target, NOW)).map_err(|error| error.to_string());
                // A batch that straddles the target goes as a whole, unless it is committed: then the target lies at its end.
                let end = if self.bench.disk.has_stopped() { target } else { self.log(|log| log.log_end_offset()) };
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
                self.model.cleaned_to = self.model.cleaned_to.max(bound);
                let owner: Arc<dyn LogOwner> = self.log.clone();
                self.cleaner.clean_filthiest(0, &mut OffsetMap::new(3), &[owner]);
                assert!(self.cleaner.state().uncleanable.is_empty() || self.bench.disk.has_stopped(), "{}", self.trace.join("\n"));
                Ok(())
            }
            Step::Reopen => {
                let log = self.log.0.lock().take();
                let mut log = log.expect("the log is open");
                let closed = log.close().map_err(|error| error.to_string());
                self.bench.flush();
                let checkpoints = checkpoints_of(&log);
                drop(log);
                if closed.is_ok() && !self.bench.disk.has_stopped() {
                    let opened = self.bench.try_open(LastStop::Clean, checkpoints).map_err(|error| error.to_string());
                    match opened {
                        Ok((log, _)) => *self.log.0.lock() = Some(log),
                        Err(error) => return Err(error),
                    }
                }
                closed
            }
            Step::EndTransaction { .. } | Step::Kill | Step::LosePower { .. } => Ok(()),
        }
    }

    /// The disk stops, and a new process opens the log.
    fn crash(&mut self, crash: Crash, before: &Model) {
        drop(self.log.0.lock().take());
        self.bench.disk.crash(crash);
        let stop = if crash == Crash::Process { LastStop::Killed } else { LastStop::Lost };
        let (log, _) = self.bench.open_as_left(stop).unwrap_or_else(|error| panic!("{crash:?}: {error}\n{}", self.trace.join("\n")));
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
        (model.cleaned_to, model.deleted_to) = (after.cleaned_to, after.deleted_to.max(log.log_start_offset()));
        (model.epoch, model.values) = (after.epoch + 1, after.values);
        model.truncate(end);
        model.committed = after.committed.min(end);
        model.durable_end = log.durable_end();
        self.model = model;
        *self.log.0.lock() = Some(log);
        // What an interrupted change left behind is no promise, and no burden of the next crash.
        self.bench.disk.sync_all(Path::new("/")).unwrap();
    }

    fn check(&self) {
        let stop = self.bench.disk.do_not_stop();
        let (end, left) = self.log(|log| (log.log_end_offset(), left(log)));
        assert_eq!(end, self.model.end, "{}", self.trace.join("\n"));
        if let Some(broken) = self.model.broken_by(&left) {
            panic!("{broken}\nleft {left:?}\n{}", self.trace.join("\n"));
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
        2 => any::<bool>().prop_map(|abort| Step::EndTransaction { abort }),
        2 => Just(Step::Roll),
        4 => Just(Step::Flush),
        1 => Just(Step::Checkpoint),
        4 => (1i64..30).prop_map(|by| Step::RaiseHighWatermark { by }),
        1 => (1i64..20).prop_map(|by| Step::Truncate { by }),
        1 => (1i64..10).prop_map(|by| Step::DeleteRecords { by }),
        5 => Just(Step::Clean),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(|seed| Step::LosePower { seed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..ProptestConfig::default() })]

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
