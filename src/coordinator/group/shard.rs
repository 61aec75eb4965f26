//! The groups and offsets of one partition of `__consumer_offsets`: which request goes where, and what replay does. Pure.
//!
//! Durable are the last record of each group and all offsets ([`GroupShard::durable`]); the rest (who waits, sessions, groups in a
//! rebalance) is lost with the shard and made again by the members themselves.
//! Invariant: nothing durable changes but by replay; classic groups change their live state when they decide, and replay only notes the record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use crate::base::ids::ProducerId;
use crate::base::time::Mono;
use crate::coordinator::shard::{At, Effects, Position, RequestId, Shard, TransactionResult, Undecodable, Write};
use crate::coordinator::timers::Timers;

use super::classic::ClassicGroup;
use super::config::GroupConfig;
use super::offsets::Offsets;
use super::record::{GroupMetadataValue, Record};
use super::request::{GroupRequest, GroupResponse};

/// A group of whichever protocol.
#[derive(Clone, Debug)]
pub enum Group {
    Classic(ClassicGroup),
}

impl Group {
    pub fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.state() == super::classic::State::Empty,
        }
    }
}

/// What a shard waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// A member has to give word, or a pending member to come back.
    Session { group: StrBytes, member: StrBytes },
    /// The join phase of a rebalance ends.
    Join(StrBytes),
    /// Members have to fetch their assignment.
    Sync(StrBytes),
    /// Offsets or groups may have expired.
    Expiry,
}

/// One decision in the making: what it may look at, and what comes out of it.
pub struct Step<'a> {
    pub at: &'a At,
    pub config: &'a GroupConfig,
    pub timers: &'a mut Timers<Timer>,
    pub records: Vec<Record>,
    replies: Vec<(RequestId, GroupResponse)>,
}

impl<'a> Step<'a> {
    fn new(at: &'a At, config: &'a GroupConfig, timers: &'a mut Timers<Timer>) -> Self {
        Self { at, config, timers, records: Vec::new(), replies: Vec::new() }
    }

    pub fn reply(&mut self, id: RequestId, response: impl Into<GroupResponse>) {
        self.replies.push((id, response.into()));
    }

    /// Whether a record can be appended at all.
    pub fn fits(&self, record: &Record) -> bool {
        fits(self.at, std::iter::once(record))
    }

    /// Has expiry looked at one check interval from now: something may expire earlier than was known.
    pub fn schedule_expiry_check(&mut self) {
        let interval = Duration::from_millis(self.config.offsets_retention_check_interval_ms.max(0) as u64);
        self.timers.schedule_no_later(Timer::Expiry, self.at.now + interval);
    }

    fn finish(self) -> Effects<GroupShard> {
        Effects { write: Write::Records(self.records), replies: self.replies }
    }
}

/// Whether records fit into one batch, so that a crash leaves all of them or none.
pub fn fits<'r>(at: &At, records: impl Iterator<Item = &'r Record>) -> bool {
    at.fits(records.map(Record::size_max))
}

#[derive(Debug)]
pub struct GroupShard {
    pub(super) config: Arc<GroupConfig>,
    pub(super) groups: BTreeMap<StrBytes, Group>,
    pub(super) offsets: Offsets,
    pub(super) timers: Timers<Timer>,
}

impl GroupShard {
    pub fn new(config: Arc<GroupConfig>) -> Self {
        Self { config, groups: BTreeMap::new(), offsets: Offsets::default(), timers: Timers::default() }
    }

    pub fn group(&self, id: &StrBytes) -> Option<&Group> {
        self.groups.get(id)
    }

    /// Everything that survives a restart.
    pub fn durable(&self) -> (BTreeMap<StrBytes, GroupMetadataValue>, Offsets) {
        let stored = self.groups.iter().filter_map(|(id, group)| match group {
            Group::Classic(group) => Some((id.clone(), group.stored()?.clone())),
        });
        (stored.collect(), self.offsets.clone())
    }

    /// Runs a decision about one classic group; `None` if there is no such group.
    pub(super) fn with_classic<R>(
        &mut self,
        at: &At,
        id: &StrBytes,
        decide: impl FnOnce(&mut ClassicGroup, &mut Step<'_>) -> R,
    ) -> Option<(Effects<Self>, R)> {
        let Self { config, groups, timers, .. } = self;
        let Some(Group::Classic(group)) = groups.get_mut(id) else { return None };
        let mut step = Step::new(at, config, timers);
        let outcome = decide(group, &mut step);
        Some((step.finish(), outcome))
    }

    /// Time has passed for a group, if it is still there.
    fn timed(&mut self, at: &At, id: &StrBytes, act: impl FnOnce(&mut ClassicGroup, &mut Step<'_>)) -> Effects<Self> {
        self.with_classic(at, id, act).map(|(effects, ())| effects).unwrap_or_default()
    }

    /// The classic group of this id, which is made if there is none.
    pub(super) fn classic_or_new(&mut self, at: &At, id: &StrBytes) -> &mut ClassicGroup {
        let new = || Group::Classic(ClassicGroup::new(super::record::owned(id), Some(at.wall_ms)));
        let Group::Classic(group) = self.groups.entry(super::record::owned(id)).or_insert_with(new);
        group
    }

    fn remove_group(&mut self, id: &StrBytes) {
        self.groups.remove(id);
        self.timers.cancel(&Timer::Join(id.clone()));
        self.timers.cancel(&Timer::Sync(id.clone()));
    }
}

impl Shard for GroupShard {
    type Record = Record;
    type Request = GroupRequest;
    type Response = GroupResponse;

    fn encode(record: &Record) -> (Bytes, Option<Bytes>) {
        record.encode()
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Record, Undecodable> {
        Record::decode(key, value)
    }

    fn replay(&mut self, position: Position, record: Record) {
        match record {
            Record::OffsetCommit { key, value } => {
                if value.is_some() && !self.groups.contains_key(&key.group) {
                    // Whoever commits without being a member makes a simple group: one that only holds offsets.
                    self.groups.insert(key.group.clone(), Group::Classic(ClassicGroup::new(key.group.clone(), None)));
                }
                self.offsets.replay(position, key, value);
            }
            Record::GroupMetadata { group, value: None } => self.remove_group(&group),
            Record::GroupMetadata { group, value: Some(value) } => {
                let new = || Group::Classic(ClassicGroup::new(group.clone(), None));
                let Group::Classic(group) = self.groups.entry(group.clone()).or_insert_with(new);
                group.set_stored(value);
            }
        }
    }

    fn replay_end_transaction(&mut self, producer_id: ProducerId, result: TransactionResult) {
        self.offsets.replay_end_transaction(producer_id, result);
    }

    fn loaded(&mut self, at: &At) -> Effects<Self> {
        let Self { config, groups, timers, .. } = self;
        let mut step = Step::new(at, config, timers);
        for Group::Classic(group) in groups.values_mut() {
            group.restore();
            for member in group.members().map(|member| member.id.clone()).collect::<Vec<_>>() {
                group.renew_session(&mut step, &member);
            }
            if group.members().len() > step.config.max_size {
                // The limit may have come down. A rebalance gives the members the chance to commit before some of them have to go.
                group.prepare_rebalance(&mut step, "loaded with more members than group.max.size");
            }
        }
        if !groups.is_empty() {
            step.schedule_expiry_check();
        }
        step.finish()
    }

    fn handle(&mut self, at: &At, id: RequestId, request: GroupRequest) -> Effects<Self> {
        match request {
            GroupRequest::Join { request, version, client, member_uuid } => {
                self.join(at, id, version, client, member_uuid, request)
            }
            GroupRequest::Sync(request) => self.sync(at, id, request),
            GroupRequest::Heartbeat(request) => self.heartbeat(at, id, &request),
            GroupRequest::Leave(request) => self.leave(at, id, &request),
            GroupRequest::OffsetCommit { request, version } => self.commit_offsets(at, id, version, &request),
            GroupRequest::TxnOffsetCommit { request, topic_ids, guard } => {
                self.commit_transactional_offsets(at, id, &request, &topic_ids, guard)
            }
            GroupRequest::OffsetFetch { request, require_stable } => {
                Effects::reply(id, self.fetch_offsets(&request, require_stable).into())
            }
            GroupRequest::OffsetDelete(request) => self.delete_offsets(at, id, &request),
            GroupRequest::Describe { groups, version } => Effects::reply(id, self.describe(&groups, version).into()),
            GroupRequest::List(filter) => Effects::reply(id, self.list(&filter).into()),
            GroupRequest::Delete(groups) => self.delete_groups(id, &groups),
            GroupRequest::Gauges => Effects::reply(id, self.gauges().into()),
            GroupRequest::EndTransaction(end) => {
                Effects { write: Write::Marker(end), replies: vec![(id, GroupResponse::Done(()))] }
            }
            GroupRequest::TopicsDeleted(topics) => self.topics_deleted(at, id, &topics),
            GroupRequest::Reconfigure(config) => self.reconfigure(at, id, config),
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next_deadline()
    }

    fn on_time(&mut self, at: &At) -> Effects<Self> {
        match self.timers.pop_due(at.now) {
            None => Effects::default(),
            Some(Timer::Expiry) => self.expire(at),
            Some(Timer::Session { group, member }) => {
                self.timed(at, &group, |group, step| group.on_session_timeout(step, &member))
            }
            Some(Timer::Join(group)) => self.timed(at, &group, ClassicGroup::on_join_timeout),
            Some(Timer::Sync(group)) => self.timed(at, &group, ClassicGroup::on_sync_timeout),
        }
    }
}
