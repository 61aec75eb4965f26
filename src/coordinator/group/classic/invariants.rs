//! The invariants of a classic group as code; stories and random histories look after every step.

use std::collections::BTreeMap;

use kafka_protocol::protocol::StrBytes;

use crate::coordinator::group::record::Record;

use super::group::{ClassicGroup, State};

impl ClassicGroup {
    pub fn assert_invariants(&self) {
        let leader_is_member = self.leader.as_ref().is_some_and(|leader| self.members.contains_key(leader));
        assert_eq!(leader_is_member, !self.members.is_empty(), "a group with members has a member for leader: {self:?}");
        assert!(self.leader.is_some() == leader_is_member, "a group without members has no leader: {self:?}");
        match self.state {
            State::Empty => assert!(self.members.is_empty(), "an empty group has no members: {self:?}"),
            State::PreparingRebalance => {}
            State::CompletingRebalance | State::Stable => assert!(!self.members.is_empty(), "no members in {:?}", self.state),
        }
        let awaiting_join = self.members.values().filter(|member| member.awaiting_join.is_some()).count();
        assert_eq!(self.awaiting_join, awaiting_join);
        if self.state != State::PreparingRebalance {
            assert_eq!(awaiting_join, 0, "JoinGroup waits only for a rebalance: {self:?}");
        }
        if self.state != State::CompletingRebalance {
            assert!(
                self.members.values().all(|member| member.awaiting_sync.is_none()),
                "SyncGroup waits only for the leader: {self:?}"
            );
        }
        let statics =
            self.members.values().filter_map(|m| Some((m.instance_id.clone()?, m.id.clone()))).collect::<BTreeMap<_, _>>();
        assert_eq!(self.static_members, statics);
        assert!(self.pending_join.iter().all(|id| !self.members.contains_key(id)), "a pending member is no member");
        assert!(self.pending_sync.iter().all(|id| self.members.contains_key(id)), "who has to sync is a member");
        let mut supported: BTreeMap<StrBytes, usize> = BTreeMap::new();
        for protocol in self.members.values().flat_map(|member| &member.protocols) {
            *supported.entry(protocol.name.clone()).or_default() += 1;
        }
        assert_eq!(self.supported, supported);
        if matches!(self.state, State::Stable | State::CompletingRebalance) && self.protocol_name.is_some() {
            assert_eq!(self.protocol_name.as_ref().and_then(|name| supported.get(name)), Some(&self.members.len()));
        }
    }

    /// In a log that only this coordinator wrote, the record of a group at rest says what the group is.
    pub fn assert_is_stored(&self) {
        if self.state == State::Empty && self.generation > 0 {
            let stored = self.stored.as_ref().expect("a group that had members has a record");
            assert_eq!((stored.generation, stored.members.len()), (self.generation, 0), "an empty group is what its record says");
        }
        if self.state == State::Stable {
            let Record::GroupMetadata { value, .. } = self.to_record() else {
                unreachable!("a group's record is group metadata")
            };
            assert_eq!(self.stored, value, "a stable group is what its record says");
        }
    }
}
