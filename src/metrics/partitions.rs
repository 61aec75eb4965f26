//! Partitions hosted here: how many, how large, how well replicated.
//!
//! A broker may host ten thousand; so there is one series a topic, and one a partition only where `http.metrics.per.partition` asks for it.
//! Queries that sum by topic give the same answer either way.

use std::collections::HashMap;
use std::sync::Arc;

use super::def::{Metric, metrics};
use super::replication::WAITING;
use super::samples::Samples;

metrics! {
    /// Partitions of which this broker has a replica. Those with the label `topic` are sums over the topic's partitions here, unless
    /// `http.metrics.per.partition` is on: then there is a series with the label `partition` for each instead.
    area "Partitions";

    /// Partitions of which this broker has a replica.
    pub PARTITIONS = gauge "kafka_server_replicamanager_partitioncount" [];

    /// Partitions that this broker leads.
    pub LEADERS = gauge "kafka_server_replicamanager_leadercount" [];

    /// Partitions led of which a replica is not in sync.
    pub UNDER_REPLICATED = gauge "kafka_server_replicamanager_underreplicatedpartitions" [];

    /// Partitions led with fewer in-sync replicas than min.insync.replicas: they refuse acks=all.
    pub UNDER_MIN_ISR = gauge "kafka_server_replicamanager_underminisrpartitioncount" [];

    /// Partitions led with just min.insync.replicas in sync: one more loss and they refuse acks=all.
    pub AT_MIN_ISR = gauge "kafka_server_replicamanager_atminisrpartitioncount" [];

    /// Replicas in log directories that failed, and those whose logs could not be opened.
    pub OFFLINE_REPLICAS = gauge "kafka_server_replicamanager_offlinereplicacount" [];

    /// Partitions led in which a transaction has been open for longer than any producer may ask for, and five minutes more: nobody ends it, and
    /// readers of committed records wait for it. `klamm transaction find-hanging` names it.
    pub LATE_TRANSACTIONS = gauge "kafka_server_replicamanager_partitionswithlatetransactionscount" [];

    /// Bytes of segments.
    pub SIZE = gauge "kafka_log_log_size" ["topic", "partition"];

    /// Segments of logs, the active ones included.
    pub SEGMENTS = gauge "kafka_log_log_numlogsegments" ["topic", "partition"];

    /// First offset kept.
    pub START_OFFSET = gauge "kafka_log_log_logstartoffset" ["topic", "partition"];

    /// Offset of the next record.
    pub END_OFFSET = gauge "kafka_log_log_logendoffset" ["topic", "partition"];
}

/// How one hosted partition stands.
#[derive(Clone, Copy, Debug)]
pub struct PartitionGauges<'a> {
    pub topic: &'a Arc<str>,
    pub partition: i32,
    pub offline: bool,
    /// `None` on a follower.
    pub leader: Option<LeaderGauges>,
    /// `None` if it could not be opened.
    pub log: Option<LogGauges>,
    /// Produce requests that wait for it.
    pub waiting_produces: usize,
    /// Fetch requests that wait for it.
    pub waiting_fetches: usize,
}

/// How the log of a partition stands.
#[derive(Clone, Copy, Debug)]
pub struct LogGauges {
    /// Bytes of segments.
    pub size: u64,
    pub segments: u64,
    pub start_offset: i64,
    pub end_offset: i64,
}

/// How a partition stands in the eyes of its leader.
#[derive(Clone, Copy, Debug)]
pub struct LeaderGauges {
    pub replicas: usize,
    pub in_sync: usize,
    /// `min.insync.replicas`, not more than there are replicas.
    pub min_in_sync: usize,
    /// The producer of the oldest open transaction has been silent for suspiciously long.
    pub late_transaction: bool,
}

const OF_LOG: [&Metric; 4] = [&SIZE, &SEGMENTS, &START_OFFSET, &END_OFFSET];

impl Samples {
    /// All partitions hosted here.
    pub fn partitions<'a>(&mut self, partitions: impl IntoIterator<Item = PartitionGauges<'a>>) {
        let mut sums: HashMap<&Arc<str>, [i64; OF_LOG.len()]> = HashMap::new();
        let [mut all, mut led, mut under_replicated, mut under_min, mut at_min, mut offline, mut late] = [0i64; 7];
        let (mut produces, mut fetches) = (0, 0);
        for partition in partitions {
            all += 1;
            offline += i64::from(partition.offline);
            produces += partition.waiting_produces;
            fetches += partition.waiting_fetches;
            if let Some(LeaderGauges { replicas, in_sync, min_in_sync, late_transaction }) = partition.leader {
                led += 1;
                under_replicated += i64::from(in_sync < replicas);
                under_min += i64::from(in_sync < min_in_sync);
                at_min += i64::from(in_sync == min_in_sync && replicas > 1);
                late += i64::from(late_transaction);
            }
            let Some(LogGauges { size, segments, start_offset, end_offset }) = partition.log else { continue };
            let values = [size.cast_signed(), segments.cast_signed(), start_offset, end_offset];
            if self.per_partition {
                for (metric, value) in OF_LOG.into_iter().zip(values) {
                    self.add(metric, &[partition.topic.into(), partition.partition.into()], value);
                }
            } else {
                let sums = sums.entry(partition.topic).or_default();
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = sum.saturating_add(value);
                }
            }
        }
        for (topic, sums) in sums {
            for (metric, sum) in OF_LOG.into_iter().zip(sums) {
                self.add(metric, &[topic.into()], sum);
            }
        }
        let gauges = [
            (&PARTITIONS, all),
            (&LEADERS, led),
            (&UNDER_REPLICATED, under_replicated),
            (&UNDER_MIN_ISR, under_min),
            (&AT_MIN_ISR, at_min),
            (&OFFLINE_REPLICAS, offline),
            (&LATE_TRANSACTIONS, late),
        ];
        for (metric, value) in gauges {
            self.add(metric, &[], value);
        }
        self.add(&WAITING, &["Produce".into()], produces);
        self.add(&WAITING, &["Fetch".into()], fetches);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    fn text(per_partition: bool) -> String {
        let (orders, rates): (Arc<str>, Arc<str>) = ("orders".into(), "rates".into());
        let leader = |in_sync| Some(LeaderGauges { replicas: 3, in_sync, min_in_sync: 2, late_transaction: in_sync == 1 });
        let partition = |topic, partition, leader| PartitionGauges {
            topic,
            partition,
            offline: partition >= 7,
            leader,
            log: (partition != 8).then_some(LogGauges { size: 100, segments: 2, start_offset: 5, end_offset: 15 }),
            waiting_produces: 1,
            waiting_fetches: 2,
        };
        let mut out = Samples::new(Mono::ZERO, per_partition);
        out.partitions([
            partition(&orders, 0, leader(3)),
            partition(&orders, 1, leader(2)),
            partition(&orders, 2, leader(1)),
            partition(&rates, 7, None),
            partition(&rates, 8, None),
        ]);
        out.into_open_metrics()
    }

    #[test]
    fn topics_have_sums_unless_partitions_are_asked_for() {
        let sums = text(false);
        assert!(sums.contains("kafka_log_log_size{topic=\"orders\"} 300\n"), "{sums}");
        assert!(sums.contains("kafka_log_log_logendoffset{topic=\"rates\"} 15\n"));
        assert!(!sums.contains("partition="));
        let each = text(true);
        assert!(each.contains("kafka_log_log_size{topic=\"orders\",partition=\"2\"} 100\n"), "{each}");
        assert!(!each.contains("kafka_log_log_size{topic=\"orders\"} "));
        assert!(!each.contains("partition=\"8\""), "nobody knows the size of a log that could not be opened");
    }

    #[test]
    fn a_lost_replica_shows() {
        let text = text(false);
        for line in [
            "kafka_server_replicamanager_partitioncount 5\n",
            "kafka_server_replicamanager_leadercount 3\n",
            "kafka_server_replicamanager_underreplicatedpartitions 2\n",
            "kafka_server_replicamanager_underminisrpartitioncount 1\n",
            "kafka_server_replicamanager_atminisrpartitioncount 1\n",
            "kafka_server_replicamanager_offlinereplicacount 2\n",
            "kafka_server_replicamanager_partitionswithlatetransactionscount 1\n",
            "kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation=\"Fetch\"} 10\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
