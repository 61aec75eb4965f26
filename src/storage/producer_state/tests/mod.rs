//! The cases of Kafka's ProducerStateManagerTest, and that replicas agree.

mod agreement;
mod sequences;
mod snapshots;
mod transactions;
mod verification;

use super::*;
use crate::base::ErrorCode;
use crate::base::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::record::batch::{MAGIC_V2, attributes};
use crate::record::control::{EndTransactionMarker, TransactionResult};

const PID: ProducerId = 1;
const EXPIRATION_MS: i64 = 60_000;
const TIMEOUT_MS: i64 = 15 * 60 * 1000;
const NOW: TimestampMs = 1_000_000;
const MARKERS: AppendOrigin = AppendOrigin::Coordinator { transaction_version: 1 };
const BUMPING_MARKERS: AppendOrigin = AppendOrigin::Coordinator { transaction_version: 2 };

/// A batch to append.
#[derive(Clone, Copy, Debug)]
struct Data {
    pid: ProducerId,
    epoch: ProducerEpoch,
    sequence: i32,
    offset: Offset,
    count: i32,
    at: TimestampMs,
    transactional: bool,
}

fn data(epoch: ProducerEpoch, sequence: i32, offset: Offset) -> Data {
    Data { pid: PID, epoch, sequence, offset, count: 1, at: NOW, transactional: false }
}

impl Data {
    fn pid(self, pid: ProducerId) -> Self {
        Self { pid, ..self }
    }
    fn count(self, count: i32) -> Self {
        Self { count, ..self }
    }
    fn at(self, at: TimestampMs) -> Self {
        Self { at, ..self }
    }
    fn txn(self) -> Self {
        Self { transactional: true, ..self }
    }
    fn header(&self) -> BatchHeader {
        BatchHeader {
            base_offset: self.offset,
            batch_length: 49,
            leader_epoch: 0,
            magic: MAGIC_V2,
            crc: 0,
            attributes: if self.transactional { attributes::TRANSACTIONAL } else { 0 },
            last_offset_delta: self.count - 1,
            base_timestamp: self.at,
            max_timestamp: self.at,
            producer_id: self.pid,
            producer_epoch: self.epoch,
            base_sequence: self.sequence,
            record_count: self.count,
        }
    }
}

fn marker(result: TransactionResult, coordinator_epoch: i32) -> TimedMarker {
    TimedMarker { marker: EndTransactionMarker { result, coordinator_epoch }, timestamp: NOW }
}

fn marker_header(data: Data) -> BatchHeader {
    let header = data.txn().header();
    BatchHeader { attributes: header.attributes | attributes::CONTROL, base_sequence: -1, ..header }
}

fn append(manager: &mut ProducerStateManager, origin: AppendOrigin, data: Data) -> Result<(), ProducerStateError> {
    let mut updates = ProducerUpdates::new(origin);
    manager.stage(&mut updates, &data.header(), None)?;
    manager.apply(&updates);
    manager.set_map_end_offset(data.header().next_offset());
    Ok(())
}

fn client(manager: &mut ProducerStateManager, data: Data) -> Result<(), ProducerStateError> {
    append(manager, AppendOrigin::Client, data)
}

/// Appends a marker as the log does: apply, then complete.
fn end_with(
    manager: &mut ProducerStateManager,
    origin: AppendOrigin,
    data: Data,
    marker: TimedMarker,
) -> Result<Vec<CompletedTxn>, ProducerStateError> {
    let mut updates = ProducerUpdates::new(origin);
    manager.stage(&mut updates, &marker_header(data), Some(&marker))?;
    manager.apply(&updates);
    updates.completed().iter().for_each(|txn| manager.complete_txn(txn));
    manager.set_map_end_offset(data.offset + 1);
    Ok(updates.completed().to_vec())
}

fn end(manager: &mut ProducerStateManager, epoch: ProducerEpoch, result: TransactionResult, offset: Offset) -> Vec<CompletedTxn> {
    end_with(manager, MARKERS, data(epoch, 0, offset), marker(result, 0)).unwrap()
}

#[track_caller]
fn fails(result: Result<(), ProducerStateError>, code: ErrorCode) {
    assert_eq!(result.expect_err("must be refused").code(), code);
}

/// What a batch says of itself when it wants to be verified.
fn first_of(header: &BatchHeader, supports_epoch_bump: bool) -> FirstOfTransaction {
    let (producer_id, epoch, sequence) = (header.producer_id, header.producer_epoch, header.base_sequence);
    FirstOfTransaction { producer_id, epoch, sequence, supports_epoch_bump }
}
