//! Deadlines by key, for state machines that are told the time. Pure.
//!
//! Invariants: a key has at most one deadline; `next_deadline` is the least of all; deadlines fall due in order of time, and those of
//! the same moment in the order in which they were set.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::base::time::Mono;

#[derive(Debug)]
pub struct Timers<K> {
    queue: BTreeMap<(Mono, u64), K>,
    by_key: HashMap<K, (Mono, u64), foldhash::fast::RandomState>,
    sequence: u64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { queue: BTreeMap::new(), by_key: HashMap::default(), sequence: 0 }
    }
}

impl<K: Clone + Eq + Hash> Timers<K> {
    /// Sets or moves the deadline of `key`.
    pub fn schedule(&mut self, key: K, deadline: Mono) {
        self.sequence += 1;
        let at = (deadline, self.sequence);
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.queue.remove(&old);
        }
        self.queue.insert(at, key);
    }

    /// Sets the deadline of `key` unless it has an earlier one.
    pub fn schedule_no_later(&mut self, key: K, deadline: Mono) {
        if self.by_key.get(&key).is_none_or(|(at, _)| deadline < *at) {
            self.schedule(key, deadline);
        }
    }

    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.queue.remove(&at);
        }
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes one deadline that is due, the earliest first.
    pub fn pop_due(&mut self, now: Mono) -> Option<K> {
        let due = self.queue.first_entry().filter(|first| first.key().0 <= now)?;
        let key = due.remove();
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    #[test]
    fn deadlines_fall_due_in_order_and_only_when_due() {
        let mut timers = Timers::default();
        timers.schedule("b", at(20));
        timers.schedule("a", at(10));
        timers.schedule("c", at(20));
        assert_eq!(timers.next_deadline(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(20)), Some("a"));
        assert_eq!(timers.pop_due(at(20)), Some("b"));
        assert_eq!(timers.pop_due(at(20)), Some("c"));
        assert_eq!((timers.pop_due(at(99)), timers.next_deadline()), (None, None));
    }

    #[test]
    fn a_key_has_one_deadline() {
        let mut timers = Timers::default();
        timers.schedule("a", at(10));
        timers.schedule("a", at(30));
        assert_eq!(timers.pop_due(at(20)), None, "moved");
        timers.schedule_no_later("a", at(40));
        assert_eq!(timers.next_deadline(), Some(at(30)));
        timers.schedule_no_later("a", at(25));
        assert_eq!(timers.next_deadline(), Some(at(25)));
        timers.cancel(&"a");
        assert_eq!(timers.pop_due(at(99)), None);
    }
}
