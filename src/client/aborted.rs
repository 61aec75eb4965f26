//! Leaving out the records of aborted transactions (KIP-98; `CompletedFetch.containsAbortMarker` in Kafka's consumer). Pure.
//!
//! A broker sends, with the records, the aborted transactions that overlap them. A producer's records are to be skipped from the first
//! offset of such a transaction to the abort marker that ends it.

use std::collections::BTreeSet;

use crate::base::ids::{Offset, ProducerId};
use crate::record::batch::BatchHeader;
use crate::record::control::{EndTransactionMarker, TransactionResult};
use crate::record::owned::DecodedBatch;

/// The aborted transactions of one fetch of one partition.
#[derive(Clone, Debug, Default)]
pub struct AbortedTransactions {
    /// By first offset, the last one first.
    pending: Vec<(Offset, ProducerId)>,
    open: BTreeSet<ProducerId>,
}

impl AbortedTransactions {
    pub fn new(transactions: impl IntoIterator<Item = (Offset, ProducerId)>) -> Self {
        let mut pending: Vec<_> = transactions.into_iter().collect();
        pending.sort_unstable_by(|a, b| b.cmp(a));
        Self { pending, open: BTreeSet::new() }
    }

    /// Whether the batch's records are to be skipped. Batches are asked about in the order of their offsets.
    pub fn skips(&mut self, batch: &DecodedBatch) -> bool {
        let header: &BatchHeader = &batch.header;
        while let Some((_, producer)) = self.pending.pop_if(|(first, _)| *first <= header.last_offset()) {
            self.open.insert(producer);
        }
        if header.is_control() {
            if ends_in_abort(batch) {
                self.open.remove(&header.producer_id);
            }
            return true;
        }
        header.is_transactional() && self.open.contains(&header.producer_id)
    }
}

fn ends_in_abort(batch: &DecodedBatch) -> bool {
    let first = batch.record_refs().next().and_then(Result::ok);
    let marker = first.and_then(|record| EndTransactionMarker::parse(record.key, record.value).ok());
    marker.is_some_and(|marker| marker.result == TransactionResult::Abort)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::builder::{BatchBuilder, Producer};
    use crate::record::compression::Codec;
    use crate::record::owned;

    fn data(offset: Offset, producer: ProducerId, transactional: bool) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.base_offset = offset;
        builder.producer = Producer { id: producer, epoch: 0, base_sequence: 0 };
        builder.transactional = transactional;
        builder.push_plain(0, None, Some(b"v"));
        builder.build().to_vec()
    }

    fn marker(offset: Offset, producer: ProducerId, result: TransactionResult) -> Vec<u8> {
        let mut batch = EndTransactionMarker { result, coordinator_epoch: 0 }.batch(0, producer, 0).to_vec();
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        batch
    }

    fn kept(log: &[Vec<u8>], aborted: &[(Offset, ProducerId)]) -> Vec<Offset> {
        let mut aborted = AbortedTransactions::new(aborted.iter().copied());
        let bytes = Bytes::from(log.concat());
        let batches = owned::decode(&bytes, usize::MAX).map(Result::unwrap);
        batches.filter(|batch| !aborted.skips(batch)).map(|batch| batch.header.base_offset).collect()
    }

    #[test]
    fn records_between_the_first_offset_and_the_marker_are_left_out() {
        let log = [
            data(0, 1, true),
            data(1, 2, true),
            data(2, 3, false),
            marker(3, 1, TransactionResult::Abort),
            data(4, 1, true),
            marker(5, 2, TransactionResult::Commit),
            data(6, 1, true),
            marker(7, 1, TransactionResult::Abort),
        ];
        assert_eq!(kept(&log, &[(0, 1)]), [1, 2, 4, 6], "the producer's next transaction is not the aborted one");
        assert_eq!(kept(&log, &[(6, 1), (0, 1)]), [1, 2, 4], "in whatever order they are told");
        assert_eq!(kept(&log, &[]), [0, 1, 2, 4, 6], "markers are never records");
    }
}
