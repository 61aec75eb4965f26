//! A partition of this broker as the log of a coordinator.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::log::{Authority, CoordinatorLog};
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, TimestampMs, TopicPartition};
use crate::replica::partition::{Acks, Partition};
use crate::replica::waiters::{Signal, Ticket};
use crate::storage::Log;

pub struct PartitionLog(pub Arc<Partition>);

impl PartitionLog {
    fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> Result<T, ErrorCode> {
        self.0.with_log(work).ok_or(ErrorCode::NotLeaderOrFollower)
    }
}

impl CoordinatorLog for PartitionLog {
    fn topic_partition(&self) -> &TopicPartition {
        self.0.name()
    }

    fn max_batch_bytes(&self) -> usize {
        // Without a log there is no limit; the append will say what is wrong.
        self.with_log(|log| log.config().max_message_bytes.max(0) as usize).unwrap_or(usize::MAX)
    }

    fn append_batch(
        &self,
        batch: Bytes,
        authority: Authority,
        leader_epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Offset, ErrorCode> {
        let (transaction_version, guard) = match authority {
            Authority::Records { guard } => (0, guard),
            Authority::Marker { transaction_version } => (transaction_version, None),
        };
        self.0.append_built(&batch, transaction_version, guard, leader_epoch, now)
    }

    fn committed(&self, leader_epoch: LeaderEpoch) -> Result<Offset, ErrorCode> {
        let high_watermark = self.with_log(|log| log.high_watermark())?;
        // Looked at last: epochs only rise, so the high watermark was that of this epoch.
        if self.0.leader_epoch()? == leader_epoch { Ok(high_watermark) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    fn wait_committed(
        &self,
        leader_epoch: LeaderEpoch,
        end: Offset,
    ) -> impl Future<Output = Result<(), ErrorCode>> + Send + 'static {
        let signal = Arc::new(Signal::default());
        let ticket = self.0.watch_acknowledged(Acks::All, end, signal.clone());
        let watch = Watch { partition: self.0.clone(), ticket };
        async move {
            loop {
                match watch.partition.is_acknowledged(Acks::All, leader_epoch, end) {
                    // A producer would be told that too few replicas are left by now; what counts here is that it is committed.
                    Ok(true) | Err(ErrorCode::NotEnoughReplicasAfterAppend) => return Ok(()),
                    Ok(false) => signal.raised().await,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn extent(&self) -> Result<Range<Offset>, ErrorCode> {
        self.with_log(|log| log.log_start_offset()..log.log_end_offset())
    }

    fn read_log(&self, from: Offset, max_bytes: usize) -> Result<Bytes, ErrorCode> {
        let plan = self.with_log(|log| log.read(from, max_bytes, true, log.log_end_offset()))?;
        let mut plan = plan.map_err(|e| e.code())?;
        plan.load().map_err(|e| e.code())?;
        Ok(plan.finish().map_err(|e| e.code())?.records)
    }
}

/// A registered wait, which ends with this.
struct Watch {
    partition: Arc<Partition>,
    ticket: Ticket,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.partition.unwatch_acknowledged(Acks::All, self.ticket);
    }
}
