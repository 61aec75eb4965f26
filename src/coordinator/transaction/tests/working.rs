//! Markers, timeouts and expiry: what has to be done in the world.

use super::*;
use crate::coordinator::transaction::work::{Ends, Finished};
use TransactionResult::*;

#[test]
fn work_is_told_with_the_decision_that_makes_it() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0), ("b", 1)]).unwrap();
    let taking = world.submit(TransactionRequest::TakeWork { again: false });
    assert_eq!(world.answer(taking), None, "it waits");
    world.end("t", p, Commit, 2).unwrap();
    let work: Work = world.answer(taking).unwrap().into();
    let [markers] = &work.markers[..] else { panic!("{work:?}") };
    assert_eq!(markers.partitions, partitions(&[("a", 0), ("b", 1)]));
    assert_eq!((markers.end.coordinator_epoch, markers.end.transaction_version), (COORDINATOR_EPOCH, 2));
    let nothing_new = world.submit(TransactionRequest::TakeWork { again: false });
    assert_eq!(world.answer(nothing_new), None, "it is told once");
    world.finish(markers);
    assert_eq!(world.state("t"), TransactionState::CompleteCommit);
    world.finish(markers);
    assert_eq!(world.state("t"), TransactionState::CompleteCommit, "a second time changes nothing");
}

#[test]
fn what_has_ended_since_it_was_told_is_not_ended_again() {
    let decided = |decision| Finished { id: StrBytes::from_static_str("t"), decision };
    let mut ending = Ends::default();
    ending.ask();
    assert!(ending.begin(decided(10)));
    ending.ask();
    assert!(!ending.begin(decided(10)), "an answer that was thought lost was not");
    assert!(ending.begin(decided(14)), "the producer's next, though the end of the last was not seen yet");
    ending.end(decided(10));
    assert!(!ending.begin(decided(10)), "the answer may have been made before the end");
    ending.ask();
    assert!(ending.begin(decided(10)), "asked after the end: somebody took it up in vain");
    assert!(!ending.begin(decided(14)), "still under way");
}

/// A client of version 1 keeps its epoch: only where it was decided tells its next transaction from the last.
#[test]
fn a_word_about_the_last_transaction_does_not_end_the_next_of_the_same_producer() {
    for restarts in [false, true] {
        let mut world = World::new();
        let p = world.init("t", None).unwrap();
        world.add("t", p, &[("a", 0)]).unwrap();
        assert_eq!(world.end("t", p, Commit, 0), Ok(p));
        let first = world.work().markers.remove(0);
        if restarts {
            world.restart();
            assert_eq!(world.work().markers[0].finished(), first.finished(), "known to who ends it already");
        }
        world.finish(&first);
        world.add("t", p, &[("b", 0)]).unwrap();
        assert_eq!(world.end("t", p, Commit, 0), Ok(p));
        world.finish(&first);
        assert_eq!(world.state("t"), TransactionState::PrepareCommit, "told twice, after a lost answer");
        let second = world.work().markers.remove(0);
        assert_eq!((&second.end.producer, second.partitions.clone()), (&first.end.producer, partitions(&[("b", 0)])));
        assert_ne!(second.finished(), first.finished());
        world.finish(&second);
        assert_eq!(world.state("t"), TransactionState::CompleteCommit);
    }
}

#[test]
fn an_answer_that_was_lost_is_told_again() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    world.end("t", p, Abort, 0).unwrap();
    let first = world.work();
    assert_eq!(world.work(), first);
    world.restart();
    let again = world.work();
    assert_eq!(again.markers[0].end.coordinator_epoch, COORDINATOR_EPOCH + 1, "another leader writes them");
    assert_eq!(again.markers[0].partitions, first.markers[0].partitions);
    assert_eq!(again.markers[0].end.transaction_version, 0, "as the client spoke");
}

/// Somebody still writes them for the shard that was before.
#[test]
fn markers_that_nobody_took_are_not_told_when_they_are_written() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    world.end("t", p, Commit, 0).unwrap();
    let taken = world.work().markers.remove(0);
    world.restart();
    world.finish(&taken);
    let taking = world.submit(TransactionRequest::TakeWork { again: false });
    assert_eq!(world.answer(taking), None, "they would end what the producer begins next");
}

#[test]
fn an_end_of_an_earlier_transaction_finishes_nothing() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    let next = world.end("t", p, Commit, 2).unwrap();
    let first = world.work().markers.remove(0);
    world.finish(&first);
    world.add("t", next, &[("a", 0)]).unwrap();
    world.end("t", next, Abort, 2).unwrap();
    world.finish(&first);
    assert_eq!(world.state("t"), TransactionState::PrepareAbort);
}

#[test]
fn an_abort_of_nothing_needs_no_markers() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    let next = world.end("t", p, Abort, 2).unwrap();
    let work = world.work();
    assert!(work.markers[0].partitions.is_empty());
    world.finish(&work.markers[0]);
    assert_eq!((world.state("t"), world.metadata("t").producer()), (TransactionState::CompleteAbort, next));
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    world.wait(TIMEOUT_MS as u64 - 1);
    assert_eq!(world.work().timed_out, []);
    world.wait(world.config.abort_timed_out_interval_ms as u64 + 1);
    let timed_out = world.work().timed_out;
    assert_eq!(timed_out.len(), 1);
    let fence = |fresh| TransactionRequest::FenceTimedOut { id: text("t"), producer: timed_out[0].producer, fresh };
    let fenced: Result<Producer, Refused> = world.ask(fence(None));
    assert_eq!(fenced, Ok(p));
    world.finish_all();
    assert_eq!((world.state("t"), world.metadata("t").producer_epoch), (TransactionState::CompleteAbort, p.epoch + 1));
    assert_eq!(world.add("t", p, &[("a", 0)]), Err(ErrorCode::ProducerFenced));
    assert_eq!(world.end("t", p, Commit, 2), Err(ErrorCode::ProducerFenced));
    assert_eq!(world.end("t", p, Abort, 2), Ok(producer(p.id, p.epoch + 1)), "which is what it wants to hear");
    let late: Result<Producer, Refused> = world.ask(fence(None));
    assert_eq!(late, Ok(p), "a second look comes too late and changes nothing");
    assert_eq!(world.state("t"), TransactionState::CompleteAbort);
}

#[test]
fn a_look_never_aborts_a_later_transaction() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    world.wait(minutes(2));
    let stale = world.work().timed_out.remove(0);
    let next = world.end("t", p, Commit, 2).unwrap();
    world.finish_all();
    world.add("t", next, &[("a", 0)]).unwrap();
    let fence = TransactionRequest::FenceTimedOut { id: stale.id, producer: stale.producer, fresh: None };
    let _: Result<Producer, Refused> = world.ask(fence);
    assert_eq!(world.state("t"), TransactionState::Ongoing);
}

#[test]
fn timeouts_are_kept_across_a_restart() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    world.restart();
    world.wait(minutes(2));
    assert_eq!(world.work().timed_out.len(), 1);
}

#[test]
fn ids_that_nobody_uses_are_forgotten_but_no_open_transaction() {
    let mut world = World::new();
    world.init("idle", None).unwrap();
    let p = world.init("done", None).unwrap();
    world.add("done", p, &[("a", 0)]).unwrap();
    world.end("done", p, Commit, 2).unwrap();
    world.finish_all();
    let p = world.init("open", None).unwrap();
    world.add("open", p, &[("a", 0)]).unwrap();
    let week = world.config.id_expiration_ms as u64;
    world.wait(week - minutes(120));
    world.init("used", None).unwrap();
    world.wait(minutes(240));
    let left: Vec<_> = world.shard.durable().into_keys().collect();
    assert_eq!(left, [text("open"), text("used")]);
}

#[test]
fn transactions_are_listed_by_what_is_asked() {
    use kafka_protocol::messages::{ListTransactionsRequest, ProducerId};

    use crate::coordinator::transaction::describe::TransactionFilter;

    let mut world = World::new();
    let p = world.init("orders-1", None).unwrap();
    world.add("orders-1", p, &[("a", 0)]).unwrap();
    world.wait(1000);
    world.init("orders-2", None).unwrap();
    world.init("billing", None).unwrap();
    let mut listed = |request: ListTransactionsRequest| {
        let (filter, _) = TransactionFilter::of(&request).unwrap();
        let listed: Vec<kafka_protocol::messages::list_transactions_response::TransactionState> =
            world.ask(TransactionRequest::List(Arc::new(filter)));
        listed.iter().map(|it| it.transactional_id.to_string()).collect::<Vec<_>>()
    };
    let all = ListTransactionsRequest::default().with_duration_filter(-1);
    assert_eq!(listed(all.clone()), ["billing", "orders-1", "orders-2"]);
    assert_eq!(listed(all.clone().with_state_filters(vec![text("Ongoing")])), ["orders-1"]);
    assert_eq!(listed(all.clone().with_state_filters(vec![text("Nonsense")])), [] as [&str; 0]);
    assert_eq!(listed(all.clone().with_producer_id_filters(vec![ProducerId(p.id)])), ["orders-1"]);
    assert_eq!(listed(all.clone().with_state_filters(vec![text("Ongoing")]).with_duration_filter(1000)), [] as [&str; 0]);
    assert_eq!(listed(all.clone().with_state_filters(vec![text("Ongoing")]).with_duration_filter(999)), ["orders-1"]);
    assert_eq!(listed(all.clone().with_transactional_id_pattern(Some(text("orders-.*")))), ["orders-1", "orders-2"]);
    assert_eq!(listed(all.clone().with_transactional_id_pattern(Some(text("orders")))), [] as [&str; 0], "the whole id");
    assert_eq!(listed(all.clone().with_transactional_id_pattern(Some(text("")))).len(), 3);
    let (_, unknown) = TransactionFilter::of(&all.clone().with_state_filters(vec![text("Ongoing"), text("x")])).unwrap();
    assert_eq!(unknown, [text("x")]);
    let wrong = TransactionFilter::of(&all.with_transactional_id_pattern(Some(text("("))));
    assert_eq!(wrong.err(), Some(ErrorCode::InvalidRegularExpression));
}
