//! Offsets and groups that nobody needs any more (KIP-211; `OffsetMetadataManager.cleanupExpiredOffsets`, `ClassicGroup.offsetExpirationCondition`).
//! Pure.
//!
//! An offset expires `offsets.retention` after the group became empty, or, where that is not known, after it was committed: for simple
//! groups, and for topics that a stable consumer group no longer reads. Never while a transaction may still commit over it. A group
//! goes when it is empty and all its offsets have gone.
//!
//! Nothing ticks: one timer stands at the earliest moment at which anything might expire, but no sooner than
//! `offsets.retention.check.interval` after whatever brought that moment nearer. Invariant: while something can expire, the timer is set.

use std::sync::Arc;
use std::time::Duration;

use crate::base::ids::{NO_TIMESTAMP, TimestampMs};
use crate::coordinator::shard::{At, Effects, RequestId, Write};

use super::classic::{ClassicGroup, State};
use super::config::GroupConfig;
use super::offsets::Committed;
use super::record::Record;
use super::request::GroupResponse;
use super::shard::{Group, GroupShard, Timer};

/// From when the retention of a group's offsets counts.
enum RetentionFrom {
    /// The group became empty then.
    State(TimestampMs),
    Commit,
    /// Nothing expires in this state.
    Never,
}

fn retention_from(group: &ClassicGroup) -> RetentionFrom {
    match (group.protocol_type(), group.state()) {
        (None, _) => RetentionFrom::Commit,
        (Some(_), State::Empty) => group.state_timestamp().map_or(RetentionFrom::Commit, RetentionFrom::State),
        (Some(_), State::Stable) if group.knows_subscriptions() => RetentionFrom::Commit,
        (Some(_), _) => RetentionFrom::Never,
    }
}

/// When a committed offset expires.
fn expires_at(from: &RetentionFrom, committed: &Committed, retention_ms: i64) -> TimestampMs {
    if committed.value.expire_timestamp != NO_TIMESTAMP {
        return committed.value.expire_timestamp;
    }
    match from {
        RetentionFrom::State(since) => since.saturating_add(retention_ms),
        RetentionFrom::Commit => committed.value.commit_timestamp.saturating_add(retention_ms),
        RetentionFrom::Never => TimestampMs::MAX,
    }
}

/// What a look at one group found.
struct Found {
    is_all_gone: bool,
    /// When it is worth looking again; never before the next check.
    next: Option<TimestampMs>,
}

impl GroupShard {
    pub(super) fn expire(&mut self, at: &At) -> Effects<Self> {
        let mut records = Vec::new();
        let mut next: Option<TimestampMs> = None;
        for (id, Group::Classic(group)) in &self.groups {
            let found = self.expire_offsets(at, group, &mut records);
            if found.is_all_gone && group.state() == State::Empty && !group.has_pending_members() {
                records.push(Record::group_tombstone(id));
            }
            let again = if found.is_all_gone && group.has_pending_members() { Some(at.wall_ms) } else { found.next };
            next = next.into_iter().chain(again).min();
        }
        if !records.is_empty() {
            tracing::info!(tombstones = records.len(), "offsets and groups expired");
        }
        if let Some(next) = next {
            self.schedule_expiry_at(at, next);
        }
        Effects { write: Write::Records(records), replies: Vec::new() }
    }

    fn expire_offsets(&self, at: &At, group: &ClassicGroup, records: &mut Vec<Record>) -> Found {
        let is_pending = self.offsets.is_group_pending(&group.id);
        let Some(topics) = self.offsets.committed().group(&group.id) else {
            return Found { is_all_gone: !is_pending, next: is_pending.then_some(at.wall_ms) };
        };
        let from = retention_from(group);
        let mut found = Found { is_all_gone: !is_pending, next: is_pending.then_some(at.wall_ms) };
        for (topic, partitions) in topics {
            if matches!(from, RetentionFrom::Never) || group.is_subscribed_to(topic) {
                found.is_all_gone = false;
                continue;
            }
            for (partition, committed) in partitions {
                let expires_at = expires_at(&from, committed, self.config.offsets_retention_ms);
                if expires_at <= at.wall_ms && !self.offsets.is_pending(&group.id, topic, *partition) {
                    records.push(Record::offset_tombstone(&group.id, topic, *partition));
                } else {
                    found.is_all_gone = false;
                    found.next = Some(found.next.map_or(expires_at, |next| next.min(expires_at)));
                }
            }
        }
        found
    }

    /// A commit will expire one day; usually the timer stands already.
    pub(super) fn schedule_expiry_of_commit(&mut self, at: &At, expire_timestamp: TimestampMs) {
        let default = at.wall_ms.saturating_add(self.config.offsets_retention_ms);
        self.schedule_expiry_at(at, if expire_timestamp == NO_TIMESTAMP { default } else { expire_timestamp });
    }

    /// Something may expire earlier than was known.
    pub(super) fn schedule_expiry_check(&mut self, at: &At) {
        self.schedule_expiry_at(at, at.wall_ms);
    }

    fn schedule_expiry_at(&mut self, at: &At, wall_ms: TimestampMs) {
        let delay_ms = wall_ms.saturating_sub(at.wall_ms).max(self.config.offsets_retention_check_interval_ms);
        self.timers.schedule_no_later(Timer::Expiry, at.now + Duration::from_millis(delay_ms.max(0) as u64));
    }

    pub(super) fn reconfigure(&mut self, at: &At, id: RequestId, config: Arc<GroupConfig>) -> Effects<Self> {
        self.config = config;
        if !self.groups.is_empty() {
            // The retention may have become shorter.
            self.schedule_expiry_check(at);
        }
        Effects::reply(id, GroupResponse::Done(()))
    }
}
