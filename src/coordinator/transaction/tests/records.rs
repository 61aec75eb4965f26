//! The records, held against what Kafka 4.3.1 writes (`MessageUtil.toVersionPrefixedBytes` of its generated classes).

use proptest::prelude::*;

use super::*;
use crate::base::ids::{NO_PRODUCER_ID, NO_TIMESTAMP};
use crate::coordinator::shard::Undecodable;
use crate::coordinator::transaction::record::Record;

const KEY: &str = "0000000762696c6c696e67";
const ONGOING_0: &str = "00000000000000000fa000070000ea60010000000200066f726465727300000002000000000000000300087061796d656e7473000000010000\
                         00010000018bcfe5687b0000018bcfe56801";
const PREPARE_1: &str = "00010000000000000fa07fff0000ea600203076f726465727303000000000000000300097061796d656e7473020000000100000001\
                         8bcfe5687b0000018bcfe568010300080000000000000fa001080000000000000fa102020002";
const EMPTY_0: &str = "000000000000000000050000000003e800ffffffff0000000000000001ffffffffffffffff";
const EMPTY_1: &str = "000100000000000000050000000003e800000000000000000001ffffffffffffffff00";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn ongoing() -> TransactionMetadata {
    TransactionMetadata {
        producer_epoch: 7,
        state: TransactionState::Ongoing,
        partitions: partitions(&[("orders", 0), ("orders", 3), ("payments", 1)]),
        start_timestamp: 1_700_000_000_001,
        ..TransactionMetadata::new(4000, 60_000, 1_700_000_000_123)
    }
}

fn empty() -> TransactionMetadata {
    TransactionMetadata { producer_epoch: 0, ..TransactionMetadata::new(5, 1000, 1) }
}

#[test]
fn records_are_kafkas_to_the_byte() {
    let prepare = TransactionMetadata {
        producer_epoch: 32767,
        previous_producer_id: 4000,
        next_producer_id: 4001,
        state: TransactionState::PrepareCommit,
        client_transaction_version: 2,
        ..ongoing()
    };
    for (hex, value, flexible) in
        [(ONGOING_0, ongoing(), false), (PREPARE_1, prepare, true), (EMPTY_0, empty(), false), (EMPTY_1, empty(), true)]
    {
        let record = Record { id: text("billing"), value: Some(value), flexible };
        let (key, encoded) = record.encode();
        assert_eq!((key.to_vec(), encoded.unwrap().to_vec()), (bytes(KEY), bytes(hex)));
        assert_eq!(Record::decode(&bytes(KEY), Some(&bytes(hex))), Ok(record));
        for cut in 0..bytes(hex).len() {
            assert!(Record::decode(&bytes(KEY), Some(&bytes(hex)[..cut])).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn a_tombstone_has_no_value_and_later_versions_are_not_guessed() {
    let tombstone = Record::tombstone(&text("billing"));
    assert_eq!(tombstone.encode(), (bytes(KEY).into(), None));
    assert_eq!(Record::decode(&bytes(KEY), None), Ok(tombstone));
    let mut later = bytes(EMPTY_1);
    later[1] = 2;
    assert!(matches!(Record::decode(&bytes(KEY), Some(&later)), Err(Undecodable::UnknownVersion { version: 2, .. })));
    assert_eq!(Record::decode(&[0, 1], None), Err(Undecodable::UnknownType(1)));
}

fn any_metadata() -> impl Strategy<Value = TransactionMetadata> {
    let names = proptest::collection::btree_set(("[a-z]{1,4}", 0..5i32), 0..6);
    (any::<(i64, i64, i64, i16, i32, i64, i64)>(), 0..8i8, 0..3i16, names).prop_map(|(numbers, state, version, names)| {
        let (producer_id, previous, next, epoch, timeout_ms, updated, started) = numbers;
        let state = TransactionState::from_id(state).unwrap();
        let none = state == TransactionState::Empty;
        let names = names.iter().filter(|_| !none).map(|(topic, partition)| TopicPartition::new(topic.as_str(), *partition));
        TransactionMetadata {
            previous_producer_id: previous,
            next_producer_id: next,
            producer_epoch: epoch,
            state,
            partitions: names.collect(),
            start_timestamp: started,
            client_transaction_version: version,
            ..TransactionMetadata::new(producer_id, timeout_ms, updated)
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(id in "[a-z]{0,20}", value in any_metadata(), flexible: bool) {
        let value = match flexible {
            true => value,
            // The old form has no room for these.
            false => TransactionMetadata {
                previous_producer_id: NO_PRODUCER_ID,
                next_producer_id: NO_PRODUCER_ID,
                client_transaction_version: 0,
                ..value
            },
        };
        let record = Record { id: text(&id), value: Some(value), flexible };
        let (key, value) = record.encode();
        prop_assert!(key.len() + value.as_ref().unwrap().len() <= record.size_max());
        prop_assert_eq!(Record::decode(&key, value.as_deref()), Ok(record));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(key in proptest::collection::vec(any::<u8>(), 0..20), value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(&key, Some(&value));
        let mut flexible = bytes(EMPTY_1);
        flexible.extend(value);
        let _ = Record::decode(&bytes(KEY), Some(&flexible));
    }
}

#[test]
fn an_id_that_was_never_used_has_no_transaction() {
    let new = TransactionMetadata::new(5, 1000, 1);
    assert_eq!((new.producer_epoch, new.start_timestamp, new.result()), (NO_PRODUCER_EPOCH, NO_TIMESTAMP, None));
}
