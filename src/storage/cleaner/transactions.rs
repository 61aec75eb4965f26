//! The transactions that the cleaner meets on its way through a log (Kafka's `CleanedTransactionMetadata`): whose records were aborted and go,
//! and which markers have no record left to decide about.
//!
//! Pure. Batches come in the order of the log; aborted transactions are added before the first batch that they overlap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::base::ids::{Offset, ProducerId};
use crate::record::batch::BatchHeader;
use crate::record::control::ControlRecordType;
use crate::storage::transaction_index::AbortedTxn;

/// What becomes of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Records of its transaction are still in the log, or it is none that ends a transaction.
    Keep,
    /// Records of its transaction, which was aborted, were met: it stays, and so does its entry in the index.
    KeepAborted(AbortedTxn),
    /// Nothing is left that it decides about.
    Discard,
}

/// See the module.
#[derive(Debug, Default)]
pub struct CleanedTransactions {
    /// Producers with committed records since their last marker.
    committed: HashSet<ProducerId, foldhash::fast::RandomState>,
    aborted: HashMap<ProducerId, Aborted, foldhash::fast::RandomState>,
    /// Aborted transactions that lie ahead, the one that begins first on top.
    ahead: BinaryHeap<Reverse<(Offset, Offset, ProducerId, Offset)>>,
}

#[derive(Debug)]
struct Aborted {
    txn: AbortedTxn,
    has_records: bool,
}

impl CleanedTransactions {
    /// Aborted transactions that overlap what is read next. One may be told more than once.
    pub fn add_aborted(&mut self, txns: impl IntoIterator<Item = AbortedTxn>) {
        let key = |txn: AbortedTxn| Reverse((txn.first_offset, txn.last_offset, txn.producer_id, txn.last_stable_offset));
        self.ahead.extend(txns.into_iter().map(key));
    }

    /// Takes note of a batch of records; whether its transaction was aborted.
    pub fn on_batch(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some(aborted) => {
                aborted.has_records = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// Takes note of a control batch. `kind` is that of its record, `None` if the batch was emptied before.
    pub fn on_control_batch(&mut self, header: &BatchHeader, kind: Option<ControlRecordType>) -> Marker {
        self.begin_up_to(header.last_offset());
        match kind {
            None => Marker::Discard,
            Some(ControlRecordType::Abort) => match self.aborted.remove(&header.producer_id) {
                Some(Aborted { txn, has_records: true }) => Marker::KeepAborted(txn),
                _ => Marker::Discard,
            },
            Some(ControlRecordType::Commit) if self.committed.remove(&header.producer_id) => Marker::Keep,
            Some(ControlRecordType::Commit) => Marker::Discard,
            Some(_) => Marker::Keep,
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(Reverse((first_offset, last_offset, producer_id, last_stable_offset))) = self.ahead.peek().copied()
            && first_offset <= offset
        {
            self.ahead.pop();
            let txn = AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset };
            self.aborted.entry(producer_id).or_insert(Aborted { txn, has_records: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::attributes;
    use ControlRecordType::{Abort, Commit, LeaderChange};

    fn header(producer_id: ProducerId, offset: Offset, bits: i16) -> BatchHeader {
        let parsed = BatchHeader::parse(&[0; 61]).unwrap();
        BatchHeader { base_offset: offset, producer_id, attributes: bits, ..parsed }
    }

    fn records(producer_id: ProducerId, offset: Offset) -> BatchHeader {
        header(producer_id, offset, attributes::TRANSACTIONAL)
    }

    fn marker(producer_id: ProducerId, offset: Offset) -> BatchHeader {
        header(producer_id, offset, attributes::TRANSACTIONAL | attributes::CONTROL)
    }

    fn txn(producer_id: ProducerId, first_offset: Offset, last_offset: Offset) -> AbortedTxn {
        AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset: last_offset + 1 }
    }

    #[test]
    fn records_of_an_aborted_transaction_go_and_its_marker_stays_while_there_were_any() {
        let mut met = CleanedTransactions::default();
        met.add_aborted([txn(1, 10, 12), txn(1, 10, 12), txn(2, 30, 31)]);
        assert!(!met.on_batch(&records(1, 5)), "a transaction before");
        assert_eq!(met.on_control_batch(&marker(1, 6), Some(Commit)), Marker::Keep);
        assert!(met.on_batch(&records(1, 10)));
        assert!(!met.on_batch(&records(3, 11)), "of another producer");
        assert!(!met.on_batch(&header(1, 11, 0)), "outside of any transaction");
        assert_eq!(met.on_control_batch(&marker(1, 12), Some(Abort)), Marker::KeepAborted(txn(1, 10, 12)));
        assert!(!met.on_batch(&records(1, 13)), "the next transaction of the same producer");
        assert_eq!(met.on_control_batch(&marker(2, 31), Some(Abort)), Marker::Discard, "its records were taken before");
        assert_eq!(met.on_control_batch(&marker(3, 32), Some(Commit)), Marker::Keep);
        assert_eq!(met.on_control_batch(&marker(3, 33), Some(Commit)), Marker::Discard, "nothing was committed");
        assert_eq!(met.on_control_batch(&marker(4, 34), Some(Abort)), Marker::Discard, "nothing was known of it");
    }

    #[test]
    fn other_control_records_stay_and_emptied_ones_go() {
        let mut met = CleanedTransactions::default();
        assert_eq!(met.on_control_batch(&header(-1, 0, attributes::CONTROL), Some(LeaderChange)), Marker::Keep);
        assert_eq!(met.on_control_batch(&marker(1, 1), None), Marker::Discard);
    }
}
