//! How a rebalance begins, ends, and is pushed along by time. Pure.

use std::time::Duration;

use bytes::Bytes;

use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::coordinator::group::shard::{Step, Timer};

use super::group::{ClassicGroup, InitialDelay, State, sync_error};

/// The join phase lasts at least this long while somebody is missing.
const JOIN_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// A time of Kafka's protocol; negative means now.
pub(super) fn millis(ms: i32) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}

impl ClassicGroup {
    /// Starts a rebalance if the group is in none, otherwise sees whether the one under way can go on.
    pub(super) fn prepare_rebalance_or_complete_join(&mut self, step: &mut Step<'_>, reason: &str) {
        if self.state() == State::PreparingRebalance {
            self.complete_join_if_ready(step);
        } else {
            self.prepare_rebalance(step, reason);
        }
    }

    /// Starts a rebalance: whoever waits for the leader's word has to join again.
    pub fn prepare_rebalance(&mut self, step: &mut Step<'_>, reason: &str) {
        assert_ne!(self.state(), State::PreparingRebalance, "one rebalance at a time");
        if self.state() == State::CompletingRebalance {
            self.reset_assignment(step, ErrorCode::RebalanceInProgress);
        }
        self.pending_sync.clear();
        step.timers.cancel(&Timer::Sync(self.id.clone()));
        tracing::info!(group = %self.id, state = self.state().name(), generation = self.generation, reason, "preparing to rebalance");

        let is_initial = self.state() == State::Empty;
        self.transition_to(State::PreparingRebalance, step.at.wall_ms);
        self.new_member_added = false;
        if is_initial {
            let delay_ms = step.config.initial_rebalance_delay_ms;
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.schedule_initial_delay(step, InitialDelay { delay_ms, remaining_ms });
        } else if self.has_all_members_joined() {
            self.complete_join(step);
        } else {
            self.schedule_join_timeout(step);
        }
    }

    /// Ends the join phase if nobody is missing. The first rebalance of an empty group waits its time out regardless.
    pub(super) fn complete_join_if_ready(&mut self, step: &mut Step<'_>) {
        if self.state() == State::PreparingRebalance && self.initial_delay.is_none() && self.has_all_members_joined() {
            self.complete_join(step);
        }
    }

    /// The delay of the first rebalance is over, or the rebalance timeout.
    pub fn on_join_timeout(&mut self, step: &mut Step<'_>) {
        if self.state() != State::PreparingRebalance {
            return;
        }
        match self.initial_delay {
            Some(InitialDelay { delay_ms, remaining_ms }) if self.new_member_added && remaining_ms != 0 => {
                self.new_member_added = false;
                let next = InitialDelay {
                    delay_ms: step.config.initial_rebalance_delay_ms.min(remaining_ms),
                    remaining_ms: (remaining_ms - delay_ms).max(0),
                };
                self.schedule_initial_delay(step, next);
            }
            _ => self.complete_join(step),
        }
    }

    fn schedule_initial_delay(&mut self, step: &mut Step<'_>, delay: InitialDelay) {
        self.initial_delay = Some(delay);
        step.timers.schedule(Timer::Join(self.id.clone()), step.at.now + millis(delay.delay_ms));
    }

    fn schedule_join_timeout(&self, step: &mut Step<'_>) {
        // Members may ask for no time at all. If none of them comes the timeout is set again, and must not be due at once then.
        let timeout = millis(self.rebalance_timeout_ms()).max(JOIN_TIMEOUT_MIN);
        step.timers.schedule(Timer::Join(self.id.clone()), step.at.now + timeout);
    }

    /// Ends the join phase: dynamic members that did not come are gone, the others form the next generation.
    pub(super) fn complete_join(&mut self, step: &mut Step<'_>) {
        step.timers.cancel(&Timer::Join(self.id.clone()));
        self.initial_delay = None;
        let absent = self.members().filter(|member| member.awaiting_join.is_none() && !member.is_static());
        for id in absent.map(|member| member.id.clone()).collect::<Vec<_>>() {
            tracing::info!(group = %self.id, member = %id, "removed: did not rejoin in time");
            self.remove(&id);
            step.timers.cancel(&Timer::Session { group: self.id.clone(), member: id });
        }
        if self.members().len() > 0 && !self.elect_joined_leader() {
            // Only static members are left, and none of them came. They stay until their sessions end.
            tracing::info!(group = %self.id, "the rebalance goes on: no member rejoined");
            return self.schedule_join_timeout(step);
        }
        self.next_generation(step.at.wall_ms);
        if self.state() == State::Empty {
            tracing::info!(group = %self.id, generation = self.generation, "the group is empty");
            step.records.push(self.to_record());
            step.schedule_expiry_check();
            return;
        }
        tracing::info!(group = %self.id, generation = self.generation, members = self.members().len(), "stabilized");
        for id in self.member_ids() {
            if let Some(request) = self.take_awaiting_join(&id) {
                let joined = self.joined(&id, self.is_leader(&id));
                step.reply(request, joined);
            }
            self.renew_session(step, &id);
            self.member_mut(&id).expect("its id was just listed").is_new = false;
            self.pending_sync.insert(id);
        }
        step.timers.schedule(Timer::Sync(self.id.clone()), step.at.now + millis(self.rebalance_timeout_ms()));
    }

    /// Some members joined, but did not ask for their assignment in time: they are gone.
    pub fn on_sync_timeout(&mut self, step: &mut Step<'_>) {
        if self.state() == State::PreparingRebalance || self.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            tracing::info!(group = %self.id, member = %id, "removed: did not sync in time");
            self.remove(&id);
            step.timers.cancel(&Timer::Session { group: self.id.clone(), member: id });
        }
        self.prepare_rebalance(step, "members did not sync in time");
    }

    /// A member gives word: its session begins anew.
    pub fn renew_session(&self, step: &mut Step<'_>, id: &StrBytes) {
        let Some(member) = self.member(id) else { return };
        self.schedule_session(step, id, member.session_timeout_ms);
    }

    pub(super) fn schedule_session(&self, step: &mut Step<'_>, id: &StrBytes, timeout_ms: i32) {
        let timer = Timer::Session { group: self.id.clone(), member: id.clone() };
        step.timers.schedule(timer, step.at.now + millis(timeout_ms));
    }

    /// A member has not been heard of for its session timeout, or a pending one has not come back.
    pub fn on_session_timeout(&mut self, step: &mut Step<'_>, id: &StrBytes) {
        if self.is_pending(id) {
            tracing::info!(group = %self.id, member = %id, "pending member did not come back in time");
            self.remove(id);
        } else {
            let Some(member) = self.member(id).filter(|member| !member.has_satisfied_heartbeat()) else { return };
            tracing::info!(group = %self.id, member = %member.id, "removed: session timed out");
            let removed = self.remove(id).expect("it is a member");
            Self::dismiss(step, &removed, &StrBytes::new(), ErrorCode::UnknownMemberId);
            if self.state() != State::PreparingRebalance {
                return self.prepare_rebalance(step, "a member's session timed out");
            }
        }
        // The first rebalance of an empty group does not wait on either, when the last one missing is gone.
        if self.state() == State::PreparingRebalance && self.has_all_members_joined() {
            self.complete_join(step);
        }
    }

    /// Takes back all assignments, and tells whoever waits for one to join again.
    pub(super) fn reset_assignment(&mut self, step: &mut Step<'_>, error: ErrorCode) {
        let mut told = Vec::new();
        for member in self.members_mut() {
            member.assignment = Bytes::new();
            if let Some(request) = member.awaiting_sync.take() {
                step.reply(request, sync_error(error));
                told.push(member.id.clone());
            }
        }
        for id in told {
            self.renew_session(step, &id);
        }
    }
}
