//! Verification of transactions (KIP-890).

use ErrorCode::{InvalidProducerEpoch, InvalidTxnState, OutOfOrderSequenceNumber};
use TransactionResult::Abort;

use super::*;

#[test]
fn the_first_batch_of_a_transaction_needs_the_guard_of_its_verification() {
    let mut manager = ProducerStateManager::default();
    let first = data(0, 0, 0).txn();
    assert_eq!(manager.check_verified(&first.header(), None).unwrap_err().code(), InvalidTxnState);
    let guard = manager.start_verification(&first_of(&first.header(), true), NOW).unwrap();
    assert_eq!(manager.start_verification(&first_of(&first.header(), true), NOW).unwrap(), guard, "one verification at a time");
    manager.check_verified(&first.header(), guard).unwrap();
    client(&mut manager, first).unwrap();
    assert!(manager.verification(PID).is_none(), "used up");

    let second = data(0, 1, 1).txn();
    assert_eq!(manager.start_verification(&first_of(&second.header(), true), NOW).unwrap(), None, "the transaction is open");
    manager.check_verified(&second.header(), None).unwrap();
    manager.check_verified(&data(0, 1, 1).header(), None).unwrap();
    manager.check_verified(&marker_header(data(0, 1, 1)), None).unwrap();
}

#[test]
fn a_guard_does_not_outlive_a_marker() {
    let mut manager = ProducerStateManager::default();
    let batch = data(0, 0, 0).txn().header();
    let stale = manager.start_verification(&first_of(&batch, false), NOW).unwrap();
    end(&mut manager, 0, Abort, 0);
    assert_eq!(manager.check_verified(&batch, stale).unwrap_err().code(), InvalidTxnState);
    let fresh = manager.start_verification(&first_of(&batch, false), NOW).unwrap();
    assert_ne!(stale, fresh);
    assert_eq!(manager.check_verified(&batch, stale).unwrap_err().code(), InvalidTxnState);
    manager.check_verified(&batch, fresh).unwrap();
}

/// A producer of version 2 goes on with the epoch of the marker that ended its last transaction, and may ask before that marker is here.
#[test]
fn a_guard_of_version_2_outlives_the_marker_of_the_transaction_before() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).txn()).unwrap();
    let next = data(1, 0, 2).txn();
    let guard = manager.start_verification(&first_of(&next.header(), true), NOW).unwrap();
    end_with(&mut manager, BUMPING_MARKERS, data(1, 0, 1), marker(Abort, 0)).unwrap();
    manager.check_verified(&next.header(), guard).unwrap();
    end_with(&mut manager, BUMPING_MARKERS, data(2, 0, 2), marker(Abort, 0)).unwrap();
    assert!(manager.verification(PID).is_none(), "its own is over");
    assert_eq!(manager.check_verified(&next.header(), guard).unwrap_err().code(), InvalidProducerEpoch);
}

/// A client may write as those of version 2 do, and yet end its transaction at the epoch at which it wrote.
#[test]
fn no_guard_outlives_a_marker_of_an_older_version() {
    for transaction_version in [0, 1] {
        let mut manager = ProducerStateManager::default();
        let late = data(3, 0, 1).txn().header();
        let guard = manager.start_verification(&first_of(&late, true), NOW).unwrap();
        end_with(&mut manager, AppendOrigin::Coordinator { transaction_version }, data(3, 0, 0), marker(Abort, 0)).unwrap();
        assert_eq!(manager.check_verified(&late, guard).unwrap_err().code(), InvalidTxnState, "nobody would end it");
    }
}

#[test]
fn an_old_epoch_is_named_before_a_missing_verification() {
    let mut manager = ProducerStateManager::default();
    end(&mut manager, 3, Abort, 0);
    let old = data(2, 0, 1).txn().header();
    assert_eq!(manager.check_verified(&old, None).unwrap_err().code(), InvalidProducerEpoch);
    assert_eq!(manager.start_verification(&first_of(&old, true), NOW).unwrap_err().code(), InvalidProducerEpoch);
}

#[test]
fn the_lowest_sequence_seen_while_verifying_must_be_written_first() {
    let mut manager = ProducerStateManager::default();
    let mut ask = |epoch, sequence| {
        manager.start_verification(&first_of(&data(epoch, sequence, 0).txn().header(), false), NOW).unwrap();
        let state = manager.verification(PID).unwrap();
        (state.lowest_sequence, state.epoch)
    };
    assert_eq!(ask(0, 1), (1, 0));
    assert_eq!(ask(0, 0), (0, 0));
    assert_eq!(ask(1, 2), (2, 1), "a higher epoch begins anew");
    assert_eq!(ask(0, 0), (2, 1), "a lower one is ignored");
    fails(client(&mut manager, data(1, 4, 0).txn()), OutOfOrderSequenceNumber);
    assert!(manager.verification(PID).is_some());
    client(&mut manager, data(1, 2, 0).txn()).unwrap();
}

#[test]
fn transactions_of_version_2_begin_with_sequence_zero() {
    for (supports_epoch_bump, accepted) in [(false, true), (true, false)] {
        let mut manager = ProducerStateManager::default();
        manager.start_verification(&first_of(&data(0, 3, 0).txn().header(), supports_epoch_bump), NOW).unwrap();
        assert_eq!(client(&mut manager, data(0, 3, 0).txn()).is_ok(), accepted);
        assert!(client(&mut manager, data(1, 0, 0).txn()).is_ok());
    }
}
