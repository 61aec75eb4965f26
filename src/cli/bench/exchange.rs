//! What a connection says and how its answers are judged: one implementor an API. The engine knows frames and moments only.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use kafka_protocol::messages::ApiKey;

use super::answer;
use super::batch;
use super::error::{BenchError, Result};
use super::frame::{FetchFrame, ProduceFrame};
use crate::base::ids::Offset;
use crate::record::batch::{self as record_batch, BatchHeader};

/// What one answer was worth.
#[derive(Default)]
pub struct Worth {
    pub records: u64,
    /// Bytes of payload: values of records that were sent, whole batches that came back.
    pub bytes: u64,
    /// Moments whose waiting ended with this answer: each gives one latency.
    pub since: Vec<Instant>,
}

impl Worth {
    pub fn clear(&mut self) {
        self.records = 0;
        self.bytes = 0;
        self.since.clear();
    }
}

/// One side of a conversation on one connection.
pub trait Exchange {
    /// The frame that each slot of the connection starts from.
    fn template(&self) -> &[u8];
    /// Whether another request may be sent, if it were due.
    fn may_send(&self) -> bool {
        true
    }
    /// Whether the broker answers at all; without acks it does not.
    fn is_answered(&self) -> bool {
        true
    }
    /// Patches a frame that is about to be sent and that was due at `intended`.
    fn prepare(&mut self, frame: &mut [u8], intended: Instant);
    /// Judges the answer to the request that was due at `intended`; an error code ends the run.
    fn accept(&mut self, body: &[u8], intended: Instant, worth: &mut Worth) -> Result<()>;
    /// Whether everything this side waits for has come.
    fn is_caught_up(&self) -> bool {
        true
    }
}

pub struct ApiVersionsExchange {
    pub template: Vec<u8>,
}

impl Exchange for ApiVersionsExchange {
    fn template(&self) -> &[u8] {
        &self.template
    }

    fn prepare(&mut self, _frame: &mut [u8], _intended: Instant) {}

    fn accept(&mut self, body: &[u8], intended: Instant, worth: &mut Worth) -> Result<()> {
        worth.since.push(intended);
        answer::api_versions(body)
    }
}

/// Batches on their way from a producer to the consumer of the same partition, oldest first. A fresh topic's offsets count from zero
/// and one connection alone writes the partition, so a batch is known by its offset.
#[derive(Default)]
pub struct Journey {
    under_way: VecDeque<Instant>,
    /// Offset of the first record under way.
    next_offset: Offset,
}

pub type SharedJourney = Rc<RefCell<Journey>>;

/// Sends the same batch to each of its partitions in turn.
pub struct ProduceExchange {
    pub frame: ProduceFrame,
    pub partitions: Vec<i32>,
    pub acks: i16,
    pub records: u32,
    pub record_size: usize,
    /// Next sequence of each partition, for an idempotent producer.
    pub sequences: Option<Vec<i32>>,
    /// One for each partition, where a consumer waits at the other end.
    pub journeys: Vec<SharedJourney>,
    /// Send only when all that was sent has been consumed.
    pub lockstep: bool,
    pub turn: usize,
}

impl Exchange for ProduceExchange {
    fn template(&self) -> &[u8] {
        &self.frame.bytes
    }

    fn may_send(&self) -> bool {
        !self.lockstep || self.journeys.iter().all(|journey| journey.borrow().under_way.is_empty())
    }

    fn is_answered(&self) -> bool {
        self.acks != 0
    }

    fn prepare(&mut self, frame: &mut [u8], intended: Instant) {
        let turn = self.turn;
        self.turn = (turn + 1) % self.partitions.len();
        self.frame.set_partition(frame, self.partitions[turn]);
        if let Some(sequences) = &mut self.sequences {
            batch::set_sequence(self.frame.batch_mut(frame), sequences[turn]);
            // A sequence wraps from 2³¹−1 to 0; the batch that crosses does not matter to a load.
            sequences[turn] = record_batch::increment_sequence(sequences[turn], self.records as i32);
        }
        if let Some(journey) = self.journeys.get(turn) {
            journey.borrow_mut().under_way.push_back(intended);
        }
    }

    fn accept(&mut self, body: &[u8], intended: Instant, worth: &mut Worth) -> Result<()> {
        if self.is_answered() {
            answer::produced(body)?;
        }
        worth.records = u64::from(self.records);
        worth.bytes = u64::from(self.records) * self.record_size as u64;
        worth.since.push(intended);
        Ok(())
    }
}

/// Where a consumer goes on when it has read everything.
pub enum AtEnd {
    /// Back to the start of the log, for as long as the run lasts.
    Rewind,
    /// Wait there for records that belong to `journey`, sent `records` at a time.
    Wait { journey: SharedJourney, records: u32 },
}

/// Reads one partition from its start.
pub struct FetchExchange {
    pub frame: FetchFrame,
    pub offset: Offset,
    pub at_end: AtEnd,
    pub check_crc: bool,
}

impl FetchExchange {
    /// Walks the whole batches of an answer; gives their bytes. A cut one at the end will come again.
    fn walk(&mut self, mut records: &[u8], worth: &mut Worth) -> Result<()> {
        let malformed = |what: String| BenchError::Malformed { api: ApiKey::Fetch, what };
        while let Some(header) = BatchHeader::parse(records) {
            let size = header.size();
            if size > records.len() {
                break;
            }
            let (batch, rest) = records.split_at(size);
            if header.next_offset() <= self.offset {
                return Err(malformed(format!("a batch up to {} where {} was asked for", header.last_offset(), self.offset)));
            }
            if self.check_crc && record_batch::checksum(batch) != header.crc {
                return Err(malformed(format!("the batch at {} does not match its CRC", header.base_offset)));
            }
            self.offset = header.next_offset();
            worth.records += header.record_count.max(0) as u64;
            worth.bytes += size as u64;
            records = rest;
        }
        Ok(())
    }
}

impl Exchange for FetchExchange {
    fn template(&self) -> &[u8] {
        &self.frame.bytes
    }

    fn prepare(&mut self, frame: &mut [u8], _intended: Instant) {
        self.frame.set_offset(frame, self.offset);
    }

    fn accept(&mut self, body: &[u8], intended: Instant, worth: &mut Worth) -> Result<()> {
        let fetched = answer::fetched(body)?;
        let (from, records) = (self.offset, fetched.records);
        self.walk(records, worth)?;
        match &self.at_end {
            AtEnd::Rewind => {
                worth.since.push(intended);
                if worth.records == 0 && from < fetched.high_watermark {
                    let what = format!("no whole batch in {} bytes at offset {from}", records.len());
                    return Err(BenchError::Malformed { api: ApiKey::Fetch, what });
                }
                if self.offset >= fetched.high_watermark {
                    self.offset = fetched.log_start;
                }
            }
            AtEnd::Wait { journey, records } => {
                let mut journey = journey.borrow_mut();
                while journey.next_offset < self.offset {
                    let sent = journey.under_way.pop_front();
                    worth.since.push(sent.ok_or_else(|| BenchError::Malformed {
                        api: ApiKey::Fetch,
                        what: format!("a batch at {} that was never sent", journey.next_offset),
                    })?);
                    journey.next_offset += Offset::from(*records);
                }
            }
        }
        Ok(())
    }

    fn is_caught_up(&self) -> bool {
        match &self.at_end {
            AtEnd::Rewind => true,
            AtEnd::Wait { journey, .. } => journey.borrow().under_way.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests;
