//! Scrubs one segment: every batch of its log, and the indexes beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use indicatif::ProgressBar;

use super::checks::{OffsetIndexCheck, TimeIndexCheck, TransactionIndexCheck};
use super::finding::{Finding, Findings};
use crate::base::disk::{Disk, DiskFile, OpenMode, RealDisk};
use crate::base::ids::{LeaderEpoch, Offset, ProducerId};
use crate::cli::error::{CliError, Result};
use crate::record::batches::Batch;
use crate::record::control::{EndTransactionMarker, TransactionResult};
use crate::record::owned;
use crate::storage::leader_epochs::LeaderEpochCache;
use crate::storage::names::{FileKind, FileState, SegmentFile};
use crate::storage::producer_state::decode_snapshot;
use crate::storage::scan::{BadBatch, BadBatchReason, LogScan};
use crate::storage::transaction_index::TransactionIndex;

/// A batch may not decompress to more than this.
const DECOMPRESSED_LIMIT: usize = 1 << 30;

/// What is known of a segment before it is looked at.
pub struct Segment<'a> {
    pub dir: &'a Path,
    pub base_offset: Offset,
    /// Where the next segment begins; `None` for the active one, the only one that may be incomplete.
    pub next_base: Option<Offset>,
    pub epochs: Option<&'a LeaderEpochCache>,
    /// The log ends here or behind.
    pub promised_end: Offset,
    /// Whether records are read too.
    pub deep: bool,
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Scrubbed {
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

impl Segment<'_> {
    fn path(&self, kind: FileKind) -> PathBuf {
        self.dir.join(SegmentFile { base_offset: self.base_offset, kind, state: FileState::Live }.name())
    }

    /// `in_transactions` are the producers whose records stand before the segment and whose transaction has not ended; they are those behind it then.
    pub fn scrub(&self, in_transactions: &mut BTreeSet<ProducerId>, progress: &ProgressBar) -> Result<Scrubbed> {
        let path = self.path(FileKind::Log);
        let file = RealDisk.open(&path, OpenMode::Read).map_err(CliError::file("open", &path))?;
        let size = file.len().map_err(CliError::file("read", &path))?;
        let mut log = Findings::of(&path);
        let mut offsets =
            self.index(FileKind::OffsetIndex)?.map(|(bytes, findings)| OffsetIndexCheck::new(&bytes, self.base_offset, findings));
        let mut times =
            self.index(FileKind::TimeIndex)?.map(|(bytes, findings)| TimeIndexCheck::new(&bytes, self.base_offset, findings));
        let (mut transactions, mut found) = self.transactions()?;
        let mut scrubbed = Scrubbed::default();
        let mut next_offset = self.base_offset;
        let mut last_epoch = -1;
        let mut end = 0;
        let mut scan = LogScan::new(&*file, 0, size);
        let mut bad_end = None;
        while let Some(next) = scan.next_batch().map_err(CliError::file("read", &path))? {
            let (batch, position) = match next {
                Ok(batch) => batch,
                Err(bad) => {
                    bad_end = Some(bad);
                    break;
                }
            };
            let header = batch.header;
            let batch_at = (Some(position), Some(header.base_offset));
            if header.base_offset < next_offset {
                log.damage(batch_at.0, batch_at.1, format!("offsets go back: {next_offset} was next"));
            }
            if self.next_base.is_some_and(|next| header.last_offset() >= next) {
                let next = self.next_base.unwrap_or_default();
                log.damage(batch_at.0, batch_at.1, format!("the batch reaches into the next segment, which begins at {next}"));
            }
            self.check_epoch(header.leader_epoch, &mut last_epoch, header.base_offset, position, &mut log);
            match batch.verify_checksum() {
                Err(mismatch) => log.damage(batch_at.0, batch_at.1, mismatch.to_string()),
                Ok(()) if self.deep => self.check_records(&batch, position, &mut log),
                Ok(()) => {}
            }
            offsets.iter_mut().for_each(|check| check.on_batch(&header, position));
            times.iter_mut().for_each(|check| check.on_batch(&header));
            transactions.iter_mut().for_each(|check| check.on_batch(&header, end_of_transaction(&batch), in_transactions));
            scrubbed.batches += 1;
            scrubbed.records += u64::try_from(header.record_count).unwrap_or(0);
            next_offset = next_offset.max(header.next_offset());
            end = position + header.size() as u64;
            progress.inc(header.size() as u64);
        }
        let is_short = self.next_base.is_none() && next_offset < self.promised_end;
        match bad_end {
            Some(bad) => self.on_bad(bad, is_short, size, &*file, &mut log)?,
            None if is_short => {
                let promised = self.promised_end;
                log.damage(
                    Some(end),
                    None,
                    format!("the log ends at offset {next_offset}; the checkpoints say that it is whole up to {promised}"),
                );
            }
            None => {}
        }
        progress.inc(size - end);
        scrubbed.bytes = size;
        found.extend(log.into_vec());
        found.extend(offsets.into_iter().flat_map(|check| check.finish(end).into_vec()));
        found.extend(times.into_iter().flat_map(|check| check.finish(next_offset, self.next_base.is_some()).into_vec()));
        found.extend(transactions.into_iter().flat_map(|check| check.finish().into_vec()));
        found.extend(self.snapshot()?);
        scrubbed.findings = found;
        Ok(scrubbed)
    }

    /// Where batches cannot be told apart any more. At the end of the active segment that is what a crash leaves, and is cut at the next start;
    /// unless the log `is_short` then.
    fn on_bad(&self, bad: BadBatch, is_short: bool, size: u64, file: &dyn DiskFile, log: &mut Findings) -> Result {
        let BadBatch { position, reason } = bad;
        let left = size - position;
        let problem = format!("{reason}; the {left} bytes from here on cannot be read");
        let is_torn = matches!(reason, BadBatchReason::CutOff { .. }) || is_zero(file, position, size, self.dir)?;
        if self.next_base.is_none() && is_torn && !is_short {
            log.warning(
                Some(position),
                None,
                format!("{problem}; a write was torn here, and the broker cuts it off when it starts"),
            );
        } else {
            log.damage(Some(position), None, problem);
        }
        Ok(())
    }

    fn check_epoch(&self, epoch: LeaderEpoch, last: &mut LeaderEpoch, offset: Offset, position: u64, log: &mut Findings) {
        if epoch < 0 {
            return;
        }
        if epoch < *last {
            log.damage(Some(position), Some(offset), format!("leader epoch {epoch} follows {last}"));
        }
        *last = epoch.max(*last);
        // Of what lies in front of the log's start no epoch is kept.
        let told = self.epochs.and_then(|epochs| epochs.epoch_for_offset(offset));
        if let Some(told) = told.filter(|told| *told != epoch) {
            log.damage(
                Some(position),
                Some(offset),
                format!("the batch is of leader epoch {epoch}, leader-epoch-checkpoint says {told}"),
            );
        }
    }

    fn check_records(&self, batch: &Batch<'_>, position: u64, log: &mut Findings) {
        let bytes = Bytes::copy_from_slice(batch.bytes());
        let (at, offset) = (Some(position), Some(batch.header.base_offset));
        match owned::decode(&bytes, DECOMPRESSED_LIMIT).next() {
            Some(Ok(decoded)) => {
                if let Some(error) = decoded.record_refs().find_map(Result::err) {
                    log.damage(at, offset, format!("the checksum is right, but the records are not: {error}"));
                }
            }
            Some(Err(error)) => log.damage(at, offset, format!("the checksum is right, but the records cannot be read: {error}")),
            None => log.damage(at, offset, "the batch is cut off"),
        }
    }

    /// The bytes of an index, if there is one.
    fn index(&self, kind: FileKind) -> Result<Option<(Vec<u8>, Findings)>> {
        let path = self.path(kind);
        let mut findings = Findings::of(&path);
        let bytes = match RealDisk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::file("read", &path)(error)),
        };
        let entry_len = if kind == FileKind::OffsetIndex { 8 } else { 12 };
        if bytes.len() % entry_len != 0 {
            findings.warning(
                None,
                None,
                format!("its {} bytes are no whole number of entries; the broker builds it anew", bytes.len()),
            );
        }
        Ok(Some((bytes, findings)))
    }

    fn transactions(&self) -> Result<(Option<TransactionIndexCheck>, Vec<Finding>)> {
        let path = self.path(FileKind::TransactionIndex);
        let mut findings = Findings::of(&path);
        // There is no file where nothing was aborted.
        let Ok(metadata) = std::fs::metadata(&path) else {
            return Ok((Some(TransactionIndexCheck::new(Vec::new(), findings)), Vec::new()));
        };
        let index = TransactionIndex::new(path, self.base_offset, metadata.len());
        match index.sanity_check(&RealDisk).and_then(|()| index.all(&RealDisk)) {
            Ok(entries) => Ok((Some(TransactionIndexCheck::new(entries, findings)), Vec::new())),
            Err(error) => {
                findings.damage(None, None, error.to_string());
                Ok((None, findings.into_vec()))
            }
        }
    }

    fn snapshot(&self) -> Result<Vec<Finding>> {
        let path = self.path(FileKind::ProducerSnapshot);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let bytes = RealDisk.read(&path).map_err(CliError::file("read", &path))?;
        let mut findings = Findings::of(&path);
        if let Err(why) = decode_snapshot(&bytes) {
            findings.damage(None, None, why);
        }
        Ok(findings.into_vec())
    }
}

/// How the transaction of a batch's producer ends here, if it does.
fn end_of_transaction(batch: &Batch<'_>) -> Option<TransactionResult> {
    let marker = EndTransactionMarker::of_batch(&batch.header, batch.body()).ok().flatten()?;
    Some(marker.marker.result)
}

/// Whether everything from `position` on is zero, as a file system leaves what was reserved and not written.
fn is_zero(file: &dyn DiskFile, position: u64, end: u64, dir: &Path) -> Result<bool> {
    let mut block = [0; 64 << 10];
    let mut at = position;
    while at < end {
        let read = file.read_at(&mut block, at).map_err(CliError::file("read", dir))?;
        if read == 0 || block[..read].iter().any(|byte| *byte != 0) {
            return Ok(read == 0);
        }
        at += read as u64;
    }
    Ok(true)
}
