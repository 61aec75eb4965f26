//! What the metadata log promises: acknowledged entries survive every crash, a torn tail is cut, damage is told.

use openraft::{CommittedLeaderId, EntryPayload};
use uuid::Uuid;

use super::*;
use crate::base::disk::simulated::{Crash, SimulatedDisk};
use crate::metadata::{MetadataRecord, RecordBatch};
use crate::quorum::raft::VoterKey;

fn dir() -> PathBuf {
    PathBuf::from("/metadata")
}

fn id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(3, VoterKey { id: 1, dir: Uuid::from_u128(7) }), index)
}

/// An entry with a record of about `bytes` bytes.
fn entry(index: u64, bytes: usize) -> Entry {
    let record = MetadataRecord::Topic { topic_id: Uuid::from_u128(index as u128), name: "x".repeat(bytes).into() };
    let batch = RecordBatch { claim_epoch: 1, seq: index, records: vec![record] };
    Entry { log_id: id(index), payload: EntryPayload::Normal(Arc::new(batch)) }
}

fn open(disk: &SimulatedDisk) -> Result<MetadataLog, QuorumError> {
    MetadataLog::open(Arc::new(disk.clone()), &dir())
}

fn indexes(log: &mut MetadataLog) -> Vec<u64> {
    log.read(0..u64::MAX).unwrap().iter().map(|e| e.log_id.index).collect()
}

#[test]
fn entries_are_read_back_before_and_after_a_restart() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk).unwrap();
    assert_eq!((log.last(), log.purged()), (None, None));
    log.append(vec![entry(0, 10)]).unwrap();
    log.append(vec![entry(1, 2000), entry(2, 0)]).unwrap();
    for _ in 0..2 {
        assert_eq!(log.read(1..3).unwrap(), [entry(1, 2000), entry(2, 0)], "from memory first, then from the file");
        assert_eq!(log.read(0..9).unwrap().len(), 3);
        assert_eq!(log.read(3..9).unwrap(), []);
    }
    let mut log = open(&disk).unwrap();
    assert_eq!(log.last(), Some(id(2)));
    assert_eq!(log.read(0..3).unwrap(), [entry(0, 10), entry(1, 2000), entry(2, 0)]);
}

#[test]
fn segments_follow_one_another_and_purging_removes_the_first() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk).unwrap();
    for index in 0..6 {
        log.append(vec![entry(index, 8 << 10)]).unwrap();
    }
    let names = |disk: &SimulatedDisk| {
        let mut names: Vec<String> = disk.list(&dir()).unwrap().into_iter().map(|e| e.name).collect();
        names.sort();
        names
    };
    assert_eq!(names(&disk), ["00000000000000000000.log", "00000000000000000002.log", "00000000000000000004.log"]);
    assert!((16 << 10..17 << 10).contains(&log.bytes_from(4)) && log.bytes_from(6) == 0);

    log.purge(id(2)).unwrap();
    assert_eq!(names(&disk).len(), 2, "entry 3 shares a segment with 2, which is kept for it");
    assert_eq!((log.purged(), log.last()), (Some(id(1)), Some(id(5))));
    let mut log = open(&disk).unwrap();
    assert_eq!((log.purged(), indexes(&mut log)), (Some(id(1)), vec![2, 3, 4, 5]));

    log.purge(id(9)).unwrap();
    assert_eq!((log.purged(), log.last(), indexes(&mut log)), (Some(id(9)), Some(id(9)), vec![]));
    log.append(vec![entry(10, 1)]).unwrap();
    let mut log = open(&disk).unwrap();
    assert_eq!((log.purged(), indexes(&mut log)), (Some(id(9)), vec![10]));
}

#[test]
fn truncating_removes_a_suffix_across_segments() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk).unwrap();
    for index in 0..6 {
        log.append(vec![entry(index, 8 << 10)]).unwrap();
    }
    log.truncate(3).unwrap();
    assert_eq!((log.last(), indexes(&mut log)), (Some(id(2)), vec![0, 1, 2]));
    log.append(vec![entry(3, 5)]).unwrap();
    let mut log = open(&disk).unwrap();
    assert_eq!(log.read(3..4).unwrap(), [entry(3, 5)]);
    log.truncate(0).unwrap();
    assert_eq!((log.last(), indexes(&mut log)), (None, vec![]));
    assert_eq!(open(&disk).unwrap().last(), None);
}

/// Runs a history of appends, cuts and purges until the disk stops; what was acknowledged: the last entry and the purged ones.
fn history(disk: &SimulatedDisk) -> (Option<u64>, u64) {
    let (mut acked, mut purged) = (None, 0);
    let Ok(mut log) = open(disk) else { return (acked, purged) };
    let mut next = 0;
    for step in 0..12 {
        let (count, bytes) = [(1, 10), (3, 600), (1, 12 << 10), (2, 5000)][step % 4];
        let run: Vec<Entry> = (next..next + count).map(|index| entry(index, bytes)).collect();
        next += count;
        if log.append(run).is_err() {
            return (acked, purged);
        }
        acked = Some(next - 1);
        if step == 9 {
            purged = 8;
            if log.purge(id(8)).is_err() {
                return (acked, purged);
            }
        }
    }
    (acked, purged)
}

#[test]
fn whatever_was_acknowledged_survives_a_crash_at_any_point() {
    let whole = SimulatedDisk::default();
    let (last, _) = history(&whole);
    assert_eq!(last, Some(20));
    for point in 0..whole.changes() {
        for seed in 0..6 {
            let disk = SimulatedDisk::default();
            disk.stop_after(point);
            let (acked, purged) = history(&disk);
            disk.crash(if seed == 0 { Crash::Process } else { Crash::Power { seed: point * 100 + seed } });
            let mut log = open(&disk).unwrap_or_else(|e| panic!("crash at {point}, seed {seed}: {e}"));
            let last = log.last().map(|l| l.index);
            assert!(last >= acked, "crash at {point}, seed {seed}: {last:?} is left of {acked:?}");
            let first = log.purged().map_or(0, |p| p.index + 1);
            assert!(first <= purged + 1);
            let left = log.read(0..u64::MAX).unwrap();
            assert!(left.iter().map(|e| e.log_id.index).eq(first..last.map_or(first, |l| l + 1)), "no gaps");
            let next = last.map_or(0, |l| l + 1);
            log.append(vec![entry(next, 1)]).unwrap();
            assert_eq!(open(&disk).unwrap().last(), Some(id(next)), "the log goes on where it was cut");
        }
    }
}

#[test]
fn damage_to_acknowledged_entries_is_told_and_nothing_is_cut() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk).unwrap();
    log.append(vec![entry(0, 50)]).unwrap();
    log.append(vec![entry(1, 50), entry(2, 50)]).unwrap();
    drop(log);
    let path = dir().join("00000000000000000000.log");
    let whole = disk.read(&path).unwrap();
    for at in 0..whole.len() {
        let disk = SimulatedDisk::default();
        disk.create_dir_all(&dir()).unwrap();
        disk.open(&path, OpenMode::ReadWrite).unwrap().write_all_at(&[IoSlice::new(&whole)], 0).unwrap();
        disk.damage(&path, |bytes| bytes[at] ^= 0x10);
        // Header and first entry had been synced before the other two were written; those came together, so either could be torn.
        let synced = HEADER_LEN + (whole.len() - HEADER_LEN) / 3;
        match open(&disk) {
            Ok(mut log) => {
                assert!(at >= synced, "damage at {at} of {synced} went unnoticed");
                assert!(!indexes(&mut log).is_empty());
            }
            Err(QuorumError::Damaged { what, .. }) => {
                assert!(at < synced, "a torn tail at {at} of {synced} was taken for damage");
                assert_eq!(what, "an entry's checksum does not match");
            }
            Err(other) => panic!("damage at {at}: {other}"),
        }
    }
}

#[test]
fn a_missing_segment_is_told() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk).unwrap();
    for index in 0..6 {
        log.append(vec![entry(index, 8 << 10)]).unwrap();
    }
    disk.remove_file(&dir().join("00000000000000000002.log")).unwrap();
    let error = open(&disk).err().unwrap();
    assert!(matches!(error, QuorumError::MissingEntries { from: 2, to: 4, .. }), "{error}");
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    use crate::base::disk::simulated::Operation;
    let disk = SimulatedDisk::default();
    let mut log = open(&disk).unwrap();
    log.append(vec![entry(0, 10)]).unwrap();
    disk.fail_when(|operation, _| (operation == Operation::Sync).then_some(std::io::ErrorKind::Other));
    assert!(matches!(log.append(vec![entry(1, 10)]), Err(QuorumError::Io { op: "sync", .. })));
    disk.fail_no_more();
    assert!(matches!(log.append(vec![entry(1, 10)]), Err(QuorumError::Poisoned { .. })));
    assert!(matches!(log.purge(id(0)), Err(QuorumError::Poisoned { .. })));
    assert_eq!(log.last(), Some(id(0)));
}
