//! Sequence numbers, epochs, duplicates, expiry.

use ErrorCode::{InvalidProducerEpoch, OutOfOrderSequenceNumber};

use super::*;

#[test]
fn sequences_follow_one_another_within_an_epoch() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0)).unwrap();
    client(&mut manager, data(0, 1, 1)).unwrap();
    fails(client(&mut manager, data(0, 1, 2)), OutOfOrderSequenceNumber);
    fails(client(&mut manager, data(0, 5, 2)), OutOfOrderSequenceNumber);
    fails(client(&mut manager, data(1, 2, 2)), OutOfOrderSequenceNumber);
    client(&mut manager, data(1, 0, 3)).unwrap();
    fails(client(&mut manager, data(0, 0, 4)), InvalidProducerEpoch);
    assert_eq!(manager.entry(PID).unwrap().epoch, 1);
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(5, 16, 735)).unwrap();
    let entry = manager.entry(PID).unwrap();
    assert_eq!((entry.epoch, entry.last_sequence(), entry.last_offset()), (5, 16, 735));
}

#[test]
fn sequences_wrap_to_zero() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(15, i32::MAX, 735)).unwrap();
    fails(client(&mut manager, data(15, 1, 736)), OutOfOrderSequenceNumber);
    client(&mut manager, data(15, 0, 736)).unwrap();
    assert_eq!(manager.entry(PID).unwrap().last_sequence(), 0);

    let mut manager = ProducerStateManager::default();
    append(&mut manager, AppendOrigin::Replication, data(15, i32::MAX - 10, 2000).count(21)).unwrap();
    let batch = manager.entry(PID).unwrap().last_batch().copied().unwrap();
    assert_eq!((batch.first_sequence(), batch.last_sequence), (i32::MAX - 10, 9));
    assert_eq!((batch.first_offset(), batch.last_offset), (2000, 2020));
    client(&mut manager, data(15, 10, 2021)).unwrap();
}

#[test]
fn the_last_five_batches_are_recognised_when_they_come_again() {
    let mut manager = ProducerStateManager::default();
    for i in 0..7 {
        client(&mut manager, data(0, 10 * i, 100 + 10 * i64::from(i)).count(10).at(NOW + i64::from(i))).unwrap();
    }
    let again = |sequence, count, epoch| manager.find_duplicate(&data(epoch, sequence, 0).count(count).header());
    for i in 2..7 {
        let found = again(10 * i, 10, 0).expect("one of the last five");
        assert_eq!((found.first_offset(), found.last_offset), (100 + 10 * i64::from(i), 109 + 10 * i64::from(i)));
        assert_eq!(found.timestamp, NOW + i64::from(i));
    }
    assert_eq!(again(10, 10, 0), None, "long ago");
    assert_eq!(again(60, 9, 0), None, "not the same batch");
    assert_eq!(again(60, 10, 1), None, "not the same epoch");
    assert_eq!(manager.find_duplicate(&data(0, 60, 0).count(10).pid(99).header()), None);

    client(&mut manager, data(1, 0, 170)).unwrap();
    assert_eq!(manager.entry(PID).unwrap().batches().len(), 1, "a new epoch forgets the batches of the old");
}

#[test]
fn replicated_batches_are_recorded_whatever_they_say() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(3, 0, 0)).unwrap();
    append(&mut manager, AppendOrigin::Replication, data(3, 7, 1)).unwrap();
    assert_eq!(manager.entry(PID).unwrap().last_sequence(), 7);
    append(&mut manager, AppendOrigin::Replication, data(2, 0, 2)).unwrap();
    assert_eq!(manager.entry(PID).unwrap().epoch, 2);
}

#[test]
fn coordinators_have_epochs_but_no_sequences() {
    let mut manager = ProducerStateManager::default();
    append(&mut manager, MARKERS, data(1, -1, 99).txn()).unwrap();
    append(&mut manager, MARKERS, data(1, -1, 100).txn()).unwrap();
    fails(append(&mut manager, MARKERS, data(0, -1, 101).txn()), InvalidProducerEpoch);
}

#[test]
fn staging_changes_nothing_before_it_is_applied() {
    let mut manager = ProducerStateManager::default();
    let mut updates = ProducerUpdates::new(AppendOrigin::Client);
    manager.stage(&mut updates, &data(0, 0, 15).count(6).header(), None).unwrap();
    assert!(manager.entry(PID).is_none());
    manager.apply(&updates);

    let mut updates = ProducerUpdates::new(AppendOrigin::Client);
    manager.stage(&mut updates, &data(0, 6, 21).count(5).header(), None).unwrap();
    manager.stage(&mut updates, &data(0, 11, 26).count(5).txn().header(), None).unwrap();
    let refused = manager.stage(&mut updates, &data(0, 11, 31).txn().header(), None);
    fails(refused, OutOfOrderSequenceNumber);
    assert_eq!(manager.entry(PID).unwrap().last_sequence(), 5);
    assert_eq!(manager.first_unstable_offset(), None);
    manager.apply(&updates);
    assert_eq!(manager.entry(PID).unwrap().batches().len(), 3);
    assert_eq!(manager.first_unstable_offset(), Some(26));
}

#[test]
fn batches_without_a_producer_leave_no_trace() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(-1, -1, 0).pid(-1)).unwrap();
    assert!(manager.is_empty());
}

#[test]
fn idle_producers_expire_but_not_those_with_an_open_transaction() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(5, 0, 1)).unwrap();
    client(&mut manager, data(5, 0, 2).pid(2).txn()).unwrap();
    manager.start_verification(&first_of(&data(0, 0, 3).pid(3).txn().header(), false), NOW).unwrap();
    manager.remove_expired(NOW + EXPIRATION_MS - 1, EXPIRATION_MS);
    assert_eq!((manager.producer_count(), manager.verification(3).is_some()), (2, true));
    manager.remove_expired(NOW + EXPIRATION_MS, EXPIRATION_MS);
    assert!(manager.entry(PID).is_none() && manager.entry(2).is_some() && manager.verification(3).is_none());
    client(&mut manager, data(0, 77, 3)).expect("a forgotten producer may begin anywhere");
}

#[test]
fn a_partition_without_producers_costs_little() {
    let size = size_of::<ProducerStateManager>();
    assert!(size <= 256, "10,000 partitions would take {size} bytes each");
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(-1, -1, 0).pid(-1)).unwrap();
    assert_eq!(manager.producers.capacity() + manager.verifications.capacity(), 0, "and nothing on the heap");
}
