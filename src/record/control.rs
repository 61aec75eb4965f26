//! Control records: a key that says which kind, a value that belongs to the kind (Kafka's `ControlRecordType`, `EndTransactionMarker`).
//!
//! ```text
//! key: version i16 (0) · type i16        value of a marker: version i16 (0) · coordinator_epoch i32
//! ```
//!
//! Versions above the known ones are read as if they were known; that is how Kafka leaves itself room.

use bytes::Bytes;

use super::batches::Batch;
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

    /// The marker in a control batch: its first record. `None` if the cleaner has emptied the batch, and for batches of data.
    pub fn of_batch(batch: &Batch<'_>) -> Result<Option<TimedMarker>, MalformedControlRecord> {
        if !batch.header.is_control() || batch.header.record_count == 0 {
            return Ok(None);
        }
        // Brokers alone write control batches, and they never compress them.
        if batch.header.compression_id() != Codec::None.id() {
            return Err(MalformedControlRecord::Compressed);
        }
        let Some(record) = records(&batch.header, batch.body()).next().transpose()? else { return Ok(None) };
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
