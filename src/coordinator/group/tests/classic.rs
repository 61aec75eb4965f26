//! The classic protocol, told as stories.

use super::check;

#[test]
fn two_members_share_a_group() {
    check(
        "join a; join a; join b; join b; wait 3s; wait 3s; sync b; sync a a=1 b=2; heartbeat a; heartbeat b; state",
        "a: MemberIdRequired; b: MemberIdRequired; a: joined 1 leader a of a,b; b: joined 1 leader a; a: assigned \"1\"; b: assigned \"2\"; a: ok; b: ok;
         Stable 1 leader a of a,b",
    );
}
