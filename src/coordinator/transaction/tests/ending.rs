//! How transactions end, for clients of both versions.

use super::*;
use ErrorCode::*;
use TransactionResult::*;
use TransactionState as S;

const PID: ProducerId = 5;

/// An id in a state, with a stored epoch.
fn stored(state: S, epoch: ProducerEpoch) -> TransactionMetadata {
    let is_open = matches!(state, S::Ongoing | S::PrepareCommit | S::PrepareAbort);
    TransactionMetadata {
        producer_epoch: epoch,
        state,
        partitions: if is_open { partitions(&[("a", 0)]) } else { BTreeSet::new() },
        start_timestamp: 1,
        client_transaction_version: 2,
        ..TransactionMetadata::new(PID, TIMEOUT_MS, 0)
    }
}

/// What becomes of an end that is asked for at epoch 3: the answer's epoch or error, and the state after.
fn end(state: S, stored_epoch: ProducerEpoch, result: TransactionResult, version: i16) -> (Result<ProducerEpoch, ErrorCode>, S) {
    let mut world = World::new();
    world.set("t", stored(state, stored_epoch));
    let answer = world.end("t", producer(PID, 3), result, version).map(|producer| producer.epoch);
    (answer, world.state("t"))
}

#[test]
fn clients_of_version_1_end_by_state() {
    let cases = [
        (S::Ongoing, Commit, Ok(3), S::PrepareCommit),
        (S::Ongoing, Abort, Ok(3), S::PrepareAbort),
        (S::PrepareCommit, Commit, Err(ConcurrentTransactions), S::PrepareCommit),
        (S::PrepareCommit, Abort, Err(InvalidTxnState), S::PrepareCommit),
        (S::PrepareAbort, Abort, Err(ConcurrentTransactions), S::PrepareAbort),
        (S::PrepareAbort, Commit, Err(InvalidTxnState), S::PrepareAbort),
        (S::CompleteCommit, Commit, Ok(3), S::CompleteCommit),
        (S::CompleteCommit, Abort, Err(InvalidTxnState), S::CompleteCommit),
        (S::CompleteAbort, Abort, Ok(3), S::CompleteAbort),
        (S::CompleteAbort, Commit, Err(InvalidTxnState), S::CompleteAbort),
        (S::Empty, Commit, Err(InvalidTxnState), S::Empty),
        (S::Empty, Abort, Err(InvalidTxnState), S::Empty),
    ];
    for (state, result, answer, after) in cases {
        assert_eq!(end(state, 3, result, 0), (answer, after), "{result:?} in {state:?}");
        for other in [2, 4] {
            assert_eq!(end(state, other, result, 0), (Err(ProducerFenced), state), "{result:?} in {state:?} at {other}");
        }
    }
}

#[test]
fn clients_of_version_2_end_by_state_and_epoch() {
    // At the epoch that is stored: a new end.
    let new = [
        (S::Ongoing, Commit, Ok(4), S::PrepareCommit),
        (S::Ongoing, Abort, Ok(4), S::PrepareAbort),
        (S::PrepareCommit, Commit, Err(ProducerFenced), S::PrepareCommit),
        (S::PrepareAbort, Abort, Err(ProducerFenced), S::PrepareAbort),
        (S::CompleteCommit, Commit, Err(InvalidTxnState), S::CompleteCommit),
        (S::CompleteAbort, Commit, Err(InvalidTxnState), S::CompleteAbort),
        (S::Empty, Commit, Err(InvalidTxnState), S::Empty),
        // Aborts of nothing: the client does not know whether its partitions were added.
        (S::CompleteCommit, Abort, Ok(4), S::PrepareAbort),
        (S::CompleteAbort, Abort, Ok(4), S::PrepareAbort),
        (S::Empty, Abort, Ok(4), S::PrepareAbort),
    ];
    for (state, result, answer, after) in new {
        assert_eq!(end(state, 3, result, 2), (answer, after), "{result:?} in {state:?}");
    }
    // One above: the end was decided, and its answer lost.
    let again = [
        (S::PrepareCommit, Commit, Err(ConcurrentTransactions)),
        (S::PrepareCommit, Abort, Err(InvalidTxnState)),
        (S::PrepareAbort, Abort, Err(ConcurrentTransactions)),
        (S::PrepareAbort, Commit, Err(ProducerFenced)),
        (S::CompleteCommit, Commit, Ok(4)),
        (S::CompleteCommit, Abort, Err(InvalidTxnState)),
        (S::CompleteAbort, Abort, Ok(4)),
        (S::CompleteAbort, Commit, Err(ProducerFenced)),
        (S::Ongoing, Commit, Err(ProducerFenced)),
        (S::Empty, Abort, Err(ProducerFenced)),
    ];
    for (state, result, answer) in again {
        assert_eq!(end(state, 4, result, 2), (answer, state), "{result:?} in {state:?}, again");
    }
    for state in [S::Empty, S::Ongoing, S::PrepareCommit, S::CompleteCommit, S::CompleteAbort] {
        for far in [2, 5] {
            assert_eq!(end(state, far, Commit, 2), (Err(ProducerFenced), state), "{state:?} at {far}");
        }
    }
}

#[test]
fn who_does_not_hold_the_id_ends_nothing() {
    for version in [0, 2] {
        let mut world = World::new();
        assert_eq!(world.end("unknown", producer(PID, 3), Commit, version), Err(InvalidProducerIdMapping));
        world.set("t", stored(S::Ongoing, 3));
        assert_eq!(world.end("t", producer(6, 3), Commit, version), Err(InvalidProducerIdMapping));
        assert_eq!(world.state("t"), S::Ongoing);
    }
}

#[test]
fn every_end_of_version_2_bumps_the_epoch_and_a_delayed_end_does_not_reach_the_next_transaction() {
    let mut world = World::new();
    let p = world.init("t", None).unwrap();
    world.add("t", p, &[("a", 0)]).unwrap();
    let next = world.end("t", p, Commit, 2).unwrap();
    assert_eq!(next, producer(p.id, 1));
    assert_eq!(world.work().markers[0].end.producer, next, "the marker has the bumped epoch");
    world.finish_all();
    assert_eq!(world.end("t", p, Commit, 2), Ok(next), "the answer was lost");
    world.add("t", next, &[("a", 0)]).unwrap();
    for result in [Commit, Abort] {
        assert_eq!(world.end("t", p, result, 2), Err(ProducerFenced), "of a transaction that is over");
    }
    assert_eq!(world.state("t"), S::Ongoing);
}

#[test]
fn at_the_last_epoch_the_end_gives_a_new_producer_id_and_a_retry_is_known() {
    const LAST: ProducerEpoch = ProducerEpoch::MAX - 1;
    for restarts in [false, true] {
        let mut world = World::new();
        world.set("t", stored(S::Ongoing, LAST));
        let next = world.end("t", producer(PID, LAST), Commit, 2).unwrap();
        assert_eq!((next.id > 1000, next.epoch), (true, 0));
        assert_eq!(world.metadata("t").producer(), producer(PID, ProducerEpoch::MAX), "until the markers are written");
        assert_eq!(world.end("t", producer(PID, LAST), Commit, 2), Err(ConcurrentTransactions));
        if restarts {
            world.restart();
        }
        world.finish_all();
        assert_eq!(world.metadata("t").producer(), next);
        assert_eq!(world.end("t", producer(PID, LAST), Commit, 2), Ok(next), "the answer was lost");
        assert_eq!(world.end("t", producer(PID, LAST - 1), Commit, 2), Err(InvalidProducerIdMapping));
        world.add("t", next, &[("a", 0)]).unwrap();
        assert_eq!(world.end("t", next, Abort, 2), Ok(producer(next.id, 1)));
    }
}

/// Who holds the id now speaks version 1 and has the epoch that follows: its end is no answer to the producer before.
#[test]
fn an_end_of_version_1_is_no_retry_of_a_producer_of_version_2() {
    for result in [Commit, Abort] {
        let mut world = World::new();
        let before = world.init("t", None).unwrap();
        let holder = world.init("t", None).unwrap();
        assert_eq!(holder, producer(before.id, before.epoch + 1));
        world.add("t", holder, &[("a", 0)]).unwrap();
        assert_eq!(world.end("t", holder, result, 0), Ok(holder));
        assert_eq!(world.end("t", before, result, 2), Err(ProducerFenced), "while it ends");
        world.finish_all();
        assert_eq!(world.end("t", before, result, 2), Err(ProducerFenced), "it would get what another holds");
        assert_eq!(world.end("t", holder, result, 0), Ok(holder), "to whom it is one");
    }
}

/// Whatever stands between the end and its retry: the end itself says at which version it was decided.
#[test]
fn a_retry_of_version_2_is_known_whoever_decided_and_whatever_was_before() {
    // After InitProducerId, whose record has the version of what was before it.
    let mut world = World::new();
    let old = world.init("t", None).unwrap();
    let _: Result<(), ErrorCode> = world.ask(World::add_request("t", old, &[("a", 0)], 0));
    world.end("t", old, Commit, 0).unwrap();
    world.finish_all();
    let p = world.init("t", None).unwrap();
    let _: Result<(), ErrorCode> = world.ask(World::add_request("t", p, &[("a", 0)], 0));
    let next = world.end("t", p, Commit, 2).unwrap();
    assert_eq!(world.end("t", p, Commit, 2), Err(ConcurrentTransactions));
    world.restart();
    world.finish_all();
    assert_eq!(world.end("t", p, Commit, 2), Ok(next));
    // After an abort of the coordinator.
    world.add("t", next, &[("a", 0)]).unwrap();
    world.wait(minutes(2));
    let fence = TransactionRequest::FenceTimedOut { id: text("t"), producer: next, fresh: None };
    let _: Result<Producer, Refused> = world.ask(fence);
    assert_eq!(world.end("t", next, Abort, 2), Err(ConcurrentTransactions));
    world.restart();
    world.finish_all();
    assert_eq!(world.end("t", next, Abort, 2), Ok(producer(next.id, next.epoch + 1)));
}
