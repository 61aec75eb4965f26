//! klamm's metadata: its log, its snapshots and the small files beside them.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::sink::Sink;
use super::verify::finding::{Finding, Findings};
use crate::base::disk::{Disk, RealDisk};
use crate::cli::error::{CliError, Result};
use crate::metadata::snapshot::records;
use crate::quorum::inspect::{self, InspectedEntry, InspectedLog, Payload};
use crate::quorum::{QuorumError, VoterKey};

#[derive(Serialize)]
struct EntryLine {
    position: u64,
    index: u64,
    term: u64,
    leader: String,
    #[serde(flatten)]
    payload: PayloadLine,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum PayloadLine {
    Blank,
    Records { claim_epoch: i32, seq: u64, records: Vec<String> },
    Voters { voters: Vec<Vec<String>> },
}

impl EntryLine {
    fn new(entry: &InspectedEntry) -> Self {
        let payload = match &entry.payload {
            Payload::Blank => PayloadLine::Blank,
            Payload::Records(batch) => PayloadLine::Records {
                claim_epoch: batch.claim_epoch,
                seq: batch.seq,
                records: batch.records.iter().map(|record| format!("{record:?}")).collect(),
            },
            Payload::Voters(voters) => PayloadLine::Voters { voters: named(voters) },
        };
        let InspectedEntry { position, index, term, leader, .. } = entry;
        Self { position: *position, index: *index, term: *term, leader: leader.to_string(), payload }
    }

    fn text(&self) -> String {
        let Self { position, index, term, leader, payload } = self;
        let mut text = format!("index: {index} term: {term} leader: {leader} position: {position}");
        match payload {
            PayloadLine::Blank => text += " blank",
            PayloadLine::Records { claim_epoch, seq, records } => {
                text += &format!(" claimEpoch: {claim_epoch} seq: {seq} count: {}", records.len());
                records.iter().for_each(|record| text += &format!("\n| {record}"));
            }
            PayloadLine::Voters { voters } => text += &format!(" voters: {voters:?}"),
        }
        text
    }
}

fn named(voters: &[Vec<VoterKey>]) -> Vec<Vec<String>> {
    voters.iter().map(|config| config.iter().map(ToString::to_string).collect()).collect()
}

fn read(path: &Path, first_index: u64) -> Result<InspectedLog> {
    let bytes = RealDisk.read(path).map_err(CliError::file("read", path))?;
    inspect::log(&bytes, first_index).map_err(|error| CliError::failed(format!("{}: {error}", path.display())))
}

fn failed(error: QuorumError) -> CliError {
    CliError::failed(error.to_string())
}

pub fn log(path: &Path, first_index: u64, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Broken {
        broken_at: u64,
        acknowledged: bool,
    }
    let log = read(path, first_index)?;
    sink.heading(|| format!("Log starting index: {first_index}"))?;
    for entry in &log.entries {
        let line = EntryLine::new(entry);
        sink.put(&line, || line.text())?;
    }
    let Some(broken_at) = log.broken_at else { return Ok(()) };
    sink.put(&Broken { broken_at, acknowledged: log.acknowledged }, || broken(broken_at, log.acknowledged))
}

fn broken(at: u64, acknowledged: bool) -> String {
    let meaning = match acknowledged {
        true => "entries that were acknowledged are damaged",
        false => "a write was torn here, and the node cuts it off when it starts",
    };
    format!("from position {at} on there is no whole entry: {meaning}")
}

pub fn snapshot(path: &Path, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Head {
        last_index: u64,
        last_term: u64,
        voters: Vec<Vec<String>>,
        offset: i64,
        controller: i32,
    }
    #[derive(Serialize)]
    struct Line {
        record: String,
    }
    let snapshot = inspect::snapshot(Arc::new(RealDisk), path).map_err(failed)?;
    let head = Head {
        last_index: snapshot.last_index,
        last_term: snapshot.last_term,
        voters: named(&snapshot.voters),
        offset: snapshot.image.offset(),
        controller: snapshot.image.controller_id(),
    };
    sink.put(&head, || {
        let Head { last_index, last_term, voters, offset, controller } = &head;
        format!("lastIndex: {last_index} lastTerm: {last_term} offset: {offset} controller: {controller} voters: {voters:?}")
    })?;
    for record in records(&snapshot.image) {
        let line = Line { record: format!("{record:?}") };
        sink.put(&line, || format!("| {}", line.record))?;
    }
    Ok(())
}

/// The vote, or how far the log is known to be committed.
pub fn state(path: &Path, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Vote {
        term: u64,
        voter: String,
        committed: bool,
    }
    #[derive(Serialize)]
    struct Committed {
        index: u64,
        term: u64,
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    if path.file_name().is_some_and(|name| name == "voter") {
        let Some(vote) = inspect::vote(&RealDisk, dir).map_err(failed)? else { return Ok(()) };
        let line = Vote { term: vote.term, voter: vote.voter.to_string(), committed: vote.committed };
        return sink.put(&line, || format!("term: {} voter: {} committed: {}", line.term, line.voter, line.committed));
    }
    match inspect::committed(&RealDisk, dir).map_err(failed)? {
        Some((index, term)) => sink.put(&Committed { index, term }, || format!("committed index: {index} term: {term}")),
        None => sink.heading(|| "The hint is not readable; the node does without it.".into()),
    }
}

/// Checks every file of a metadata directory.
pub fn verify(dir: &Path) -> Result<Vec<Finding>> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .map_err(CliError::file("list", dir))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let logs: Vec<(u64, &str)> =
        names.iter().filter_map(|name| Some((name.strip_suffix(".log")?.parse().ok()?, name.as_str()))).collect();
    let mut found = Vec::new();
    let mut next_index = None;
    for (n, (first_index, name)) in logs.iter().enumerate() {
        let path = dir.join(name);
        let mut findings = Findings::of(&path);
        if let Some(next) = next_index.filter(|next| next != first_index) {
            findings.damage(None, None, format!("the entries {next} to {first_index} are missing"));
        }
        match read(&path, *first_index) {
            Ok(log) => {
                if let Some(at) = log.broken_at {
                    let is_torn = n + 1 == logs.len() && !log.acknowledged;
                    let text = broken(at, !is_torn);
                    if is_torn { findings.warning(Some(at), None, text) } else { findings.damage(Some(at), None, text) }
                }
                next_index = Some(log.entries.last().map_or(*first_index, |entry| entry.index + 1));
            }
            Err(error) => findings.damage(None, None, error.to_string()),
        }
        found.extend(findings.into_vec());
    }
    for name in names.iter().filter(|name| name.ends_with(".snapshot")) {
        let path = dir.join(name);
        let mut findings = Findings::of(&path);
        if let Err(error) = inspect::snapshot(Arc::new(RealDisk), &path) {
            findings.damage(None, None, error.to_string());
        }
        found.extend(findings.into_vec());
    }
    if let Err(error) = inspect::vote(&RealDisk, dir) {
        let mut findings = Findings::of(&dir.join("voter"));
        findings.damage(None, None, error.to_string());
        found.extend(findings.into_vec());
    }
    Ok(found)
}
