//! What clients did and what they were told, in the order in which it happened to them.
//!
//! Knows nothing of the broker. A key is a partition; every value is written at most once, so that a value names its write.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub type Key = i32;
pub type Value = u64;
pub type Offset = i64;

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took place.
    Ok,
    /// It surely did not; for a transaction, it was aborted.
    Fail,
    /// Nobody knows.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A write; where it went, if that was told.
    Send { key: Key, value: Value, offset: Option<Offset> },
    /// What a read brought, in its order.
    Poll(Vec<(Key, Offset, Value)>),
    /// From here on the process reads from wherever it likes.
    Seek,
    /// The process's group has got as far as this.
    Commit { key: Key, offset: Offset },
    /// What the group is told to have committed; `None` if nothing.
    Committed { key: Key, offset: Option<Offset> },
}

/// What a process did as one: a transaction, or a single step.
#[derive(Clone, Debug)]
pub struct Operation {
    pub process: usize,
    pub transaction: bool,
    /// The moment at which it began, on a clock that all processes share.
    pub invoked: u64,
    pub outcome: Outcome,
    pub steps: Vec<Step>,
}

/// All operations of a run, by the moment at which each began.
pub type History = Vec<Operation>;

/// Collects operations from many threads.
#[derive(Clone, Default)]
pub struct Recorder {
    moment: Arc<AtomicU64>,
    acknowledged: Arc<AtomicUsize>,
    read: Arc<AtomicUsize>,
    operations: Arc<Mutex<History>>,
}

impl Recorder {
    /// The next moment.
    pub fn now(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// An operation that has ended.
    pub fn record(&self, process: usize, transaction: bool, invoked: u64, outcome: Outcome, steps: Vec<Step>) {
        let brought = |step: &Step| if let Step::Poll(records) = step { records.len() } else { 0 };
        self.read.fetch_add(steps.iter().map(brought).sum(), Ordering::Relaxed);
        if outcome == Outcome::Ok {
            let sends = steps.iter().filter(|step| matches!(step, Step::Send { .. })).count();
            self.acknowledged.fetch_add(sends, Ordering::Relaxed);
        }
        let operation = Operation { process, transaction, invoked, outcome, steps };
        self.operations.lock().unwrap().push(operation);
    }

    /// How many values were surely written so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How many records were read so far, each as often as it was.
    pub fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    pub fn history(&self) -> History {
        let mut history = std::mem::take(&mut *self.operations.lock().unwrap());
        history.sort_by_key(|operation| operation.invoked);
        history
    }
}
