//! The log against a model: any sequence of appends, rolls, truncations, deletions, flushes, stops and crashes, on a disk that stops at any
//! change and forgets what it may forget.
//!
//! What is promised, and checked after every step: everything durable is there, once, in order; nothing is there that was not written; a killed
//! process loses nothing it wrote; producers, epochs and aborted transactions are those of the records that are there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::disk::simulated::Crash;
use crate::record::control::{EndTransactionMarker, TransactionResult};
use crate::record::validate::validate;
use crate::storage::transaction_index::AbortedTxn;

const IDEMPOTENT: ProducerId = 7;
const TRANSACTIONAL: ProducerId = 9;

#[derive(Clone, Debug)]
enum Step {
    Append { records: usize, size: usize },
    AppendIdempotent { records: usize },
    AppendTransactional,
    EndTransaction { abort: bool },
    Roll,
    RaiseHighWatermark { by: Offset },
    Truncate { by: Offset },
    TruncateFully { to: Offset },
    DeleteRecords { by: Offset },
    Retention,
    Flush,
    Checkpoint,
    Reopen,
    Kill,
    LosePower { seed: u64 },
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Plain,
    Idempotent,
    Transactional,
    Marker { abort: bool },
}

#[derive(Clone, Debug, PartialEq)]
struct Written {
    value: String,
    epoch: LeaderEpoch,
    kind: Kind,
}

/// What the log should be.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Everything written and not truncated, also what was deleted from the start since.
    records: BTreeMap<Offset, Written>,
    start: Offset,
    /// The start as it was before a restart forgot that it had moved.
    highest_start: Offset,
    end: Offset,
    high_watermark: Offset,
    durable_end: Offset,
    epoch: LeaderEpoch,
    values: u64,
}

impl Model {
    fn truncate(&mut self, end: Offset) {
        self.records.split_off(&end);
        self.end = end;
        self.start = self.start.min(end);
        self.high_watermark = self.high_watermark.min(end);
        self.durable_end = self.durable_end.min(end);
    }

    /// The transaction that is open, and those that were aborted.
    fn transactions(&self) -> (Option<Offset>, Vec<(Offset, Offset)>) {
        let (mut open, mut aborted) = (None, Vec::new());
        for (offset, record) in &self.records {
            match record.kind {
                Kind::Transactional => {
                    open.get_or_insert(*offset);
                }
                Kind::Marker { abort } => {
                    if let Some(first) = open.take()
                        && abort
                    {
                        aborted.push((first, *offset));
                    }
                }
                _ => {}
            }
        }
        (open, aborted)
    }

    fn markers(&self) -> impl Iterator<Item = Offset> + '_ {
        self.records.iter().filter(|(_, record)| matches!(record.kind, Kind::Marker { .. })).map(|(offset, _)| *offset)
    }

    fn last_of(&self, kind: Kind) -> Option<Offset> {
        self.records.iter().rfind(|(_, record)| record.kind == kind).map(|(offset, _)| *offset)
    }
}

struct Run {
    bench: Bench,
    log: Option<Log>,
    model: Model,
    /// What happened, for the message of a failure.
    trace: Vec<String>,
    /// After how many changes each recovery is interrupted by another crash of the same kind.
    interruptions: Vec<u64>,
}

impl Run {
    fn new(segment_bytes: i32) -> Self {
        let mut bench = Bench::small_segments(segment_bytes);
        bench.config.retention_bytes = 4 * i64::from(segment_bytes);
        bench.settings = Arc::new(LogSettings { transaction_verification: false.into(), ..LogSettings::default() });
        let log = bench.create();
        Self { bench, log: Some(log), model: Model::default(), trace: Vec::new(), interruptions: Vec::new() }
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("the log is open")
    }

    /// Does a step on log and model. If the disk stops in its middle, says so; the model then is what it would be after the step, and the
    /// second value what it was before.
    fn step(&mut self, step: &Step) -> Option<Model> {
        let before = self.model.clone();
        let done = self.try_step(step);
        let files = self.bench.files();
        self.trace.push(format!("{step:?} → {:?} stopped {} {files:?}", self.log, self.bench.disk.has_stopped()));
        if self.bench.disk.has_stopped() {
            return Some(before);
        }
        done.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        None
    }

    fn try_step(&mut self, step: &Step) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        match step {
            Step::Append { records, size } => self.append(*records, *size, Kind::Plain),
            Step::AppendIdempotent { records } => self.append(*records, 10, Kind::Idempotent),
            Step::AppendTransactional => self.append(1, 10, Kind::Transactional),
            Step::EndTransaction { abort } => match self.model.transactions().0 {
                Some(_) => self.append(1, 0, Kind::Marker { abort: *abort }),
                None => Ok(()),
            },
            Step::Roll => self.log().roll(NOW).map_err(|e| text(&e)),
            Step::RaiseHighWatermark { by } => {
                let to = (self.model.high_watermark + by).min(self.model.end);
                let to = self.border_at_or_below(to).max(self.model.high_watermark);
                self.log().maybe_increment_high_watermark(to);
                self.model.high_watermark = to;
                Ok(())
            }
            Step::Truncate { by } => {
                // Never below the high watermark; to a batch border, which every offset is here unless it lies inside a batch.
                let target = (self.model.end - by).max(self.model.high_watermark);
                let target = self.border_at_or_below(target);
                if target < self.model.high_watermark {
                    return Ok(()); // after a restart, the high watermark may lie inside a batch
                }
                self.model.epoch += 1;
                self.model.truncate(target);
                self.log().truncate_to(target, NOW).map_err(|e| text(&e)).map(|_| ())
            }
            Step::TruncateFully { to } => {
                self.model.records.clear();
                self.model.epoch += 1;
                self.model.highest_start = 0;
                let model = &mut self.model;
                (model.start, model.end, model.high_watermark, model.durable_end) = (*to, *to, *to, *to);
                self.log().truncate_fully_and_start_at(*to, NOW).map_err(|e| text(&e))
            }
            Step::DeleteRecords { by } => {
                let to = (self.model.start + by).min(self.model.high_watermark);
                self.model.start = self.model.start.max(to);
                self.model.highest_start = self.model.highest_start.max(to);
                self.log().maybe_increment_log_start_offset(to).map_err(|e| text(&e)).map(|_| ())
            }
            Step::Retention => {
                let done = delete_old_segments(self.log(), NOW).map_err(|e| text(&e)).map(|_| ());
                let start = self.log().log_start_offset();
                self.model.start = self.model.start.max(start);
                self.model.highest_start = self.model.highest_start.max(start);
                done
            }
            Step::Flush => {
                self.log().shared().flush_in_background();
                self.bench.flush();
                self.model.durable_end = self.log().durable_end();
                if !self.bench.disk.has_stopped() {
                    assert_eq!(self.model.durable_end, self.model.end, "a flush covers all");
                }
                Ok(())
            }
            Step::Checkpoint => {
                let done = self.log().checkpoint().map_err(|e| text(&e));
                self.log().shared().flush_in_background();
                self.bench.flush();
                self.model.durable_end = self.log().durable_end();
                let log = self.log.as_ref().expect("the log is open");
                done.and_then(|()| self.bench.checkpoint(log).map_err(|e| text(&e)))
            }
            Step::Reopen => {
                let done = self.log().close().map_err(|e| text(&e));
                if self.bench.disk.has_stopped() || self.bench.disk.sync_all(Path::new("/")).is_err() {
                    return done;
                }
                let checkpoints = checkpoints_of(self.log());
                let log = self.log.take().expect("the log is open");
                if self.bench.checkpoint(&log).is_err() {
                    return done;
                }
                drop(log);
                self.model.durable_end = self.model.end;
                let (log, loss) = self.bench.try_open(LastStop::Clean, checkpoints).map_err(|e| text(&e))?;
                assert!(loss.is_none());
                self.log = Some(log);
                Ok(())
            }
            Step::Kill => {
                self.crash(Crash::Process, None);
                Ok(())
            }
            Step::LosePower { seed } => {
                self.crash(Crash::Power { seed: *seed }, None);
                Ok(())
            }
        }
    }

    fn border_at_or_below(&mut self, offset: Offset) -> Offset {
        let (start, bound) = (self.model.start, self.model.end);
        let stop = self.bench.disk.do_not_stop();
        let mut plan = self.log().read(offset.max(start), 1, true, bound).unwrap();
        let fetched = plan.finish().unwrap();
        if let Some(changes) = stop {
            self.bench.disk.stop_after(changes);
        }
        batches(&fetched.records).next().map_or(offset, |batch| batch.unwrap().header.base_offset.min(offset))
    }

    fn append(&mut self, count: usize, size: usize, kind: Kind) -> Result<(), String> {
        let epoch = self.model.epoch;
        let mut records = Vec::new();
        for n in 0..count {
            self.model.values += 1;
            let marker = matches!(kind, Kind::Marker { .. });
            let value = if marker { String::new() } else { format!("{}:{}", self.model.values, "x".repeat(size)) };
            self.model.records.insert(self.model.end + n as Offset, Written { value: value.clone(), epoch, kind: kind.clone() });
            records.push(value);
        }
        self.model.end += count as Offset;
        let records: Vec<(&str, TimestampMs)> = records.iter().map(|value| (value.as_str(), NOW)).collect();
        let origin = AppendOrigin::Coordinator { transaction_version: 0 };
        let appended = match kind {
            Kind::Plain => append_at(self.log(), &records, epoch),
            Kind::Idempotent => {
                // A producer that is not known any more may go on with any sequence; here with one that was never used.
                let last = self.log().producers().entry(IDEMPOTENT).map(|entry| entry.last_sequence());
                let base_sequence = last.map_or(self.model.values as i32 * 1000, |last| last + 1);
                let producer = Producer { id: IDEMPOTENT, epoch: 0, base_sequence };
                let batch = batch(&records, Codec::None, producer);
                let validated = validate(Some(&batch), &self.bench.config, 9, NOW).unwrap();
                let append = |log: &mut Log| log.append_as_leader(&validated, epoch, AppendOrigin::Client, None, NOW);
                let appended = append(self.log());
                if let Ok(first) = &appended {
                    let again = append(self.log()).map_err(|e| e.to_string())?;
                    assert!(again.duplicate);
                    assert_eq!((again.first_offset, again.last_offset), (first.first_offset, first.last_offset));
                }
                appended
            }
            Kind::Transactional => {
                let producer = Producer { id: TRANSACTIONAL, epoch: 0, base_sequence: -1 };
                let mut builder = BatchBuilder::new(Codec::None);
                (builder.producer, builder.transactional) = (producer, true);
                records.iter().for_each(|(value, timestamp)| builder.push_plain(*timestamp, None, Some(value.as_bytes())));
                self.log().append_built(&builder.build(), epoch, origin, None, NOW)
            }
            Kind::Marker { abort } => {
                let result = if abort { TransactionResult::Abort } else { TransactionResult::Commit };
                let marker = EndTransactionMarker { result, coordinator_epoch: 0 };
                self.log().append_built(&marker.batch(NOW, TRANSACTIONAL, 0), epoch, origin, None, NOW)
            }
        };
        appended.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Crashes, opens again, and checks what is left. `before` is the model as it was before a step that was interrupted.
    fn crash(&mut self, crash: Crash, before: Option<Model>) {
        self.log = None;
        self.bench.disk.crash(crash);
        let stop = if crash == Crash::Process { LastStop::Killed } else { LastStop::Lost };
        if !self.bench.disk.exists(&Path::new(DIR).join("t-0")) {
            // The directory itself was never made durable: nothing was promised.
            let before = before.as_ref().unwrap_or(&self.model);
            assert!(before.durable_end <= before.start, "durable records went with their directory");
            self.bench.directory = directory(&self.bench.disk, 1000);
            self.log = Some(self.bench.create());
            self.model = Model { epoch: self.model.epoch + 1, values: self.model.values, ..Model::default() };
            return;
        }
        let log = loop {
            if let Some(changes) = self.interruptions.pop() {
                self.bench.disk.stop_after(changes);
            }
            self.trace.push(format!("{crash:?} leaves {:?}", self.bench.files()));
            let opened = self.bench.open_as_left(stop);
            if !self.bench.disk.has_stopped() {
                let (log, loss) = opened.unwrap();
                self.trace.push(format!("recovered {log:?}, lost {loss:?}"));
                break log;
            }
            self.bench.disk.crash(crash);
        };
        let stop_later = self.bench.disk.do_not_stop();
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        let after = std::mem::take(&mut self.model);
        let before = before.unwrap_or_else(|| after.clone());
        let candidates = [&before, &after];
        let fits = |model: &Model| {
            let promised = match crash {
                Crash::Process => model.end,
                Crash::Power { .. } => model.durable_end,
            };
            let found = read_written(&log);
            let expected: Vec<(Offset, Written)> = model.records.range(start..end).map(|(o, w)| (*o, w.clone())).collect();
            end >= promised && end <= model.end.max(start) && found == expected
        };
        let fitting = candidates.iter().find(|model| fits(model)).copied().cloned();
        // An interrupted truncation leaves a shorter log of before, down to where it was to end; a full one, whatever is left.
        let truncated = before.end > after.end || after.records.is_empty();
        let fitting = fitting.or_else(|| {
            let least = if after.records.is_empty() { start } else { after.end.min(before.end) };
            let part = Model { durable_end: before.durable_end.min(least), end: before.end.max(end), ..before.clone() };
            (truncated && end >= least && read_written(&log) == records_of(&part, start, end)).then_some(part)
        });
        let Some(mut model) = fitting else {
            let short = |records: &[(Offset, Written)]| -> Vec<String> {
                records.iter().map(|(offset, w)| format!("{offset}@{} {:?} {:.6}", w.epoch, w.kind, w.value)).collect()
            };
            let tell = |m: &Model| {
                format!(
                    "{}..{} hw {} durable {} {:?}",
                    m.start,
                    m.end,
                    m.high_watermark,
                    m.durable_end,
                    short(&records_of(m, 0, 1 << 40))
                )
            };
            panic!(
                "{crash:?} left {start}..{end}: {:?}\nbefore {}\nafter {}\n{}\nnow {:?}",
                short(&read_written(&log)),
                tell(&before),
                tell(&after),
                self.trace.join("\n"),
                self.bench.files(),
            );
        };
        model.truncate(end);
        (model.start, model.end, model.high_watermark, model.durable_end) = (start, end, log.high_watermark(), log.durable_end());
        model.epoch = after.epoch.max(before.epoch) + 1;
        model.values = after.values;
        model.highest_start = after.highest_start.max(before.highest_start);
        self.model = model;
        self.log = Some(log);
        if truncated && crash == Crash::Process {
            // What an interrupted truncation cut off may come back with a loss of power that follows before the next flush: no harm, since nothing
            // was promised about it, but more than this model wants to follow.
            self.bench.disk.sync_all(Path::new("/")).unwrap();
        }
        if let Some(changes) = stop_later {
            self.bench.disk.stop_after(changes);
        }
    }

    /// Compares log and model. Reading may repair an index, so the disk does not stop meanwhile.
    fn check(&mut self) {
        let stop = self.bench.disk.do_not_stop();
        self.compare();
        if let Some(changes) = stop {
            self.bench.disk.stop_after(changes);
        }
    }

    fn compare(&self) {
        let model = self.model.clone();
        let log = self.log.as_ref().expect("the log is open");
        assert_eq!(
            (log.log_start_offset(), log.high_watermark(), log.log_end_offset()),
            (model.start, model.high_watermark, model.end),
            "{}",
            self.trace.join("\n")
        );
        assert_eq!(read_written(log), records_of(&model, model.start, model.end));
        for (offset, record) in model.records.range(model.start..) {
            assert_eq!(
                log.epoch_for_offset(*offset),
                Some(record.epoch),
                "epoch of {offset} in {:?}\n{}",
                log.epochs(),
                self.trace.join("\n")
            );
        }
        let (open, aborted) = model.transactions();
        if model.records.first_key_value().is_some_and(|(first, _)| *first >= model.start.max(model.highest_start)) {
            // Only where no part of a transaction was deleted is it certain what is known of it. One whose marker is not replicated yet may
            // count as decided after a restart, as in Kafka.
            let expected = open.map_or(model.high_watermark, |first| first.min(model.high_watermark));
            assert!(log.last_stable_offset() <= expected, "{} > {expected}", log.last_stable_offset());
            if model.markers().all(|marker| marker < model.high_watermark) {
                assert_eq!(log.last_stable_offset(), expected);
            }
        }
        let idempotent = log.producers().entry(IDEMPOTENT).and_then(|entry| entry.last_batch()).map(|batch| batch.last_offset);
        if let Some(last) = model.last_of(Kind::Idempotent).filter(|last| *last >= model.start.max(model.highest_start)) {
            assert_eq!(idempotent, Some(last), "{}", self.trace.join("\n"));
        }
        self.check_aborted(&aborted);
    }

    /// Whoever reads at read_committed is told of every aborted transaction in what he reads, and of nothing else.
    fn check_aborted(&self, aborted: &[(Offset, Offset)]) {
        let log = self.log.as_ref().expect("the log is open");
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        let known_from = start.max(self.model.highest_start);
        for offset in [start, (start + end) / 2] {
            let mut plan = log.read(offset, 300, true, end).unwrap();
            let records = plan.finish().unwrap().records;
            let read = batches(&records).map(|batch| batch.unwrap().header.next_offset()).last().unwrap_or(offset);
            let told = plan.aborted_transactions().unwrap();
            for AbortedTxn { first_offset, last_offset, .. } in &told {
                // Of a transaction that began before the log's start, the beginning may be forgotten.
                let known = aborted.iter().any(|(first, last)| {
                    last == last_offset && (first == first_offset || *first < known_from) || *first_offset < known_from
                });
                assert!(known, "invented {first_offset}..={last_offset}: {aborted:?}\n{}", self.trace.join("\n"));
            }
            for (first, last) in aborted.iter().filter(|(first, last)| *first >= known_from && *first < read && *last >= offset) {
                let is_told = told.iter().any(|txn| (txn.first_offset, txn.last_offset) == (*first, *last));
                assert!(is_told, "{first}..={last} is missing among {told:?} for {offset}..{read}\n{}", self.trace.join("\n"));
            }
        }
    }
}

fn records_of(model: &Model, start: Offset, end: Offset) -> Vec<(Offset, Written)> {
    model.records.range(start..end.max(start)).map(|(offset, written)| (*offset, written.clone())).collect()
}

/// Everything in the log, as the model would have it.
fn read_written(log: &Log) -> Vec<(Offset, Written)> {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let mut all = Vec::new();
    let mut offset = start;
    while offset < end {
        let mut plan = log.read(offset, 1000, true, end).unwrap();
        let fetched = plan.finish().unwrap();
        let before = offset;
        for batch in batches(&fetched.records) {
            let batch = batch.unwrap();
            batch.verify_checksum().unwrap();
            for record in records(&batch.header, batch.body()) {
                let record = record.unwrap();
                let (value, kind) = if batch.header.is_control() {
                    let marker = EndTransactionMarker::parse(record.key, record.value).unwrap();
                    (String::new(), Kind::Marker { abort: marker.result == TransactionResult::Abort })
                } else {
                    let kind = match batch.header.producer_id {
                        IDEMPOTENT => Kind::Idempotent,
                        TRANSACTIONAL => Kind::Transactional,
                        _ => Kind::Plain,
                    };
                    (String::from_utf8(record.value.unwrap().to_vec()).unwrap(), kind)
                };
                if record.offset >= offset {
                    all.push((record.offset, Written { value, epoch: batch.header.leader_epoch, kind }));
                }
            }
            offset = offset.max(batch.header.next_offset());
        }
        assert!(offset > before, "the log has a hole at {offset}");
    }
    all
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1usize..4, 0usize..150).prop_map(|(records, size)| Step::Append { records, size }),
        3 => (1usize..3).prop_map(|records| Step::AppendIdempotent { records }),
        3 => Just(Step::AppendTransactional),
        2 => any::<bool>().prop_map(|abort| Step::EndTransaction { abort }),
        1 => Just(Step::Roll),
        3 => (1i64..20).prop_map(|by| Step::RaiseHighWatermark { by }),
        2 => (1i64..20).prop_map(|by| Step::Truncate { by }),
        1 => (0i64..100).prop_map(|to| Step::TruncateFully { to }),
        1 => (1i64..20).prop_map(|by| Step::DeleteRecords { by }),
        1 => Just(Step::Retention),
        2 => Just(Step::Flush),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(|seed| Step::LosePower { seed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_steps_leaves_what_was_promised(
        steps in prop::collection::vec(step(), 1..60),
        stop_after in prop::option::of(0u64..400),
        power in any::<Option<u64>>(),
        interruptions in prop::collection::vec(0u64..30, 0..3),
    ) {
        let mut run = Run::new(600);
        run.interruptions = interruptions;
        if let Some(changes) = stop_after {
            run.bench.disk.stop_after(changes);
        }
        for step in &steps {
            if let Some(before) = run.step(step) {
                let crash = power.map_or(Crash::Process, |seed| Crash::Power { seed });
                run.crash(crash, Some(before));
            }
            run.check();
        }
    }
}

/// Every place at which a process or a machine can stop, in a life with something of everything.
#[test]
fn a_short_life_survives_a_stop_at_every_change() {
    let life = [
        Step::Append { records: 2, size: 100 },
        Step::AppendIdempotent { records: 2 },
        Step::Flush,
        Step::AppendTransactional,
        Step::Append { records: 3, size: 130 },
        Step::Checkpoint,
        Step::EndTransaction { abort: true },
        Step::Append { records: 1, size: 200 },
        Step::RaiseHighWatermark { by: 4 },
        Step::Truncate { by: 3 },
        Step::AppendIdempotent { records: 1 },
        Step::Append { records: 2, size: 200 },
        Step::Flush,
        Step::RaiseHighWatermark { by: 100 },
        Step::DeleteRecords { by: 3 },
        Step::Retention,
        Step::Checkpoint,
        Step::Reopen,
        Step::Append { records: 2, size: 220 },
        Step::TruncateFully { to: 5 },
        Step::Append { records: 2, size: 10 },
        Step::Reopen,
    ];
    let changes = {
        let mut run = Run::new(600);
        for step in &life {
            assert!(run.step(step).is_none());
            run.check();
        }
        run.bench.disk.changes()
    };
    assert!(changes > 60, "{changes}");
    let crashes: Vec<Crash> =
        std::iter::once(Crash::Process).chain((0..8).map(|seed| Crash::Power { seed: seed * 7919 + 1 })).collect();
    for stop_after in 0..changes {
        for crash in &crashes {
            let mut run = Run::new(600);
            run.bench.disk.stop_after(stop_after.saturating_sub(run.bench.disk.changes()));
            run.interruptions = vec![stop_after % 7];
            for step in &life {
                if let Some(before) = run.step(step) {
                    run.crash(*crash, Some(before));
                }
                run.check();
            }
        }
    }
}
