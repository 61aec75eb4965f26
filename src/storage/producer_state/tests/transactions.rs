//! Open and completed transactions, markers and their coordinators.

use ErrorCode::{InvalidProducerEpoch, InvalidTxnState, OutOfOrderSequenceNumber, TransactionCoordinatorFenced};
use TransactionResult::{Abort, Commit};

use super::*;

#[test]
fn a_transaction_is_unstable_until_its_marker_is_replicated() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 99).txn()).unwrap();
    assert_eq!((manager.first_unstable_offset(), manager.first_undecided_offset()), (Some(99), Some(99)));
    client(&mut manager, data(0, 0, 105).pid(2).txn()).unwrap();

    let completed = end(&mut manager, 0, Commit, 107);
    assert_eq!(completed, [CompletedTxn { producer_id: PID, first_offset: 99, last_offset: 107, aborted: false }]);
    assert_eq!((manager.first_unstable_offset(), manager.first_undecided_offset()), (Some(99), Some(105)));
    manager.on_high_watermark_updated(107);
    assert_eq!(manager.first_unstable_offset(), Some(99), "the marker itself is not replicated");
    manager.on_high_watermark_updated(108);
    assert_eq!(manager.first_unstable_offset(), Some(105));

    end_with(&mut manager, MARKERS, data(0, 0, 120).pid(2), marker(Abort, 0)).unwrap();
    manager.on_high_watermark_updated(121);
    assert_eq!((manager.first_unstable_offset(), manager.first_undecided_offset()), (None, None));
}

#[test]
fn the_last_stable_offset_of_a_completed_transaction_is_the_next_open_one() {
    let mut manager = ProducerStateManager::default();
    for (pid, offset) in [(1, 100), (2, 125), (3, 157)] {
        client(&mut manager, data(0, 0, offset).pid(pid).txn()).unwrap();
    }
    let mut complete = |pid, first_offset, last_offset| {
        let txn = CompletedTxn { producer_id: pid, first_offset, last_offset, aborted: false };
        let stable = manager.last_stable_offset(&txn);
        manager.complete_txn(&txn);
        manager.on_high_watermark_updated(last_offset + 1);
        (stable, manager.first_unstable_offset())
    };
    assert_eq!(complete(1, 100, 172), (125, Some(125)));
    assert_eq!(complete(3, 157, 192), (125, Some(125)));
    assert_eq!(complete(2, 125, 270), (271, None));
}

#[test]
fn empty_transactions_complete_nothing() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 16).count(5).txn()).unwrap();
    let mut updates = ProducerUpdates::new(AppendOrigin::Replication);
    let mut stage = |data: Data, ends: Option<TransactionResult>| match ends {
        None => manager.stage(&mut updates, &data.txn().header(), None).unwrap(),
        Some(result) => manager.stage(&mut updates, &marker_header(data), Some(&marker(result, 0))).unwrap(),
    };
    stage(data(0, 0, 21), Some(Commit));
    stage(data(0, 0, 22), Some(Commit));
    stage(data(0, 0, 23), Some(Abort));
    stage(data(0, 5, 24).count(4), None);
    stage(data(0, 0, 28), Some(Abort));
    stage(data(0, 0, 29), Some(Abort));
    stage(data(0, 9, 30).count(2), None);
    let completed: Vec<_> = updates.completed().iter().map(|txn| (txn.first_offset, txn.last_offset, txn.aborted)).collect();
    assert_eq!(completed, [(16, 21, false), (24, 28, true)]);
    manager.apply(&updates);
    updates.completed().iter().for_each(|txn| manager.complete_txn(txn));
    manager.on_high_watermark_updated(32);
    assert_eq!(manager.first_unstable_offset(), Some(30));
}

#[test]
fn a_batch_outside_the_open_transaction_is_refused() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).txn()).unwrap();
    fails(client(&mut manager, data(0, 1, 1)), InvalidTxnState);
    client(&mut manager, data(0, 1, 1).txn()).unwrap();
}

#[test]
fn a_marker_may_bump_the_epoch_and_then_sequences_begin_anew() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).txn()).unwrap();
    client(&mut manager, data(0, 1, 1).txn()).unwrap();
    end(&mut manager, 1, Abort, 2);
    let entry = manager.entry(PID).unwrap();
    assert_eq!((entry.epoch, entry.last_sequence(), entry.last_offset(), entry.txn_first_offset), (1, -1, -1, None));
    fails(client(&mut manager, data(1, 2, 3).txn()), OutOfOrderSequenceNumber);
    fails(client(&mut manager, data(2, 2, 3).txn()), OutOfOrderSequenceNumber);
    fails(client(&mut manager, data(0, 2, 3).txn()), InvalidProducerEpoch);
    client(&mut manager, data(1, 0, 3).txn()).unwrap();
}

#[test]
fn a_marker_alone_is_enough_to_fence() {
    let mut manager = ProducerStateManager::default();
    assert!(end(&mut manager, 2, Commit, 27).is_empty());
    let entry = manager.entry(PID).unwrap();
    assert_eq!((entry.epoch, entry.last_sequence()), (2, -1));
    fails(client(&mut manager, data(0, 0, 39)), InvalidProducerEpoch);
    fails(client(&mut manager, data(2, 17, 39)), OutOfOrderSequenceNumber);
    client(&mut manager, data(2, 0, 39)).unwrap();
    let old = end_with(&mut manager, MARKERS, data(1, 0, 40), marker(Commit, 0));
    assert_eq!(old.unwrap_err().code(), InvalidProducerEpoch);
}

#[test]
fn an_empty_control_batch_changes_nothing() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0)).unwrap();
    let before = manager.entry(PID).cloned();
    let mut updates = ProducerUpdates::new(AppendOrigin::Replication);
    manager.stage(&mut updates, &marker_header(data(5, 0, 1)), None).unwrap();
    manager.apply(&updates);
    assert_eq!(manager.entry(PID).cloned(), before);
}

#[test]
fn markers_of_an_older_coordinator_are_refused_unless_they_were_replicated() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).txn()).unwrap();
    let mut try_end =
        |origin, offset, coordinator| end_with(&mut manager, origin, data(0, 0, offset), marker(Commit, coordinator));
    try_end(MARKERS, 1, 5).unwrap();
    try_end(MARKERS, 2, 5).unwrap();
    assert_eq!(try_end(MARKERS, 3, 4).unwrap_err().code(), TransactionCoordinatorFenced);
    try_end(AppendOrigin::Replication, 3, 4).unwrap();
}

#[test]
fn a_marker_of_version_2_must_bump_the_epoch_unless_it_is_repeated() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(4, 0, 0).txn()).unwrap();
    let same = end_with(&mut manager, BUMPING_MARKERS, data(4, 0, 1), marker(Commit, 0));
    assert_eq!(same.unwrap_err().code(), InvalidProducerEpoch, "it belongs to the transaction before this one");
    assert_eq!(end_with(&mut manager, BUMPING_MARKERS, data(5, 0, 1), marker(Commit, 0)).unwrap().len(), 1);
    assert!(end_with(&mut manager, BUMPING_MARKERS, data(5, 0, 2), marker(Commit, 0)).unwrap().is_empty(), "a retry");
    assert!(end_with(&mut manager, BUMPING_MARKERS, data(4, 0, 3), marker(Commit, 0)).is_err());

    let mut last = ProducerStateManager::default();
    client(&mut last, data(i16::MAX, 0, 0).txn()).unwrap();
    assert_eq!(
        end_with(&mut last, BUMPING_MARKERS, data(i16::MAX, 0, 1), marker(Abort, 0)).unwrap().len(),
        1,
        "no larger epoch exists"
    );
}

#[test]
fn a_transaction_is_late_when_its_producer_has_been_silent_too_long() {
    let mut manager = ProducerStateManager::default();
    let late = TIMEOUT_MS + LATE_TRANSACTION_BUFFER_MS + 1;
    client(&mut manager, data(2, 0, 100).txn()).unwrap();
    client(&mut manager, data(9, 0, 150).pid(2).txn().at(NOW + 500)).unwrap();
    assert!(!manager.has_late_transaction(NOW + late - 1, TIMEOUT_MS));
    assert!(manager.has_late_transaction(NOW + late, TIMEOUT_MS));
    end(&mut manager, 2, Commit, 200);
    assert!(!manager.has_late_transaction(NOW + late, TIMEOUT_MS), "the other began later");
    assert!(manager.has_late_transaction(NOW + 500 + late, TIMEOUT_MS));
    end_with(&mut manager, MARKERS, data(9, 0, 250).pid(2), marker(Commit, 0)).unwrap();
    assert!(!manager.has_late_transaction(i64::MAX, TIMEOUT_MS));
}
