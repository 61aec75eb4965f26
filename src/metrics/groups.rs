//! Groups coordinated here: how many in which state, how many members, how far behind.
//!
//! Lag is computed when somebody looks, from the committed offset and the partition's high watermark. A broker can only tell the lag of
//! partitions it hosts; invariant: lag ≥ 0.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::def::metrics;
use super::samples::Samples;

metrics! {
    /// Groups that this broker coordinates. The names of lag and offsets are those of the widespread kafka_exporter. Series with the label
    /// `topic` are sums over the topic's partitions, unless `metrics.per.partition` is on.
    area "Groups";

    /// Groups that this broker coordinates.
    pub GROUPS = gauge "kafka_coordinator_group_groupmetadatamanager_numgroups" [];

    /// Groups with all members at work.
    pub STABLE = gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsstable" [];

    /// Groups that wait for their members to join.
    pub PREPARING = gauge "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance" [];

    /// Groups that wait for their assignment.
    pub COMPLETING = gauge "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance" [];

    /// Groups without members.
    pub EMPTY = gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsempty" [];

    /// Groups that are being removed.
    pub DEAD = gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsdead" [];

    /// Committed offsets kept, one a group and partition.
    pub OFFSETS = gauge "kafka_coordinator_group_groupmetadatamanager_numoffsets" [];

    /// Members of a group.
    pub MEMBERS = gauge "kafka_consumergroup_members" ["consumergroup"];

    /// Offset that a group committed.
    pub CURRENT_OFFSET = gauge "kafka_consumergroup_current_offset" ["consumergroup", "topic", "partition"];

    /// Records between the committed offset and the high watermark.
    pub LAG = gauge "kafka_consumergroup_lag" ["consumergroup", "topic", "partition"];

    /// The largest lag of a group on any partition of a topic.
    pub MAX_LAG = gauge "klamm_consumergroup_max_lag" ["consumergroup", "topic"];

    /// Offsets that groups committed.
    pub COMMITS = counter "kafka_server_group_coordinator_metrics_offset_commit" [];

    /// Committed offsets that were dropped after offsets.retention.minutes.
    pub EXPIRED = counter "kafka_server_group_coordinator_metrics_offset_expiration" [];

    /// Rebalances that came to an end.
    pub REBALANCES = counter "kafka_server_group_coordinator_metrics_group_completed_rebalance" [];
}

/// Counts of the coordinator.
#[derive(Debug, Default)]
pub struct GroupMetrics {
    commits: AtomicU64,
    expired: AtomicU64,
    rebalances: AtomicU64,
}

impl GroupMetrics {
    pub fn committed(&self, offsets: u64) {
        self.commits.fetch_add(offsets, Relaxed);
    }

    pub fn expired(&self, offsets: u64) {
        self.expired.fetch_add(offsets, Relaxed);
    }

    pub fn rebalanced(&self) {
        self.rebalances.fetch_add(1, Relaxed);
    }

    pub(super) fn collect(&self, out: &mut Samples) {
        out.add(&COMMITS, &[], self.commits.load(Relaxed));
        out.add(&EXPIRED, &[], self.expired.load(Relaxed));
        out.add(&REBALANCES, &[], self.rebalances.load(Relaxed));
    }
}

/// Where a group stands in its life; states of the newer protocols count as the nearest of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum GroupState {
    Stable,
    PreparingRebalance,
    CompletingRebalance,
    Empty,
    Dead,
}

/// How one group stands.
#[derive(Clone, Debug)]
pub struct GroupGauges {
    pub group: Arc<str>,
    pub state: GroupState,
    pub members: usize,
    pub offsets: Vec<CommittedOffset>,
}

#[derive(Clone, Debug)]
pub struct CommittedOffset {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// `None` where another broker leads the partition.
    pub high_watermark: Option<i64>,
}

impl Samples {
    /// All groups coordinated here.
    pub fn groups(&mut self, groups: impl IntoIterator<Item = GroupGauges>) {
        let mut by_state = [0i64; 5];
        let mut offsets = 0;
        for group in groups {
            by_state[group.state as usize] += 1;
            offsets += group.offsets.len();
            self.add(&MEMBERS, &[(&group.group).into()], group.members);
            self.offsets_of_group(&group.group, &group.offsets);
        }
        self.add(&GROUPS, &[], by_state.iter().sum::<i64>());
        for (metric, count) in [&STABLE, &PREPARING, &COMPLETING, &EMPTY, &DEAD].into_iter().zip(by_state) {
            self.add(metric, &[], count);
        }
        self.add(&OFFSETS, &[], offsets);
    }

    fn offsets_of_group(&mut self, group: &Arc<str>, offsets: &[CommittedOffset]) {
        #[derive(Default)]
        struct OfTopic {
            offset: i64,
            /// Sum and maximum, if any is known.
            lag: Option<(i64, i64)>,
        }
        let mut topics: HashMap<&Arc<str>, OfTopic> = HashMap::new();
        for committed in offsets {
            let lag = committed.high_watermark.map(|end| end.saturating_sub(committed.offset).max(0));
            let sum = topics.entry(&committed.topic).or_default();
            sum.offset = sum.offset.saturating_add(committed.offset);
            if let Some(lag) = lag {
                let (all, max) = sum.lag.unwrap_or_default();
                sum.lag = Some((all.saturating_add(lag), max.max(lag)));
            }
            if self.per_partition {
                let labels = [group.into(), (&committed.topic).into(), committed.partition.into()];
                self.add(&CURRENT_OFFSET, &labels, committed.offset);
                if let Some(lag) = lag {
                    self.add(&LAG, &labels, lag);
                }
            }
        }
        for (topic, OfTopic { offset, lag }) in topics {
            let labels = [group.into(), topic.into()];
            if !self.per_partition {
                self.add(&CURRENT_OFFSET, &labels, offset);
            }
            if let Some((sum, max)) = lag {
                if !self.per_partition {
                    self.add(&LAG, &labels, sum);
                }
                self.add(&MAX_LAG, &labels, max);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(per_partition: bool) -> String {
        let committed =
            |partition, offset, high_watermark| CommittedOffset { topic: "orders".into(), partition, offset, high_watermark };
        let group = |group: &str, state, offsets| GroupGauges { group: group.into(), state, members: 2, offsets };
        let mut out = Samples::new(per_partition);
        out.groups([
            group(
                "billing",
                GroupState::Stable,
                vec![committed(0, 10, Some(15)), committed(1, 7, Some(107)), committed(2, 5, None)],
            ),
            group("ahead", GroupState::Empty, vec![committed(0, 20, Some(15))]),
        ]);
        out.into_open_metrics()
    }

    #[test]
    fn lag_is_summed_by_topic_and_never_negative() {
        let text = text(false);
        for line in [
            "kafka_consumergroup_lag{consumergroup=\"billing\",topic=\"orders\"} 105\n",
            "klamm_consumergroup_max_lag{consumergroup=\"billing\",topic=\"orders\"} 100\n",
            "kafka_consumergroup_lag{consumergroup=\"ahead\",topic=\"orders\"} 0\n",
            "kafka_consumergroup_members{consumergroup=\"billing\"} 2\n",
            "kafka_coordinator_group_groupmetadatamanager_numgroups 2\n",
            "kafka_coordinator_group_groupmetadatamanager_numgroupsempty 1\n",
            "kafka_coordinator_group_groupmetadatamanager_numoffsets 4\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn partitions_are_told_where_asked_for() {
        let text = text(true);
        assert!(
            text.contains("kafka_consumergroup_lag{consumergroup=\"billing\",topic=\"orders\",partition=\"1\"} 100\n"),
            "{text}"
        );
        assert!(
            text.contains("kafka_consumergroup_current_offset{consumergroup=\"billing\",topic=\"orders\",partition=\"2\"} 5\n")
        );
        assert!(!text.contains("kafka_consumergroup_lag{consumergroup=\"billing\",topic=\"orders\",partition=\"2\"}"));
        assert!(!text.contains("kafka_consumergroup_lag{consumergroup=\"billing\",topic=\"orders\"} "));
    }
}
