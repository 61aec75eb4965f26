//! `klamm dump --verify`: scrubs data directories, and says exactly what is damaged.

mod checks;
pub mod finding;
mod promised;
mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use self::finding::{Finding, Findings, Severity};
use self::promised::Promised;
use self::segment::{Scrubbed, Segment};
use super::quorum;
use crate::base::disk::RealDisk;
use crate::base::ids::{Offset, TopicPartition};
use crate::cli::dump::kind::METADATA_DIR;
use crate::cli::error::{CliError, Result};
use crate::cli::output::{Format, plural, size};
use crate::storage::checkpoint::{FileError, meta_properties, offsets, partition_metadata};
use crate::storage::leader_epochs::LeaderEpochCache;
use crate::storage::names::{CLUSTER_METADATA_TOPIC, FileKind, FileState, SegmentFile};

/// Everything that was looked at and found.
#[derive(Debug, Default, Serialize)]
struct Report {
    partitions: u64,
    segments: u64,
    batches: u64,
    records: u64,
    bytes: u64,
    damage: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// A directory with segments, and where each of them begins.
struct Partition {
    dir: PathBuf,
    bases: Vec<Offset>,
    bytes: u64,
}

/// Scrubs everything below these paths. Fails if anything is damaged; what a broker mends by itself is only told.
pub fn verify(paths: &[PathBuf], deep: bool, format: Format) -> Result {
    let (mut report, mut promised) = (Report::default(), Promised::default());
    let mut partitions = Vec::new();
    for path in paths {
        collect(path, &mut partitions, &mut promised, &mut report)?;
    }
    if partitions.is_empty() && report.findings.is_empty() && report.segments == 0 {
        let tip = "name a data directory of a broker, or the directory of a partition in it";
        return Err(CliError::failed_with_tip("there are no log segments to verify", tip));
    }
    let progress = progress(partitions.iter().map(|partition| partition.bytes).sum());
    for partition in &partitions {
        progress.set_message(partition.dir.file_name().unwrap_or_default().to_string_lossy().into_owned());
        scrub(partition, deep, &progress, &mut promised, &mut report)?;
    }
    progress.finish_and_clear();
    report.damage = report.findings.iter().filter(|finding| finding.severity == Severity::Damage).count();
    report.warnings = report.findings.len() - report.damage;
    format.print(&report, || text(&report))?;
    if report.damage > 0 {
        let noun = if report.damage == 1 { "place is" } else { "places are" };
        return Err(CliError::failed(format!("{} {noun} damaged", report.damage)));
    }
    Ok(())
}

fn progress(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";
    bar.with_style(ProgressStyle::with_template(style).expect("the template is well-formed"))
}

/// Finds the partitions at and below a path, and looks at the small files on the way.
fn collect(path: &Path, partitions: &mut Vec<Partition>, promised: &mut Promised, report: &mut Report) -> Result {
    let entries = std::fs::read_dir(path).map_err(CliError::file("list", path))?;
    let (mut bases, mut bytes) = (Vec::new(), 0);
    let mut dirs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(CliError::file("list", path))?;
        let metadata = entry.metadata().map_err(CliError::file("read", entry.path()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if metadata.is_dir() {
            dirs.push(entry.path());
        } else if let Some(SegmentFile { base_offset, kind: FileKind::Log, state: FileState::Live }) = SegmentFile::parse(&name) {
            bases.push(base_offset);
            bytes += metadata.len();
        }
    }
    if path.file_name().is_some_and(|name| name == METADATA_DIR) {
        report.segments += bases.len() as u64;
        report.findings.extend(quorum::verify(path)?);
        return Ok(());
    }
    top_level(path, report);
    for (partition, end) in promised.missing_from(path) {
        let mut findings = Findings::of(&path.join(partition.to_string()));
        findings.damage(None, None, format!("the directory is missing; the checkpoints say that the log is whole up to {end}"));
        report.findings.extend(findings.into_vec());
    }
    if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-stray")) {
        let mut findings = Findings::of(path);
        findings.warning(None, None, "a log that was put aside: its records are not served");
        report.findings.extend(findings.into_vec());
    }
    // A partition that has lost all of its log is one, too.
    if !bases.is_empty() || promised.end_of(path) > 0 {
        bases.sort_unstable();
        partitions.push(Partition { dir: path.to_owned(), bases, bytes });
    }
    dirs.sort();
    // What is on its way out need not be whole.
    let live = |dir: &PathBuf| !dir.to_string_lossy().ends_with("-delete");
    dirs.iter().filter(|dir| live(dir)).try_for_each(|dir| collect(dir, partitions, promised, report))
}

/// The files beside the partitions.
fn top_level(dir: &Path, report: &mut Report) {
    let mut note = |path: PathBuf, result: Result<(), FileError>| {
        if let Err(error) = result {
            let mut findings = Findings::of(&path);
            findings.damage(None, None, reason(error));
            report.findings.extend(findings.into_vec());
        }
    };
    for name in [offsets::RECOVERY_POINT, offsets::HIGH_WATERMARK, offsets::LOG_START, offsets::CLEANER, offsets::ACTIVE_SIZE] {
        let path = dir.join(name);
        let read: Result<BTreeMap<TopicPartition, Offset>, FileError> = offsets::read(&RealDisk, &path);
        note(path, read.map(drop));
    }
    note(dir.join(meta_properties::FILE_NAME), meta_properties::read(&RealDisk, dir).map(drop));
}

/// The finding names the file already.
fn reason(error: FileError) -> String {
    match error {
        FileError::Damaged { reason, .. } => reason,
        other => other.to_string(),
    }
}

fn scrub(partition: &Partition, deep: bool, progress: &ProgressBar, promised: &mut Promised, report: &mut Report) -> Result {
    let dir = &partition.dir;
    report.partitions += 1;
    let epochs = match LeaderEpochCache::load(&RealDisk, dir) {
        Ok(epochs) => Some(epochs),
        Err(error) => {
            let mut findings = Findings::of(&dir.join(crate::storage::leader_epochs::FILE_NAME));
            findings.damage(None, None, reason(error));
            report.findings.extend(findings.into_vec());
            None
        }
    };
    if let Err(error) = partition_metadata::read(&RealDisk, dir) {
        let mut findings = Findings::of(&dir.join(partition_metadata::FILE_NAME));
        findings.damage(None, None, reason(error));
        report.findings.extend(findings.into_vec());
    }
    // Kafka's metadata log keeps its epochs in its own way.
    let keeps_epochs = !dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(CLUSTER_METADATA_TOPIC));
    let promised_end = promised.end_of(dir);
    if partition.bases.is_empty() {
        let mut findings = Findings::of(dir);
        findings.damage(None, None, format!("there is no log; the checkpoints say that it is whole up to {promised_end}"));
        report.findings.extend(findings.into_vec());
    }
    let mut in_transactions = BTreeSet::new();
    for (n, base_offset) in partition.bases.iter().enumerate() {
        let segment = Segment {
            dir,
            base_offset: *base_offset,
            next_base: partition.bases.get(n + 1).copied(),
            epochs: epochs.as_ref().filter(|_| keeps_epochs),
            promised_end,
            deep,
        };
        let Scrubbed { batches, records, bytes, findings } = segment.scrub(&mut in_transactions, progress)?;
        report.segments += 1;
        report.batches += batches;
        report.records += records;
        report.bytes += bytes;
        report.findings.extend(findings);
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let Report { partitions, segments, batches, bytes, damage, warnings, findings, .. } = report;
    let mut text: String = findings.iter().map(|finding| format!("{}\n", finding.text())).collect();
    let found = match (damage, warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (damage, warnings) => {
            format!("{damage} damaged, {}", plural(*warnings as i64, "warning"))
        }
    };
    text += &format!(
        "Looked at {}, {}, {} batches, {}: {found}.\n",
        plural(*partitions as i64, "partition"),
        plural(*segments as i64, "segment"),
        batches,
        size(*bytes as i64),
    );
    text
}

#[cfg(test)]
mod tests;
