//! Random histories: whatever clients do and whenever the coordinator fails over, the promises hold. A failing history is printed as a
//! story, to be pasted into a test.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::world::World;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::shard::Group;
use crate::coordinator::group::tests::text;
use crate::coordinator::shard::Shard;

fn member() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c", "A", "B"])
}

fn join() -> impl Strategy<Value = String> {
    let version = select(vec!["v0", "v3", "v4", "v8", "v9"]);
    let id = select(vec!["", "", "", "anew"]);
    let protocols = select(vec!["range", "range,rr", "rr,range", "range,range", "rr", ","]);
    let topics = select(vec!["t", "t,u", "", "garbage"]);
    let timeouts = select(vec!["", "rebalance 10s", "rebalance 0ms", "rebalance 5m session 30s"]);
    let kind = select(vec!["", "", "", "", "", "type connect"]);
    (member(), version, id, protocols, topics, timeouts, kind).prop_map(
        |(member, version, id, protocols, topics, timeouts, kind)| {
            format!("join {member} {version} {id} protocols {protocols} topics {topics} {timeouts} {kind}")
                .replace("topics  ", "topics , ")
        },
    )
}

fn commit() -> impl Strategy<Value = String> {
    let who = select(vec!["a", "b", "A", "-", "-"]);
    let partition = select(vec!["t0", "t1", "u0"]);
    let how = select(vec!["", "", "txn 7", "txn 8", "retention 1h", "v8", "gen 1"]);
    (who, partition, 0..100u32, how).prop_map(|(who, partition, offset, how)| format!("commit {who} {partition}={offset} {how}"))
}

fn line() -> impl Strategy<Value = String> {
    let wait = select(vec!["1ms", "1s", "3s", "10s", "44s", "2m", "6m", "30m", "5d"]);
    prop_oneof![
        6 => join(),
        4 => member().prop_map(|who| format!("sync {who} a=1 b=2 A=3 B=4")),
        3 => member().prop_map(|who| format!("heartbeat {who}")),
        2 => (member(), member()).prop_map(|(a, b)| format!("leave {a} {b}")),
        1 => select(vec!["kick A", "kick B", "forget t0", "forget u0", "delete", "drop t", "describe", "list"]).prop_map(String::from),
        5 => commit(),
        2 => select(vec!["end 7 commit", "end 7 abort", "end 8 commit", "end 8 abort"]).prop_map(String::from),
        1 => select(vec!["fetch all", "fetch all stable", "fetch t0", "fetch t0 stable"]).prop_map(String::from),
        1 => select(vec!["restart", "compact"]).prop_map(String::from),
        6 => wait.prop_map(|time| format!("wait {time}")),
    ]
}

fn generation(world: &World) -> Option<i32> {
    world.shard.group(&text("g")).map(|Group::Classic(group)| group.generation())
}

proptest! {
    /// Everybody is answered exactly once; generations rise; what is durable is what the log says; in the end nothing is left behind.
    #[test]
    fn any_history_keeps_the_promises(story in prop::collection::vec(line(), 1..60), max_size in select(vec![2, 3, usize::MAX])) {
        let mut world = World::new(GroupConfig { max_size, ..GroupConfig::default() });
        let mut before = None;
        for line in &story {
            world.tell(line);
            world.assert_durable();
            let now = generation(&world);
            // A new coordinator knows the last generation that was written down; a deleted group begins anew.
            if line != "restart" && before.is_some() && now.is_some() {
                prop_assert!(before <= now, "generation {before:?} became {now:?} at {line}");
            }
            before = now;
        }
        world.wait(Duration::from_secs(3600));
        prop_assert!(world.waiting.is_empty(), "never answered: {:?}", world.waiting);
        world.tell("end 7 commit");
        world.tell("end 8 abort");
        world.wait(Duration::from_secs(30 * 24 * 3600));
        prop_assert!(generation(&world).is_none(), "the group stays: {:?}", world.shard);
        prop_assert!(world.shard.next_deadline().is_none(), "an idle shard waits for nothing");
        world.compact();
        prop_assert!(world.log.is_empty(), "nothing is left of it: {:?}", world.log);
    }
}
