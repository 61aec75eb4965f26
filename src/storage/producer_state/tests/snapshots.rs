//! Snapshots, restarts, truncation.

use std::collections::BTreeSet;

use crate::base::disk::RealDisk;
use ErrorCode::TransactionCoordinatorFenced;
use TransactionResult::{Abort, Commit};
use tempfile::TempDir;

use super::*;

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
