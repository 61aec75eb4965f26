//! What happens to a log while it is cleaned, and what the cleaner makes of it: appends, truncation, deletion, damage, want of room.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::compaction::{Compacted, Owner, compacted_config, left, owned};
use super::*;
use crate::storage::cleaner::{LogOwner, OffsetMap};

/// An owner whose log gets another record, older than is kept, each time that somebody comes to it.
struct Backfilled {
    owner: Arc<Owner>,
    visits: Mutex<usize>,
}

impl LogOwner for Backfilled {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        let mut log = self.owner.0.lock();
        let mut visits = self.visits.lock();
        *visits += 1;
        if let Some(log) = log.as_mut().filter(|_| *visits < 500) {
            append_at(log, &[("old", NOW - 5000)], 0).unwrap();
            log.set_high_watermark(log.log_end_offset());
        }
        log.as_mut().map(visit).is_some()
    }
}

#[test]
fn the_cleaner_comes_back_from_a_log_that_goes_on_getting_records_which_are_too_old() {
    let log = Compacted::new(TopicConfig { cleanup_delete: true, retention_ms: 1000, ..compacted_config() });
    let backfilled = Arc::new(Backfilled { owner: log.owner.clone(), visits: Mutex::new(0) });
    let owner: Arc<dyn LogOwner> = backfilled.clone();
    log.cleaner.clean_filthiest(0, &mut OffsetMap::new(9), &[owner]);
    assert!(*backfilled.visits.lock() < 20, "{} visits", backfilled.visits.lock());
    assert!(log.log(|log| log.log_start_offset()) > 0);
}

#[test]
fn a_truncation_takes_the_checkpoint_back() {
    let mut log = Compacted::new(compacted_config());
    for _ in 0..10 {
        log.put(&[("a", Some(&"x".repeat(150)))]);
    }
    log.roll_and_clean();
    assert_eq!(log.checkpoint(), Some(10));
    log.log(|log| log.truncate_to(7, NOW).unwrap());
    assert!(log.checkpoint().unwrap() <= 7);
    log.log(|log| log.truncate_fully_and_start_at(100, NOW).unwrap());
    log.put(&[("a", Some("1"))]);
    log.put(&[("a", Some("2"))]);
    log.roll_and_clean();
    assert_eq!((log.left(), log.checkpoint()), (owned(&[(101, "a=2")]), Some(102)));
}

/// An owner whose log is truncated, deleted, or stops, the n-th time that the cleaner comes to it.
struct Meddler {
    owner: Arc<Owner>,
    left: Mutex<usize>,
    meddle: fn(&mut Option<Log>),
}

impl LogOwner for Meddler {
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool {
        let mut log = self.owner.0.lock();
        let mut left = self.left.lock();
        if *left == 0 {
            (self.meddle)(&mut log);
        }
        *left = left.wrapping_sub(1);
        log.as_mut().map(visit).is_some()
    }
}

#[test]
fn what_happens_to_the_log_meanwhile_aborts_the_cleaning_and_harms_nothing() {
    let filled = || {
        let log = Compacted::new(compacted_config());
        for n in 0..30 {
            log.put(&[(["a", "b", "c"][n % 3], Some(&format!("{n} {}", "x".repeat(100))))]);
            log.put(&[(&format!("key {n}"), Some(&"x".repeat(100)))]);
        }
        log.roll();
        log
    };
    fn truncate(log: &mut Option<Log>) {
        // As after an unclean election: below the high watermark.
        assert!(log.as_mut().unwrap().truncate_to(31, NOW).unwrap());
    }
    fn delete(log: &mut Option<Log>) {
        log.take().unwrap().delete(7, NOW).unwrap();
    }
    fn change_policy(log: &mut Option<Log>) {
        let config = TopicConfig { cleanup_compact: false, cleanup_delete: true, ..compacted_config() };
        log.as_mut().unwrap().set_config(Arc::new(config));
    }
    let mut aborted = 0;
    for visit in 0..12 {
        for meddle in [truncate as fn(&mut Option<Log>), delete, change_policy] {
            let log = filled();
            let before = log.left();
            let meddler = Meddler { owner: log.owner.clone(), left: Mutex::new(visit), meddle };
            // The cleaner wants an owner that lives as long as it may.
            let meddler: Arc<dyn LogOwner> = Arc::new(meddler);
            let mut map = OffsetMap::new(9);
            let cleaned = log.cleaner.clean_filthiest(0, &mut map, &[meddler]);
            aborted += usize::from(!cleaned);
            assert!(log.cleaner.state().uncleanable.is_empty());
            let Some(open) = &*log.owner.0.lock() else { continue };
            assert!(
                log.bench.files().iter().all(|name| !name.contains(".cleaned") && !name.contains(".swap")),
                "{:?}",
                log.bench.files()
            );
            let after = left(open);
            let end = open.log_end_offset();
            // Of each key the last record is there; unless it went with the end of the log: then a cleaning may have dropped those before it.
            let mut last: BTreeMap<&str, Offset> =
                before.iter().map(|(offset, record)| (record.split_once('=').unwrap().0, *offset)).collect();
            last.retain(|_, offset| *offset < end);
            assert!(last.len() >= 15, "{last:?}");
            for (key, offset) in last {
                let is_there = after.iter().any(|(at, record)| *at == offset && record.split_once('=').unwrap().0 == key);
                assert!(is_there, "{key} at {offset} after {visit} visits: {after:?}");
            }
        }
    }
    assert!(aborted > 12, "{aborted}");
}

#[test]
fn damage_makes_a_log_uncleanable_and_leaves_it_as_it_is() {
    let mut log = Compacted::new(compacted_config());
    for n in 0..20 {
        log.put(&[("a", Some(&format!("{n} {}", "x".repeat(100))))]);
    }
    log.roll();
    let path = log.bench.path("00000000000000000000.log");
    log.bench.disk.damage(&path, |bytes| bytes[300] ^= 1);
    let files = log.bench.files();
    assert!(!log.clean());
    assert_eq!(log.bench.files(), files);
    let uncleanable = log.cleaner.state().uncleanable;
    assert_eq!(uncleanable.len(), 1);
    assert!(uncleanable[0].1 > 1000, "{uncleanable:?}");
    assert!(!log.clean(), "it is not tried again");
    assert_eq!(log.cleaner.state().uncleanable, uncleanable);
}

#[test]
fn a_log_does_not_inherit_from_one_of_its_name_that_it_cannot_be_cleaned() {
    let mut log = Compacted::new(compacted_config());
    let fill = |log: &Compacted| {
        for n in 0..20 {
            log.put(&[("a", Some(&format!("{n} {}", "x".repeat(100))))]);
        }
        log.roll();
    };
    fill(&log);
    let path = log.bench.path("00000000000000000000.log");
    log.bench.disk.damage(&path, |bytes| bytes[300] ^= 1);
    assert!(!log.clean());
    log.log(|log| log.delete(1, NOW).unwrap());
    let next = log.bench.create();
    *log.owner.0.lock() = Some(next);
    fill(&log);
    assert!(log.clean(), "{:?}", log.cleaner.state());
    assert!(log.cleaner.state().uncleanable.is_empty());
    let lag = log.cleaner.lag(&log.log(|log| log.shared().clone())).unwrap();
    assert!(!lag.uncleanable);
}

#[test]
fn want_of_room_passes() {
    let mut log = Compacted::new(compacted_config());
    for n in 0..40 {
        log.put(&[(&format!("{n}"), Some(&"x".repeat(100)))]);
    }
    log.put(&[("0", Some("new"))]);
    log.roll();
    let before = log.left();
    log.bench.disk.set_capacity(Some(log.bench.disk.used() + 500));
    assert!(!log.clean());
    assert!(log.cleaner.state().uncleanable.is_empty() && log.bench.directory.offline().is_none());
    assert_eq!(log.left(), before);
    log.bench.disk.set_capacity(None);
    assert!(log.clean());
    assert_eq!(log.left(), before[1..]);
}
