//! The classic protocol, told as stories.

use super::{check, check_with};
use crate::coordinator::group::config::GroupConfig;

/// `a` and `b` are stable in generation 1, `a` leads.
const TWO: &str = "join a; join a; join b; join b; wait 3s; wait 3s; sync b; sync a a=1 b=2;";
const TWO_TOLD: &str = "a: MemberIdRequired; b: MemberIdRequired; a: joined 1 leader a of a,b; b: joined 1 leader a; a: assigned \"1\"; b: assigned \"2\";";

/// Two static members, stable in generation 1, `A` leads.
const TWO_STATIC: &str = "join A; join B; wait 3s; wait 3s; sync B; sync A A=1 B=2;";
const TWO_STATIC_TOLD: &str = "A: joined 1 leader A of A,B; B: joined 1 leader A; A: assigned \"1\"; B: assigned \"2\";";

#[track_caller]
fn after_two(story: &str, expected: &str) {
    check(&format!("{TWO} {story}"), &format!("{TWO_TOLD} {expected}"));
}

#[track_caller]
fn after_two_static(story: &str, expected: &str) {
    check(&format!("{TWO_STATIC} {story}"), &format!("{TWO_STATIC_TOLD} {expected}"));
}

#[test]
fn two_members_share_a_group() {
    after_two("heartbeat a; heartbeat b; state", "a: ok; b: ok; Stable 1 leader a of a,b");
}

#[test]
fn the_first_rebalance_waits_for_more_members() {
    check(
        "join a v3; wait 2999ms; state; wait 1ms; state",
        "PreparingRebalance 0 leader a of a; a: joined 1 leader a of a; CompletingRebalance 1 leader a of a",
    );
    // Each newcomer buys another delay …
    check("join a v3; wait 2s; join b v3; wait 1s; wait 2s; wait 1s", "a: joined 1 leader a of a,b; b: joined 1 leader a");
    // … but never beyond the rebalance timeout.
    check(
        "join a v3 rebalance 5s; wait 2s; join b v3 rebalance 5s; wait 1s; join c v3 rebalance 5s; wait 1s; wait 1s",
        "a: joined 1 leader a of a,b,c; b: joined 1 leader a; c: joined 1 leader a",
    );
}

#[test]
fn later_rebalances_begin_at_once_and_wait_for_everybody() {
    after_two(
        "join c; join c; state; heartbeat a; heartbeat b; join a; join b; state",
        "c: MemberIdRequired; PreparingRebalance 1 leader a of a,b,c; a: RebalanceInProgress; b: RebalanceInProgress; a: joined 2 leader a of a,b,c; b: joined 2 leader a; c: joined 2 leader a; CompletingRebalance 2 leader a of a,b,c",
    );
}

#[test]
fn who_does_not_rejoin_in_time_is_gone() {
    after_two(
        "join c; join c; join a; wait 30s; heartbeat b; wait 30s; heartbeat b; state",
        "c: MemberIdRequired; b: RebalanceInProgress; a: joined 2 leader a of a,c; c: joined 2 leader a; b: UnknownMemberId; CompletingRebalance 2 leader a of a,c",
    );
}

#[test]
fn an_unknown_member_is_told_so() {
    check(
        "heartbeat a; sync a; leave a; commit a t0=1 gen 1; commit a t0=1 gen 1 v8",
        "a: UnknownMemberId; a: UnknownMemberId; a: UnknownMemberId; a: GroupIdNotFound; a: IllegalGeneration",
    );
    after_two(
        "heartbeat c; sync c; leave c; commit c t0=1 gen 1; commit - t0=1",
        "c: UnknownMemberId; c: UnknownMemberId; c: UnknownMemberId; c: UnknownMemberId; -: UnknownMemberId",
    );
    after_two(
        "heartbeat a gen 7; sync a gen 7; commit a t0=1 gen 7",
        "a: IllegalGeneration; a: IllegalGeneration; a: IllegalGeneration",
    );
}

#[test]
fn an_id_that_is_given_out_expires() {
    check("join a session 10s; wait 9999ms; join a; state", "a: MemberIdRequired; PreparingRebalance 0 leader a of a");
    check("join a session 10s; wait 10s; join a; state", "a: MemberIdRequired; a: UnknownMemberId; Empty 0");
    // It holds a rebalance up until then, and no longer.
    after_two(
        "join c session 10s; join a; join b; state; wait 10s; state",
        "c: MemberIdRequired; PreparingRebalance 1 leader a of a,b; a: joined 2 leader a of a,b; b: joined 2 leader a; CompletingRebalance 2 leader a of a,b",
    );
}

#[test]
fn old_clients_join_in_one_step() {
    check("join a v3 anew; wait 3s; sync a a=1; heartbeat a", "a: joined 1 leader a of a; a: assigned \"1\"; a: ok");
    check("join a v0 session 10s; wait 3s; sync a; state", "a: joined 1 leader a of a; a: assigned \"\"; Stable 1 leader a of a");
}

#[test]
fn protocols_are_chosen_by_vote_among_those_all_support() {
    check(
        "join a v3 protocols range,rr; join b v3 protocols rr,range; join c v3 protocols rr,range; wait 6s; sync a; describe",
        "a: joined 1 leader a of a,b,c; b: joined 1 leader a; c: joined 1 leader a; a: assigned \"\"; describe: Stable consumer rr a/127.0.0.1:* b/127.0.0.1:* c/127.0.0.1:*",
    );
    check(
        "join a v3 protocols range,rr; join b v3 protocols rr; wait 6s; sync a; describe",
        "a: joined 1 leader a of a,b; b: joined 1 leader a; a: assigned \"\"; describe: Stable consumer rr a/127.0.0.1:* b/127.0.0.1:*",
    );
    check(
        "join a v3 protocols range; join b v3 protocols rr; wait 3s; state",
        "b: InconsistentGroupProtocol; a: joined 1 leader a of a; CompletingRebalance 1 leader a of a",
    );
    check(
        "join a v3; join b v3 type connect; wait 3s; state",
        "b: InconsistentGroupProtocol; a: joined 1 leader a of a; CompletingRebalance 1 leader a of a",
    );
    check("join a v3 protocols ,; state", "a: InconsistentGroupProtocol; Empty 0");
}

#[test]
fn a_leader_that_joins_again_forces_a_rebalance_a_follower_does_not() {
    after_two(
        "join b; state; join a; state; heartbeat b; join b",
        "b: joined 1 leader a; Stable 1 leader a of a,b; PreparingRebalance 1 leader a of a,b; b: RebalanceInProgress; a: joined 2 leader a of a,b; b: joined 2 leader a",
    );
    after_two("join b protocols range,rr; state", "PreparingRebalance 1 leader a of a,b");
}

#[test]
fn a_lost_join_answer_is_told_again() {
    check(
        "join a v3; join b v3; wait 6s; join b; join a; sync a a=1 b=2; sync b",
        "a: joined 1 leader a of a,b; b: joined 1 leader a; b: joined 1 leader a; a: joined 1 leader a of a,b; a: assigned \"1\"; b: assigned \"2\"",
    );
}

#[test]
fn a_second_join_supersedes_the_first() {
    after_two(
        "join c; join c; join a; join a; join b",
        "c: MemberIdRequired; a: RebalanceInProgress; a: joined 2 leader a of a,b,c; b: joined 2 leader a; c: joined 2 leader a",
    );
}

#[test]
fn forgotten_members_get_an_empty_assignment() {
    check(
        "join a v3; join b v3; wait 6s; sync a a=1; sync b",
        "a: joined 1 leader a of a,b; b: joined 1 leader a; a: assigned \"1\"; b: assigned \"\"",
    );
}

#[test]
fn sync_checks_what_the_member_believes() {
    after_two(
        "sync a type consumer protocol range; sync a type connect; sync a protocol rr",
        "a: assigned \"1\"; a: InconsistentGroupProtocol; a: InconsistentGroupProtocol",
    );
}

#[test]
fn who_does_not_sync_in_time_is_gone() {
    check(
        "join a v3; join b v3; wait 6s; sync a a=1 b=2; heartbeat b; wait 40s; heartbeat a; heartbeat b; wait 20s; state; heartbeat a",
        "a: joined 1 leader a of a,b; b: joined 1 leader a; a: assigned \"1\"; b: ok; a: ok; b: ok; PreparingRebalance 1 leader a of a; a: RebalanceInProgress",
    );
    check(
        "join a v3; join b v3; wait 6s; sync b; wait 30s; heartbeat a; wait 30s; state",
        "a: joined 1 leader a of a,b; b: joined 1 leader a; a: ok; b: RebalanceInProgress; PreparingRebalance 1 leader b of b",
    );
}

#[test]
fn sessions_end_without_heartbeats() {
    after_two(
        "wait 44s; heartbeat a; wait 1s; state; heartbeat a; join a; state",
        "a: ok; PreparingRebalance 1 leader a of a; a: RebalanceInProgress; a: joined 2 leader a of a; CompletingRebalance 2 leader a of a",
    );
    // Whoever waits for the others lives.
    after_two(
        "join c; join c; join a; wait 44s; heartbeat b; wait 15s; state",
        "c: MemberIdRequired; b: RebalanceInProgress; PreparingRebalance 1 leader a of a,b,c",
    );
    // A new member cannot heartbeat before it knows its id: its JoinGroup counts for five minutes.
    let five_minutes = "heartbeat a; wait 40s; ".repeat(7);
    check(
        &format!("join a v3; wait 3s; sync a; join b v3 rebalance 10m; {five_minutes} state; heartbeat a; wait 20s; state"),
        "a: joined 1 leader a of a; a: assigned \"\"; a: RebalanceInProgress; a: RebalanceInProgress; a: RebalanceInProgress; a: RebalanceInProgress; a: RebalanceInProgress; a: RebalanceInProgress; a: RebalanceInProgress; PreparingRebalance 1 leader a of a,b; a: RebalanceInProgress; b: UnknownMemberId; PreparingRebalance 1 leader a of a",
    );
}

#[test]
fn commits_keep_a_member_alive() {
    after_two("wait 30s; commit a t0=1; heartbeat b; wait 30s; state", "a: ok; b: ok; Stable 1 leader a of a,b");
}

#[test]
fn leaving_starts_a_rebalance() {
    after_two(
        "leave b; state; heartbeat a; join a; state",
        "b: ok; PreparingRebalance 1 leader a of a; a: RebalanceInProgress; a: joined 2 leader a of a; CompletingRebalance 2 leader a of a",
    );
    after_two("leave a b; state; fetch all", "a: ok ok; Empty 2; fetch:");
    after_two("leave b c; state", "b: ok UnknownMemberId; PreparingRebalance 1 leader a of a");
    check("join a; leave a; join a", "a: MemberIdRequired; a: ok; a: UnknownMemberId");
}

#[test]
fn the_group_is_never_larger_than_allowed() {
    let config = || GroupConfig { max_size: 2, ..GroupConfig::default() };
    check_with(
        config(),
        "join a v3; join b v3; join c v3; wait 6s; state",
        "c: GroupMaxSizeReached; a: joined 1 leader a of a,b; b: joined 1 leader a; CompletingRebalance 1 leader a of a,b",
    );
    check_with(
        config(),
        &format!("{TWO} join c; join c; state"),
        "a: MemberIdRequired; b: MemberIdRequired; a: joined 1 leader a of a,b; b: joined 1 leader a; a: assigned \"1\"; b: assigned \"2\"; c: GroupMaxSizeReached; c: GroupMaxSizeReached; Stable 1 leader a of a,b",
    );
}

#[test]
fn static_members_come_back_without_a_rebalance() {
    after_two_static(
        "join B anew; state; sync B; heartbeat B",
        "B: joined 1 leader A; Stable 1 leader A of A,B; B: assigned \"2\"; B: ok",
    );
    after_two_static(
        "join A anew; state; sync A",
        "A: joined 1 leader A of A,B nothing to assign; Stable 1 leader A of A,B; A: assigned \"1\"",
    );
    after_two_static("join A anew v8; state", "A: joined 1 leader A; Stable 1 leader A of A,B");
    check(
        "join A protocols range,rr; join B protocols range,rr; wait 6s; sync B; sync A A=1 B=2; join B anew protocols rr; state; join A protocols range,rr; state",
        "A: joined 1 leader A of A,B; B: joined 1 leader A; A: assigned \"1\"; B: assigned \"2\"; PreparingRebalance 1 leader A of A,B; A: joined 2 leader A of A,B; B: joined 2 leader A; CompletingRebalance 2 leader A of A,B",
    );
    after_two_static(
        "join A anew protocols rr,range; state; join B protocols rr,range; state",
        "A: joined 1 leader A of A,B nothing to assign; Stable 1 leader A of A,B; PreparingRebalance 1 leader A of A,B",
    );
}

#[test]
fn a_replaced_static_member_is_fenced() {
    let mut world = super::world::World::new(GroupConfig::default());
    for line in format!("{TWO_STATIC} ").split(';').map(str::trim).filter(|line| !line.is_empty()) {
        world.tell(line);
    }
    let old = world.id("B");
    world.tell("join B anew");
    world.ids.insert("B".into(), old);
    world.answers.clear();
    for line in ["heartbeat B", "sync B", "commit B t0=1", "join B", "leave B"] {
        world.tell(line);
    }
    assert_eq!(world.answers, ["B: FencedInstanceId"; 5]);
}

#[test]
fn static_members_survive_a_missed_rebalance_but_not_their_session() {
    check(
        "join A rebalance 10s; join B rebalance 10s; wait 6s; sync B; sync A A=1 B=2; join c rebalance 10s; join c rebalance 10s; join A rebalance 10s; wait 10s; state; sync A B=3; sync c; wait 10s; state",
        "A: joined 1 leader A of A,B; B: joined 1 leader A; A: assigned \"1\"; B: assigned \"2\"; c: MemberIdRequired; A: joined 2 leader A of A,B,c; c: joined 2 leader A; CompletingRebalance 2 leader A of A,B,c; A: assigned \"\"; c: assigned \"\"; PreparingRebalance 2 leader A of A,c",
    );
    after_two_static("wait 45s; state", "Empty 2");
}

#[test]
fn static_members_can_be_sent_away_by_name() {
    after_two_static("kick B; state; kick C", "B: ok; PreparingRebalance 1 leader A of A; C: UnknownMemberId");
}

#[test]
fn a_new_coordinator_goes_on_where_the_old_one_was() {
    after_two(
        "restart; state; heartbeat a; heartbeat b; sync b; wait 45s; state",
        "Stable 1 leader a of a,b; a: ok; b: ok; b: assigned \"2\"; Empty 2",
    );
    after_two("join c; join c; restart; state", "c: MemberIdRequired; Stable 1 leader a of a,b");
    after_two(
        "leave a b; restart; state; join c; join c; wait 3s",
        "a: ok ok; Empty 2; c: MemberIdRequired; c: joined 3 leader c of c",
    );
    check("join a; restart; state; join a", "a: MemberIdRequired; Empty 0; a: UnknownMemberId");
}

#[test]
fn groups_are_listed_and_described() {
    check("describe; describe v5; list", "describe: Dead   GroupIdNotFound; describe: Dead; list:");
    after_two(
        "describe; list; list stable Empty; list Dead; join c; join c; describe; list",
        "describe: Stable consumer range a/127.0.0.1:1* b/127.0.0.1:2*; list: g:Stable:consumer:classic; list: g:Stable:consumer:classic; list:; c: MemberIdRequired; describe: PreparingRebalance consumer  a/127.0.0.1:1 b/127.0.0.1:2 c/127.0.0.1:; list: g:PreparingRebalance:consumer:classic",
    );
    check("commit - t0=1; describe; list", "-: ok; describe: Empty; list: g:Empty::classic");
    after_two("leave a b; describe; list", "a: ok ok; describe: Empty consumer; list: g:Empty:consumer:classic");
}

#[test]
fn only_empty_groups_can_be_deleted() {
    check(
        "delete; commit - t0=1; delete; fetch t0; state; delete",
        "delete: GroupIdNotFound; -: ok; delete: ok; fetch: t0=-1; no group; delete: GroupIdNotFound",
    );
    after_two(
        "delete; leave a b; delete; state; describe v5",
        "delete: NonEmptyGroup; a: ok ok; delete: ok; no group; describe: Dead",
    );
    check("join a; delete; join a; state", "a: MemberIdRequired; delete: ok; a: UnknownMemberId; no group");
}
