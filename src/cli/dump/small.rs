//! Indexes, snapshots, checkpoints and the other small files.

use std::path::Path;

use serde::Serialize;

use super::sink::Sink;
use crate::base::disk::{Disk, RealDisk};
use crate::base::ids::Offset;
use crate::cli::error::{CliError, Result};
use crate::storage::checkpoint::{FileError, meta_properties, offsets, partition_metadata, uuid_text};
use crate::storage::leader_epochs::LeaderEpochCache;
use crate::storage::offset_index::OffsetEntries;
use crate::storage::producer_state::decode_snapshot;
use crate::storage::time_index::TimeEntries;
use crate::storage::transaction_index::TransactionIndex;

fn read(path: &Path) -> Result<Vec<u8>> {
    RealDisk.read(path).map_err(CliError::file("read", path))
}

fn damaged(error: FileError) -> CliError {
    CliError::failed(error.to_string())
}

/// The directory a file lies in, which may be this one.
fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub fn offset_index(path: &Path, base_offset: Offset, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line {
        offset: Offset,
        position: u32,
    }
    let bytes = read(path)?;
    let entries = OffsetEntries::new(&bytes, base_offset);
    for n in 0..entries.count() {
        let entry = entries.get(n);
        // Kafka fills the index of an active segment with zeros; behind the first such entry there is nothing.
        if entry.offset == base_offset && n > 0 {
            break;
        }
        let line = Line { offset: entry.offset, position: entry.position };
        sink.put(&line, || format!("offset: {} position: {}", line.offset, line.position))?;
    }
    Ok(())
}

pub fn time_index(path: &Path, base_offset: Offset, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line {
        timestamp: i64,
        offset: Offset,
    }
    let bytes = read(path)?;
    let entries = TimeEntries::new(&bytes, base_offset);
    for n in 0..entries.count() {
        let entry = entries.get(n);
        if entry.timestamp == 0 && entry.offset == base_offset && n > 0 {
            break;
        }
        let line = Line { timestamp: entry.timestamp, offset: entry.offset };
        sink.put(&line, || format!("timestamp: {} offset: {}", line.timestamp, line.offset))?;
    }
    Ok(())
}

pub fn transaction_index(path: &Path, base_offset: Offset, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line {
        producer_id: i64,
        first_offset: Offset,
        last_offset: Offset,
        last_stable_offset: Offset,
    }
    let len = std::fs::metadata(path).map_err(CliError::file("read", path))?.len();
    for txn in TransactionIndex::new(path.to_owned(), base_offset, len).all(&RealDisk).map_err(damaged)? {
        let line = Line {
            producer_id: txn.producer_id,
            first_offset: txn.first_offset,
            last_offset: txn.last_offset,
            last_stable_offset: txn.last_stable_offset,
        };
        let Line { producer_id, first_offset, last_offset, last_stable_offset } = &line;
        sink.put(&line, || {
            format!(
                "version: 0 producerId: {producer_id} firstOffset: {first_offset} lastOffset: {last_offset} lastStableOffset: {last_stable_offset}"
            )
        })?;
    }
    Ok(())
}

pub fn producer_snapshot(path: &Path, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line {
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
        current_txn_first_offset: Option<Offset>,
        last_timestamp: i64,
        first_sequence: Option<i32>,
        last_sequence: Option<i32>,
        last_offset: Option<Offset>,
        offset_delta: Option<i32>,
        timestamp: Option<i64>,
    }
    let bytes = read(path)?;
    let producers = decode_snapshot(&bytes).map_err(|why| CliError::failed(format!("{} is damaged: {why}", path.display())))?;
    for (producer_id, entry) in producers {
        let batch = entry.last_batch().copied();
        let line = Line {
            producer_id,
            producer_epoch: entry.epoch,
            coordinator_epoch: entry.coordinator_epoch,
            current_txn_first_offset: entry.txn_first_offset,
            last_timestamp: entry.last_timestamp,
            first_sequence: batch.map(|b| b.first_sequence()),
            last_sequence: batch.map(|b| b.last_sequence),
            last_offset: batch.map(|b| b.last_offset),
            offset_delta: batch.map(|b| b.offset_delta),
            timestamp: batch.map(|b| b.timestamp),
        };
        sink.put(&line, || {
            let first = line.current_txn_first_offset;
            let first = first.map_or_else(|| "OptionalLong.empty".into(), |offset| format!("OptionalLong[{offset}]"));
            let mut text = format!(
                "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {first} lastTimestamp: {} ",
                line.producer_id, line.producer_epoch, line.coordinator_epoch, line.last_timestamp
            );
            if let Some(batch) = batch {
                text += &format!(
                    "firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                    batch.first_sequence(),
                    batch.last_sequence,
                    batch.last_offset,
                    batch.offset_delta,
                    batch.timestamp
                );
            }
            text
        })?;
    }
    Ok(())
}

pub fn leader_epochs(path: &Path, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line {
        epoch: i32,
        start_offset: Offset,
    }
    for entry in LeaderEpochCache::load(&RealDisk, dir_of(path)).map_err(damaged)?.entries() {
        let line = Line { epoch: entry.epoch, start_offset: entry.start_offset };
        sink.put(&line, || format!("epoch: {} startOffset: {}", line.epoch, line.start_offset))?;
    }
    Ok(())
}

pub fn offset_checkpoint(path: &Path, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line<'a> {
        topic: &'a str,
        partition: i32,
        offset: Offset,
    }
    // One of them counts bytes, in the same form.
    let what = if path.file_name().is_some_and(|name| name == offsets::ACTIVE_SIZE) { "size" } else { "offset" };
    for (partition, offset) in offsets::read(&RealDisk, path).map_err(damaged)? {
        let line = Line { topic: &partition.topic, partition: partition.partition, offset };
        sink.put(&line, || format!("topic: {} partition: {} {what}: {offset}", partition.topic, partition.partition))?;
    }
    Ok(())
}

pub fn partition_metadata(path: &Path, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line {
        topic_id: Option<String>,
    }
    let id = partition_metadata::read(&RealDisk, dir_of(path)).map_err(damaged)?;
    let line = Line { topic_id: id.map(uuid_text::format) };
    sink.put(&line, || format!("topicId: {}", line.topic_id.as_deref().unwrap_or("none")))
}

pub fn meta_properties(path: &Path, sink: &mut Sink) -> Result {
    #[derive(Serialize)]
    struct Line {
        cluster_id: String,
        node_id: i32,
        directory_id: Option<String>,
    }
    let Some(properties) = meta_properties::read(&RealDisk, dir_of(path)).map_err(damaged)? else { return Ok(()) };
    let line = Line {
        cluster_id: properties.cluster_id,
        node_id: properties.node_id,
        directory_id: properties.directory_id.map(uuid_text::format),
    };
    sink.put(&line, || {
        let directory = line.directory_id.as_deref().unwrap_or("none");
        format!("clusterId: {} nodeId: {} directoryId: {directory}", line.cluster_id, line.node_id)
    })
}
