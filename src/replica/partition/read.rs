//! Reads, and waiting until there is more to read.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use super::Partition;
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset};
use crate::replica::fetch::Isolation;
use crate::replica::waiters::{Signal, Ticket};
use crate::storage::leader_epochs::EpochEnd;
use crate::storage::transaction_index::AbortedTxn;
use crate::storage::{ReadError, ReadPlan};

/// What a fetch asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub offset: Offset,
    pub max_bytes: usize,
    /// Give a whole batch even if it is larger than `max_bytes`.
    pub at_least_one_batch: bool,
    /// −1: not checked (KIP-320).
    pub current_leader_epoch: LeaderEpoch,
    /// −1: not checked (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
    pub isolation: Isolation,
}

/// What a fetch gets of one partition.
pub struct PartitionRead {
    pub partition: Arc<Partition>,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// The fetcher's log differs from here on: the largest epoch they have in common and where it ends.
    pub diverging: Option<EpochEnd>,
    /// Aborted transactions in what was read, by rising first offset; for readers at read_committed.
    pub aborted: Vec<AbortedTxn>,
    pub records: Bytes,
    /// What is not in memory, and has to be loaded where blocking is allowed.
    pub plan: Option<ReadPlan>,
    /// Bytes of records, or as many as were asked for while they are not in memory.
    pub len: usize,
}

impl PartitionRead {
    /// Takes the records of a plan whose bytes are in memory. Of a first batch that does not fit nothing is given: a client takes a part of one
    /// for a log that it will never get on with (KIP-74, `ReplicaManager.readFromLog`).
    pub(in crate::replica) fn take(&mut self, mut plan: ReadPlan, isolation: Isolation) -> Result<(), ReadError> {
        let fetched = plan.finish()?;
        self.records = if fetched.first_entry_incomplete { Bytes::new() } else { fetched.records };
        self.len = self.records.len();
        if isolation == Isolation::ReadCommitted {
            self.aborted = plan.aborted_transactions()?;
        }
        Ok(())
    }
}

impl Partition {
    /// Decides what a fetch may read. Touches no records: that is the plan's work, outside of the lock.
    pub fn read(self: &Arc<Self>, request: &ReadRequest) -> Result<PartitionRead, ErrorCode> {
        let state = self.state.lock();
        state.role.check_epoch(request.current_leader_epoch)?;
        let log = state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let (high_watermark, last_stable_offset) = (log.high_watermark(), log.last_stable_offset());
        let log_start_offset = log.log_start_offset();
        let mut read = PartitionRead {
            partition: self.clone(),
            high_watermark,
            last_stable_offset,
            log_start_offset,
            diverging: None,
            aborted: Vec::new(),
            records: Bytes::new(),
            plan: None,
            len: 0,
        };
        if request.offset < log_start_offset || request.offset > log.log_end_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if request.last_fetched_epoch >= 0 {
            // An epoch older than all that are known here: nothing can be said to be common.
            let end = log.last_offset_for_leader_epoch(request.last_fetched_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
            if end.epoch < request.last_fetched_epoch || end.end_offset < request.offset {
                read.diverging = Some(end);
                return Ok(read);
            }
        }
        let bound = match request.isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable_offset,
        };
        if request.offset >= bound || (request.max_bytes == 0 && !request.at_least_one_batch) {
            return Ok(read);
        }
        let plan = log.read(request.offset, request.max_bytes, request.at_least_one_batch, bound);
        drop(state);
        let mut plan = plan.map_err(|e| self.read_failed(&e))?;
        if plan.is_resident() {
            read.take(plan, request.isolation).map_err(|e| self.read_failed(&e))?;
        } else {
            read.len = plan.len().unwrap_or(request.max_bytes);
            read.plan = Some(plan);
        }
        Ok(read)
    }

    pub fn watch_readable(&self, isolation: Isolation, signal: Arc<Signal>) -> Ticket {
        let mut state = self.state.lock();
        let (high_watermark, last_stable_offset) =
            state.log.as_ref().map_or((0, 0), |l| (l.high_watermark(), l.last_stable_offset()));
        match isolation {
            Isolation::ReadUncommitted => state.readable.add(high_watermark + 1, signal),
            Isolation::ReadCommitted => state.stable.add(last_stable_offset + 1, signal),
        }
    }

    pub fn unwatch_readable(&self, isolation: Isolation, ticket: Ticket) {
        let mut state = self.state.lock();
        match isolation {
            Isolation::ReadUncommitted => state.readable.remove(ticket),
            Isolation::ReadCommitted => state.stable.remove(ticket),
        }
    }

    /// The code for a client whose read failed; what is not the client's doing is logged.
    pub(in crate::replica) fn read_failed(&self, error: &ReadError) -> ErrorCode {
        if !matches!(error, ReadError::OffsetOutOfRange { .. } | ReadError::Truncated) {
            warn!(partition = %self.name, %error, "reading failed");
        }
        error.code()
    }
}
