//! Answers that wait for an offset to be committed, in the order in which they were decided. Pure.
//!
//! Invariants: `end` and `deadline` never decrease from front to back, so a commit and a passing of time each take a prefix.

use std::collections::VecDeque;

use crate::base::ids::Offset;
use crate::base::time::Mono;

#[derive(Debug)]
struct Group<R> {
    end: Offset,
    deadline: Mono,
    replies: Vec<R>,
}

/// Answers of type `R`, parked behind log ends.
#[derive(Debug)]
pub struct ParkedReplies<R> {
    groups: VecDeque<Group<R>>,
}

impl<R> Default for ParkedReplies<R> {
    fn default() -> Self {
        Self { groups: VecDeque::new() }
    }
}

impl<R> ParkedReplies<R> {
    /// Parks `replies` until everything below `end` is committed; at `deadline` they are given up.
    pub fn park(&mut self, end: Offset, deadline: Mono, replies: Vec<R>) {
        if replies.is_empty() {
            return;
        }
        match self.groups.back_mut() {
            Some(last) if last.end == end && last.deadline == deadline => last.replies.extend(replies),
            last => {
                assert!(
                    last.is_none_or(|last| last.end <= end && last.deadline <= deadline),
                    "log ends and time do not step back"
                );
                self.groups.push_back(Group { end, deadline, replies });
            }
        }
    }

    /// The log end whose commit releases something next.
    pub fn next_end(&self) -> Option<Offset> {
        self.groups.front().map(|group| group.end)
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        self.groups.front().map(|group| group.deadline)
    }

    /// Takes what waits for nothing more once everything below `committed` is committed.
    pub fn release(&mut self, committed: Offset) -> impl Iterator<Item = R> + use<R> {
        let ready = self.groups.partition_point(|group| group.end <= committed);
        self.take(ready)
    }

    /// Takes what has waited too long.
    pub fn expire(&mut self, now: Mono) -> impl Iterator<Item = R> + use<R> {
        let due = self.groups.partition_point(|group| group.deadline <= now);
        self.take(due)
    }

    /// Takes everything.
    pub fn drain(&mut self) -> impl Iterator<Item = R> + use<R> {
        self.take(self.groups.len())
    }

    fn take(&mut self, groups: usize) -> impl Iterator<Item = R> + use<R> {
        let rest = self.groups.split_off(groups);
        std::mem::replace(&mut self.groups, rest).into_iter().flat_map(|group| group.replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Mono {
        Mono::from_millis(n)
    }

    #[test]
    fn a_commit_releases_a_prefix_in_order() {
        let mut parked = ParkedReplies::default();
        parked.park(10, ms(1), vec!["a"]);
        parked.park(10, ms(1), vec!["b"]);
        parked.park(20, ms(2), vec!["c"]);
        parked.park(30, ms(3), vec![]);
        assert_eq!(parked.next_end(), Some(10));
        assert_eq!(parked.release(9).count(), 0);
        assert_eq!(parked.release(19).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((parked.next_end(), parked.next_deadline()), (Some(20), Some(ms(2))));
        assert_eq!(parked.release(20).collect::<Vec<_>>(), ["c"]);
        assert_eq!(parked.next_end(), None, "nothing is parked without a reply");
    }

    #[test]
    fn what_waits_too_long_is_given_up() {
        let mut parked = ParkedReplies::default();
        parked.park(10, ms(5), vec!["a"]);
        parked.park(20, ms(9), vec!["b"]);
        assert_eq!(parked.expire(ms(5)).collect::<Vec<_>>(), ["a"]);
        assert_eq!(parked.drain().collect::<Vec<_>>(), ["b"]);
    }
}
