//! Groups told as stories: `check("join a; join a; wait 3s", "a: need id; a: joined 1 leader a of a")`.
//!
//! A story is a list of requests and of time that passes; what is compared are the answers, in the order in which they are given. Members
//! are called by their client's name, a capital letter makes them static (instance id = name). Verbs:
//!
//! ```text
//! join a [protocols range,rr] [type connect] [rebalance 10s] [session 6s] [v3] [anew]     JoinGroup; `anew` forgets the member's id
//! sync a [a=1 b=2] [gen 5]    heartbeat a [gen 5]    leave a b    kick A (by instance id)    wait 45s
//! commit a t0=5 [gen 5] [v8] [txn 7]    commit - t0=5 (nobody's)    end 7 commit|abort    fetch t0 [stable]    fetch all    forget t0 (OffsetDelete)
//! describe    list [Stable]    delete    drop t (topic deleted)    restart    state    records
//! ```

mod classic;
mod offsets;
mod random;
mod records;
mod service;
mod story;
mod world;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::config::GroupConfig;
use world::World;

/// Plays a story and compares what was answered.
#[track_caller]
pub fn check(story: &str, expected: &str) {
    check_with(GroupConfig::default(), story, expected);
}

#[track_caller]
pub fn check_with(config: GroupConfig, story: &str, expected: &str) {
    let mut world = World::new(config);
    for line in story.split(';').map(str::trim).filter(|line| !line.is_empty()) {
        world.tell(line);
    }
    let told: Vec<_> = expected.split(';').map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(world.answers, told, "\nstory:    {story}\nanswered: {}", world.answers.join("; "));
    world.assert_durable();
}

pub fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

/// A consumer's subscription as version 0 of its protocol.
pub fn subscription(topics: &str) -> Bytes {
    if topics == "garbage" {
        return Bytes::from_static(b"?");
    }
    let topics: Vec<_> = topics.split(',').filter(|topic| !topic.is_empty()).collect();
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}
