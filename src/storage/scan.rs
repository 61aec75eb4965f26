//! Reads the batches of a log file one after the other with large reads, not through a map: for recovery and repair, where bytes are not to be
//! trusted and the page cache is best read ahead.

use std::io;

use crate::base::disk::DiskFile;
use crate::record::batch::{BatchHeader, HEADER_LEN};
use crate::record::batches::{Batch, ChecksumMismatch, MalformedBatch};

/// Bytes asked for at once.
const WINDOW: usize = 1 << 20;
/// Bytes asked for at first: most logs that are looked at have little to say.
const FIRST_WINDOW: usize = 16 << 10;

/// Why the scan cannot go on: what lies at `position` is no valid batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at position {position}: {reason}")]
pub struct BadBatch {
    pub position: u64,
    pub reason: BadBatchReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatchReason {
    #[error("a batch is cut off: {present} bytes are left of {claimed}")]
    CutOff { claimed: u64, present: u64 },
    #[error(transparent)]
    Malformed(MalformedBatch),
    #[error(transparent)]
    Checksum(ChecksumMismatch),
    #[error("offset {base_offset} follows {next_offset}, which should have been less")]
    OffsetsGoBack { base_offset: i64, next_offset: i64 },
    #[error("a segment begins at {base_offset}, but the one before ends at {next_offset}")]
    Hole { base_offset: i64, next_offset: i64 },
    #[error("leader epoch {epoch} follows {last}")]
    EpochsGoBack { epoch: i32, last: i32 },
    #[error("offset {last_offset} lies too far from the segment's first offset {base_offset}")]
    OffsetOverflow { last_offset: i64, base_offset: i64 },
}

/// See the module. Yields batches from `position` on, in front of `end`.
pub struct LogScan<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> LogScan<'a> {
    pub fn new(file: &'a dyn DiskFile, position: u64, end: u64) -> Self {
        Self { file, position, end, buffer: Vec::new(), buffer_at: position }
    }

    /// The next batch, whole; its checksum is not verified.
    pub fn next_batch(&mut self) -> io::Result<Option<Result<(Batch<'_>, u64), BadBatch>>> {
        let Some(header) = self.peek()? else { return Ok(None) };
        let size = match header {
            Ok(header) => header.size(),
            Err(bad) => return Ok(Some(Err(bad))),
        };
        self.fill(size)?;
        let position = self.position;
        self.position += size as u64;
        let at = (position - self.buffer_at) as usize;
        let batch = Batch::parse(&self.buffer[at..at + size]).map_err(BadBatchReason::Malformed);
        let batch = batch.and_then(|b| b.ok_or(BadBatchReason::CutOff { claimed: size as u64, present: size as u64 }));
        Ok(Some(batch.map(|batch| (batch, position)).map_err(|reason| BadBatch { position, reason })))
    }

    /// The header of the next batch and where it lies; bodies are skipped where that saves reading.
    pub fn next_header(&mut self) -> io::Result<Option<Result<(BatchHeader, u64), BadBatch>>> {
        let found = self.peek()?;
        Ok(found.map(|found| {
            let header = found?;
            let position = self.position;
            self.position += header.size() as u64;
            Ok((header, position))
        }))
    }

    /// The records of a batch that [`Self::next_header`] gave.
    pub fn body(&mut self, header: &BatchHeader, position: u64) -> io::Result<Vec<u8>> {
        let mut body = vec![0; header.size() - HEADER_LEN];
        self.file.read_exact_at(&mut body, position + HEADER_LEN as u64)?;
        Ok(body)
    }

    /// The header at `position`, if it is sane and its batch ends in front of `end`.
    fn peek(&mut self) -> io::Result<Option<Result<BatchHeader, BadBatch>>> {
        let position = self.position;
        let left = self.end.saturating_sub(position);
        if left == 0 {
            return Ok(None);
        }
        let bad = |reason| Ok(Some(Err(BadBatch { position, reason })));
        if left < HEADER_LEN as u64 {
            return bad(BadBatchReason::CutOff { claimed: HEADER_LEN as u64, present: left });
        }
        self.fill(HEADER_LEN)?;
        let at = (position - self.buffer_at) as usize;
        let header = BatchHeader::parse(&self.buffer[at..]).expect("filled above");
        // The length is checked by the same code that reads batches elsewhere, on a header that claims no more than is there.
        let claimed = header.batch_length as i64 + 12;
        if header.magic == 2 && claimed >= HEADER_LEN as i64 {
            if claimed as u64 > left {
                return bad(BadBatchReason::CutOff { claimed: claimed as u64, present: left });
            }
            return Ok(Some(Ok(header)));
        }
        match Batch::parse(&self.buffer[at..at + HEADER_LEN]) {
            Err(malformed) => bad(BadBatchReason::Malformed(malformed)),
            Ok(_) => bad(BadBatchReason::Malformed(MalformedBatch::TooSmall { claimed })),
        }
    }

    /// Makes `len` bytes from `position` on present in the buffer.
    fn fill(&mut self, len: usize) -> io::Result<()> {
        let end = self.buffer_at + self.buffer.len() as u64;
        if self.position >= self.buffer_at && self.position + len as u64 <= end {
            return Ok(());
        }
        let window = if self.buffer.is_empty() { FIRST_WINDOW } else { WINDOW };
        let wanted = window.max(len).min((self.end - self.position) as usize);
        self.buffer.clear();
        self.buffer.resize(wanted, 0);
        self.buffer_at = self.position;
        self.file.read_exact_at(&mut self.buffer, self.position)
    }
}
