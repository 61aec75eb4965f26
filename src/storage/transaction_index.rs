//! Aborted transactions of one segment, in Kafka's `.txnindex` format.
//!
//! ```text
//! { version i16 (0) · producer_id i64 · first_offset i64 · last_offset i64 · last_stable_offset i64 }*      34 bytes each
//! ```
//!
//! Invariants: `first_offset ≤ last_offset`; `last_offset` strictly increases from entry to entry, and `last_stable_offset` never decreases.
//! The file exists only once a transaction was aborted here; most segments have none, and then this costs no descriptor and no read.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::FileError;
use super::producer_state::CompletedTxn;
use crate::base::disk::{Disk, DiskFile, OpenMode};
use crate::base::ids::{Offset, ProducerId};

/// Bytes of an entry.
pub const ENTRY_LEN: usize = 34;
const VERSION: i16 = 0;
/// Entries that one read of a scan brings.
const SCAN_ENTRIES: usize = 120;

/// A transaction that consumers at read_committed must skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Offset of the abort marker.
    pub last_offset: Offset,
    /// The last stable offset when the marker was written: below it no later entry can matter.
    pub last_stable_offset: Offset,
}

impl AbortedTxn {
    pub fn new(txn: &CompletedTxn, last_stable_offset: Offset) -> Self {
        Self { producer_id: txn.producer_id, first_offset: txn.first_offset, last_offset: txn.last_offset, last_stable_offset }
    }

    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[0..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.first_offset.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.last_offset.to_be_bytes());
        bytes[26..34].copy_from_slice(&self.last_stable_offset.to_be_bytes());
        bytes
    }

    /// `Err` with the version if that is one this code does not know.
    fn decode(bytes: &[u8; ENTRY_LEN]) -> Result<Self, i16> {
        let long = |at: usize| i64::from_be_bytes(*bytes[at..].first_chunk().expect("fields lie inside the entry"));
        match i16::from_be_bytes([bytes[0], bytes[1]]) {
            VERSION => {
                Ok(Self { producer_id: long(2), first_offset: long(10), last_offset: long(18), last_stable_offset: long(26) })
            }
            other => Err(other),
        }
    }
}

/// See the module.
pub struct TransactionIndex {
    path: PathBuf,
    start_offset: Offset,
    entries: u64,
    /// `last_offset` of the last entry, once it has been needed.
    last_offset: Option<Offset>,
}

impl TransactionIndex {
    /// The index at `path` of the segment that begins at `start_offset`. `file_len` is the file's size, 0 if there is none; bytes behind the
    /// last whole entry are a torn write and will be overwritten.
    pub fn new(path: PathBuf, start_offset: Offset, file_len: u64) -> Self {
        Self { path, start_offset, entries: file_len / ENTRY_LEN as u64, last_offset: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Moves the file with its segment's name.
    pub fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Adds an aborted transaction.
    ///
    /// # Panics
    /// If it does not end behind all that are there.
    pub fn append(&mut self, disk: &dyn Disk, txn: &AbortedTxn) -> Result<(), FileError> {
        if self.last_offset.is_none() && self.entries > 0 {
            let file = self.open(disk, OpenMode::Read)?;
            self.last_offset = Some(self.entry(&*file, self.entries - 1)?.last_offset);
        }
        if let Some(last) = self.last_offset {
            assert!(
                last < txn.last_offset,
                "aborted transactions end in order, but {} does not lie behind {last}",
                txn.last_offset
            );
        }
        let file = self.open(disk, OpenMode::ReadWrite)?;
        file.write_all_at(&[IoSlice::new(&txn.encode())], self.entries * ENTRY_LEN as u64)
            .map_err(FileError::io("append to", &self.path))?;
        self.entries += 1;
        self.last_offset = Some(txn.last_offset);
        Ok(())
    }

    /// Adds to `found` the aborted transactions that overlap `from..to`. True if later segments cannot hold any more of them.
    pub fn collect_aborted(
        &self,
        disk: &dyn Disk,
        from: Offset,
        to: Offset,
        found: &mut Vec<AbortedTxn>,
    ) -> Result<bool, FileError> {
        if self.is_empty() {
            return Ok(false);
        }
        let file = self.open(disk, OpenMode::Read)?;
        // Entries are ordered by their end, so those that end before `from` are skipped by bisection.
        let first = self.first_ending_at(&*file, from)?;
        let mut complete = false;
        self.scan(&*file, first, |txn| {
            if txn.first_offset < to {
                found.push(txn);
            }
            complete = txn.last_stable_offset >= to;
            !complete
        })?;
        Ok(complete)
    }

    /// Forgets transactions that end at `offset` or behind it, because the log now ends there.
    pub fn truncate_to(&mut self, disk: &dyn Disk, offset: Offset) -> Result<(), FileError> {
        if self.is_empty() {
            return Ok(());
        }
        let file = self.open(disk, OpenMode::ReadWrite)?;
        let kept = self.first_ending_at(&*file, offset)?;
        if kept < self.entries {
            file.set_len(kept * ENTRY_LEN as u64).map_err(FileError::io("truncate", &self.path))?;
            self.entries = kept;
            self.last_offset = None;
        }
        Ok(())
    }

    /// Forgets everything, before the segment is scanned again.
    pub fn reset(&mut self, disk: &dyn Disk) -> Result<(), FileError> {
        if disk.exists(&self.path) {
            self.open(disk, OpenMode::ReadWrite)?.set_len(0).map_err(FileError::io("truncate", &self.path))?;
        }
        self.entries = 0;
        self.last_offset = None;
        Ok(())
    }

    /// Checks the invariants of every entry. The log rebuilds the index if this fails.
    pub fn sanity_check(&self, disk: &dyn Disk) -> Result<(), FileError> {
        if self.is_empty() {
            return Ok(());
        }
        let file = self.open(disk, OpenMode::Read)?;
        let mut previous = self.start_offset - 1;
        let mut bad = None;
        self.scan(&*file, 0, |txn| {
            if txn.last_offset <= previous || txn.first_offset > txn.last_offset {
                bad = Some(txn);
            }
            previous = txn.last_offset;
            bad.is_none()
        })?;
        bad.map_or(Ok(()), |txn| Err(FileError::damaged(&self.path, format!("{txn:?} is out of order"))))
    }

    /// All entries, for tools.
    pub fn all(&self, disk: &dyn Disk) -> Result<Vec<AbortedTxn>, FileError> {
        let mut all = Vec::new();
        if !self.is_empty() {
            self.scan(&*self.open(disk, OpenMode::Read)?, 0, |txn| {
                all.push(txn);
                true
            })?;
        }
        Ok(all)
    }

    fn open(&self, disk: &dyn Disk, mode: OpenMode) -> Result<Arc<dyn DiskFile>, FileError> {
        disk.open(&self.path, mode).map_err(FileError::io("open", &self.path))
    }

    fn first_ending_at(&self, file: &dyn DiskFile, offset: Offset) -> Result<u64, FileError> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(file, middle)?.last_offset < offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn entry(&self, file: &dyn DiskFile, index: u64) -> Result<AbortedTxn, FileError> {
        let mut bytes = [0; ENTRY_LEN];
        file.read_exact_at(&mut bytes, index * ENTRY_LEN as u64).map_err(FileError::io("read", &self.path))?;
        self.decode(&bytes)
    }

    fn decode(&self, bytes: &[u8; ENTRY_LEN]) -> Result<AbortedTxn, FileError> {
        AbortedTxn::decode(bytes).map_err(|version| FileError::damaged(&self.path, format!("unexpected version {version}")))
    }

    /// Reads entries from `index` on, as long as `visit` asks for more.
    fn scan(&self, file: &dyn DiskFile, mut index: u64, mut visit: impl FnMut(AbortedTxn) -> bool) -> Result<(), FileError> {
        let mut block = [0; SCAN_ENTRIES * ENTRY_LEN];
        while index < self.entries {
            let count = (self.entries - index).min(SCAN_ENTRIES as u64) as usize;
            let block = &mut block[..count * ENTRY_LEN];
            file.read_exact_at(block, index * ENTRY_LEN as u64).map_err(FileError::io("read", &self.path))?;
            for bytes in block.as_chunks::<ENTRY_LEN>().0 {
                if !visit(self.decode(bytes)?) {
                    return Ok(());
                }
            }
            index += count as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
