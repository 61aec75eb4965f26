//! What is asked about a partition's offsets, epochs and producers, and giving up records.

use super::Partition;
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use crate::replica::fetch::Isolation;
pub use crate::storage::TimestampAndOffset as Found;
use crate::storage::leader_epochs::EpochEnd;
use crate::storage::producer_state::ProducerStateEntry;

/// What ListOffsets asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ListOffset {
    pub question: OffsetQuestion,
    pub isolation: Isolation,
    /// −1: not checked (KIP-320).
    pub current_leader_epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuestion {
    /// The end of what the reader may see.
    Latest,
    Earliest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record with this timestamp or a later one.
    AtOrAfter(TimestampMs),
    /// What only tiered storage has.
    Nowhere,
}

impl Partition {
    /// Answers ListOffsets for this partition; `None` if there is no such record. A search by time may wait for the disk.
    pub fn list_offset(&self, asked: &ListOffset) -> Result<Option<Found>, ErrorCode> {
        let state = self.state.lock();
        let leader_epoch = state.role.check_epoch(asked.current_leader_epoch)?.leader_epoch;
        let log = state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let bound = match asked.isolation {
            Isolation::ReadUncommitted => log.high_watermark(),
            Isolation::ReadCommitted => log.last_stable_offset(),
        };
        match asked.question {
            OffsetQuestion::Latest => Ok(Some(Found { leader_epoch, ..log.latest_offset(bound) })),
            OffsetQuestion::Earliest => Ok(Some(log.earliest_offset())),
            OffsetQuestion::Nowhere => Ok(None),
            OffsetQuestion::AtOrAfter(_) | OffsetQuestion::MaxTimestamp => {
                let search = log.search_timestamps();
                drop(state);
                let found = search.and_then(|search| match asked.question {
                    OffsetQuestion::AtOrAfter(target) => search.first_at_or_after(target, bound),
                    _ => search.max_timestamp().map(|found| found.filter(|f| f.offset < bound)),
                });
                found.map_err(|e| self.read_failed(&e))
            }
        }
    }

    /// The largest known epoch up to `epoch`, and where it ends; `None` if all known are newer.
    pub fn end_of_epoch(&self, current: LeaderEpoch, epoch: LeaderEpoch) -> Result<Option<EpochEnd>, ErrorCode> {
        let state = self.state.lock();
        state.role.check_epoch(current)?;
        Ok(state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?.last_offset_for_leader_epoch(epoch))
    }

    /// Gives up everything before `offset`, −1 being the high watermark; the log's start afterwards (`deleteRecordsOnLeader`).
    pub fn delete_records(&self, offset: Offset) -> Result<Offset, ErrorCode> {
        let mut state = self.state.lock();
        state.role.leadership()?;
        let log = state.log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
        if !log.config().cleanup_delete {
            return Err(ErrorCode::PolicyViolation);
        }
        let offset = if offset == -1 { log.high_watermark() } else { offset };
        if offset < 0 {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        log.maybe_increment_log_start_offset(offset).map_err(|e| e.code())?;
        Ok(log.log_start_offset())
    }

    /// The producers this partition remembers, in the order of their ids (DescribeProducers).
    pub fn producers(&self) -> Result<Vec<(ProducerId, ProducerStateEntry)>, ErrorCode> {
        let state = self.state.lock();
        state.role.leadership()?;
        let log = state.log.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let mut producers: Vec<_> = log.producers().producers().map(|(id, entry)| (id, entry.clone())).collect();
        producers.sort_unstable_by_key(|(id, _)| *id);
        Ok(producers)
    }
}
