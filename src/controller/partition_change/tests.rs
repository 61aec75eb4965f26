//! The behaviours of Kafka's `PartitionChangeBuilderTest`, as a table.

use super::*;

/// A partition on replicas 2, 1, 3 unless said otherwise.
struct Before {
    replicas: &'static [i32],
    isr: &'static [i32],
    elr: &'static [i32],
    last_known: &'static [i32],
    leader: i32,
    recovering: bool,
    adding: &'static [i32],
    removing: &'static [i32],
}

const BEFORE: Before = Before {
    replicas: &[2, 1, 3],
    isr: &[2, 1, 3],
    elr: &[],
    last_known: &[],
    leader: 1,
    recovering: false,
    adding: &[],
    removing: &[],
};

impl Before {
    fn partition(&self) -> PartitionRegistration {
        let list = |ids: &[i32]| Replicas::from_slice(ids);
        let directories = self.replicas.iter().map(|id| Uuid::from_u128(500 + *id as u128)).collect();
        let mut p = PartitionRegistration::new(list(self.replicas), directories, list(self.isr));
        p.leader = self.leader;
        p.recovering = self.recovering;
        let change = PartitionChange {
            elr: Some(list(self.elr)),
            last_known_elr: Some(list(self.last_known)),
            adding: Some(list(self.adding)),
            removing: Some(list(self.removing)),
            ..Default::default()
        };
        (p.leader_epoch, p.partition_epoch) = (100, 199);
        p.merge(&change)
    }
}

struct Ask {
    isr: Option<&'static [i32]>,
    alive: &'static [i32],
    election: Election,
    min_isr: usize,
    elr: bool,
    unclean: Option<i32>,
}

const ASK: Ask = Ask { isr: None, alive: &[1, 2, 3, 4], election: Election::Online, min_isr: 1, elr: true, unclean: None };

/// `leader@epoch isr elr/last-known`, `!` if recovering, and replicas if they changed; or `nothing`.
fn change(before: Before, ask: Ask) -> String {
    let partition = before.partition();
    assert_eq!(partition.partition_epoch, 200);
    let acceptable = |id: BrokerId| ask.alive.contains(&id);
    let default_dir = |_: BrokerId| Uuid::from_u128(1);
    let mut builder =
        PartitionChangeBuilder::new(&partition, Uuid::from_u128(1000), 0, &acceptable, &default_dir, ask.min_isr, ask.elr)
            .election(ask.election)
            .unclean_shutdown(ask.unclean);
    if let Some(isr) = ask.isr {
        builder = builder.isr(Replicas::from_slice(isr));
    }
    let Some(change) = builder.build() else { return "nothing".into() };
    let p = partition.merge(&change);
    assert_eq!((p.partition_epoch, p.broken_invariant()), (201, None));
    let moved = if p.replicas == partition.replicas { String::new() } else { format!(" on {:?}", &p.replicas[..]) };
    let under_way = if p.is_reassigning() { format!(" +{:?} -{:?}", p.adding(), p.removing()) } else { String::new() };
    let recovering = if p.recovering { "!" } else { "" };
    format!(
        "{}@{} {:?} {:?}/{:?}{recovering}{moved}{under_way}",
        p.leader,
        p.leader_epoch,
        &p.isr[..],
        p.elr(),
        p.last_known_elr()
    )
}

#[test]
fn elections_among_those_in_sync() {
    for (before, ask, expected) in [
        (BEFORE, ASK, "nothing"),
        (BEFORE, Ask { election: Election::Preferred, ..ASK }, "2@101 [2, 1, 3] []/[]"),
        (BEFORE, Ask { election: Election::Preferred, alive: &[1, 3], ..ASK }, "nothing"),
        (BEFORE, Ask { election: Election::Preferred, alive: &[3], ..ASK }, "3@101 [2, 1, 3] []/[]"),
        (BEFORE, Ask { alive: &[2, 3], ..ASK }, "2@101 [2, 1, 3] []/[]"),
        (BEFORE, Ask { alive: &[], ..ASK }, "-1@101 [2, 1, 3] []/[]"),
        (Before { leader: -1, ..BEFORE }, Ask { alive: &[3], ..ASK }, "3@101 [2, 1, 3] []/[]"),
        (BEFORE, Ask { isr: Some(&[2, 3]), ..ASK }, "2@101 [2, 3] []/[]"),
    ] {
        assert_eq!(change(before, ask), expected);
    }
}

#[test]
fn shrinking_and_growing_do_not_raise_the_leader_epoch() {
    for elr in [true, false] {
        assert_eq!(change(BEFORE, Ask { isr: Some(&[2, 1]), elr, ..ASK }), "1@100 [2, 1] []/[]");
        assert_eq!(change(Before { isr: &[1], ..BEFORE }, Ask { isr: Some(&[1, 2, 3]), elr, ..ASK }), "1@100 [1, 2, 3] []/[]");
    }
}

#[test]
fn an_unclean_leader_is_alone_and_recovering() {
    let lost = Before { isr: &[1], ..BEFORE };
    for elr in [true, false] {
        let unclean = Ask { alive: &[3], election: Election::Unclean, elr, ..ASK };
        assert_eq!(change(Before { ..lost }, unclean), "3@101 [3] []/[]!");
        let clean = Ask { alive: &[1, 3], election: Election::Unclean, elr, ..ASK };
        assert_eq!(change(Before { leader: -1, ..lost }, clean), "1@101 [1] []/[]", "cleanly if possible");
        let again = Before { isr: &[1], recovering: true, ..BEFORE };
        assert_eq!(change(again, Ask { alive: &[3], election: Election::Unclean, elr, ..ASK }), "3@101 [3] []/[]!");
        assert_eq!(change(Before { ..lost }, Ask { alive: &[3], elr, ..ASK }), "-1@101 [1] []/[]", "not unless allowed");
    }
}

#[test]
fn without_elr_the_last_member_stays_in_the_isr() {
    let ask = Ask { isr: Some(&[]), alive: &[2, 3], elr: false, ..ASK };
    assert_eq!(change(Before { isr: &[1], ..BEFORE }, ask), "-1@101 [1] []/[]");
    let with = Before { elr: &[3], last_known: &[2], ..BEFORE };
    let ask = Ask { isr: Some(&[2, 1]), elr: false, ..ASK };
    assert_eq!(
        change(Before { isr: &[2, 1], ..with }, ask),
        "1@100 [2, 1] []/[2]",
        "what ELR left is emptied, its last leader kept"
    );
}

#[test]
fn whoever_leaves_an_isr_that_is_too_small_goes_to_the_elr() {
    let two = Ask { min_isr: 2, ..ASK };
    let isr_of_1 = Before { isr: &[1], elr: &[2, 3], ..BEFORE };
    for (before, ask, expected) in [
        (BEFORE, Ask { isr: Some(&[1, 2]), ..two }, "1@100 [1, 2] []/[]"),
        (BEFORE, Ask { isr: Some(&[1]), ..two }, "1@100 [1] [2, 3]/[]"),
        (Before { isr: &[1, 2], ..BEFORE }, Ask { isr: Some(&[1]), ..two }, "1@100 [1] [2]/[]"),
        (Before { ..isr_of_1 }, Ask { isr: Some(&[1, 2]), ..two }, "1@100 [1, 2] []/[]"),
        (Before { ..isr_of_1 }, Ask { isr: Some(&[]), alive: &[], ..two }, "-1@101 [] [1, 2, 3]/[1]"),
        (Before { ..isr_of_1 }, Ask { isr: Some(&[]), alive: &[3], ..two }, "3@101 [3] [1, 2]/[]"),
        (BEFORE, Ask { isr: Some(&[1]), unclean: Some(2), ..two }, "1@100 [1] [3]/[]"),
        (Before { ..isr_of_1 }, Ask { unclean: Some(2), ..two }, "1@100 [1] [3]/[]"),
    ] {
        assert_eq!(change(before, ask), expected);
    }
}

#[test]
fn the_isr_is_preferred_to_the_elr() {
    let before = Before { isr: &[3], elr: &[1, 2], leader: -1, ..BEFORE };
    assert_eq!(change(Before { ..before }, Ask { min_isr: 2, ..ASK }), "3@101 [3] [1, 2]/[]");
    assert_eq!(change(before, Ask { min_isr: 2, alive: &[1, 2], ..ASK }), "nothing", "the ELR leads only once the ISR is empty");
}

#[test]
fn the_last_leader_leads_again_when_all_lists_are_empty() {
    let empty = Before { isr: &[], last_known: &[1], leader: -1, ..BEFORE };
    assert_eq!(change(Before { ..empty }, ASK), "1@101 [1] []/[]!");
    assert_eq!(change(Before { ..empty }, Ask { alive: &[2, 3], ..ASK }), "nothing", "unless it is not there");
    let unclean = Ask { alive: &[2, 3], election: Election::Unclean, ..ASK };
    assert_eq!(change(empty, unclean), "2@101 [2] []/[]!");
    let sole = Before { replicas: &[1], isr: &[1], ..BEFORE };
    let crashed = Ask { isr: Some(&[]), alive: &[], unclean: Some(1), ..ASK };
    assert_eq!(change(sole, crashed), "-1@101 [] []/[1]");
}

#[test]
fn a_reassignment_ends_when_the_new_replicas_are_in_sync() {
    let moving = Before { replicas: &[2, 1, 3, 4], isr: &[2, 1, 3], adding: &[4], removing: &[2], ..BEFORE };
    for (before, ask, expected) in [
        (Before { ..moving }, ASK, "nothing"),
        (Before { ..moving }, Ask { isr: Some(&[2, 1, 3, 4]), ..ASK }, "1@101 [1, 3, 4] []/[] on [1, 3, 4]"),
        (Before { leader: 2, ..moving }, Ask { isr: Some(&[2, 1, 3, 4]), ..ASK }, "1@101 [1, 3, 4] []/[] on [1, 3, 4]"),
        (Before { ..moving }, Ask { isr: Some(&[1, 4]), ..ASK }, "1@100 [1, 4] []/[] +[4] -[2]"),
        (Before { removing: &[], ..moving }, Ask { isr: Some(&[2, 1, 3, 4]), ..ASK }, "1@100 [2, 1, 3, 4] []/[]"),
        (Before { adding: &[], replicas: &[2, 1, 3], ..moving }, ASK, "1@101 [1, 3] []/[] on [1, 3]"),
    ] {
        assert_eq!(change(before, ask), expected);
    }
}

#[test]
fn directories_follow_their_replicas() {
    let partition = BEFORE.partition();
    let all = |_: BrokerId| true;
    let dir = |id: BrokerId| Uuid::from_u128(900 + id as u128);
    let builder = || PartitionChangeBuilder::new(&partition, Uuid::from_u128(1000), 0, &all, &dir, 1, true);
    let change = builder().directory(1, Uuid::from_u128(700)).build().unwrap();
    assert_eq!(change.directories.unwrap()[..], [502, 700, 503].map(Uuid::from_u128));
    assert_eq!(builder().directory(1, Uuid::from_u128(501)).build(), None);
}
