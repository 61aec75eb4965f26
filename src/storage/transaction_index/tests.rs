//! The cases of Kafka's TransactionIndexTest, and what restarts and torn writes do.

use super::*;
use crate::base::disk::RealDisk;

const DISK: &dyn Disk = &RealDisk;

fn txn(producer_id: ProducerId, first_offset: Offset, last_offset: Offset, last_stable_offset: Offset) -> AbortedTxn {
    AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset }
}

fn index(dir: &tempfile::TempDir, txns: &[AbortedTxn]) -> TransactionIndex {
    let mut index = TransactionIndex::new(dir.path().join("00000000000000000000.txnindex"), 0, 0);
    txns.iter().for_each(|txn| index.append(DISK, txn).unwrap());
    index
}

fn reopened(index: &TransactionIndex) -> TransactionIndex {
    let len = std::fs::metadata(index.path()).map_or(0, |file| file.len());
    TransactionIndex::new(index.path().to_owned(), 0, len)
}

fn collect(index: &TransactionIndex, from: Offset, to: Offset) -> (Vec<AbortedTxn>, bool) {
    let mut found = Vec::new();
    let complete = index.collect_aborted(DISK, from, to, &mut found).unwrap();
    (found, complete)
}

#[test]
fn transactions_that_overlap_a_range_are_collected() {
    let dir = tempfile::tempdir().unwrap();
    let txns = [txn(0, 0, 10, 11), txn(1, 5, 15, 13), txn(2, 18, 35, 25), txn(3, 32, 50, 40)];
    let index = index(&dir, &txns);
    let cases = [
        (0, 100, &txns[..], false),
        (0, 32, &txns[..3], true),
        (0, 35, &txns[..], true),
        (10, 35, &txns[..], true),
        (11, 35, &txns[1..], true),
        (20, 41, &txns[2..], false),
        (51, 100, &[], false),
        (0, 1, &txns[..1], true),
    ];
    for (from, to, expected, complete) in cases {
        assert_eq!(collect(&index, from, to), (expected.to_vec(), complete), "{from}..{to}");
        assert_eq!(collect(&reopened(&index), from, to), (expected.to_vec(), complete), "{from}..{to}, reopened");
    }
}

#[test]
fn a_long_index_is_scanned_over_the_borders_of_reads() {
    let dir = tempfile::tempdir().unwrap();
    let txns: Vec<AbortedTxn> = (0..500).map(|i| txn(i % 7, i * 10, i * 10 + 9, i * 10 + 10)).collect();
    let index = index(&dir, &txns);
    assert_eq!(index.all(DISK).unwrap(), txns);
    assert_eq!(collect(&index, 995, 3001), (txns[99..=300].to_vec(), true));
    index.sanity_check(DISK).unwrap();
}

#[test]
fn truncating_forgets_what_ends_behind_the_new_end() {
    let dir = tempfile::tempdir().unwrap();
    let txns = [txn(0, 0, 10, 2), txn(1, 5, 15, 16), txn(2, 18, 35, 25), txn(3, 32, 50, 40)];
    let mut index = index(&dir, &txns);
    index.truncate_to(DISK, 51).unwrap();
    assert_eq!(collect(&index, 0, 100).0, txns);
    index.truncate_to(DISK, 50).unwrap();
    assert_eq!(collect(&index, 0, 100).0, txns[..3]);
    assert_eq!(reopened(&index).all(DISK).unwrap(), txns[..3]);
    index.append(DISK, &txns[3]).unwrap();
    assert_eq!(collect(&index, 0, 100).0, txns);
    index.reset(DISK).unwrap();
    assert!(index.is_empty() && reopened(&index).is_empty());
}

#[test]
fn the_file_exists_only_once_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = index(&dir, &[]);
    index.truncate_to(DISK, 0).unwrap();
    index.reset(DISK).unwrap();
    assert_eq!(collect(&index, 0, 100), (vec![], false));
    assert!(!index.path().exists());
    index.append(DISK, &txn(7, 1, 2, 3)).unwrap();
    let mut expected = vec![0, 0];
    [7i64, 1, 2, 3].iter().for_each(|field| expected.extend_from_slice(&field.to_be_bytes()));
    assert_eq!(std::fs::read(index.path()).unwrap(), expected, "Kafka's AbortedTxn, version 0");
}

#[test]
#[should_panic(expected = "aborted transactions end in order")]
fn the_end_may_not_go_back_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let index = index(&dir, &[txn(0, 0, 10, 11)]);
    reopened(&index).append(DISK, &txn(0, 5, 10, 12)).unwrap();
}

#[test]
fn a_torn_entry_is_overwritten_and_damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let index = index(&dir, &[txn(0, 0, 10, 11)]);
    let mut bytes = std::fs::read(index.path()).unwrap();
    bytes.extend_from_slice(&[0xff; 20]);
    std::fs::write(index.path(), &bytes).unwrap();
    let mut torn = reopened(&index);
    torn.append(DISK, &txn(1, 12, 20, 21)).unwrap();
    assert_eq!(torn.all(DISK).unwrap().len(), 2);
    torn.sanity_check(DISK).unwrap();

    let before_segment = TransactionIndex::new(index.path().to_owned(), 100, bytes.len() as u64);
    assert!(before_segment.sanity_check(DISK).is_err(), "ends before its segment begins");
    bytes[1] = 9;
    std::fs::write(index.path(), &bytes).unwrap();
    assert!(matches!(reopened(&index).sanity_check(DISK), Err(FileError::Damaged { .. })), "a version of the future");
}
