//! When each broker was last heard of, and how far it has read the metadata (`BrokerHeartbeatManager`). Soft state of the active controller.
//!
//! Invariants: a fenced broker has no session that could expire · controlled shutdown is left only by being fenced or registered anew.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::ids::{BrokerId, Offset};
use crate::base::time::Mono;

#[derive(Clone, Debug)]
struct Session {
    fenced: bool,
    last_contact: Mono,
    metadata_offset: Offset,
    /// Once every active broker has read up to here, the broker may stop.
    controlled_shutdown_offset: Option<Offset>,
}

/// What a broker is in the eyes of the controller (`BrokerControlState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerControlState {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl BrokerControlState {
    pub fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::ShutdownNow)
    }
}

/// What a broker asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub fence: bool,
    pub shut_down: bool,
    pub metadata_offset: Offset,
}

#[derive(Clone, Debug)]
pub struct BrokerHeartbeatManager {
    session_timeout: Duration,
    sessions: BTreeMap<BrokerId, Session>,
}

impl BrokerHeartbeatManager {
    pub fn new(session_timeout: Duration) -> Self {
        Self { session_timeout, sessions: BTreeMap::new() }
    }

    /// The broker is registered, now fenced or not.
    pub fn register(&mut self, id: BrokerId, fenced: bool, now: Mono) {
        let metadata_offset = self.sessions.get(&id).map_or(-1, |s| s.metadata_offset);
        self.touch(id, fenced, metadata_offset, now);
    }

    /// The broker was heard of.
    pub fn touch(&mut self, id: BrokerId, fenced: bool, metadata_offset: Offset, now: Mono) {
        let shutdown = self.sessions.get(&id).and_then(|s| s.controlled_shutdown_offset).filter(|_| !fenced);
        self.sessions.insert(id, Session { fenced, last_contact: now, metadata_offset, controlled_shutdown_offset: shutdown });
    }

    pub fn fence(&mut self, id: BrokerId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.fenced = true;
            session.controlled_shutdown_offset = None;
        }
    }

    pub fn remove(&mut self, id: BrokerId) {
        self.sessions.remove(&id);
    }

    /// Whether another process that claims this id must be taken for a second one, not for a restart.
    pub fn has_valid_session(&self, id: BrokerId, now: Mono) -> bool {
        self.sessions.get(&id).is_some_and(|s| !s.fenced && self.is_valid(s, now))
    }

    /// The broker starts to shut down; it may stop once every active broker has read up to `offset`.
    pub fn begin_controlled_shutdown(&mut self, id: BrokerId, offset: Offset) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|s| !s.fenced) {
            session.controlled_shutdown_offset.get_or_insert(offset);
        }
    }

    /// When a session may have to be expired next.
    pub fn next_check(&self) -> Option<Mono> {
        let last_contact = self.sessions.values().filter(|s| !s.fenced).map(|s| s.last_contact).min()?;
        // A session is valid up to and including its deadline.
        Some(last_contact + self.session_timeout + Duration::from_nanos(1))
    }

    /// The broker that has been silent longest, if too long.
    pub fn find_one_stale(&self, now: Mono) -> Option<BrokerId> {
        let (id, session) = self.sessions.iter().filter(|(_, s)| !s.fenced).min_by_key(|(_, s)| s.last_contact)?;
        (!self.is_valid(session, now)).then_some(*id)
    }

    /// Present and next state of a broker that sent a heartbeat. `registered_at` is the offset of its registration; `leads` tells whether it
    /// leads any partition, and is only asked when it matters.
    pub fn next_state(
        &self,
        id: BrokerId,
        wish: Wish,
        registered_at: Offset,
        leads: impl FnOnce() -> bool,
    ) -> (BrokerControlState, BrokerControlState) {
        use BrokerControlState::*;
        let Some(session) = self.sessions.get(&id) else { return (Fenced, Fenced) };
        match (session.fenced, session.controlled_shutdown_offset) {
            (true, _) if wish.shut_down => (Fenced, ShutdownNow),
            (true, _) if !wish.fence && wish.metadata_offset >= registered_at => (Fenced, Unfenced),
            (true, _) => (Fenced, Fenced),
            (false, None) => match (wish.fence, wish.shut_down) {
                (true, true) => (Unfenced, ShutdownNow),
                (true, false) => (Unfenced, Fenced),
                (false, true) if leads() => (Unfenced, ControlledShutdown),
                (false, true) => (Unfenced, ShutdownNow),
                (false, false) => (Unfenced, Unfenced),
            },
            (false, Some(_)) if leads() => (ControlledShutdown, ControlledShutdown),
            (false, Some(offset)) if offset <= self.lowest_active_offset() => (ControlledShutdown, ShutdownNow),
            (false, Some(_)) => (ControlledShutdown, ControlledShutdown),
        }
    }

    fn lowest_active_offset(&self) -> Offset {
        let active = self.sessions.values().filter(|s| !s.fenced && s.controlled_shutdown_offset.is_none());
        active.map(|s| s.metadata_offset).min().unwrap_or(Offset::MAX)
    }

    fn is_valid(&self, session: &Session, now: Mono) -> bool {
        now <= session.last_contact + self.session_timeout
    }
}

#[cfg(test)]
mod tests {
    use super::BrokerControlState::*;
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    fn manager() -> BrokerHeartbeatManager {
        BrokerHeartbeatManager::new(Duration::from_secs(9))
    }

    #[test]
    fn the_longest_silent_broker_goes_first_and_fenced_ones_never() {
        let mut m = manager();
        m.touch(1, false, 5, at(0));
        m.touch(2, false, 5, at(3));
        m.touch(3, true, 5, at(0));
        assert_eq!(m.next_check().map(|t| t.since(at(9)).as_nanos()), Some(1));
        assert_eq!(m.find_one_stale(at(9)), None);
        assert!(m.has_valid_session(1, at(9)) && !m.has_valid_session(3, at(1)) && !m.has_valid_session(4, at(1)));
        assert_eq!(m.find_one_stale(at(10)), Some(1));
        m.fence(1);
        assert_eq!(m.find_one_stale(at(10)), None);
        assert_eq!(m.find_one_stale(at(13)), Some(2));
        m.remove(2);
        assert_eq!(m.next_check(), None);
    }

    /// State of broker 1 (F, U or C), what it wants (f, s), whether it leads (l), and what becomes of it.
    #[test]
    fn states_change_as_in_kafka() {
        for (state, fence, shut_down, offset, leads, expected) in [
            (Fenced, false, true, 0, false, ShutdownNow),
            (Fenced, true, true, 0, false, ShutdownNow),
            (Fenced, false, false, 9, false, Fenced),
            (Fenced, false, false, 10, false, Unfenced),
            (Fenced, true, false, 10, false, Fenced),
            (Unfenced, false, false, 10, true, Unfenced),
            (Unfenced, true, false, 10, true, Fenced),
            (Unfenced, true, true, 10, true, ShutdownNow),
            (Unfenced, false, true, 10, true, ControlledShutdown),
            (Unfenced, false, true, 10, false, ShutdownNow),
            (ControlledShutdown, false, true, 10, true, ControlledShutdown),
            (ControlledShutdown, false, true, 10, false, ControlledShutdown),
        ] {
            let mut m = manager();
            m.touch(1, state == Fenced, 0, at(0));
            m.touch(2, false, 19, at(0));
            if state == ControlledShutdown {
                m.begin_controlled_shutdown(1, 20);
            }
            let wish = Wish { fence, shut_down, metadata_offset: offset };
            assert_eq!(m.next_state(1, wish, 10, || leads), (state, expected), "{state:?} {wish:?} leads: {leads}");
        }
    }

    #[test]
    fn a_broker_may_stop_once_the_others_have_read_that_it_stops() {
        let mut m = manager();
        m.touch(1, false, 20, at(0));
        m.touch(2, false, 19, at(0));
        m.begin_controlled_shutdown(1, 20);
        m.begin_controlled_shutdown(1, 30);
        let wish = Wish { fence: false, shut_down: true, metadata_offset: 20 };
        assert_eq!(m.next_state(1, wish, 0, || false).1, ControlledShutdown);
        m.touch(2, false, 20, at(1));
        assert_eq!(m.next_state(1, wish, 0, || false).1, ShutdownNow, "the first offset counts, not the later one");
        m.touch(1, true, 20, at(2));
        assert_eq!(
            m.next_state(1, Wish { shut_down: false, ..wish }, 0, || false),
            (Fenced, Unfenced),
            "fencing ends the shutdown"
        );
    }
}
