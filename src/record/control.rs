//! Control records: a key that says which kind, a value that belongs to the kind (Kafka's `ControlRecordType`, `EndTransactionMarker`).
//!
//! ```text
//! key: version i16 (0) · type i16        value of a marker: version i16 (0) · coordinator_epoch i32
//! ```
//!
//! Versions above the known ones are read as if they were known; that is how Kafka leaves itself room.

use bytes::Bytes;

use super::batch::BatchHeader;
use super::builder::{BatchBuilder, Producer};
use super::compression::Codec;
use super::records::{MalformedRecord, records};
use crate::base::ids::{NO_SEQUENCE, ProducerEpoch, ProducerId, TimestampMs};

const KEY_LEN: usize = 4;
const MARKER_VALUE_LEN: usize = 6;

/// Kinds of control records, by the number in their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRecordType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KraftVersion,
    KraftVoters,
    /// A kind of a later Kafka: to be skipped.
    Unknown(i16),
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionResult {
    Abort,
    Commit,
}

/// The record that ends a transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub result: TransactionResult,
    /// Epoch of the coordinator that wrote it, which fences older coordinators.
    pub coordinator_epoch: i32,
}

/// A marker, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedMarker {
    pub marker: EndTransactionMarker,
    pub timestamp: TimestampMs,
}

/// A control record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedControlRecord {
    #[error(transparent)]
    Record(#[from] MalformedRecord),
    #[error("control batch is compressed")]
    Compressed,
    #[error("control record key has {0} bytes, at least 4 are needed")]
    ShortKey(usize),
    #[error("control record has the negative version {0}")]
    NegativeVersion(i16),
    #[error("a control record of type {0:?} does not end a transaction")]
    NotAMarker(ControlRecordType),
    #[error("end transaction marker has {0} bytes, at least 6 are needed")]
    ShortValue(usize),
}

impl ControlRecordType {
    /// The kind that a control record's key names.
    pub fn parse(key: &[u8]) -> Result<Self, MalformedControlRecord> {
        let Some(&[v0, v1, t0, t1]) = key.first_chunk::<KEY_LEN>() else {
            return Err(MalformedControlRecord::ShortKey(key.len()));
        };
        let version = i16::from_be_bytes([v0, v1]);
        if version < 0 {
            return Err(MalformedControlRecord::NegativeVersion(version));
        }
        Ok(match i16::from_be_bytes([t0, t1]) {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            other => Self::Unknown(other),
        })
    }
}

impl EndTransactionMarker {
    /// Reads key and value of a control record; a null one counts as empty.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, MalformedControlRecord> {
        let result = match ControlRecordType::parse(key.unwrap_or_default())? {
            ControlRecordType::Abort => TransactionResult::Abort,
            ControlRecordType::Commit => TransactionResult::Commit,
            other => return Err(MalformedControlRecord::NotAMarker(other)),
        };
        let value = value.unwrap_or_default();
        let Some(&[v0, v1, epoch @ ..]) = value.first_chunk::<MARKER_VALUE_LEN>() else {
            return Err(MalformedControlRecord::ShortValue(value.len()));
        };
        let version = i16::from_be_bytes([v0, v1]);
        if version < 0 {
            return Err(MalformedControlRecord::NegativeVersion(version));
        }
        Ok(Self { result, coordinator_epoch: i32::from_be_bytes(epoch) })
    }

    /// The marker in a control batch: the first record of its `body`. `None` if the cleaner has emptied the batch, and for batches of data.
    pub fn of_batch(header: &BatchHeader, body: &[u8]) -> Result<Option<TimedMarker>, MalformedControlRecord> {
        if !header.is_control() || header.record_count == 0 {
            return Ok(None);
        }
        // Brokers alone write control batches, and they never compress them.
        if header.compression_id() != Codec::None.id() {
            return Err(MalformedControlRecord::Compressed);
        }
        let Some(record) = records(header, body).next().transpose()? else { return Ok(None) };
        let marker = Self::parse(record.key, record.value)?;
        Ok(Some(TimedMarker { marker, timestamp: record.timestamp }))
    }

    pub fn key(&self) -> [u8; KEY_LEN] {
        match self.result {
            TransactionResult::Abort => [0, 0, 0, 0],
            TransactionResult::Commit => [0, 0, 0, 1],
        }
    }

    pub fn value(&self) -> [u8; MARKER_VALUE_LEN] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }

    /// The control batch that ends a transaction of this producer (`MemoryRecords.withEndTransactionMarker`).
    pub fn batch(&self, timestamp: TimestampMs, id: ProducerId, epoch: ProducerEpoch) -> Bytes {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.producer = Producer { id, epoch, base_sequence: NO_SEQUENCE };
        builder.transactional = true;
        builder.control = true;
        builder.push_plain(timestamp, Some(&self.key()), Some(&self.value()));
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batches::batches;

    #[test]
    fn markers_survive_and_later_versions_are_read_as_known_ones() {
        for result in [TransactionResult::Abort, TransactionResult::Commit] {
            let marker = EndTransactionMarker { result, coordinator_epoch: 77 };
            assert_eq!(EndTransactionMarker::parse(Some(&marker.key()), Some(&marker.value())), Ok(marker));
            let (mut key, mut value) = (marker.key().to_vec(), marker.value().to_vec());
            key[1] = 1;
            value[1] = 9;
            value.extend_from_slice(&[1, 2, 3]);
            assert_eq!(EndTransactionMarker::parse(Some(&key), Some(&value)), Ok(marker));
        }
    }

    #[test]
    fn what_is_no_marker_is_refused() {
        use MalformedControlRecord::*;
        let value = [0u8, 0, 0, 0, 0, 1];
        type Case<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, MalformedControlRecord);
        let cases: [Case<'_>; 7] = [
            (None, Some(&value), ShortKey(0)),
            (Some(&[0, 0, 0]), Some(&value), ShortKey(3)),
            (Some(&[0xff, 0xff, 0, 0]), Some(&value), NegativeVersion(-1)),
            (Some(&[0, 0, 0, 2]), Some(&value), NotAMarker(ControlRecordType::LeaderChange)),
            (Some(&[0, 0, 0, 99]), Some(&value), NotAMarker(ControlRecordType::Unknown(99))),
            (Some(&[0, 0, 0, 1]), None, ShortValue(0)),
            (Some(&[0, 0, 0, 1]), Some(&[0x80, 0, 0, 0, 0, 0]), NegativeVersion(i16::MIN)),
        ];
        for (key, value, expected) in cases {
            assert_eq!(EndTransactionMarker::parse(key, value), Err(expected));
        }
    }

    #[test]
    fn only_control_batches_have_markers() {
        let marker = EndTransactionMarker { result: TransactionResult::Commit, coordinator_epoch: 3 };
        let bytes = marker.batch(1000, 55, 4);
        let batch = batches(&bytes).next().unwrap().unwrap();
        let header = batch.header;
        assert!(header.is_control() && header.is_transactional());
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (55, 4, -1));
        assert_eq!(EndTransactionMarker::of_batch(&header, batch.body()), Ok(Some(TimedMarker { marker, timestamp: 1000 })));

        let emptied = BatchHeader { record_count: 0, ..header };
        assert_eq!(EndTransactionMarker::of_batch(&emptied, &[]), Ok(None));
        let data = BatchHeader { attributes: 0, ..header };
        assert_eq!(EndTransactionMarker::of_batch(&data, batch.body()), Ok(None));
        let compressed = BatchHeader { attributes: header.attributes | Codec::Lz4.id(), ..header };
        assert_eq!(EndTransactionMarker::of_batch(&compressed, batch.body()), Err(MalformedControlRecord::Compressed));
        let cut_off = EndTransactionMarker::of_batch(&header, &batch.body()[..5]);
        assert!(matches!(cut_off, Err(MalformedControlRecord::Record(_))));
    }
}
