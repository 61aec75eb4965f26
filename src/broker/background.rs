//! What has to be done to all logs now and then: retention, deletion, flushes that are due, checkpoints, forgotten producers, logs there was no room to
//! make; and the threads of the log cleaner.
//!
//! A thread of its own, because all of it waits for the disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tracing::warn;

use super::cleaning::CleanerThreads;
use super::{Broker, publisher};
use crate::base::time::Mono;
use crate::replica::partition::Partition;
use crate::storage::Log;

/// How often is looked at what is due. Nothing here is due more often by default.
const STEP: Duration = Duration::from_secs(1);
/// How often is looked for segments to delete while a directory has no room for clients.
const RETENTION_INTERVAL_WITHOUT_ROOM_MS: i64 = 2000;
/// How often producers are looked over that were idle for too long (`producer.id.expiration.check.interval.ms`).
const PRODUCER_EXPIRATION_INTERVAL: Duration = Duration::from_secs(600);

/// Works until `stop` is dropped or told, on a thread that is on the broker's runtime.
pub fn run(broker: &Arc<Broker>, stop: &Receiver<()>) {
    let start = broker.clock.mono();
    let mut retention = Due::at(start);
    let mut recovery_points = Due::at(start);
    let mut high_watermarks = Due::at(start);
    let mut log_starts = Due::at(start);
    let mut producers = Due::at(start);
    let mut cleaners = CleanerThreads::default();
    cleaners.adjust(broker);
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(STEP) {
        let now = broker.clock.mono();
        let config = broker.config();
        let (upkeep, logs) = (&config.log_upkeep, &broker.replicas.logs);
        cleaners.adjust(broker);
        logs.tick(broker.clock.wall_ms());
        publisher::retry(broker);
        let interval = if logs.wants_room() { RETENTION_INTERVAL_WITHOUT_ROOM_MS } else { i64::MAX };
        if retention.is_due(now, interval.min(upkeep.retention_check_interval_ms)) {
            delete_old_segments(broker);
        }
        if recovery_points.is_due(now, i64::from(upkeep.flush_offset_checkpoint_interval_ms)) {
            logs.checkpoint_recovery_points();
        }
        if high_watermarks.is_due(now, config.replication.replica_high_watermark_checkpoint_interval_ms) {
            logs.checkpoint_high_watermarks();
        }
        if log_starts.is_due(now, i64::from(upkeep.flush_start_offset_checkpoint_interval_ms)) {
            logs.checkpoint_log_start_offsets();
        }
        if producers.is_due(now, PRODUCER_EXPIRATION_INTERVAL.as_millis() as i64) {
            each_partition(broker, |partition| {
                partition.with_log(|log| log.remove_expired_producers(broker.clock.wall_ms()));
            });
        }
    }
    cleaners.stop(broker);
}

/// Compacted logs are left to the cleaner, which knows at which it is.
fn delete_old_segments(broker: &Broker) {
    let (now, cleaner_runs) = (broker.clock.wall_ms(), broker.config().cleaner.enable);
    each_partition(broker, |partition| {
        let mut before = None;
        let mut delete_oldest = |log: &mut Log| {
            let before = *before.get_or_insert(log.log_end_offset());
            let is_ours = !(log.config().cleanup_compact && cleaner_runs);
            is_ours
                && log.delete_oldest_segment(before, now).unwrap_or_else(|error| {
                    warn!(partition = %log.partition(), %error, "retention could not delete segments");
                    false
                })
        };
        // Others may have the log in between.
        while partition.with_log(&mut delete_oldest) == Some(true) {}
    });
}

fn each_partition(broker: &Broker, mut visit: impl FnMut(&Partition)) {
    for topic in broker.replicas.topics() {
        topic.partitions().iter().flatten().for_each(|partition| visit(partition));
    }
}

/// Something that is due again and again.
struct Due {
    last: Mono,
}

impl Due {
    fn at(last: Mono) -> Self {
        Self { last }
    }

    fn is_due(&mut self, now: Mono, interval_ms: i64) -> bool {
        let due = now.since(self.last) >= Duration::from_millis(interval_ms.max(0) as u64);
        if due {
            self.last = now;
        }
        due
    }
}
