//! What a transaction includes, and who waits for the one before.

use super::*;
use ErrorCode::*;
use TransactionResult::*;

#[test]
fn a_transaction_begins_with_its_first_partition() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    assert_eq!(world.verify("t", p, &[("a", 0)]), Ok(vec![Some(TransactionAbortable)]));
    world.add("t", p, &[("a", 0)]).unwrap();
    let started = world.metadata("t").start_timestamp;
    world.now_ms += 5;
    world.add("t", p, &[("a", 0), ("b", 1)]).unwrap();
    assert_eq!(world.metadata("t").partitions, partitions(&[("a", 0), ("b", 1)]));
    assert_eq!(world.metadata("t").start_timestamp, started);
    assert_eq!(world.verify("t", p, &[("a", 0), ("c", 0)]), Ok(vec![None, Some(TransactionAbortable)]));
}

#[test]
fn only_the_holder_adds() {
    let mut world = World::new();
    let old = world.init("t", None).unwrap();
    let p = world.init("t", None).unwrap();
    for (id, who, error) in [
        ("unknown", p, InvalidProducerIdMapping),
        ("t", producer(7, 1), InvalidProducerIdMapping),
        ("t", old, ProducerFenced),
        ("t", producer(p.id, p.epoch + 1), ProducerFenced),
    ] {
        assert_eq!(world.add(id, who, &[("a", 0)]), Err(error));
        assert_eq!(world.verify(id, who, &[("a", 0)]), Err(error));
    }
}

#[test]
fn what_follows_at_once_waits_for_the_markers_of_what_was_before() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    let next = world.end("t", p, Commit, 2).unwrap();
    let work = world.work();
    assert_eq!(world.verify("t", next, &[("a", 0)]), Err(ConcurrentTransactions));
    let (first, second) = (
        world.submit(World::add_request("t", next, &[("b", 0)], 2)),
        world.submit(World::add_request("t", next, &[("b", 1)], 2)),
    );
    let stale = world.submit(World::add_request("t", p, &[("b", 2)], 2));
    assert_eq!(world.answer(stale), Some(TransactionResponse::Added(Err(ProducerFenced))), "it is not asked to wait");
    assert_eq!((world.answer(first), world.answer(second)), (None, None));
    world.finish(&work.markers[0]);
    assert_eq!(world.answer(first), Some(TransactionResponse::Added(Ok(()))));
    assert_eq!(world.answer(second), Some(TransactionResponse::Added(Ok(()))));
    assert_eq!((world.state("t"), world.metadata("t").partitions.len()), (TransactionState::Ongoing, 2));
}

#[test]
fn nobody_waits_for_longer_than_configured() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    let next = world.end("t", p, Commit, 2).unwrap();
    let first = world.submit(World::add_request("t", next, &[("b", 0)], 2));
    world.wait(60);
    let second = world.submit(World::add_request("t", next, &[("b", 1)], 2));
    world.wait(50);
    assert_eq!(world.answer(first), Some(TransactionResponse::Added(Err(ConcurrentTransactions))));
    assert_eq!(world.answer(second), None, "it came later");
    world.wait(60);
    assert_eq!(world.answer(second), Some(TransactionResponse::Added(Err(ConcurrentTransactions))));
    world.finish_all();
    assert_eq!(world.state("t"), TransactionState::CompleteCommit, "who gave up adds nothing");
}

#[test]
fn a_producer_whose_epochs_are_used_up_waits_under_its_next_id() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    let last = TransactionMetadata { producer_epoch: ProducerEpoch::MAX - 1, ..world.metadata("t").clone() };
    world.set("t", last);
    let p = producer(p.id, ProducerEpoch::MAX - 1);
    world.add("t", p, &[("a", 0)]).unwrap();
    let next = world.end("t", p, Commit, 2).unwrap();
    assert_eq!((next.id != p.id, next.epoch), (true, 0));
    let waiting = world.submit(World::add_request("t", next, &[("a", 0)], 2));
    assert_eq!(world.answer(waiting), None);
    world.finish_all();
    assert_eq!(world.answer(waiting), Some(TransactionResponse::Added(Ok(()))));
}

#[test]
fn what_the_log_cannot_take_is_refused_before_anything_is_decided() {
    let mut world = World::new();
    world.max_batch_bytes = 1000;
    let p = world.init("t", None).unwrap();
    let many: Vec<_> = (0..200).map(|n| ("a", n)).collect();
    assert_eq!(world.add("t", p, &many), Err(UnknownServerError));
    assert_eq!(world.state("t"), TransactionState::Empty);
    assert_eq!(world.add("t", p, &many[..100]), Ok(()));
    assert_eq!(world.add("t", p, &many[100..]), Err(UnknownServerError), "with those that are there");
    assert_eq!(world.metadata("t").partitions.len(), 100);

    let next = world.end("t", p, Commit, 2).unwrap();
    let waiting = [&many[..], &many[..10]].map(|added| world.submit(World::add_request("t", next, added, 2)));
    world.finish_all();
    let answers = waiting.map(|id| world.answer(id));
    assert_eq!(answers, [Err(UnknownServerError), Ok(())].map(|answer| Some(TransactionResponse::Added(answer))));

    // The topic's limit may come down.
    world.max_batch_bytes = 200;
    for version in [0, 2] {
        assert_eq!(world.end("t", next, Commit, version), Err(UnknownServerError));
    }
    assert_eq!(world.init("t", None), Err(UnknownServerError), "which would abort it");
    world.wait(minutes(2));
    let fence = TransactionRequest::FenceTimedOut { id: text("t"), producer: next, fresh: None };
    let fenced: Result<Producer, Refused> = world.ask(fence);
    assert_eq!(fenced, Err(Refused::Error(UnknownServerError)));
    assert_eq!((world.state("t"), world.work().markers), (TransactionState::Ongoing, vec![]), "no marker without a decision");
    assert_eq!(world.init(&"x".repeat(100), None), Err(UnknownServerError));
    assert!(world.init("y", None).is_ok());
    world.max_batch_bytes = 1000;
    assert_eq!(world.end("t", next, Commit, 2), Ok(producer(next.id, next.epoch + 1)));
}
