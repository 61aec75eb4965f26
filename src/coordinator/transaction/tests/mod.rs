//! The state machine of transactions, driven by hand: decisions are replayed as the runtime does it, through their bytes.

mod ending;
mod initializing;
mod partitions;
mod random;
mod records;
mod service;
mod working;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::StrBytes;

use super::config::TransactionConfig;
use super::metadata::TransactionMetadata;
use super::request::*;
use super::shard::TransactionShard;
use super::state::TransactionState;
use super::work::{Markers, Work};
use crate::base::ErrorCode;
use crate::base::ids::{NO_PRODUCER_EPOCH, Offset, ProducerEpoch, ProducerId, TopicPartition};
use crate::base::time::Mono;
use crate::coordinator::shard::{At, Effects, Position, Producer, RequestId, Shard, TransactionResult, Write};

const COORDINATOR_EPOCH: i32 = 9;
const TIMEOUT_MS: i32 = 60_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn producer(id: ProducerId, epoch: ProducerEpoch) -> Producer {
    Producer { id, epoch }
}

fn partitions(names: &[(&str, i32)]) -> BTreeSet<TopicPartition> {
    names.iter().map(|(topic, partition)| TopicPartition::new(*topic, *partition)).collect()
}

/// A shard, its log's effect, and what it answered.
struct World {
    shard: TransactionShard,
    config: TransactionConfig,
    now_ms: u64,
    log_end: Offset,
    /// Where the last record of each id lies.
    offsets: HashMap<StrBytes, Offset>,
    max_batch_bytes: usize,
    next_request: u64,
    next_producer_id: ProducerId,
    answers: HashMap<RequestId, TransactionResponse>,
}

impl World {
    fn new() -> Self {
        Self::with(TransactionConfig::default())
    }

    fn with(config: TransactionConfig) -> Self {
        let shard = TransactionShard::new(Arc::new(config.clone()), COORDINATOR_EPOCH);
        Self {
            shard,
            config,
            now_ms: 1_000_000,
            log_end: 0,
            offsets: HashMap::new(),
            max_batch_bytes: 1 << 20,
            next_request: 0,
            next_producer_id: 1000,
            answers: HashMap::new(),
        }
    }

    fn at(&self) -> At {
        At {
            now: Mono::from_millis(self.now_ms),
            wall_ms: self.now_ms as i64,
            max_batch_bytes: self.max_batch_bytes,
            next_offset: self.log_end,
        }
    }

    /// Asks, and gives the name under which the answer will come.
    fn submit(&mut self, request: TransactionRequest) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        let effects = self.shard.handle(&self.at(), id, request);
        self.take(effects);
        id
    }

    fn take(&mut self, effects: Effects<TransactionShard>) {
        let Write::Records(records) = effects.write else { panic!("the log of transactions has no transactions") };
        for record in records {
            let (key, value) = record.encode();
            let decoded = TransactionShard::decode(&key, value.as_deref()).expect("what is written can be read");
            let last = record.value.as_ref().map(|value| value.last_producer_epoch);
            assert_eq!(forgetful(decoded.value.clone()), forgetful(record.value), "{}", decoded.id);
            // The leader that decides remembers what its log does not say.
            let value = decoded.value.map(|value| TransactionMetadata { last_producer_epoch: last.unwrap_or(-1), ..value });
            self.append(super::record::Record { value, ..decoded });
        }
        for (id, response) in effects.replies {
            assert!(self.answers.insert(id, response).is_none(), "{id:?} is answered once");
        }
    }

    fn append(&mut self, record: super::record::Record) {
        self.offsets.insert(record.id.clone(), self.log_end);
        self.shard.replay(Position { offset: self.log_end, transaction: None }, record);
        self.log_end += 1;
    }

    /// The answer, if it was given.
    fn answer(&mut self, id: RequestId) -> Option<TransactionResponse> {
        self.answers.remove(&id)
    }

    fn ask<T: From<TransactionResponse>>(&mut self, request: TransactionRequest) -> T {
        let id = self.submit(request);
        self.answer(id).expect("it is answered at once").into()
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(deadline) = self.shard.next_deadline().filter(|deadline| *deadline <= Mono::from_millis(until)) {
            self.now_ms = self.now_ms.max(deadline.as_nanos().div_ceil(1_000_000));
            let effects = self.shard.on_time(&self.at());
            self.take(effects);
        }
        self.now_ms = until;
    }

    /// Another leader loads the log.
    fn restart(&mut self) {
        let records: Vec<_> = self.shard.durable().into_iter().collect();
        self.shard = TransactionShard::new(Arc::new(self.config.clone()), COORDINATOR_EPOCH + 1);
        for (id, value) in records {
            let offset = self.offsets[&id];
            let record = super::record::Record { id, value: Some(value), flexible: true };
            self.shard.replay(Position { offset, transaction: None }, record);
        }
        let effects = self.shard.loaded(&self.at());
        self.take(effects);
    }

    fn fresh(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        self.next_producer_id
    }

    /// InitProducerId as the broker asks: with a fresh producer id if one is needed.
    fn init(&mut self, id: &str, expected: Option<Producer>) -> Result<Producer, ErrorCode> {
        let request = |fresh| InitProducerId { id: text(id), timeout_ms: TIMEOUT_MS, expected, fresh };
        let answer = self.ask::<Result<Producer, Refused>>(TransactionRequest::Init(request(None)));
        let answer = match answer {
            Err(Refused::NeedsProducerId) => {
                let fresh = self.fresh();
                self.ask(TransactionRequest::Init(request(Some(fresh))))
            }
            answer => answer,
        };
        answer.map_err(code)
    }

    fn add_request(id: &str, producer: Producer, added: &[(&str, i32)], transaction_version: i16) -> TransactionRequest {
        TransactionRequest::Add(AddPartitions { id: text(id), producer, partitions: partitions(added), transaction_version })
    }

    fn add(&mut self, id: &str, producer: Producer, added: &[(&str, i32)]) -> Result<(), ErrorCode> {
        self.ask(Self::add_request(id, producer, added, 2))
    }

    fn verify(&mut self, id: &str, producer: Producer, asked: &[(&str, i32)]) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
        let request = AddPartitions { id: text(id), producer, partitions: partitions(asked), transaction_version: 0 };
        let verified: Result<Verified, ErrorCode> = self.ask(TransactionRequest::Verify(request));
        Ok(verified?.into_iter().map(|(_, error)| error).collect())
    }

    fn end(&mut self, id: &str, producer: Producer, result: TransactionResult, version: i16) -> Result<Producer, ErrorCode> {
        let request = |fresh| EndTransaction { id: text(id), producer, result, transaction_version: version, fresh };
        let answer = self.ask::<Result<Producer, Refused>>(TransactionRequest::End(request(None)));
        let answer = match answer {
            Err(Refused::NeedsProducerId) => {
                let fresh = self.fresh();
                self.ask(TransactionRequest::End(request(Some(fresh))))
            }
            answer => answer,
        };
        answer.map_err(code)
    }

    /// All that is to be done.
    fn work(&mut self) -> Work {
        let id = self.submit(TransactionRequest::TakeWork { again: true });
        match self.answer(id) {
            Some(work) => work.into(),
            // Nothing: take the question back by a restart of the queue.
            None => {
                self.shard.forget_taker();
                Work::default()
            }
        }
    }

    fn finish(&mut self, markers: &Markers) {
        self.ask::<()>(TransactionRequest::Finished(markers.finished()));
    }

    /// Writes all markers, as the broker does.
    fn finish_all(&mut self) {
        for markers in self.work().markers {
            self.finish(&markers);
        }
    }

    fn state(&self, id: &str) -> TransactionState {
        self.metadata(id).state
    }

    fn metadata(&self, id: &str) -> &TransactionMetadata {
        &self.shard.transactions[&text(id)]
    }

    /// Puts an id into a state, as if it had come there.
    fn set(&mut self, id: &str, metadata: TransactionMetadata) {
        self.append(super::record::Record { id: text(id), value: Some(metadata), flexible: true });
    }
}

fn forgetful(value: Option<TransactionMetadata>) -> Option<TransactionMetadata> {
    value.map(|value| TransactionMetadata { last_producer_epoch: NO_PRODUCER_EPOCH, ..value })
}

fn code(refused: Refused) -> ErrorCode {
    match refused {
        Refused::Error(code) => code,
        Refused::NeedsProducerId => panic!("it had a fresh producer id"),
    }
}

fn minutes(minutes: u64) -> u64 {
    Duration::from_secs(60 * minutes).as_millis() as u64
}
