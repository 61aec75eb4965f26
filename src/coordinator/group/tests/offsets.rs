//! Offsets: committed, fetched, expired, forgotten.

use super::{check, check_with};
use crate::coordinator::group::config::GroupConfig;

/// A consumer of topic `t`, stable in generation 1.
const ONE: &str = "join a v3; wait 3s; sync a a=1;";
const ONE_TOLD: &str = "a: joined 1 leader a of a; a: assigned \"1\";";

#[track_caller]
fn after_one(story: &str, expected: &str) {
    check(&format!("{ONE} {story}"), &format!("{ONE_TOLD} {expected}"));
}

#[test]
fn whoever_is_no_member_commits_to_an_empty_group() {
    check("fetch t0; fetch all", "fetch: t0=-1; fetch:");
    check("commit - t0=5; fetch t0; fetch t1; fetch all", "-: ok; fetch: t0=5; fetch: t1=-1; fetch: t0=5");
    after_one("commit - t0=5; leave a; commit - t0=5", "-: UnknownMemberId; a: ok; -: ok");
}

#[test]
fn members_commit_in_their_generation() {
    after_one("commit a t0=5 t1=6; fetch all", "a: ok ok; fetch: t0=5 t1=6");
    // While the others are awaited, the last generation may still commit; once the leader assigns, only the new one.
    after_one(
        "join b v3; commit a t0=5; join a; commit a t0=6; fetch t0; commit a t0=7 gen 1",
        "a: ok; a: joined 2 leader a of a,b; b: joined 2 leader a; a: RebalanceInProgress; fetch: t0=5; a: IllegalGeneration",
    );
}

#[test]
fn metadata_has_a_limit() {
    check("commit - t0=5 metadata 4096; commit - t1=5 metadata 4097; fetch all", "-: ok; -: OffsetMetadataTooLarge; fetch: t0=5");
}

#[test]
fn a_commit_too_large_for_one_batch_is_refused_whole() {
    let offsets: String = (0..300).map(|partition| format!(" t{partition}=1")).collect();
    check(
        &format!("commit -{offsets} metadata 4000; fetch all; fetch t0"),
        &format!("-:{}; fetch:; fetch: t0=-1", " InvalidCommitOffsetSize".repeat(300)),
    );
}

#[test]
fn offsets_of_a_transaction_count_when_it_commits() {
    check(
        "commit - t0=5; commit - t0=9 txn 7; fetch t0; fetch t0 stable; fetch all stable; end 7 commit; fetch t0 stable",
        "-: ok; -: ok; fetch: t0=5; fetch: t0 UnstableOffsetCommit; fetch: t0 UnstableOffsetCommit; 7: done; fetch: t0=9",
    );
    check("commit - t0=5; commit - t0=9 txn 7; end 7 abort; fetch t0 stable", "-: ok; -: ok; 7: done; fetch: t0=5");
    check(
        "commit - t0=9 txn 7; restart; fetch t0 stable; end 7 commit; restart; fetch t0 stable",
        "-: ok; fetch: t0 UnstableOffsetCommit; 7: done; fetch: t0=9",
    );
    // In the order of the log, whoever commits first.
    check("commit - t0=9 txn 7; commit - t0=3; end 7 commit; fetch t0", "-: ok; -: ok; 7: done; fetch: t0=3");
}

#[test]
fn a_transaction_of_a_member_is_checked() {
    after_one(
        "commit a t0=1 txn 7; commit a t0=1 txn 7 gen 3; commit b t0=1 txn 7 gen 1; join b v3; join a; commit a t0=2 txn 7",
        "a: ok; a: IllegalGeneration; b: UnknownMemberId; a: joined 2 leader a of a,b; b: joined 2 leader a; a: ok",
    );
    // Producers of before KIP-447 do not say who they are.
    after_one("commit - t0=1 txn 7", "-: ok");
    check("commit a t0=1 txn 7 gen 3", "a: IllegalGeneration");
}

#[test]
fn offsets_that_nobody_reads_can_be_forgotten() {
    check("forget t0; commit - t0=5; forget t0; fetch t0", "forget: GroupIdNotFound; -: ok; forget: ok; fetch: t0=-1");
    after_one(
        "commit a t0=5 u0=6; forget t0; forget u0; fetch all",
        "a: ok ok; forget: GroupSubscribedToTopic; forget: ok; fetch: t0=5",
    );
    check(
        "join a v3 type connect; wait 3s; sync a; commit a t0=5; forget t0",
        "a: joined 1 leader a of a; a: assigned \"\"; a: ok; forget: NonEmptyGroup",
    );
    check(
        "commit - t0=5; commit - t0=9 txn 7; forget t0; end 7 commit; fetch t0",
        "-: ok; -: ok; forget: ok; 7: done; fetch: t0=-1",
    );
}

#[test]
fn offsets_of_deleted_topics_go() {
    check(
        "commit - t0=5 u0=6; commit - t1=7 txn 7; drop t; fetch all; end 7 commit; fetch all",
        "-: ok ok; -: ok; drop: done; fetch: u0=6; 7: done; fetch: u0=6",
    );
}

#[test]
fn offsets_expire_when_the_group_has_been_empty_long_enough() {
    after_one(
        "commit a t0=5; leave a; wait 7d; fetch all; state; wait 10m; fetch all; state",
        "a: ok; a: ok; fetch:; no group; fetch:; no group",
    );
    after_one("commit a t0=5; leave a; wait 6d; commit - t0=6; wait 1d; wait 10m; state", "a: ok; a: ok; -: ok; no group");
}

#[test]
fn offsets_of_simple_groups_expire_each_for_itself() {
    check(
        "commit - t0=5; wait 3d; commit - t1=6; wait 4d; wait 10m; fetch all; state; wait 3d; state",
        "-: ok; -: ok; fetch: t1=6; Empty 0; no group",
    );
}

#[test]
fn offsets_of_topics_that_a_group_no_longer_reads_expire() {
    check_with(
        GroupConfig { offsets_retention_ms: 30 * 60_000, ..GroupConfig::default() },
        "join a v3 session 30m; wait 3s; sync a a=1; commit a t0=5 u0=6; wait 20m; heartbeat a; fetch all; wait 20m; heartbeat a; fetch all",
        "a: joined 1 leader a of a; a: assigned \"1\"; a: ok ok; a: ok; fetch: t0=5 u0=6; a: ok; fetch: t0=5",
    );
    // Who cannot be understood may read anything.
    check_with(
        GroupConfig { offsets_retention_ms: 30 * 60_000, ..GroupConfig::default() },
        "join a v3 session 30m topics garbage; wait 3s; sync a a=1; commit a u0=6; wait 20m; heartbeat a; wait 20m; heartbeat a; fetch all",
        "a: joined 1 leader a of a; a: assigned \"1\"; a: ok; a: ok; a: ok; fetch: u0=6",
    );
}

#[test]
fn a_commit_may_bring_its_own_expiry() {
    check("commit - t0=5 retention 1h; commit - t1=5; wait 1h; wait 10m; fetch all", "-: ok; -: ok; fetch: t1=5");
}

#[test]
fn nothing_expires_while_a_transaction_may_commit_over_it() {
    check(
        "commit - t0=5; commit - t0=9 txn 7; wait 8d; fetch all; end 7 abort; wait 10m; fetch all; state",
        "-: ok; -: ok; fetch: t0=5; 7: done; fetch:; no group",
    );
}

#[test]
fn groups_without_offsets_do_not_linger() {
    check("join a; wait 10m; state", "a: MemberIdRequired; no group");
    after_one("leave a; wait 9m; state; wait 1m; state", "a: ok; Empty 2; no group");
    check("commit - t0=5; forget t0; wait 10m; state", "-: ok; forget: ok; no group");
}
