//! DescribeGroups, ListGroups, and what metrics tell of groups. Pure.

use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::metrics::groups::{CommittedOffset, GroupGauges, GroupState, TopicOffsets};

use super::classic::{CLASSIC, State};
use super::shard::{Group, GroupShard};

/// From this version on a group that does not exist is an error, with a message (KIP-1043); before, it is "Dead".
const GROUP_ID_NOT_FOUND_SINCE: i16 = 6;

/// Which groups are wanted: those in one of the states and of one of the types, where any are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFilter {
    states: Vec<State>,
    classic: bool,
}

impl GroupFilter {
    /// Names are compared without regard to case; unknown ones name nothing.
    pub fn of(states: &[StrBytes], types: &[StrBytes]) -> Self {
        let named = |filter: &[StrBytes], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
        };
        let states = State::ALL.into_iter().filter(|state| named(states, state.name())).collect();
        Self { states, classic: named(types, CLASSIC) }
    }

    fn admits(&self, state: State) -> bool {
        self.classic && self.states.contains(&state)
    }
}

/// A group that cannot be described.
pub fn describe_error(group: &StrBytes, error: ErrorCode) -> DescribedGroup {
    DescribedGroup::default().with_group_id(group.clone().into()).with_error_code(error.code())
}

impl GroupShard {
    pub(super) fn describe(&self, groups: &[StrBytes], version: i16) -> Vec<DescribedGroup> {
        groups.iter().map(|id| self.describe_one(id, version)).collect()
    }

    fn describe_one(&self, id: &StrBytes, version: i16) -> DescribedGroup {
        let Some(Group::Classic(group)) = self.groups.get(id) else {
            let dead =
                DescribedGroup::default().with_group_id(id.clone().into()).with_group_state(StrBytes::from_static_str("Dead"));
            if version < GROUP_ID_NOT_FOUND_SINCE {
                return dead;
            }
            return dead
                .with_error_code(ErrorCode::GroupIdNotFound.code())
                .with_error_message(Some(StrBytes::from_string(format!("Group {id} not found."))));
        };
        // Before the group is stable, nothing is chosen whose metadata could be shown.
        let protocol = group.protocol_name().filter(|_| group.state() == State::Stable);
        let members = group.members().map(|member| match protocol {
            Some(_) => member.describe().with_member_metadata(member.metadata(protocol)),
            None => member.describe(),
        });
        DescribedGroup::default()
            .with_group_id(id.clone().into())
            .with_group_state(StrBytes::from_static_str(group.state().name()))
            .with_protocol_type(group.protocol_type().cloned().unwrap_or_default())
            .with_protocol_data(protocol.cloned().unwrap_or_default())
            .with_members(members.collect())
    }

    pub(super) fn list(&self, filter: &GroupFilter) -> Vec<ListedGroup> {
        let groups = self.groups.values().filter(|Group::Classic(group)| filter.admits(group.state()));
        groups.map(|Group::Classic(group)| group.listed()).collect()
    }

    /// How all groups stand. High watermarks are left open: nobody knows them here.
    pub(super) fn gauges(&self) -> Vec<GroupGauges> {
        let of_group = |(id, Group::Classic(group)): (&StrBytes, &Group)| {
            let offsets = self.offsets.committed().group(id).into_iter().flatten();
            let topics = offsets.map(|(topic, partitions)| TopicOffsets {
                topic: topic.as_str().into(),
                partitions: partitions
                    .iter()
                    .map(|(&partition, committed)| CommittedOffset {
                        partition,
                        offset: committed.value.offset,
                        high_watermark: None,
                    })
                    .collect(),
            });
            let state = match group.state() {
                State::Stable => GroupState::Stable,
                State::PreparingRebalance => GroupState::PreparingRebalance,
                State::CompletingRebalance => GroupState::CompletingRebalance,
                State::Empty => GroupState::Empty,
            };
            GroupGauges { group: id.as_str().into(), state, members: group.members().len(), topics: topics.collect() }
        };
        self.groups.iter().map(of_group).collect()
    }
}
