//! Judges a history: the classes of anomalies that Jepsen's workload for Kafka knows (`jepsen.tests.kafka`), found by plain look-ups.
//!
//! Shares nothing with the broker. What Kafka's model allows, cycles of writes alone (G0: transactions of different producers interleave), is
//! counted and not held against it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::history::{History, Key, Offset, Operation, Outcome, Step, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Acknowledged, with something behind it read, and nobody ever read it.
    LostWrite,
    /// Acknowledged, at the end of its key, and nobody read it although everything was read in the end.
    Unseen,
    /// Read, although its write surely failed or was aborted (G1a).
    AbortedRead,
    /// A transaction read what it had written itself and not committed.
    PrecommittedRead,
    /// One offset, two values.
    InconsistentOffsets,
    /// One value, two offsets.
    Duplicate,
    /// A process read at or before where it had been.
    NonmonotonicPoll,
    /// A process went on reading behind something it should have seen.
    PollSkip,
    /// A later write of a process lies before an earlier one.
    NonmonotonicSend,
    /// Transactions read from each other in a circle.
    CircularInformation,
    /// A group was told less than it had surely committed.
    LostCommit,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anomaly {
    pub class: Class,
    pub what: String,
}

#[derive(Debug, Default)]
pub struct Report {
    pub anomalies: Vec<Anomaly>,
    /// Cycles of writes between transactions: allowed.
    pub write_cycles: usize,
    pub acknowledged: usize,
    pub read: usize,
    pub unknown: usize,
}

impl Report {
    pub fn classes(&self) -> BTreeSet<Class> {
        self.anomalies.iter().map(|anomaly| anomaly.class).collect()
    }

    fn add(&mut self, class: Class, what: String) {
        self.anomalies.push(Anomaly { class, what });
    }
}

/// Everything that is known of a key.
#[derive(Default)]
struct Log {
    /// Values by offset, whoever told them.
    values: BTreeMap<Offset, BTreeSet<Value>>,
    /// What was read, by offset.
    read: BTreeMap<Offset, BTreeSet<Value>>,
}

pub fn analyze(history: &History) -> Report {
    let mut report = Report::default();
    let mut logs: HashMap<Key, Log> = HashMap::new();
    let mut writers: HashMap<Value, usize> = HashMap::new();
    for (n, operation) in history.iter().enumerate() {
        for step in &operation.steps {
            match step {
                Step::Send { key, value, offset } => {
                    assert!(writers.insert(*value, n).is_none(), "the workload wrote {value} twice");
                    match operation.outcome {
                        Outcome::Ok => report.acknowledged += 1,
                        Outcome::Unknown => report.unknown += 1,
                        Outcome::Fail => {}
                    }
                    if let Some(offset) = offset {
                        logs.entry(*key).or_default().values.entry(*offset).or_default().insert(*value);
                    }
                }
                Step::Poll(records) => {
                    for (key, offset, value) in records {
                        let log = logs.entry(*key).or_default();
                        log.values.entry(*offset).or_default().insert(*value);
                        log.read.entry(*offset).or_default().insert(*value);
                        report.read += 1;
                    }
                }
                Step::Seek | Step::Commit { .. } | Step::Committed { .. } => {}
            }
        }
    }
    offsets_and_values(&logs, &mut report);
    lost(history, &logs, &mut report);
    aborted_reads(history, &writers, &mut report);
    order_of_polls(history, &logs, &mut report);
    order_of_sends(history, &mut report);
    cycles(history, &logs, &writers, &mut report);
    commits(history, &mut report);
    report.anomalies.sort();
    report
}

fn offsets_and_values(logs: &HashMap<Key, Log>, report: &mut Report) {
    for (key, log) in logs {
        let mut places: HashMap<Value, Vec<Offset>> = HashMap::new();
        for (offset, values) in &log.values {
            if values.len() > 1 {
                report.add(Class::InconsistentOffsets, format!("key {key} offset {offset}: {values:?}"));
            }
            values.iter().for_each(|value| places.entry(*value).or_default().push(*offset));
        }
        for (value, offsets) in places.into_iter().filter(|(_, offsets)| offsets.len() > 1) {
            report.add(Class::Duplicate, format!("key {key} value {value} at {offsets:?}"));
        }
    }
}

fn lost(history: &History, logs: &HashMap<Key, Log>, report: &mut Report) {
    let read: HashSet<Value> = logs.values().flat_map(|log| log.read.values().flatten().copied()).collect();
    for operation in history {
        // One write of a transaction that was read proves that it was committed, all of it.
        let proven = operation.outcome == Outcome::Unknown && sends(operation).any(|(_, value, _)| read.contains(&value));
        if operation.outcome != Outcome::Ok && !(proven && operation.transaction) {
            continue;
        }
        for (key, value, offset) in sends(operation).filter(|(_, value, _)| !read.contains(value)) {
            let last_read = logs.get(&key).and_then(|log| log.read.last_key_value()).map_or(-1, |(offset, _)| *offset);
            let class = if offset.is_some_and(|offset| offset > last_read) { Class::Unseen } else { Class::LostWrite };
            let what = format!("key {key} value {value} at {offset:?} of process {}, read up to {last_read}", operation.process);
            report.add(class, what);
        }
    }
}

fn sends(operation: &Operation) -> impl Iterator<Item = (Key, Value, Option<Offset>)> + '_ {
    operation.steps.iter().filter_map(|step| match step {
        Step::Send { key, value, offset } => Some((*key, *value, *offset)),
        _ => None,
    })
}

fn polled(operation: &Operation) -> impl Iterator<Item = (Key, Offset, Value)> + '_ {
    operation
        .steps
        .iter()
        .flat_map(|step| match step {
            Step::Poll(records) => &records[..],
            _ => &[],
        })
        .copied()
}

fn aborted_reads(history: &History, writers: &HashMap<Value, usize>, report: &mut Report) {
    for (n, operation) in history.iter().enumerate() {
        for (key, offset, value) in polled(operation) {
            match writers.get(&value) {
                None => report.add(Class::AbortedRead, format!("key {key} offset {offset}: {value} was never written")),
                Some(writer) if *writer == n => {
                    report.add(Class::PrecommittedRead, format!("key {key} offset {offset}: {value} was its own"));
                }
                Some(writer) if history[*writer].outcome == Outcome::Fail => {
                    report
                        .add(Class::AbortedRead, format!("key {key} offset {offset}: {value} by process {}", operation.process));
                }
                Some(_) => {}
            }
        }
    }
}

fn order_of_polls(history: &History, logs: &HashMap<Key, Log>, report: &mut Report) {
    let mut positions: HashMap<(usize, Key), Offset> = HashMap::new();
    for operation in history {
        for step in &operation.steps {
            match step {
                Step::Seek => positions.retain(|(process, _), _| *process != operation.process),
                Step::Poll(records) => {
                    for (key, offset, _) in records {
                        let before = positions.insert((operation.process, *key), *offset);
                        let Some(before) = before else { continue };
                        if *offset <= before {
                            let what = format!("process {} key {key}: {offset} after {before}", operation.process);
                            report.add(Class::NonmonotonicPoll, what);
                        } else if let Some((skipped, _)) = logs[key].read.range(before + 1..*offset).next() {
                            let what = format!("process {} key {key}: {offset} after {before}, not {skipped}", operation.process);
                            report.add(Class::PollSkip, what);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn order_of_sends(history: &History, report: &mut Report) {
    let mut last: HashMap<(usize, Key), Offset> = HashMap::new();
    for operation in history.iter().filter(|operation| operation.outcome == Outcome::Ok) {
        for (key, value, offset) in sends(operation) {
            let Some(offset) = offset else { continue };
            let before = last.insert((operation.process, key), offset);
            if let Some(before) = before.filter(|before| offset <= *before) {
                let what = format!("process {} key {key}: {value} at {offset} after one at {before}", operation.process);
                report.add(Class::NonmonotonicSend, what);
            }
        }
    }
}

fn cycles(history: &History, logs: &HashMap<Key, Log>, writers: &HashMap<Value, usize>, report: &mut Report) {
    let transactions = |n: usize| history[n].transaction && history[n].outcome != Outcome::Fail;
    let mut reads_from: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); history.len()];
    for (n, operation) in history.iter().enumerate().filter(|(n, _)| transactions(*n)) {
        let from = polled(operation).filter_map(|(_, _, value)| writers.get(&value).copied());
        reads_from[n].extend(from.filter(|writer| *writer != n && transactions(*writer)));
    }
    for cycle in strongly_connected(&reads_from) {
        let processes: Vec<usize> = cycle.iter().map(|n| history[*n].process).collect();
        report.add(Class::CircularInformation, format!("{} transactions of the processes {processes:?}", cycle.len()));
    }
    let mut follows: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); history.len()];
    for log in logs.values() {
        let writes: Vec<usize> = log.read.values().filter_map(|values| writers.get(values.first()?).copied()).collect();
        for pair in writes.windows(2).filter(|pair| pair[0] != pair[1] && pair.iter().all(|n| transactions(*n))) {
            follows[pair[1]].insert(pair[0]);
        }
    }
    report.write_cycles = strongly_connected(&follows).len();
}

/// The strongly connected components of more than one node (Tarjan), without recursion.
fn strongly_connected(edges: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    const NONE: usize = usize::MAX;
    let (mut index, mut low) = (vec![NONE; edges.len()], vec![0; edges.len()]);
    let (mut on_stack, mut stack, mut next, mut found) = (vec![false; edges.len()], Vec::new(), 0, Vec::new());
    for root in 0..edges.len() {
        if index[root] != NONE {
            continue;
        }
        let mut work = vec![(root, edges[root].iter())];
        (index[root], low[root], on_stack[root]) = (next, next, true);
        next += 1;
        stack.push(root);
        while let Some((node, targets)) = work.last_mut() {
            let node = *node;
            match targets.next() {
                Some(&target) if index[target] == NONE => {
                    (index[target], low[target], on_stack[target]) = (next, next, true);
                    next += 1;
                    stack.push(target);
                    work.push((target, edges[target].iter()));
                }
                Some(&target) if on_stack[target] => low[node] = low[node].min(index[target]),
                Some(_) => {}
                None => {
                    work.pop();
                    if let Some((parent, _)) = work.last() {
                        low[*parent] = low[*parent].min(low[node]);
                    }
                    if low[node] == index[node] {
                        let at = stack.iter().rposition(|on| *on == node).expect("it was put there");
                        let component = stack.split_off(at);
                        component.iter().for_each(|n| on_stack[*n] = false);
                        if component.len() > 1 {
                            found.push(component);
                        }
                    }
                }
            }
        }
    }
    found
}

/// Every process has a group of its own, so what it has surely committed stays until it commits something else.
fn commits(history: &History, report: &mut Report) {
    let mut certain: HashMap<(usize, Key), Offset> = HashMap::new();
    let mut possible: HashMap<(usize, Key), BTreeSet<Offset>> = HashMap::new();
    for operation in history {
        for step in &operation.steps {
            match (step, operation.outcome) {
                (Step::Commit { key, offset }, Outcome::Ok) => {
                    certain.insert((operation.process, *key), *offset);
                    possible.remove(&(operation.process, *key));
                }
                (Step::Commit { key, offset }, Outcome::Unknown) => {
                    possible.entry((operation.process, *key)).or_default().insert(*offset);
                }
                (Step::Committed { key, offset }, Outcome::Ok) => {
                    let place = (operation.process, *key);
                    let maybe = offset.is_some_and(|offset| possible.get(&place).is_some_and(|some| some.contains(&offset)));
                    let expected = certain.get(&place).copied();
                    if *offset != expected && !maybe {
                        let what = format!("process {} key {key}: {offset:?}, committed was {expected:?}", operation.process);
                        report.add(Class::LostCommit, what);
                    }
                }
                _ => {}
            }
        }
    }
}
