//! Rebuilds a shard from its log. Blocking: it reads the disk, so it runs off the worker threads.
//!
//! Reads to the log end, not only to the high watermark: what an earlier leader appended is this leader's past, and answers wait for its
//! commit anyway. What cannot be understood is skipped with a warning (once a kind, not once a record); what cannot be read fails the load.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use crate::base::ErrorCode;
use crate::base::ids::Offset;
use crate::record::batches::{Batch, batches};
use crate::record::compression::{Codec, decompress, with_buffer};
use crate::record::control::EndTransactionMarker;
use crate::record::records::records;

use super::log::CoordinatorLog;
use super::shard::{Position, Shard};

/// Bytes read at a time, as Kafka's `offsets.load.buffer.size`.
pub const LOAD_BUFFER_BYTES: usize = 5 << 20;
/// Most bytes one batch may hold decompressed: coordinators write small plain batches, but a topic may have been written by others.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// What a load went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The log end up to which the shard knows everything.
    pub next_offset: Offset,
    /// Bytes of all batches from the log start.
    pub bytes: u64,
    pub records: u64,
}

/// Replays the whole log into `shard`. `None` if `stop` was called meanwhile.
pub fn load<S: Shard, L: CoordinatorLog>(log: &L, shard: &mut S, stop: &CancellationToken) -> Result<Option<Loaded>, ErrorCode> {
    let mut replay = Replay { shard, log, loaded: Loaded::default(), warned: HashSet::new() };
    let mut from = log.extent()?.start;
    while from < log.extent()?.end {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let bytes = log.read_log(from, LOAD_BUFFER_BYTES)?;
        let before = from;
        for batch in batches(&bytes) {
            let batch = batch.map_err(|error| {
                tracing::error!(partition = %log.topic_partition(), offset = from, %error, "cannot load the coordinator's log");
                ErrorCode::CorruptMessage
            })?;
            replay.batch(&batch, from);
            from = from.max(batch.header.next_offset());
        }
        if from == before {
            tracing::error!(partition = %log.topic_partition(), offset = from, "the log has a hole below its end");
            return Err(ErrorCode::CorruptMessage);
        }
    }
    replay.loaded.next_offset = from;
    Ok(Some(replay.loaded))
}

struct Replay<'a, S, L> {
    shard: &'a mut S,
    log: &'a L,
    loaded: Loaded,
    warned: HashSet<String>,
}

impl<S: Shard, L: CoordinatorLog> Replay<'_, S, L> {
    fn batch(&mut self, batch: &Batch<'_>, from: Offset) {
        self.loaded.bytes += batch.bytes().len() as u64;
        let codec = match Codec::from_id(batch.header.compression_id()) {
            Some(Codec::None) => return self.body(batch, batch.body(), from),
            Some(codec) => codec,
            None => return self.warn(batch.header.base_offset, "a batch has an unknown compression codec".into()),
        };
        with_buffer(|body| match decompress(codec, batch.body(), body, DECOMPRESSED_BYTES_MAX) {
            Ok(()) => self.body(batch, body, from),
            Err(error) => self.warn(batch.header.base_offset, error.to_string()),
        });
    }

    fn body(&mut self, batch: &Batch<'_>, body: &[u8], from: Offset) {
        let transaction = batch.header.is_transactional().then_some(batch.header.producer_id);
        for record in records(&batch.header, body) {
            let record = match record {
                Ok(record) => record,
                Err(error) => return self.warn(batch.header.base_offset, error.to_string()),
            };
            // A log that starts inside a batch has given up the records before its start.
            if record.offset < from {
                continue;
            }
            self.loaded.records += 1;
            if batch.header.is_control() {
                if let Ok(marker) = EndTransactionMarker::parse(record.key, record.value) {
                    self.shard.replay_end_transaction(batch.header.producer_id, marker.result);
                }
                continue;
            }
            match S::decode(record.key.unwrap_or_default(), record.value) {
                Ok(decoded) => self.shard.replay(Position { offset: record.offset, transaction }, decoded),
                Err(error) => self.warn(record.offset, error.to_string()),
            }
        }
    }

    fn warn(&mut self, offset: Offset, reason: String) {
        let partition = self.log.topic_partition();
        if self.warned.contains(&reason) {
            tracing::debug!(%partition, offset, reason, "skipped in the coordinator's log");
            return;
        }
        tracing::warn!(%partition, offset, reason, "skipped in the coordinator's log; more of this kind are not reported");
        self.warned.insert(reason);
    }
}
