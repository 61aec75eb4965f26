//! A partition of this broker as the log of a coordinator.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::log::CoordinatorLog;
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, TimestampMs, TopicPartition};
use crate::replica::acknowledgement::{AcknowledgementWait, Unacknowledged};
use crate::replica::partition::{Acks, Partition};

pub struct PartitionLog(pub Arc<Partition>);

impl PartitionLog {
    fn ask<T>(&self, ask: impl FnOnce(&mut crate::storage::Log) -> T) -> Option<T> {
        self.0.with_log(ask)
    }
}

impl CoordinatorLog for PartitionLog {
    fn topic_partition(&self) -> &TopicPartition {
        self.0.name()
    }

    fn max_batch_bytes(&self) -> usize {
        self.ask(|log| log.config().max_message_bytes.max(0) as usize).unwrap_or(0)
    }

    fn append_batch(&self, batch: Bytes, leader_epoch: LeaderEpoch, now: TimestampMs) -> Result<Offset, ErrorCode> {
        self.0.append_built(&batch, leader_epoch, now)
    }

    fn high_watermark(&self) -> Offset {
        self.ask(|log| log.high_watermark()).unwrap_or(0)
    }

    fn log_start_offset(&self) -> Offset {
        self.ask(|log| log.log_start_offset()).unwrap_or(0)
    }

    fn log_end_offset(&self) -> Offset {
        self.ask(|log| log.log_end_offset()).unwrap_or(0)
    }

    fn wait_committed(&self, end: Offset) -> impl Future<Output = Result<(), ErrorCode>> + Send + 'static {
        let partition = self.0.clone();
        let leader_epoch = partition.leader_epoch();
        async move {
            let leader_epoch = leader_epoch?;
            let append = Unacknowledged { partition, acks: Acks::All, leader_epoch, offset: end };
            match AcknowledgementWait::new(vec![((), append)]).done().await.pop() {
                None => Ok(()),
                Some(((), code)) => Err(code),
            }
        }
    }

    fn read_log(&self, from: Offset, max_bytes: usize) -> Result<Bytes, ErrorCode> {
        let plan = self.ask(|log| log.read(from, max_bytes, true, log.log_end_offset()));
        let mut plan = plan.ok_or(ErrorCode::NotLeaderOrFollower)?.map_err(|e| e.code())?;
        plan.load().map_err(|e| e.code())?;
        Ok(plan.finish().map_err(|e| e.code())?.records)
    }

    fn delete_records_before(&self, offset: Offset) -> Result<(), ErrorCode> {
        let moved = self.ask(|log| log.maybe_increment_log_start_offset(offset));
        moved.ok_or(ErrorCode::NotLeaderOrFollower)?.map_err(|e| e.code())?;
        Ok(())
    }
}
