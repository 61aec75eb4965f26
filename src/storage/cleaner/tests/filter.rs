//! What cleaning keeps, drops and rewrites of a batch, by Kafka's rules, on batches as producers write them.

use bytes::Bytes;

use super::*;
use crate::base::ids::NO_TIMESTAMP;
use crate::record::batch::attributes;
use crate::record::batches::batches;
use crate::record::builder::{BatchBuilder, Producer};
use crate::record::control::{EndTransactionMarker, TransactionResult};
use crate::record::owned;

const NOW: TimestampMs = 1_000_000;
const RETENTION: i64 = 500;
type Pair<'a> = (Option<&'a str>, Option<&'a str>);

/// What a filter goes by.
struct Cleaning {
    map: OffsetMap,
    transactions: CleanedTransactions,
    last_records: LastRecords,
    end: Offset,
    now: TimestampMs,
}

impl Cleaning {
    /// A round over everything below 1000, with these offsets of keys.
    fn with(latest: &[(&str, Offset)]) -> Self {
        let mut map = OffsetMap::new(3);
        map.clear_for(100, 1 << 20);
        for (key, offset) in latest {
            map.put(key.as_bytes(), *offset).unwrap();
        }
        map.update_latest_offset(999);
        Self { map, transactions: CleanedTransactions::default(), last_records: LastRecords::default(), end: 1000, now: NOW }
    }

    fn filter(&mut self, batch: &[u8]) -> (Filtered, Vec<u8>) {
        let mut out = Vec::new();
        let mut filter = RecordFilter {
            map: &self.map,
            transactions: &mut self.transactions,
            last_records: &self.last_records,
            end: self.end,
            now: self.now,
            delete_retention_ms: RETENTION,
        };
        let filtered = filter.filter(&batches(batch).next().unwrap().unwrap(), &mut out).unwrap();
        assert_eq!(filtered.written, BatchHeader::parse(&out), "what is told was written");
        assert_eq!(filtered.written.map_or(0, |header| header.size()), out.len());
        (filtered, out)
    }
}

fn data(base_offset: Offset, producer: Option<Producer>, records: &[Pair<'_>]) -> Bytes {
    coded(Codec::None, base_offset, producer, records)
}

fn coded(codec: Codec, base_offset: Offset, producer: Option<Producer>, records: &[Pair<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.base_offset = base_offset;
    (builder.producer, builder.transactional) = (producer.unwrap_or(Producer::NONE), producer.is_some());
    for (n, (key, value)) in records.iter().enumerate() {
        builder.push_plain(100 + n as i64, key.map(str::as_bytes), value.map(str::as_bytes));
    }
    builder.build()
}

fn marker(offset: Offset, id: ProducerId, result: TransactionResult) -> Vec<u8> {
    let mut batch = EndTransactionMarker { result, coordinator_epoch: 1 }.batch(50, id, 3).to_vec();
    batch[..8].copy_from_slice(&offset.to_be_bytes());
    batch
}

fn producer(id: ProducerId) -> Option<Producer> {
    Some(Producer { id, epoch: 3, base_sequence: 7 })
}

fn offsets(batch: &[u8]) -> Vec<(Offset, TimestampMs)> {
    let bytes = Bytes::copy_from_slice(batch);
    let decoded = owned::decode(&bytes, 1 << 20).next().map(|batch| batch.unwrap());
    decoded.iter().flat_map(|batch| batch.records()).map(|record| record.map(|r| (r.offset, r.timestamp)).unwrap()).collect()
}

#[test]
fn of_each_key_the_latest_record_stays_whatever_the_codec() {
    for codec in Codec::ALL {
        let mut cleaning = Cleaning::with(&[("a", 12), ("b", 11), ("c", 40)]);
        let batch = coded(
            codec,
            10,
            None,
            &[(Some("a"), Some("1")), (Some("b"), Some("2")), (Some("a"), Some("3")), (Some("c"), Some("4"))],
        );
        let (filtered, out) = cleaning.filter(&batch);
        assert_eq!(offsets(&out), [(11, 101), (12, 102)]);
        assert_eq!((filtered.records_read, filtered.records_retained, filtered.invalid_records), (4, 2, 0));
        let header = filtered.written.unwrap();
        assert_eq!((header.base_offset, header.last_offset(), header.compression_id()), (10, 13, codec.id()));
    }
}

#[test]
fn what_is_all_kept_is_not_touched_and_what_has_nothing_left_goes() {
    let mut cleaning = Cleaning::with(&[("a", 10), ("b", 90)]);
    let batch = data(10, None, &[(Some("a"), Some("1")), (Some("unknown"), Some("2"))]);
    assert_eq!(cleaning.filter(&batch).1, batch);
    assert_eq!(
        cleaning.filter(&data(20, None, &[(Some("a"), Some("1")), (Some("b"), None)])).0.written.map(|h| h.record_count),
        Some(1)
    );
    assert_eq!(cleaning.filter(&data(5, None, &[(Some("a"), Some("1"))])).0.written, None);
}

#[test]
fn what_the_map_does_not_know_stays_even_without_a_key() {
    let mut cleaning = Cleaning::with(&[("a", 900)]);
    let batch = data(999, None, &[(None, Some("1")), (None, Some("2")), (Some("a"), Some("3"))]);
    let (filtered, out) = cleaning.filter(&batch);
    assert_eq!(offsets(&out), [(1000, 101), (1001, 102)]);
    assert_eq!(filtered.invalid_records, 1, "the first one lies in front, and has no key");
}

#[test]
fn a_tombstone_stays_until_the_horizon_that_its_first_cleaning_sets() {
    let mut cleaning = Cleaning::with(&[("a", 10), ("b", 11)]);
    let (first, out) = cleaning.filter(&data(10, None, &[(Some("a"), None), (Some("b"), Some("1"))]));
    assert_eq!(first.written.unwrap().delete_horizon_ms(), Some(NOW + RETENTION));
    assert_eq!(offsets(&out), [(10, 100), (11, 101)], "timestamps stay what they were");

    cleaning.now = NOW + RETENTION - 1;
    assert_eq!(cleaning.filter(&out).1, out, "not yet");
    cleaning.now = NOW + RETENTION;
    let (third, out) = cleaning.filter(&out);
    assert_eq!(offsets(&out), [(11, 101)]);
    assert_eq!(third.written.unwrap().delete_horizon_ms(), Some(NOW + RETENTION), "the horizon stays with its batch");
}

#[test]
fn records_of_an_aborted_transaction_go_and_then_its_marker() {
    let txn = AbortedTxn { producer_id: 5, first_offset: 10, last_offset: 12, last_stable_offset: 13 };
    let (records, abort) =
        (data(10, producer(5), &[(Some("a"), Some("1")), (Some("b"), None)]), marker(12, 5, TransactionResult::Abort));

    let mut cleaning = Cleaning::with(&[]);
    cleaning.transactions.add_aborted([txn]);
    assert_eq!(cleaning.filter(&records).0.written, None);
    let (kept, out) = cleaning.filter(&abort);
    assert_eq!((kept.aborted, &out[..]), (Some(txn), &abort[..]), "a consumer may be in front of it");

    // The next round meets no records any more.
    let mut cleaning = Cleaning::with(&[]);
    cleaning.transactions.add_aborted([txn]);
    let (kept, abort) = cleaning.filter(&abort);
    assert_eq!(kept.aborted, None);
    assert_eq!(kept.written.unwrap().delete_horizon_ms(), Some(NOW + RETENTION));
    assert_eq!(offsets(&abort), [(12, 50)]);
    assert_eq!(cleaning.filter(&abort).1, abort, "its time has not come");
    cleaning.now = NOW + RETENTION;
    assert_eq!(cleaning.filter(&abort).0.written, None);
}

#[test]
fn a_commit_stays_while_there_are_records_of_it() {
    let commit = marker(20, 5, TransactionResult::Commit);
    let mut cleaning = Cleaning::with(&[("a", 19)]);
    assert!(cleaning.filter(&data(19, producer(5), &[(Some("a"), Some("1"))])).0.written.is_some());
    assert_eq!(cleaning.filter(&commit).1, commit);
    let (_, again) = cleaning.filter(&commit);
    assert_eq!(
        BatchHeader::parse(&again).unwrap().delete_horizon_ms(),
        Some(NOW + RETENTION),
        "of a transaction without records"
    );
}

#[test]
fn the_last_batch_of_a_producer_stays_as_a_header() {
    let batch = data(10, producer(5), &[(Some("a"), Some("1")), (Some("a"), Some("2"))]);
    let last = |offset| (5, LastRecord { last_data_offset: offset, producer_epoch: 3 });
    let mut cleaning = Cleaning::with(&[("a", 50)]);
    cleaning.last_records = [last(Some(11))].into_iter().collect();
    let header = cleaning.filter(&batch).0.written.unwrap();
    assert_eq!((header.record_count, header.last_offset(), header.last_sequence(), header.size()), (0, 11, 8, 61));
    assert_eq!((header.base_timestamp, header.attributes), (NO_TIMESTAMP, attributes::TRANSACTIONAL));
    // It stays through the next round, until the producer has written more.
    let emptied = cleaning.filter(&batch).1;
    assert_eq!(cleaning.filter(&emptied).1, emptied);
    cleaning.last_records = [last(Some(60))].into_iter().collect();
    assert_eq!(cleaning.filter(&emptied).0.written, None);

    // Of a producer without data in its epoch, the marker tells the epoch.
    let mut cleaning = Cleaning::with(&[]);
    cleaning.last_records = [last(None)].into_iter().collect();
    let abort = cleaning.filter(&marker(12, 5, TransactionResult::Abort)).1;
    cleaning.now = NOW + RETENTION;
    let (emptied, bytes) = cleaning.filter(&abort);
    assert_eq!(emptied.written.map(|header| (header.record_count, header.is_control())), Some((0, true)));
    assert_eq!(cleaning.filter(&bytes).1, bytes);
}

#[test]
fn the_last_batch_of_a_round_stays_as_a_header() {
    let mut cleaning = Cleaning::with(&[("a", 999)]);
    cleaning.end = 12;
    let header = cleaning.filter(&data(10, None, &[(Some("a"), Some("1")), (Some("a"), Some("2"))])).0.written.unwrap();
    assert_eq!((header.record_count, header.next_offset()), (0, 12));
    cleaning.end = 13;
    assert_eq!(cleaning.filter(&data(10, None, &[(Some("a"), Some("1")), (Some("a"), Some("2"))])).0.written, None);
}

#[test]
fn what_is_damaged_is_not_written_anew_with_a_right_checksum() {
    let mut batch = data(10, None, &[(Some("a"), Some("1"))]).to_vec();
    let at = batch.len() - 2;
    batch[at] ^= 1;
    let mut cleaning = Cleaning::with(&[]);
    let mut filter = RecordFilter {
        map: &cleaning.map,
        transactions: &mut cleaning.transactions,
        last_records: &cleaning.last_records,
        end: 0,
        now: NOW,
        delete_retention_ms: 0,
    };
    let refused = filter.filter(&batches(&batch).next().unwrap().unwrap(), &mut Vec::new());
    assert!(matches!(refused, Err(BadBatch::Checksum(_))), "{refused:?}");
}
