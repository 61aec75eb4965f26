//! A partition that is scrubbed, whole and damaged in every way that is told apart.

use std::fs;
use std::path::Path;

use super::*;
use crate::base::disk::Disk;
use crate::record::builder::BatchBuilder;
use crate::record::compression::Codec;
use crate::storage::offset_index::{self, OffsetPosition};

/// A data directory with the partition `orders-0`: segments at 0 (three batches of two records) and 6 (one batch).
fn data_dir() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("orders-0");
    fs::create_dir(&dir).unwrap();
    let first: Vec<Vec<u8>> = (0..3).map(|n| batch(2 * n, 2)).collect();
    let position = first[0].len() as u32;
    fs::write(dir.join("00000000000000000000.log"), first.concat()).unwrap();
    fs::write(dir.join("00000000000000000006.log"), batch(6, 1)).unwrap();
    let entry = offset_index::encode(OffsetPosition { offset: 3, position }, 0);
    fs::write(dir.join("00000000000000000000.index"), entry).unwrap();
    RealDisk.replace(&dir.join("leader-epoch-checkpoint"), b"0\n1\n0 0\n").unwrap();
    (root, dir)
}

fn batch(base_offset: Offset, count: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::Lz4);
    builder.base_offset = base_offset;
    builder.leader_epoch = 0;
    for n in 0..count {
        builder.push_plain(1000 + base_offset + n, Some(b"key"), Some(b"value"));
    }
    builder.build().to_vec()
}

fn found(root: &Path, deep: bool) -> Vec<(Severity, String)> {
    let (mut report, mut promised) = (Report::default(), Promised::default());
    let mut partitions = Vec::new();
    collect(root, &mut partitions, &mut promised, &mut report).unwrap();
    for partition in &partitions {
        scrub(partition, deep, &ProgressBar::hidden(), &mut promised, &mut report).unwrap();
    }
    report.findings.into_iter().map(|finding| (finding.severity, finding.text())).collect()
}

fn change(path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    with(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn one(found: Vec<(Severity, String)>, severity: Severity, words: &[&str]) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, severity, "{found:?}");
    assert!(words.iter().all(|word| found[0].1.contains(word)), "{found:?}");
}

#[test]
fn a_whole_partition_is_found_whole() {
    let (root, _) = data_dir();
    assert_eq!(found(root.path(), true), []);
}

#[test]
fn a_log_that_was_put_aside_is_a_warning() {
    let (root, dir) = data_dir();
    let stray = root.path().join("orders-0.0000000000000000000000000000002a-stray");
    fs::rename(dir, &stray).unwrap();
    one(found(root.path(), true), Severity::Warning, &[&stray.display().to_string(), "put aside"]);
}

#[test]
fn a_flipped_bit_is_found_at_its_batch() {
    let (root, dir) = data_dir();
    let len = batch(0, 2).len();
    change(&dir.join("00000000000000000000.log"), |bytes| bytes[len + 70] ^= 1);
    let position = format!("at position {len} (offset 2)");
    one(found(root.path(), false), Severity::Damage, &["orders-0/00000000000000000000.log", &position, "computed crc"]);
}

#[test]
fn a_torn_tail_is_a_warning_in_the_active_segment_only() {
    let (root, dir) = data_dir();
    let whole = batch(6, 1).len();
    change(&dir.join("00000000000000000006.log"), |bytes| bytes.extend_from_slice(&batch(7, 1)[..80]));
    one(found(root.path(), false), Severity::Warning, &[&format!("position {whole}"), "torn"]);
    change(&dir.join("00000000000000000006.log"), |bytes| {
        bytes.truncate(whole);
        bytes.resize(whole + 4096, 0);
    });
    one(found(root.path(), false), Severity::Warning, &["4096 bytes", "torn"]);
    change(&dir.join("00000000000000000006.log"), |bytes| bytes.truncate(whole));
    change(&dir.join("00000000000000000000.log"), |bytes| bytes.truncate(bytes.len() - 1));
    one(found(root.path(), false), Severity::Damage, &["cut off"]);
}

#[test]
fn an_index_that_leads_astray_is_damage() {
    let (root, dir) = data_dir();
    change(&dir.join("00000000000000000000.index"), |bytes| bytes[7] += 1);
    one(found(root.path(), false), Severity::Damage, &["00000000000000000000.index", "(offset 3)", "no batch begins"]);
    change(&dir.join("00000000000000000000.index"), |bytes| bytes[7] -= 1);
    change(&dir.join("00000000000000000000.index"), |bytes| bytes.push(0));
    one(found(root.path(), false), Severity::Warning, &["whole number of entries"]);
}

#[test]
fn epochs_and_offsets_must_fit() {
    let (root, dir) = data_dir();
    RealDisk.replace(&dir.join("leader-epoch-checkpoint"), b"0\n2\n0 0\n1 6\n").unwrap();
    one(found(root.path(), false), Severity::Damage, &["leader epoch 0", "says 1", "(offset 6)"]);
    RealDisk.replace(&dir.join("leader-epoch-checkpoint"), b"0\n1\n0 3\n").unwrap();
    assert_eq!(found(root.path(), false), [], "what is in front of the log's start, as after DeleteRecords");
    RealDisk.replace(&dir.join("leader-epoch-checkpoint"), b"0\n1\n0 x\n").unwrap();
    one(found(root.path(), false), Severity::Damage, &["leader-epoch-checkpoint", "malformed line"]);
    RealDisk.replace(&dir.join("leader-epoch-checkpoint"), b"0\n1\n0 0\n").unwrap();
    fs::write(dir.join("00000000000000000006.log"), [batch(6, 1), batch(3, 1)].concat()).unwrap();
    one(found(root.path(), false), Severity::Damage, &["offsets go back: 7 was next", "(offset 3)"]);
}

#[test]
fn records_are_read_when_asked() {
    let (root, dir) = data_dir();
    let path = dir.join("00000000000000000006.log");
    // A batch whose checksum is right and whose body is not lz4.
    change(&path, |bytes| {
        bytes.truncate(61);
        bytes.extend_from_slice(b"not lz4 at all");
        let length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crate::record::batch::checksum(bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    });
    assert_eq!(found(root.path(), false), []);
    one(found(root.path(), true), Severity::Damage, &["the checksum is right", "(offset 6)"]);
}

#[test]
fn an_end_in_front_of_what_was_promised_is_damage_and_no_torn_write() {
    let (root, dir) = data_dir();
    fs::write(root.path().join("recovery-point-offset-checkpoint"), "0\n1\norders 0 7\n").unwrap();
    fs::write(root.path().join("replication-offset-checkpoint"), "0\n1\norders 0 6\n").unwrap();
    assert_eq!(found(root.path(), false), []);
    let active = dir.join("00000000000000000006.log");
    change(&active, |bytes| bytes.truncate(80));
    one(found(root.path(), false), Severity::Damage, &["cut off"]);
    change(&active, |bytes| bytes.clear());
    one(found(root.path(), false), Severity::Damage, &["ends at offset 6", "whole up to 7"]);
    fs::remove_file(active).unwrap();
    one(found(root.path(), false), Severity::Damage, &["ends at offset 6", "whole up to 7"]);
    fs::write(root.path().join("recovery-point-offset-checkpoint"), "0\n1\norders 0 6\n").unwrap();
    assert_eq!(found(root.path(), false), []);
    fs::write(root.path().join("replication-offset-checkpoint"), "0\n1\norders 0 8\n").unwrap();
    one(found(root.path(), false), Severity::Damage, &["ends at offset 6", "whole up to 8"]);
}

#[test]
fn a_log_that_was_promised_and_is_gone_is_damage() {
    let (root, dir) = data_dir();
    fs::write(root.path().join("recovery-point-offset-checkpoint"), "0\n2\norders 0 7\norders 1 0\n").unwrap();
    assert_eq!(found(root.path(), false), [], "of orders-1 nothing was said to be there");
    for base in [0, 6] {
        fs::remove_file(dir.join(format!("{base:020}.log"))).unwrap();
    }
    one(found(root.path(), false), Severity::Damage, &["orders-0", "there is no log", "whole up to 7"]);
    let aside = root.path().join("orders-0.00000000000000000000000000000000-delete");
    fs::rename(&dir, &aside).unwrap();
    assert_eq!(found(root.path(), false), [], "it was deleted, and the checkpoint not yet written");
    fs::rename(&aside, root.path().join("elsewhere")).unwrap();
    one(found(root.path(), false), Severity::Damage, &["orders-0", "directory is missing", "whole up to 7"]);
}

#[test]
fn the_files_beside_the_partitions_are_read() {
    let (root, _) = data_dir();
    fs::write(root.path().join("recovery-point-offset-checkpoint"), "0\n2\norders 0 5\n").unwrap();
    one(found(root.path(), false), Severity::Damage, &["recovery-point-offset-checkpoint", "expected 2 entries"]);
}
