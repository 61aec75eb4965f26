//! A log file, batch by batch and record by record, in the words of `kafka-dump-log`.

use std::path::Path;

use bytes::Bytes;
use serde::Serialize;

use super::kind::Records;
use super::offsets_records;
use super::sink::Sink;
use super::transaction_records;
use crate::base::disk::{Disk, OpenMode, RealDisk};
use crate::base::ids::Offset;
use crate::cli::error::{CliError, Result};
use crate::record::batch::{BatchHeader, increment_sequence};
use crate::record::compression::Codec;
use crate::record::control::{ControlRecordType, EndTransactionMarker, TransactionResult};
use crate::record::owned;
use crate::record::records::RecordRef;
use crate::storage::scan::LogScan;

/// A batch that decompresses to more than this is not shown record by record.
const DECOMPRESSED_LIMIT: usize = 1 << 30;

/// How much of a log is shown.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    pub records: bool,
    /// Keys and values too.
    pub data: bool,
    pub meaning: Records,
}

#[derive(Serialize)]
struct BatchLine {
    base_offset: Offset,
    last_offset: Offset,
    count: i32,
    base_sequence: i32,
    last_sequence: i32,
    producer_id: i64,
    producer_epoch: i16,
    leader_epoch: i32,
    transactional: bool,
    control: bool,
    delete_horizon_ms: Option<i64>,
    position: u64,
    timestamp_type: &'static str,
    max_timestamp: i64,
    size: usize,
    magic: i8,
    compression: &'static str,
    crc: u32,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<RecordLine>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct RecordLine {
    offset: Offset,
    timestamp: i64,
    /// −1 for null.
    key_size: i64,
    value_size: i64,
    sequence: i32,
    header_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Data>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Data>,
}

/// A key or a value, as far as it is understood.
#[derive(Serialize)]
#[serde(untagged)]
enum Data {
    Text(String),
    OffsetsKey(offsets_records::Key),
    OffsetsValue(offsets_records::Value),
    TransactionKey(transaction_records::Key),
    TransactionValue(transaction_records::Value),
    Metadata {
        #[serde(rename = "type")]
        kind: String,
        version: u8,
    },
}

impl Data {
    fn plain(bytes: &[u8]) -> Self {
        Self::Text(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Type and version of a record of Kafka's metadata log: a frame version, then both as unsigned varints (KIP-631).
    fn metadata(value: &[u8]) -> Self {
        match value {
            [_, kind @ 0..0x80, version @ 0..0x80, ..] => {
                let name = METADATA_RECORDS.iter().find(|(number, _)| number == kind).map(|(_, name)| *name);
                Self::Metadata { kind: name.map_or_else(|| kind.to_string(), str::to_owned), version: *version }
            }
            _ => Self::plain(value),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => serde_json::to_string(other).expect("strings, numbers and lists are JSON"),
        }
    }
}

/// What lies behind the last whole batch.
#[derive(Serialize)]
struct Trailing {
    position: u64,
    invalid_bytes: u64,
    reason: String,
}

/// Shows every batch up to the first that cannot be told from its successor.
pub fn dump(path: &Path, base_offset: Offset, depth: Depth, sink: &mut Sink) -> Result {
    let file = RealDisk.open(path, OpenMode::Read).map_err(CliError::file("open", path))?;
    let end = file.len().map_err(CliError::file("read", path))?;
    sink.heading(|| format!("Log starting offset: {base_offset}"))?;
    let mut scan = LogScan::new(&*file, 0, end);
    while let Some(found) = scan.next_batch().map_err(CliError::file("read", path))? {
        match found {
            Ok((batch, position)) => {
                let line = batch_line(&batch.header, batch.bytes(), position, depth);
                sink.put(&line, || text(&line))?;
            }
            Err(bad) => {
                let trailing =
                    Trailing { position: bad.position, invalid_bytes: end - bad.position, reason: bad.reason.to_string() };
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                return sink.put(&trailing, || {
                    let Trailing { position, invalid_bytes, reason } = &trailing;
                    format!("Found {invalid_bytes} invalid bytes at the end of {name}, from position {position} on: {reason}")
                });
            }
        }
    }
    Ok(())
}

fn batch_line(header: &BatchHeader, bytes: &[u8], position: u64, depth: Depth) -> BatchLine {
    let (records, error) = if depth.records { records(header, bytes, depth) } else { (None, None) };
    let valid = crc32c::crc32c(&bytes[crate::record::batch::CRC_START..]) == header.crc;
    BatchLine {
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        count: header.record_count,
        base_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        leader_epoch: header.leader_epoch,
        transactional: header.is_transactional(),
        control: header.is_control(),
        delete_horizon_ms: header.delete_horizon_ms(),
        position,
        timestamp_type: if header.is_log_append_time() { "LogAppendTime" } else { "CreateTime" },
        max_timestamp: header.max_timestamp,
        size: header.size(),
        magic: header.magic,
        compression: Codec::from_id(header.compression_id()).map_or("unknown", Codec::name),
        crc: header.crc,
        valid,
        records,
        error,
    }
}

/// The records of a batch, or why they cannot be read.
fn records(header: &BatchHeader, bytes: &[u8], depth: Depth) -> (Option<Vec<RecordLine>>, Option<String>) {
    let owned = Bytes::copy_from_slice(bytes);
    let batch = match owned::decode(&owned, DECOMPRESSED_LIMIT).next() {
        Some(Ok(batch)) => batch,
        Some(Err(error)) => return (None, Some(error.to_string())),
        None => return (None, Some("the batch is cut off".into())),
    };
    let mut lines = Vec::new();
    for record in batch.record_refs() {
        match record {
            Ok(record) => lines.push(record_line(header, &record, depth)),
            Err(error) => return (Some(lines), Some(error.to_string())),
        }
    }
    (Some(lines), None)
}

fn record_line(header: &BatchHeader, record: &RecordRef<'_>, depth: Depth) -> RecordLine {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let delta = (record.offset - header.base_offset) as i32;
    let data = depth.data && !header.is_control();
    let (key, payload) = match (data, depth.meaning) {
        (false, _) => (None, None),
        (true, Records::Offsets) => {
            let (key, payload) = offsets_records::decode(record.key.unwrap_or_default(), record.value);
            (Some(Data::OffsetsKey(key)), payload.map(Data::OffsetsValue))
        }
        (true, Records::Transactions) => {
            let (key, payload) = transaction_records::decode(record.key.unwrap_or_default(), record.value);
            (Some(Data::TransactionKey(key)), payload.map(Data::TransactionValue))
        }
        (true, Records::KafkaMetadata) => (None, record.value.map(Data::metadata)),
        (true, Records::Plain) => (record.key.map(Data::plain), record.value.map(Data::plain)),
    };
    RecordLine {
        offset: record.offset,
        timestamp: record.timestamp,
        key_size: size(record.key),
        value_size: size(record.value),
        sequence: if header.base_sequence < 0 { -1 } else { increment_sequence(header.base_sequence, delta) },
        header_keys: record.headers.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect(),
        control: header.is_control().then(|| control(record)),
        key,
        payload,
    }
}

fn control(record: &RecordRef<'_>) -> String {
    if let Ok(marker) = EndTransactionMarker::parse(record.key, record.value) {
        let result = match marker.result {
            TransactionResult::Abort => "ABORT",
            TransactionResult::Commit => "COMMIT",
        };
        return format!("endTxnMarker: {result} coordinatorEpoch: {}", marker.coordinator_epoch);
    }
    match ControlRecordType::parse(record.key.unwrap_or_default()) {
        Ok(kind) => format!("controlType: {kind:?}"),
        Err(error) => format!("controlType: ({error})"),
    }
}

/// `metadata/src/main/resources/common/metadata/*.json`.
const METADATA_RECORDS: &[(u8, &str)] = &[
    (0, "REGISTER_BROKER_RECORD"),
    (1, "UNREGISTER_BROKER_RECORD"),
    (2, "TOPIC_RECORD"),
    (3, "PARTITION_RECORD"),
    (4, "CONFIG_RECORD"),
    (5, "PARTITION_CHANGE_RECORD"),
    (7, "FENCE_BROKER_RECORD"),
    (8, "UNFENCE_BROKER_RECORD"),
    (9, "REMOVE_TOPIC_RECORD"),
    (10, "DELEGATION_TOKEN_RECORD"),
    (11, "USER_SCRAM_CREDENTIAL_RECORD"),
    (12, "FEATURE_LEVEL_RECORD"),
    (14, "CLIENT_QUOTA_RECORD"),
    (15, "PRODUCER_IDS_RECORD"),
    (17, "BROKER_REGISTRATION_CHANGE_RECORD"),
    (18, "ACCESS_CONTROL_ENTRY_RECORD"),
    (19, "REMOVE_ACCESS_CONTROL_ENTRY_RECORD"),
    (20, "NO_OP_RECORD"),
    (21, "ZK_MIGRATION_STATE_RECORD"),
    (22, "REMOVE_USER_SCRAM_CREDENTIAL_RECORD"),
    (23, "BEGIN_TRANSACTION_RECORD"),
    (24, "END_TRANSACTION_RECORD"),
    (25, "ABORT_TRANSACTION_RECORD"),
    (26, "REMOVE_DELEGATION_TOKEN_RECORD"),
    (27, "REGISTER_CONTROLLER_RECORD"),
];

fn text(line: &BatchLine) -> String {
    let BatchLine { base_offset, last_offset, count, base_sequence, last_sequence, producer_id, producer_epoch, .. } = line;
    let BatchLine { leader_epoch, transactional, control, position, timestamp_type, max_timestamp, size, .. } = line;
    let BatchLine { magic, compression, crc, valid, .. } = line;
    let horizon = line.delete_horizon_ms.map_or_else(|| "OptionalLong.empty".into(), |at| format!("OptionalLong[{at}]"));
    let mut text = format!(
        "baseOffset: {base_offset} lastOffset: {last_offset} count: {count} baseSequence: {base_sequence} lastSequence: {last_sequence} \
         producerId: {producer_id} producerEpoch: {producer_epoch} partitionLeaderEpoch: {leader_epoch} isTransactional: {transactional} \
         isControl: {control} deleteHorizonMs: {horizon} position: {position} {timestamp_type}: {max_timestamp} size: {size} \
         magic: {magic} compresscodec: {compression} crc: {crc} isvalid: {valid}"
    );
    for record in line.records.iter().flatten() {
        text += "\n";
        text += &record_text(record, timestamp_type);
    }
    if let Some(error) = &line.error {
        text += &format!("\n| unreadable: {error}");
    }
    text
}

fn record_text(record: &RecordLine, timestamp_type: &str) -> String {
    let RecordLine { offset, timestamp, key_size, value_size, sequence, header_keys, .. } = record;
    let keys = header_keys.join(",");
    let mut text = format!(
        "| offset: {offset} {timestamp_type}: {timestamp} keySize: {key_size} valueSize: {value_size} sequence: {sequence} \
         headerKeys: [{keys}]"
    );
    text += &record.control.as_ref().map(|control| format!(" {control}")).unwrap_or_default();
    text += &record.key.as_ref().map(|key| format!(" key: {}", key.shown())).unwrap_or_default();
    text += &record.payload.as_ref().map(|payload| format!(" payload: {}", payload.shown())).unwrap_or_default();
    text
}
