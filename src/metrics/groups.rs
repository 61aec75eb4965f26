//! Groups coordinated here: how many in which state, how many members, how far behind.
//!
//! Lag is computed when somebody looks, from the committed offset and the partition's high watermark. A broker can only tell the lag of
//! partitions it hosts; invariant: lag ≥ 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::def::metrics;
use super::samples::{Label, Samples};

metrics! {
    /// Groups that this broker coordinates. The names of lag and offsets are those of the widespread kafka_exporter. Series with the label
    /// `topic` are sums over the topic's partitions, unless `http.metrics.per.partition` is on.
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
}

/// Counts of the coordinator.
#[derive(Debug, Default)]
pub struct GroupMetrics {
    commits: AtomicU64,
}

impl GroupMetrics {
    pub fn committed(&self, offsets: u64) {
        self.commits.fetch_add(offsets, Relaxed);
    }

    pub(super) fn collect(&self, out: &mut Samples) {
        out.add(&COMMITS, &[], self.commits.load(Relaxed));
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
}

/// How one group stands.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupGauges {
    pub group: Arc<str>,
    pub state: GroupState,
    pub members: usize,
    /// What it committed, each topic once.
    pub topics: Vec<TopicOffsets>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicOffsets {
    pub topic: Arc<str>,
    pub partitions: Vec<CommittedOffset>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CommittedOffset {
    pub partition: i32,
    pub offset: i64,
    /// `None` where this broker does not have the partition.
    pub high_watermark: Option<i64>,
}

impl CommittedOffset {
    fn lag(&self) -> Option<i64> {
        Some(self.high_watermark?.saturating_sub(self.offset).max(0))
    }
}

impl Samples {
    /// All groups coordinated here.
    pub fn groups(&mut self, groups: impl IntoIterator<Item = GroupGauges>) {
        let mut by_state = [0i64; 4];
        let mut offsets = 0;
        for GroupGauges { group, state, members, topics } in groups {
            by_state[state as usize] += 1;
            self.add(&MEMBERS, &[(&group).into()], members);
            for topic in topics {
                offsets += topic.partitions.len();
                self.offsets(&group, &topic);
            }
        }
        self.add(&GROUPS, &[], by_state.iter().sum::<i64>());
        for (metric, count) in [&STABLE, &PREPARING, &COMPLETING, &EMPTY].into_iter().zip(by_state) {
            self.add(metric, &[], count);
        }
        self.add(&OFFSETS, &[], offsets);
    }

    fn offsets(&mut self, group: &Arc<str>, TopicOffsets { topic, partitions }: &TopicOffsets) {
        let of_topic = [Label::from(group), topic.into()];
        if self.per_partition {
            for committed in partitions {
                let labels = [group.into(), topic.into(), committed.partition.into()];
                self.add(&CURRENT_OFFSET, &labels, committed.offset);
                if let Some(lag) = committed.lag() {
                    self.add(&LAG, &labels, lag);
                }
            }
        } else {
            let sum = |a: i64, b: i64| a.saturating_add(b);
            self.add(&CURRENT_OFFSET, &of_topic, partitions.iter().map(|committed| committed.offset).fold(0, sum));
            if let Some(lag) = partitions.iter().filter_map(CommittedOffset::lag).reduce(sum) {
                self.add(&LAG, &of_topic, lag);
            }
        }
        if let Some(lag) = partitions.iter().filter_map(CommittedOffset::lag).max() {
            self.add(&MAX_LAG, &of_topic, lag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    fn text(per_partition: bool) -> String {
        let committed = |partition, offset, high_watermark| CommittedOffset { partition, offset, high_watermark };
        let group = |group: &str, state, partitions| GroupGauges {
            group: group.into(),
            state,
            members: 2,
            topics: vec![TopicOffsets { topic: "orders".into(), partitions }],
        };
        let behind = vec![committed(0, 10, Some(15)), committed(1, 7, Some(107)), committed(2, 5, None)];
        let mut out = Samples::new(Mono::ZERO, per_partition);
        out.groups([
            group("billing", GroupState::Stable, behind),
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
