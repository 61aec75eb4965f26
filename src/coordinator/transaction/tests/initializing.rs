//! Who gets a transactional id, with which producer id and epoch (KIP-360).

use super::*;
use ErrorCode::*;

const LAST: ProducerEpoch = ProducerEpoch::MAX - 1;

fn idle(state: TransactionState, id: ProducerId, epoch: ProducerEpoch) -> TransactionMetadata {
    TransactionMetadata { producer_epoch: epoch, state, ..TransactionMetadata::new(id, TIMEOUT_MS, 0) }
}

#[test]
fn each_who_asks_fences_the_one_before() {
    let mut world = World::new();
    let first = world.init("t", None).unwrap();
    assert_eq!(first, producer(1001, 0));
    assert_eq!(world.init("t", None), Ok(producer(1001, 1)));
    assert_eq!(world.add("t", first, &[("a", 0)]), Err(ProducerFenced));
    assert_eq!(world.init("other", None), Ok(producer(1002, 0)), "ids do not disturb one another");
}

#[test]
fn a_producer_goes_on_after_an_error_and_may_ask_twice() {
    let mut world = World::new();
    let first = world.init("t", None).unwrap();
    assert_eq!(world.init("t", Some(first)), Ok(producer(1001, 1)));
    assert_eq!(world.init("t", Some(first)), Ok(producer(1001, 1)), "the answer was lost");
    assert_eq!(world.init("t", Some(producer(1001, 1))), Ok(producer(1001, 2)));
    assert_eq!(world.init("t", Some(first)), Err(ProducerFenced), "that is two epochs ago");
    assert_eq!(world.init("t", None), Ok(producer(1001, 3)));
    assert_eq!(world.init("t", Some(producer(1001, 2))), Err(ProducerFenced), "somebody else holds it now");
    assert_eq!(world.init("t", Some(producer(77, 3))), Err(ProducerFenced));
    assert_eq!(world.init("unknown", Some(producer(77, 3))), Ok(producer(1002, 0)), "nothing contradicts it");
}

#[test]
fn an_open_transaction_is_aborted_first() {
    for (version, epochs) in [(0, [1, 2]), (1, [1, 2]), (2, [1, 2])] {
        let mut world = World::with(TransactionConfig { transaction_version: version, ..TransactionConfig::default() });
        let first = world.init("t", None).unwrap();
        world.add("t", first, &[("a", 0)]).unwrap();
        assert_eq!(world.init("t", None), Err(ConcurrentTransactions), "its abort begins");
        assert_eq!((world.state("t"), world.metadata("t").producer_epoch), (TransactionState::PrepareAbort, epochs[0]));
        assert_eq!(world.init("t", None), Err(ConcurrentTransactions), "its markers are being written");
        let work = world.work();
        assert_eq!(work.markers[0].end.producer, producer(1001, epochs[0]), "the marker fences the producer where it wrote");
        assert_eq!(work.markers[0].end.result, TransactionResult::Abort);
        world.finish(&work.markers[0]);
        assert_eq!(world.init("t", None), Ok(producer(1001, epochs[1])), "version {version}");
    }
}

#[test]
fn used_up_epochs_give_way_to_a_new_producer_id() {
    let mut world = World::new();
    for state in [TransactionState::Empty, TransactionState::CompleteCommit, TransactionState::CompleteAbort] {
        for expected in [None, Some(producer(5, LAST))] {
            world.set("t", idle(state, 5, LAST));
            let next = world.init("t", expected).unwrap();
            assert_eq!((next.id > 1000, next.epoch), (true, 0));
            let again = world.init("t", expected);
            match expected {
                // The answer was lost; the epoch says that nobody came in between.
                Some(_) => assert_eq!(again, Ok(next)),
                None => assert_eq!(again, Ok(producer(next.id, 1))),
            }
        }
    }
    world.set("t", idle(TransactionState::Empty, 5, LAST));
    assert_eq!(world.init("t", Some(producer(5, 3))), Err(ProducerFenced), "a stale producer does not use up anything");
}

#[test]
fn a_transaction_at_the_last_epoch_is_fenced_with_the_epoch_nobody_gets() {
    for version in [0, 2] {
        let mut world = World::with(TransactionConfig { transaction_version: version, ..TransactionConfig::default() });
        let open = TransactionMetadata {
            partitions: partitions(&[("a", 0)]),
            start_timestamp: 1,
            client_transaction_version: version,
            ..idle(TransactionState::Ongoing, 5, LAST)
        };
        world.set("t", open);
        assert_eq!(world.init("t", None), Err(ConcurrentTransactions));
        assert_eq!(world.metadata("t").producer(), producer(5, ProducerEpoch::MAX));
        world.finish_all();
        let next = world.init("t", None).unwrap();
        assert!(next.id > 1000, "version {version}: {next:?}");
    }
}
