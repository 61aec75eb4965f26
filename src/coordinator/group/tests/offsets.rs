//! Offsets: committed, fetched, expired, forgotten.

use super::check;

#[test]
fn whoever_is_no_member_commits_to_an_empty_group() {
    check("commit - t0=5; fetch t0; fetch t1; fetch all", "-: ok; fetch: t0=5; fetch: t1=-1; fetch: t0=5");
}
