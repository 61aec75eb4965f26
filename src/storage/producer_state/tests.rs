//! The cases of Kafka's ProducerStateManagerTest, and that replicas agree.

use std::collections::BTreeSet;

use tempfile::TempDir;

use super::*;
use crate::base::disk::RealDisk;
use crate::record::batch::{MAGIC_V2, attributes};
use crate::record::control::{EndTransactionMarker, TransactionResult};

const PID: ProducerId = 1;
const EXPIRATION_MS: i64 = 60_000;
const TIMEOUT_MS: i64 = 15 * 60 * 1000;
const NOW: TimestampMs = 1_000_000;
const MARKERS: AppendOrigin = AppendOrigin::Coordinator { transaction_version: 1 };
const BUMPING_MARKERS: AppendOrigin = AppendOrigin::Coordinator { transaction_version: 2 };

/// A batch to append.
#[derive(Clone, Copy, Debug)]
struct Data {
    pid: ProducerId,
    epoch: ProducerEpoch,
    sequence: i32,
    offset: Offset,
    count: i32,
    at: TimestampMs,
    transactional: bool,
}

fn data(epoch: ProducerEpoch, sequence: i32, offset: Offset) -> Data {
    Data { pid: PID, epoch, sequence, offset, count: 1, at: NOW, transactional: false }
}

impl Data {
    fn pid(self, pid: ProducerId) -> Self {
        Self { pid, ..self }
    }
    fn count(self, count: i32) -> Self {
        Self { count, ..self }
    }
    fn at(self, at: TimestampMs) -> Self {
        Self { at, ..self }
    }
    fn txn(self) -> Self {
        Self { transactional: true, ..self }
    }
    fn header(&self) -> BatchHeader {
        BatchHeader {
            base_offset: self.offset,
            batch_length: 49,
            leader_epoch: 0,
            magic: MAGIC_V2,
            crc: 0,
            attributes: if self.transactional { attributes::TRANSACTIONAL } else { 0 },
            last_offset_delta: self.count - 1,
            base_timestamp: self.at,
            max_timestamp: self.at,
            producer_id: self.pid,
            producer_epoch: self.epoch,
            base_sequence: self.sequence,
            record_count: self.count,
        }
    }
}

fn marker(result: TransactionResult, coordinator_epoch: i32) -> TimedMarker {
    TimedMarker { marker: EndTransactionMarker { result, coordinator_epoch }, timestamp: NOW }
}

fn marker_header(data: Data) -> BatchHeader {
    let header = data.txn().header();
    BatchHeader { attributes: header.attributes | attributes::CONTROL, base_sequence: -1, ..header }
}

fn append(manager: &mut ProducerStateManager, origin: AppendOrigin, data: Data) -> Result<(), ProducerStateError> {
    let mut updates = ProducerUpdates::new(origin);
    manager.stage(&mut updates, &data.header(), None)?;
    manager.apply(&updates);
    manager.set_map_end_offset(data.header().next_offset());
    Ok(())
}

fn client(manager: &mut ProducerStateManager, data: Data) -> Result<(), ProducerStateError> {
    append(manager, AppendOrigin::Client, data)
}

/// Appends a marker as the log does: apply, then complete.
fn end_with(
    manager: &mut ProducerStateManager,
    origin: AppendOrigin,
    data: Data,
    marker: TimedMarker,
) -> Result<Vec<CompletedTxn>, ProducerStateError> {
    let mut updates = ProducerUpdates::new(origin);
    manager.stage(&mut updates, &marker_header(data), Some(&marker))?;
    manager.apply(&updates);
    updates.completed().iter().for_each(|txn| manager.complete_txn(txn));
    manager.set_map_end_offset(data.offset + 1);
    Ok(updates.completed().to_vec())
}

fn end(manager: &mut ProducerStateManager, epoch: ProducerEpoch, result: TransactionResult, offset: Offset) -> Vec<CompletedTxn> {
    end_with(manager, MARKERS, data(epoch, 0, offset), marker(result, 0)).unwrap()
}

#[track_caller]
fn fails(result: Result<(), ProducerStateError>, code: ErrorCode) {
    assert_eq!(result.expect_err("must be refused").code(), code);
}

use crate::base::ErrorCode;
use ErrorCode::{InvalidProducerEpoch, InvalidTxnState, OutOfOrderSequenceNumber, TransactionCoordinatorFenced};
use TransactionResult::{Abort, Commit};

// ---- Sequences and epochs ----

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

// ---- Transactions ----

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

// ---- Verification (KIP-890) ----

#[test]
fn the_first_batch_of_a_transaction_needs_the_guard_of_its_verification() {
    let mut manager = ProducerStateManager::default();
    let first = data(0, 0, 0).txn();
    assert_eq!(manager.check_verified(&first.header(), None).unwrap_err().code(), InvalidTxnState);
    let guard = manager.start_verification(&first.header(), true, NOW).unwrap();
    assert_eq!(manager.start_verification(&first.header(), true, NOW).unwrap(), guard, "one verification at a time");
    manager.check_verified(&first.header(), guard).unwrap();
    client(&mut manager, first).unwrap();
    assert!(manager.verification(PID).is_none(), "used up");

    let second = data(0, 1, 1).txn();
    assert_eq!(manager.start_verification(&second.header(), true, NOW).unwrap(), None, "the transaction is open");
    manager.check_verified(&second.header(), None).unwrap();
    manager.check_verified(&data(0, 1, 1).header(), None).unwrap();
    manager.check_verified(&marker_header(data(0, 1, 1)), None).unwrap();
}

#[test]
fn a_guard_does_not_outlive_a_marker() {
    let mut manager = ProducerStateManager::default();
    let batch = data(0, 0, 0).txn().header();
    let stale = manager.start_verification(&batch, false, NOW).unwrap();
    end(&mut manager, 0, Abort, 0);
    assert_eq!(manager.check_verified(&batch, stale).unwrap_err().code(), InvalidTxnState);
    let fresh = manager.start_verification(&batch, false, NOW).unwrap();
    assert_ne!(stale, fresh);
    assert_eq!(manager.check_verified(&batch, stale).unwrap_err().code(), InvalidTxnState);
    manager.check_verified(&batch, fresh).unwrap();
}

#[test]
fn an_old_epoch_is_named_before_a_missing_verification() {
    let mut manager = ProducerStateManager::default();
    end(&mut manager, 3, Abort, 0);
    let old = data(2, 0, 1).txn().header();
    assert_eq!(manager.check_verified(&old, None).unwrap_err().code(), InvalidProducerEpoch);
    assert_eq!(manager.start_verification(&old, true, NOW).unwrap_err().code(), InvalidProducerEpoch);
}

#[test]
fn the_lowest_sequence_seen_while_verifying_must_be_written_first() {
    let mut manager = ProducerStateManager::default();
    let mut ask = |epoch, sequence| {
        manager.start_verification(&data(epoch, sequence, 0).txn().header(), false, NOW).unwrap();
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
        manager.start_verification(&data(0, 3, 0).txn().header(), supports_epoch_bump, NOW).unwrap();
        assert_eq!(client(&mut manager, data(0, 3, 0).txn()).is_ok(), accepted);
        assert!(client(&mut manager, data(1, 0, 0).txn()).is_ok());
    }
}

// ---- Expiry ----

#[test]
fn idle_producers_expire_but_not_those_with_an_open_transaction() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(5, 0, 1)).unwrap();
    client(&mut manager, data(5, 0, 2).pid(2).txn()).unwrap();
    manager.start_verification(&data(0, 0, 3).pid(3).txn().header(), false, NOW).unwrap();
    manager.remove_expired(NOW + EXPIRATION_MS - 1, EXPIRATION_MS);
    assert_eq!((manager.producer_count(), manager.verification(3).is_some()), (2, true));
    manager.remove_expired(NOW + EXPIRATION_MS, EXPIRATION_MS);
    assert!(manager.entry(PID).is_none() && manager.entry(2).is_some() && manager.verification(3).is_none());
    client(&mut manager, data(0, 77, 3)).expect("a forgotten producer may begin anywhere");
}

// ---- Snapshots ----

fn files(dir: &TempDir) -> BTreeSet<Offset> {
    std::fs::read_dir(dir.path())
        .unwrap()
        .map(|f| snapshot_offset_of(f.unwrap().file_name().to_str().unwrap()).unwrap())
        .collect()
}

/// The state that a restarted broker finds.
fn reopened(dir: &TempDir, log_start: Offset, log_end: Offset, now: TimestampMs) -> ProducerStateManager {
    let mut manager = ProducerStateManager::new(files(dir));
    manager.truncate_and_reload(&RealDisk, dir.path(), (log_start, log_end), now, EXPIRATION_MS).unwrap();
    manager
}

fn snapshot(manager: &mut ProducerStateManager, dir: &TempDir) {
    manager.take_snapshot(&RealDisk, dir.path(), false).unwrap();
}

#[test]
fn a_snapshot_is_written_once_an_offset() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = ProducerStateManager::default();
    snapshot(&mut manager, &dir);
    assert!(files(&dir).is_empty(), "nothing to remember at the start of a log");
    client(&mut manager, data(0, 0, 0)).unwrap();
    manager.take_snapshot(&RealDisk, dir.path(), true).unwrap();
    std::fs::write(dir.path().join(snapshot_file_name(1)), b"").unwrap();
    snapshot(&mut manager, &dir);
    assert_eq!(std::fs::read(dir.path().join(snapshot_file_name(1))).unwrap(), b"", "not written again");
    assert_eq!(files(&dir), BTreeSet::from([1]));
}

#[test]
fn a_snapshot_is_what_kafka_writes() {
    // By ProducerStateManager.writeSnapshot of Kafka 4.3.1: producer 7 in a transaction from offset 90, producer 8 without batches.
    let expected = "0001bcd2aaea0000000200000000000000070002000000290000000000000063000000090000018bcfe568000000000500000000\
                    0000005a00000000000000080000ffffffffffffffffffffffff000000000000018bcfe56801ffffffffffffffffffffffff";
    let expected: Vec<u8> =
        (0..expected.len() / 2).map(|i| u8::from_str_radix(&expected[2 * i..2 * i + 2], 16).unwrap()).collect();
    let entries = decode_snapshot(&expected).unwrap();
    let [(7, seven), (8, eight)] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((seven.epoch, seven.coordinator_epoch, seven.last_timestamp), (2, 5, 1_700_000_000_000));
    assert_eq!(seven.txn_first_offset, Some(90));
    let batch = BatchMetadata { last_sequence: 41, last_offset: 99, offset_delta: 9, timestamp: 1_700_000_000_000 };
    assert_eq!(seven.batches(), [batch]);
    assert_eq!((eight.epoch, eight.batches().len(), eight.txn_first_offset), (0, 0, None));
    assert_eq!(super::snapshot::encode(entries.iter().map(|(id, entry)| (*id, entry))), expected);
}

#[test]
fn an_open_transaction_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).txn()).unwrap();
    client(&mut manager, data(0, 1, 1).txn()).unwrap();
    snapshot(&mut manager, &dir);
    let mut recovered = reopened(&dir, 0, 3, NOW);
    assert_eq!(recovered.map_end_offset(), 2, "the log replays from here");
    assert_eq!(recovered.first_unstable_offset(), Some(0));
    let entry = recovered.entry(PID).unwrap();
    assert_eq!((entry.batches().len(), entry.last_sequence(), entry.txn_first_offset), (1, 1, Some(0)));
    client(&mut recovered, data(0, 2, 2).txn()).unwrap();
    assert!(recovered.has_late_transaction(NOW + TIMEOUT_MS + LATE_TRANSACTION_BUFFER_MS + 1, TIMEOUT_MS));
}

#[test]
fn a_finished_transaction_and_its_coordinator_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).txn()).unwrap();
    end_with(&mut manager, MARKERS, data(0, 0, 1), marker(Abort, 9)).unwrap();
    snapshot(&mut manager, &dir);
    let mut recovered = reopened(&dir, 0, 2, NOW);
    assert_eq!(recovered.first_unstable_offset(), None);
    assert_eq!(recovered.entry(PID).unwrap().last_sequence(), 0);
    let fenced = end_with(&mut recovered, MARKERS, data(0, 0, 2), marker(Commit, 8));
    assert_eq!(fenced.unwrap_err().code(), TransactionCoordinatorFenced);
}

#[test]
fn producers_that_expired_meanwhile_are_not_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).at(0)).unwrap();
    client(&mut manager, data(0, 0, 1).pid(2).at(0).txn()).unwrap();
    snapshot(&mut manager, &dir);
    let mut recovered = reopened(&dir, 0, 2, 70_000);
    assert_eq!(recovered.producers().map(|(id, _)| id).collect::<Vec<_>>(), [2]);
    client(&mut recovered, data(0, 2, 2).at(70_001)).unwrap();
    assert_eq!(recovered.entry(PID).unwrap().last_sequence(), 2);
}

#[test]
fn truncating_goes_back_to_the_latest_snapshot_in_range() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = ProducerStateManager::default();
    for i in 0..5 {
        client(&mut manager, data(0, i, i64::from(i))).unwrap();
        snapshot(&mut manager, &dir);
    }
    assert_eq!(files(&dir), BTreeSet::from([1, 2, 3, 4, 5]));
    manager.truncate_and_reload(&RealDisk, dir.path(), (1, 3), NOW, EXPIRATION_MS).unwrap();
    assert_eq!(files(&dir), BTreeSet::from([2, 3]));
    assert_eq!((manager.oldest_snapshot_offset(), manager.latest_snapshot_offset()), (Some(2), Some(3)));
    assert_eq!((manager.map_end_offset(), manager.entry(PID).unwrap().last_sequence()), (3, 2));

    manager.truncate_and_reload(&RealDisk, dir.path(), (3, 3), NOW, EXPIRATION_MS).unwrap();
    assert!(files(&dir).is_empty(), "a snapshot at the start of the log is of no use");
    assert_eq!(manager.entry(PID).unwrap().last_sequence(), 2, "but what is known stays known");
    manager.truncate_and_reload(&RealDisk, dir.path(), (0, 2), NOW, EXPIRATION_MS).unwrap();
    assert_eq!((manager.is_empty(), manager.map_end_offset()), (true, 0));
}

#[test]
fn truncating_brings_back_a_transaction_that_was_open_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 99).txn()).unwrap();
    snapshot(&mut manager, &dir);
    end(&mut manager, 0, Commit, 105);
    manager.on_high_watermark_updated(106);
    snapshot(&mut manager, &dir);
    client(&mut manager, data(0, 1, 106)).unwrap();
    manager.truncate_and_reload(&RealDisk, dir.path(), (0, 106), NOW, EXPIRATION_MS).unwrap();
    assert_eq!(manager.first_unstable_offset(), None);
    manager.truncate_and_reload(&RealDisk, dir.path(), (0, 100), NOW, EXPIRATION_MS).unwrap();
    assert_eq!(manager.first_unstable_offset(), Some(99));
    manager.truncate_fully_and_start_at(&RealDisk, dir.path(), 150).unwrap();
    assert!(manager.is_empty() && manager.first_unstable_offset().is_none() && files(&dir).is_empty());
    assert_eq!(manager.map_end_offset(), 150);
}

#[test]
fn raising_the_log_start_keeps_producers() {
    let mut manager = ProducerStateManager::default();
    client(&mut manager, data(0, 0, 0).txn()).unwrap();
    end(&mut manager, 0, Commit, 1);
    manager.on_log_start_offset_incremented(10);
    assert_eq!((manager.map_end_offset(), manager.first_unstable_offset()), (10, None));
    assert!(manager.find_duplicate(&data(0, 0, 0).header()).is_some());
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_one_before() {
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[1] = 7,
        |bytes| bytes[20] ^= 1,
        |bytes| bytes.push(0),
    ];
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        let mut manager = ProducerStateManager::default();
        for i in 0..2 {
            client(&mut manager, data(0, i, i64::from(i))).unwrap();
            snapshot(&mut manager, &dir);
        }
        let path = dir.path().join(snapshot_file_name(2));
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let recovered = reopened(&dir, 0, 20, NOW);
        assert_eq!((recovered.map_end_offset(), recovered.entry(PID).unwrap().last_sequence()), (1, 0));
        assert_eq!(files(&dir), BTreeSet::from([1]));
    }
}

#[test]
fn snapshots_go_with_their_segments() {
    let dir = tempfile::tempdir().unwrap();
    let touch =
        |offsets: &[Offset]| offsets.iter().for_each(|o| std::fs::write(dir.path().join(snapshot_file_name(*o)), b"").unwrap());
    touch(&[2, 5, 42]);
    let mut manager = ProducerStateManager::new(files(&dir));
    manager.remove_stray_snapshots(&RealDisk, dir.path(), &BTreeSet::from([5])).unwrap();
    assert_eq!(files(&dir), BTreeSet::from([5, 42]), "42 was written by a clean shutdown");
    manager.remove_stray_snapshots(&RealDisk, dir.path(), &BTreeSet::from([42])).unwrap();
    assert_eq!(files(&dir), BTreeSet::from([42]));

    touch(&[43, 44]);
    let mut manager = ProducerStateManager::new(files(&dir));
    manager.delete_snapshots_before(&RealDisk, dir.path(), 44).unwrap();
    assert_eq!((files(&dir), manager.snapshots().len()), (BTreeSet::from([44]), 1));
    assert!(manager.release_snapshot(44) && !manager.release_snapshot(44));
}

// ---- Agreement ----

mod agreement {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Data { pid: ProducerId, epoch: ProducerEpoch, sequence_ahead: i32, count: i32, transactional: bool },
        End { pid: ProducerId, epoch: ProducerEpoch, abort: bool },
        HighWatermark,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (1i64..4, 0i16..3, prop_oneof![8 => Just(0), 1 => -3..3], 1i32..4, any::<bool>())
                .prop_map(|(pid, epoch, sequence_ahead, count, transactional)| Step::Data { pid, epoch, sequence_ahead, count, transactional }),
            3 => (1i64..4, 0i16..3, any::<bool>()).prop_map(|(pid, epoch, abort)| Step::End { pid, epoch, abort }),
            1 => Just(Step::HighWatermark),
        ]
    }

    type Logged = (BatchHeader, Option<TimedMarker>);

    /// What a leader accepts of the steps, in order.
    fn lead(steps: &[Step]) -> (ProducerStateManager, Vec<Logged>) {
        let (mut manager, mut log) = (ProducerStateManager::default(), Vec::new());
        for step in steps {
            let offset = manager.map_end_offset();
            let (origin, header, marker) = match *step {
                Step::HighWatermark => {
                    manager.on_high_watermark_updated(offset);
                    continue;
                }
                Step::Data { pid, epoch, sequence_ahead, count, transactional } => {
                    let current = manager.entry(pid).filter(|entry| entry.epoch == epoch);
                    let next = current.map_or(0, |entry| entry.last_sequence() + 1);
                    let data = data(epoch, (next + sequence_ahead).max(0), offset).pid(pid).count(count);
                    (AppendOrigin::Client, Data { transactional, ..data }.header(), None)
                }
                Step::End { pid, epoch, abort } => {
                    let result = if abort { Abort } else { Commit };
                    (MARKERS, marker_header(data(epoch, 0, offset).pid(pid)), Some(super::marker(result, 0)))
                }
            };
            if marker.is_none() && manager.find_duplicate(&header).is_some() {
                continue;
            }
            if write(&mut manager, origin, &header, marker.as_ref()).is_ok() {
                log.push((header, marker));
            }
            let oldest = manager.ongoing().next().map(|txn| txn.first_offset);
            assert_eq!(oldest, manager.first_undecided_offset());
            assert!(manager.first_unstable_offset() <= oldest || oldest.is_none());
            assert!(manager.producers().all(|(_, entry)| entry.batches().len() <= WINDOW));
        }
        (manager, log)
    }

    fn write(
        manager: &mut ProducerStateManager,
        origin: AppendOrigin,
        header: &BatchHeader,
        marker: Option<&TimedMarker>,
    ) -> Result<(), ProducerStateError> {
        let mut updates = ProducerUpdates::new(origin);
        manager.stage(&mut updates, header, marker)?;
        manager.apply(&updates);
        updates.completed().iter().for_each(|txn| manager.complete_txn(txn));
        manager.set_map_end_offset(header.next_offset());
        Ok(())
    }

    fn follow(manager: &mut ProducerStateManager, log: &[Logged]) {
        for (header, marker) in
            log.iter().filter(|(header, _)| header.base_offset >= manager.map_end_offset()).copied().collect::<Vec<_>>()
        {
            write(manager, AppendOrigin::Replication, &header, marker.as_ref()).unwrap();
        }
    }

    /// Everything that matters, without the older batches if `last_batch_only`.
    fn state(manager: &ProducerStateManager, last_batch_only: bool) -> (BTreeMap<ProducerId, String>, Vec<TxnMetadata>, Offset) {
        let describe = |entry: &ProducerStateEntry| {
            let batches = if last_batch_only {
                entry.last_batch().into_iter().collect()
            } else {
                entry.batches().iter().collect::<Vec<_>>()
            };
            format!("{:?}", (entry.epoch, entry.coordinator_epoch, entry.last_timestamp, entry.txn_first_offset, batches))
        };
        let producers = manager.producers().map(|(id, entry)| (id, describe(entry))).collect();
        (producers, manager.ongoing().copied().collect(), manager.map_end_offset())
    }

    proptest! {
        #[test]
        fn a_follower_knows_what_the_leader_knows(steps in vec(step(), 0..60)) {
            let (leader, log) = lead(&steps);
            let mut follower = ProducerStateManager::default();
            follow(&mut follower, &log);
            prop_assert_eq!(state(&follower, false), state(&leader, false));
        }

        #[test]
        fn a_restart_knows_what_the_log_says(steps in vec(step(), 0..40), cut in any::<prop::sample::Index>(), end in any::<prop::sample::Index>()) {
            let (_, log) = lead(&steps);
            let dir = tempfile::tempdir().unwrap();
            let (at, kept) = (cut.index(log.len() + 1), end.index(log.len() + 1));
            let mut manager = ProducerStateManager::default();
            follow(&mut manager, &log[..at]);
            snapshot(&mut manager, &dir);
            follow(&mut manager, &log);

            // The log is cut to `kept` batches, which may lie on either side of the snapshot.
            let log_end = kept.checked_sub(1).map_or(0, |last| log[last].0.next_offset());
            manager.truncate_and_reload(&RealDisk, dir.path(), (0, log_end), NOW, EXPIRATION_MS).unwrap();
            prop_assert!(manager.map_end_offset() <= log_end);
            follow(&mut manager, &log[..kept]);
            let mut fresh = ProducerStateManager::default();
            follow(&mut fresh, &log[..kept]);
            prop_assert_eq!(state(&manager, true), state(&fresh, true));
        }

        #[test]
        fn any_bytes_make_a_snapshot_or_an_error(bytes in vec(any::<u8>(), 0..200), sealed in any::<bool>()) {
            let mut bytes = bytes;
            if sealed && bytes.len() >= 10 {
                bytes[..2].copy_from_slice(&1i16.to_be_bytes());
                let count = ((bytes.len() - 10) / 46) as i32;
                bytes[6..10].copy_from_slice(&count.to_be_bytes());
                bytes.truncate(10 + 46 * count as usize);
                let crc = crc32c::crc32c(&bytes[6..]);
                bytes[2..6].copy_from_slice(&crc.to_be_bytes());
                prop_assert_eq!(decode_snapshot(&bytes).unwrap().len() as i32, count);
            } else {
                prop_assert!(decode_snapshot(&bytes).is_err());
            }
        }
    }
}
