//! How far a group has got in each partition: the rows of `group describe`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::ids::{Offset, TopicPartition};
use crate::client::group::admin::GroupMember;
use crate::client::group::offsets::CommittedOffset;

/// One partition that a group reads, or has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub topic: String,
    pub partition: i32,
    /// The next record the group will read; null if it has read none.
    pub current_offset: Option<Offset>,
    /// Behind the last record there is; null if the partition is gone or nobody leads it.
    pub log_end_offset: Option<Offset>,
    /// Records that are left; null if either offset is.
    pub lag: Option<i64>,
    pub consumer_id: Option<String>,
    pub host: Option<String>,
    pub client_id: Option<String>,
}

/// A row for every partition that is assigned or committed, in their order.
pub fn progress(
    members: &[GroupMember],
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    ends: &BTreeMap<TopicPartition, Offset>,
) -> Vec<Progress> {
    let owners: BTreeMap<&TopicPartition, &GroupMember> =
        members.iter().flat_map(|member| member.assignment.iter().map(move |partition| (partition, member))).collect();
    partitions(members, committed)
        .iter()
        .map(|partition| {
            let owner = owners.get(partition);
            let current_offset = committed.get(partition).map(|committed| committed.offset);
            let log_end_offset = ends.get(partition).copied();
            Progress {
                topic: partition.topic.to_string(),
                partition: partition.partition,
                current_offset,
                log_end_offset,
                lag: current_offset.zip(log_end_offset).map(|(current, end)| lag(current, end)),
                consumer_id: owner.map(|member| member.member_id.clone()),
                host: owner.map(|member| member.host.clone()),
                client_id: owner.map(|member| member.client_id.clone()),
            }
        })
        .collect()
}

/// Every partition that is assigned or committed.
pub fn partitions(members: &[GroupMember], committed: &BTreeMap<TopicPartition, CommittedOffset>) -> BTreeSet<TopicPartition> {
    members.iter().flat_map(|member| &member.assignment).chain(committed.keys()).cloned().collect()
}

/// Records between two offsets. A group may stand behind the end, where the log was cut or the end is older than the commit.
fn lag(current: Offset, end: Offset) -> i64 {
    (end - current).max(0)
}

/// All that is left to read, as far as that is known; `None` if it is known of no partition.
pub fn total(rows: &[Progress]) -> Option<i64> {
    rows.iter().filter_map(|row| row.lag).reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    fn rows(assigned: &[i32], committed: &[(i32, Offset)], ends: &[(i32, Offset)]) -> Vec<Progress> {
        let member = GroupMember {
            member_id: "m".into(),
            instance_id: None,
            client_id: "c".into(),
            host: "/127.0.0.1".into(),
            assignment: assigned.iter().map(|p| at(*p)).collect(),
        };
        let offset = |offset| CommittedOffset { offset, leader_epoch: -1, metadata: String::new() };
        let committed = committed.iter().map(|(p, o)| (at(*p), offset(*o))).collect();
        progress(&[member], &committed, &ends.iter().map(|(p, o)| (at(*p), *o)).collect())
    }

    #[test]
    fn lag_is_what_is_left_to_read() {
        let rows = rows(&[0, 1], &[(0, 5), (2, 9), (3, 4)], &[(0, 12), (1, 7), (2, 8)]);
        let brief: Vec<_> =
            rows.iter().map(|r| (r.partition, r.current_offset, r.log_end_offset, r.lag, r.consumer_id.as_deref())).collect();
        assert_eq!(
            brief,
            [
                (0, Some(5), Some(12), Some(7), Some("m")),
                (1, None, Some(7), None, Some("m")),
                (2, Some(9), Some(8), Some(0), None),
                (3, Some(4), None, None, None),
            ]
        );
        assert_eq!(total(&rows), Some(7));
        assert_eq!(total(&rows[1..2]), None);
    }
}
