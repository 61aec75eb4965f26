//! The range assignor: of each topic every member gets a contiguous range of partitions (`RangeAssignor`, without racks). Pure.
//!
//! Invariants: every partition of a subscribed topic goes to exactly one member; of one topic two members differ by one partition at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::ids::TopicPartition;

/// A member and what it wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    pub member_id: String,
    /// Members with one are ordered by it, so that a restart with a new member id changes nothing (KIP-345).
    pub instance_id: Option<String>,
    pub topics: Vec<String>,
}

/// Partitions by member id. `partitions` says how many a topic has; topics that it lacks are not assigned.
pub fn assign(subscribers: &[Subscriber], partitions: &BTreeMap<String, i32>) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut assigned: BTreeMap<_, _> = subscribers.iter().map(|s| (s.member_id.clone(), Vec::new())).collect();
    for (topic, &count) in partitions {
        let mut interested: Vec<&Subscriber> = subscribers.iter().filter(|s| s.topics.contains(topic)).collect();
        // Static members come first, as `AbstractPartitionAssignor.MemberInfo` orders them.
        interested.sort_by_key(|s| (s.instance_id.is_none(), s.instance_id.clone(), s.member_id.clone()));
        let name: Arc<str> = Arc::from(topic.as_str());
        let members = interested.len() as i32;
        let mut next = 0;
        for (at, subscriber) in (0..).zip(interested) {
            let share = count / members + i32::from(at < count % members);
            let range = (next..next + share).map(|partition| TopicPartition::new(name.clone(), partition));
            assigned.get_mut(&subscriber.member_id).expect("every subscriber has an entry").extend(range);
            next += share;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(id: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            member_id: id.into(),
            instance_id: instance.map(str::to_owned),
            topics: topics.iter().map(|t| t.to_string()).collect(),
        }
    }

    fn assigned(subscribers: &[Subscriber], partitions: &[(&str, i32)]) -> Vec<(String, String)> {
        let partitions = partitions.iter().map(|(topic, count)| (topic.to_string(), *count)).collect();
        let text = |list: Vec<TopicPartition>| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assign(subscribers, &partitions).into_iter().map(|(member, list)| (member, text(list))).collect()
    }

    fn expect(found: Vec<(String, String)>, expected: &[(&str, &str)]) {
        let found: Vec<_> = found.iter().map(|(m, p)| (m.as_str(), p.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn ranges_are_as_kafkas_range_assignor_makes_them() {
        // The example of RangeAssignor's documentation.
        let two = [subscriber("C0", None, &["t0", "t1"]), subscriber("C1", None, &["t0", "t1"])];
        expect(assigned(&two, &[("t0", 3), ("t1", 3)]), &[("C0", "t0-0 t0-1 t1-0 t1-1"), ("C1", "t0-2 t1-2")]);
        expect(assigned(&two, &[("t0", 1), ("t1", 0)]), &[("C0", "t0-0"), ("C1", "")]);
    }

    #[test]
    fn members_get_only_what_they_subscribed_to() {
        let members = [subscriber("a", None, &["x"]), subscriber("b", None, &["x", "y"]), subscriber("c", None, &[])];
        expect(assigned(&members, &[("x", 2), ("y", 2)]), &[("a", "x-0"), ("b", "x-1 y-0 y-1"), ("c", "")]);
    }

    #[test]
    fn static_members_are_ordered_by_their_instance() {
        let members = [subscriber("z", Some("1"), &["t"]), subscriber("a", Some("2"), &["t"]), subscriber("b", None, &["t"])];
        expect(assigned(&members, &[("t", 3)]), &[("a", "t-1"), ("b", "t-2"), ("z", "t-0")]);
    }
}
