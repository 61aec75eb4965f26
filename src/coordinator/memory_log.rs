//! A coordinator's log in memory, for tests: it can refuse, withhold commits, and lose its leadership.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, TimestampMs, TopicPartition};
use crate::record::batch::BatchHeader;

use super::log::{Authority, CoordinatorLog};

pub struct MemoryLog {
    topic_partition: TopicPartition,
    max_batch_bytes: usize,
    state: Mutex<State>,
    committed: watch::Sender<Result<Offset, ErrorCode>>,
    /// Whether reads wait, so that a test can hold up a load.
    reads_wait: Mutex<bool>,
    reads_go_on: Condvar,
}

struct State {
    batches: Vec<Bytes>,
    start: Offset,
    end: Offset,
    leader_epoch: LeaderEpoch,
    commits_at_once: bool,
    /// Answers of the next appends.
    refusals: VecDeque<ErrorCode>,
    appends: usize,
}

impl MemoryLog {
    pub fn new() -> Arc<Self> {
        Self::of(Vec::new())
    }

    pub fn with_max_batch_bytes(max_batch_bytes: usize) -> Arc<Self> {
        let mut log = Arc::into_inner(Self::new()).expect("nobody else has it yet");
        log.max_batch_bytes = max_batch_bytes;
        Arc::new(log)
    }

    /// A log that holds what another one held.
    pub fn of(batches: Vec<Bytes>) -> Arc<Self> {
        let header = |batch: &Bytes| BatchHeader::parse(batch).expect("logs hold batches");
        let start = batches.first().map_or(0, |batch| header(batch).base_offset);
        let end = batches.last().map_or(0, |batch| header(batch).next_offset());
        Arc::new(Self {
            topic_partition: TopicPartition::new("__consumer_offsets", 0),
            max_batch_bytes: 1 << 20,
            state: Mutex::new(State {
                batches,
                start,
                end,
                leader_epoch: 1,
                commits_at_once: true,
                refusals: VecDeque::new(),
                appends: 0,
            }),
            committed: watch::Sender::new(Ok(end)),
            reads_wait: Mutex::new(false),
            reads_go_on: Condvar::new(),
        })
    }

    pub fn batches(&self) -> Vec<Bytes> {
        self.state.lock().batches.clone()
    }

    pub fn appends(&self) -> usize {
        self.state.lock().appends
    }

    /// From now on nothing is committed but by [`MemoryLog::commit`].
    pub fn withhold_commits(&self) {
        self.state.lock().commits_at_once = false;
    }

    /// Commits everything, and goes on doing so.
    pub fn commit(&self) {
        let mut state = self.state.lock();
        state.commits_at_once = true;
        let _ = self.committed.send_replace(Ok(state.end));
    }

    pub fn refuse_next_append(&self, error: ErrorCode) {
        self.state.lock().refusals.push_back(error);
    }

    /// Another broker leads from now on.
    pub fn lose_leadership(&self) {
        self.state.lock().leader_epoch += 1;
        let _ = self.committed.send_replace(Err(ErrorCode::NotLeaderOrFollower));
    }

    /// The leader epoch in which appends are taken.
    pub fn lead(&self, leader_epoch: LeaderEpoch) {
        self.state.lock().leader_epoch = leader_epoch;
    }

    /// Reads wait until told otherwise.
    pub fn hold_reads(&self) {
        *self.reads_wait.lock() = true;
    }

    pub fn release_reads(&self) {
        *self.reads_wait.lock() = false;
        self.reads_go_on.notify_all();
    }
}

impl CoordinatorLog for MemoryLog {
    fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    fn max_batch_bytes(&self) -> usize {
        self.max_batch_bytes
    }

    fn append_batch(
        &self,
        batch: Bytes,
        _authority: Authority,
        leader_epoch: LeaderEpoch,
        _now: TimestampMs,
    ) -> Result<Offset, ErrorCode> {
        let mut state = self.state.lock();
        if leader_epoch != state.leader_epoch {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if let Some(refusal) = state.refusals.pop_front() {
            return Err(refusal);
        }
        if batch.len() > self.max_batch_bytes {
            return Err(ErrorCode::MessageTooLarge);
        }
        let mut bytes = batch.to_vec();
        bytes[..8].copy_from_slice(&state.end.to_be_bytes());
        let batch = Bytes::from(bytes);
        state.end = BatchHeader::parse(&batch).expect("callers append batches").next_offset();
        state.batches.push(batch);
        state.appends += 1;
        if state.commits_at_once {
            let _ = self.committed.send_replace(Ok(state.end));
        }
        Ok(state.end)
    }

    fn committed(&self, leader_epoch: LeaderEpoch) -> Result<Offset, ErrorCode> {
        let committed = *self.committed.borrow();
        if self.state.lock().leader_epoch == leader_epoch { committed } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    fn wait_committed(
        &self,
        leader_epoch: LeaderEpoch,
        end: Offset,
    ) -> impl Future<Output = Result<(), ErrorCode>> + Send + 'static {
        let mut committed = self.committed.subscribe();
        let leads = self.state.lock().leader_epoch == leader_epoch;
        async move {
            if !leads {
                return Err(ErrorCode::NotLeaderOrFollower);
            }
            let reached = committed.wait_for(|offset| offset.map_or(true, |offset| offset >= end)).await;
            match reached {
                Ok(offset) => offset.map(drop),
                Err(_) => Err(ErrorCode::NotLeaderOrFollower),
            }
        }
    }

    fn extent(&self) -> Result<Range<Offset>, ErrorCode> {
        let state = self.state.lock();
        Ok(state.start..state.end)
    }

    fn read_log(&self, from: Offset, _max_bytes: usize) -> Result<Bytes, ErrorCode> {
        self.reads_go_on.wait_while(&mut self.reads_wait.lock(), |wait| *wait);
        let state = self.state.lock();
        let next = |batch: &&Bytes| BatchHeader::parse(batch).expect("logs hold batches").next_offset() > from;
        Ok(state.batches.iter().find(next).cloned().unwrap_or_default())
    }
}
