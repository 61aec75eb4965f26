//! What must be true between a log and its indexes. Pure: batches come by in the order of the log, and each check walks its index beside
//! them.
//!
//! Invariants that are checked. Offset index: an entry leads to the first byte of a batch; no batch before that one holds its offset or a
//! later one. Time index: no batch up to an entry's offset is later than the entry says; in a sealed segment the last entry says how late
//! the latest record is. Transaction index: an entry ends at an abort marker of its producer; an abort marker of a producer whose records are
//! there has an entry.

use std::collections::BTreeSet;

use super::finding::Findings;
use crate::base::ids::{NO_TIMESTAMP, Offset, ProducerId, TimestampMs};
use crate::record::batch::BatchHeader;
use crate::record::control::TransactionResult;
use crate::storage::offset_index::{OffsetEntries, OffsetPosition};
use crate::storage::time_index::{TimeEntries, TimestampOffset};
use crate::storage::transaction_index::AbortedTxn;

/// Entries of an index up to the zeros that Kafka fills the index of an active segment with.
fn entries<T: Copy>(len: usize, get: impl Fn(usize) -> T, is_filling: impl Fn(T) -> bool) -> Vec<T> {
    (0..len).map(get).enumerate().take_while(|(n, entry)| *n == 0 || !is_filling(*entry)).map(|(_, entry)| entry).collect()
}

/// The offset index of a segment.
pub struct OffsetIndexCheck {
    entries: Vec<OffsetPosition>,
    next: usize,
    findings: Findings,
}

impl OffsetIndexCheck {
    pub fn new(bytes: &[u8], base_offset: Offset, mut findings: Findings) -> Self {
        let index = OffsetEntries::new(bytes, base_offset);
        let filling = |entry: OffsetPosition| entry.offset == base_offset && entry.position == 0;
        let entries = entries(index.count(), |n| index.get(n), filling);
        for pair in entries.windows(2) {
            if pair[1].offset <= pair[0].offset || pair[1].position <= pair[0].position {
                let [a, b] = [pair[0], pair[1]];
                let problem =
                    format!("entries go back: position {} follows position {} of offset {}", b.position, a.position, a.offset);
                findings.damage(None, Some(b.offset), problem);
            }
        }
        // A first entry that is all zeros is an empty index that was filled.
        let entries = if entries.first().is_some_and(|entry| filling(*entry)) { Vec::new() } else { entries };
        Self { entries, next: 0, findings }
    }

    pub fn on_batch(&mut self, header: &BatchHeader, position: u64) {
        while let Some(entry) = self.entries.get(self.next).filter(|entry| u64::from(entry.position) <= position) {
            if u64::from(entry.position) < position {
                let problem = format!("the entry leads to position {} of the log, where no batch begins", entry.position);
                self.findings.damage(None, Some(entry.offset), problem);
            } else if entry.offset < header.base_offset {
                let problem = format!("the entry leads to position {position}, where offset {} begins", header.base_offset);
                self.findings.damage(None, Some(entry.offset), problem);
            }
            self.next += 1;
        }
    }

    /// `end` is where the whole batches end.
    pub fn finish(mut self, end: u64) -> Findings {
        for entry in &self.entries[self.next..] {
            let problem = format!("the entry leads to position {}, but the log's batches end at {end}", entry.position);
            self.findings.damage(None, Some(entry.offset), problem);
        }
        self.findings
    }
}

/// The time index of a segment.
pub struct TimeIndexCheck {
    entries: Vec<TimestampOffset>,
    next: usize,
    latest: TimestampMs,
    findings: Findings,
}

impl TimeIndexCheck {
    pub fn new(bytes: &[u8], base_offset: Offset, mut findings: Findings) -> Self {
        let index = TimeEntries::new(bytes, base_offset);
        let filling = |entry: TimestampOffset| entry.timestamp == 0 && entry.offset == base_offset;
        let entries = entries(index.count(), |n| index.get(n), filling);
        for pair in entries.windows(2) {
            if pair[1].timestamp <= pair[0].timestamp || pair[1].offset < pair[0].offset {
                let problem = format!("entries go back: time {} follows time {}", pair[1].timestamp, pair[0].timestamp);
                findings.damage(None, Some(pair[1].offset), problem);
            }
        }
        let entries = if entries.first().is_some_and(|entry| filling(*entry)) { Vec::new() } else { entries };
        Self { entries, next: 0, latest: NO_TIMESTAMP, findings }
    }

    pub fn on_batch(&mut self, header: &BatchHeader) {
        while let Some(entry) = self.entries.get(self.next).filter(|entry| entry.offset < header.base_offset) {
            Self::judge(*entry, self.latest, &mut self.findings);
            self.next += 1;
        }
        self.latest = self.latest.max(header.max_timestamp);
    }

    fn judge(entry: TimestampOffset, latest: TimestampMs, findings: &mut Findings) {
        if latest > entry.timestamp {
            let problem = format!("the entry says {}, but a record up to here is of {latest}", entry.timestamp);
            findings.damage(None, Some(entry.offset), problem);
        }
    }

    /// `end_offset` is behind the last whole batch.
    pub fn finish(mut self, end_offset: Offset, sealed: bool) -> Findings {
        for entry in &self.entries[self.next..] {
            if entry.offset >= end_offset {
                let problem = format!("the entry is of an offset behind the last one of the segment, {}", end_offset - 1);
                self.findings.damage(None, Some(entry.offset), problem);
            } else {
                Self::judge(*entry, self.latest, &mut self.findings);
            }
        }
        let told = self.entries.last().map_or(NO_TIMESTAMP, |entry| entry.timestamp);
        if sealed && self.latest > told {
            let problem = format!("the latest record of the sealed segment is of {}, the last entry says {told}", self.latest);
            self.findings.damage(None, None, problem);
        }
        self.findings
    }
}

/// The aborted transactions of a segment.
pub struct TransactionIndexCheck {
    entries: Vec<AbortedTxn>,
    next: usize,
    findings: Findings,
}

impl TransactionIndexCheck {
    pub fn new(entries: Vec<AbortedTxn>, findings: Findings) -> Self {
        Self { entries, next: 0, findings }
    }

    /// `end` is how the transaction of the batch's producer ends here, if it does; `in_transactions` whose records came by and have not ended.
    pub fn on_batch(&mut self, header: &BatchHeader, end: Option<TransactionResult>, in_transactions: &mut BTreeSet<ProducerId>) {
        let producer = header.producer_id;
        let mut is_entered = false;
        while let Some(txn) = self.entries.get(self.next).filter(|txn| txn.last_offset <= header.last_offset()) {
            let is_abort = end == Some(TransactionResult::Abort) && txn.producer_id == producer;
            if txn.last_offset >= header.base_offset && is_abort {
                is_entered = true;
            } else {
                self.findings.damage(None, Some(txn.last_offset), no_marker(txn));
            }
            self.next += 1;
        }
        if header.is_transactional() && !header.is_control() && header.record_count > 0 {
            in_transactions.insert(producer);
        }
        if let Some(result) = end
            && in_transactions.remove(&producer)
            && result == TransactionResult::Abort
            && !is_entered
        {
            let problem =
                format!("there is no entry for the abort of producer {producer}: its records are shown as if committed");
            self.findings.damage(None, Some(header.last_offset()), problem);
        }
    }

    pub fn finish(mut self) -> Findings {
        for txn in &self.entries[self.next..] {
            self.findings.damage(None, Some(txn.last_offset), no_marker(txn));
        }
        self.findings
    }
}

fn no_marker(txn: &AbortedTxn) -> String {
    format!("the log has no abort marker of producer {} there", txn.producer_id)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::{offset_index, time_index};

    fn header(base_offset: Offset, count: i32, max_timestamp: TimestampMs) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 88,
            leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: count,
        }
    }

    /// Three batches of 100 bytes: offsets 10–11, 12–14, 15.
    fn log() -> [(BatchHeader, u64); 3] {
        [(header(10, 2, 500), 0), (header(12, 3, 400), 100), (header(15, 1, 900), 200)]
    }

    fn problems(findings: Findings) -> Vec<(Option<Offset>, String)> {
        findings.into_vec().into_iter().map(|finding| (finding.offset, finding.problem)).collect()
    }

    fn offset_index(entries: &[(Offset, u32)], zeros: usize) -> Vec<(Option<Offset>, String)> {
        let encode = |(offset, position): &(Offset, u32)| {
            offset_index::encode(OffsetPosition { offset: *offset, position: *position }, 10)
        };
        let mut bytes: Vec<u8> = entries.iter().flat_map(encode).collect();
        bytes.resize(bytes.len() + zeros * offset_index::ENTRY_LEN, 0);
        let mut check = OffsetIndexCheck::new(&bytes, 10, Findings::of(Path::new("i")));
        log().iter().for_each(|(header, position)| check.on_batch(header, *position));
        problems(check.finish(300))
    }

    #[test]
    fn an_offset_index_leads_to_batches() {
        assert_eq!(offset_index(&[(14, 100), (15, 200)], 0), []);
        assert_eq!(offset_index(&[(14, 100)], 5), [], "zeros behind the entries are space that Kafka keeps");
        assert_eq!(offset_index(&[], 5), []);
        for (entries, offset, word) in [
            (&[(14, 99)][..], 14, "no batch begins"),
            (&[(14, 200)], 14, "offset 15 begins"),
            (&[(20, 300)], 20, "end at 300"),
            (&[(14, 100), (13, 200)], 13, "go back"),
        ] {
            let found = offset_index(entries, 0);
            assert!(found.iter().any(|(at, problem)| *at == Some(offset) && problem.contains(word)), "{entries:?}: {found:?}");
        }
    }

    fn time_index(entries: &[(TimestampMs, Offset)], sealed: bool) -> Vec<(Option<Offset>, String)> {
        let encode = |(timestamp, offset): &(TimestampMs, Offset)| {
            time_index::encode(TimestampOffset { timestamp: *timestamp, offset: *offset }, 10)
        };
        let bytes: Vec<u8> = entries.iter().flat_map(encode).collect();
        let mut check = TimeIndexCheck::new(&bytes, 10, Findings::of(Path::new("t")));
        log().iter().for_each(|(header, _)| check.on_batch(header));
        problems(check.finish(16, sealed))
    }

    #[test]
    fn a_time_index_is_never_too_early() {
        assert_eq!(time_index(&[(500, 11), (900, 15)], true), []);
        assert_eq!(time_index(&[(500, 14)], false), [], "an active segment may be ahead of its index");
        assert_eq!(time_index(&[], false), []);
        for (entries, sealed, word) in [
            (&[(450, 11)][..], false, "is of 500"),
            (&[(500, 11), (450, 14)], false, "go back"),
            (&[(500, 11)], true, "sealed segment is of 900"),
            (&[(950, 16)], false, "behind the last one of the segment, 15"),
        ] {
            let found = time_index(entries, sealed);
            assert!(found.iter().any(|(_, problem)| problem.contains(word)), "{entries:?}: {found:?}");
        }
    }

    fn transactions(entries: &[(ProducerId, Offset)]) -> usize {
        let txn = |(producer_id, last_offset): &(ProducerId, Offset)| AbortedTxn {
            producer_id: *producer_id,
            first_offset: 10,
            last_offset: *last_offset,
            last_stable_offset: 10,
        };
        let mut check = TransactionIndexCheck::new(entries.iter().map(txn).collect(), Findings::of(Path::new("x")));
        let mut open = BTreeSet::new();
        for (header, _) in log() {
            let is_marker = header.base_offset == 15;
            // Transactional, and control at the end.
            let header = BatchHeader { producer_id: 7, attributes: if is_marker { 0x30 } else { 0x10 }, ..header };
            check.on_batch(&header, is_marker.then_some(TransactionResult::Abort), &mut open);
        }
        assert!(open.is_empty());
        problems(check.finish()).len()
    }

    #[test]
    fn an_aborted_transaction_ends_at_its_marker() {
        assert_eq!(transactions(&[(7, 15)]), 0);
        assert_eq!(transactions(&[(8, 15)]), 2, "the marker is of another producer, which has no entry");
        assert_eq!(transactions(&[]), 1, "an abort that nobody is told of");
        assert_eq!(transactions(&[(7, 13), (7, 15)]), 1, "there are records at 13");
        assert_eq!(transactions(&[(7, 15), (7, 20)]), 1, "the log has no offset 20");
    }
}
