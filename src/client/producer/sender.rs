//! The task of a producer: gathers records into batches, sends what is due to the partitions' leaders, and tells what became of it.
//!
//! Invariants: one request is under way to a broker at a time; every record that was pushed is told of once. The first batch that is given up ends
//! it: what was never sent is given up with it, and only what was sent is tried on, each batch for no longer than one operation may take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::accumulator::{Accumulator, BatchLimits, NewRecord, SealedBatch};
use super::partitioner::{StickyPartitioner, partition_for_key};
use super::request::produce;
use super::{Acks, Delivered, Delivery, ProducerOptions};
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, NO_LEADER, ProducerEpoch, ProducerId};
use crate::base::time::{Clock, Mono};
use crate::client::cluster::Client;
use crate::client::error::ClientError;
use crate::client::metadata::Topic;
use crate::client::retry;

/// Bytes of records that wait to be sent before [`super::Producer::send`] waits too.
const BUFFERED: usize = 32 << 20;
/// Bytes of batches in one request; brokers take 100 MiB.
const REQUEST_BYTES: usize = 8 << 20;

pub(super) struct Sender {
    client: Arc<Client>,
    topic: Topic,
    acks: Acks,
    accumulator: Accumulator,
    sticky: StickyPartitioner,
    leaders: Leaders,
    clock: Clock,
    /// Brokers that have not answered yet.
    busy: BTreeSet<BrokerId>,
    under_way: JoinSet<Outcome>,
    refresh: Refresh,
    failures: u32,
    /// Why something was given up first; no record is taken any more.
    failed: Option<ClientError>,
    delivered: mpsc::UnboundedSender<Delivery>,
}

/// When leaders are looked up again. Nothing is sent before that is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    NotNeeded,
    At(Mono),
    UnderWay,
}

/// What came of something that was under way.
enum Outcome {
    Answered(Answered),
    Topic(Result<Topic, ClientError>),
}

/// The fate of one request.
struct Answered {
    broker: BrokerId,
    batches: Vec<SealedBatch>,
    answer: Result<BTreeMap<i32, Result<Delivered, ClientError>>, ClientError>,
}

impl Sender {
    /// `id` numbers the batches if the options ask for it and the broker knows such ids.
    pub(super) fn new(
        client: Arc<Client>,
        topic: Topic,
        options: &ProducerOptions,
        id: Option<(ProducerId, ProducerEpoch)>,
        delivered: mpsc::UnboundedSender<Delivery>,
    ) -> Self {
        let limits = BatchLimits { bytes: options.batch_bytes, linger: options.linger, compression: options.compression };
        let clock = Clock::system();
        let start = usize::try_from(clock.wall_ms()).unwrap_or(0);
        Self {
            client,
            acks: options.acks,
            sticky: StickyPartitioner::new(options.batch_bytes, start),
            leaders: Leaders::new(&topic),
            topic,
            accumulator: Accumulator::new(limits, id),
            clock,
            busy: BTreeSet::new(),
            under_way: JoinSet::new(),
            refresh: Refresh::NotNeeded,
            failures: 0,
            failed: None,
            delivered,
        }
    }

    pub(super) async fn run(mut self, mut records: mpsc::Receiver<(Option<i32>, NewRecord)>, stop: CancellationToken) {
        let mut open = true;
        while open || !self.accumulator.is_empty() {
            if self.failed.is_some() {
                records.close();
            }
            self.send_what_is_due(!open);
            let could_go = |partition| !self.busy.contains(&self.leaders.of(partition));
            let wake = match self.refresh {
                Refresh::NotNeeded => self.accumulator.next_due(could_go),
                Refresh::At(at) => Some(at),
                Refresh::UnderWay => None,
            };
            let wake = wake.map(|at| self.clock.instant_of(at).into());
            tokio::select! {
                biased;
                Some(outcome) = self.under_way.join_next() => {
                    match outcome.expect("a request neither panics nor is cancelled") {
                        Outcome::Answered(answered) => self.on_answer(answered),
                        Outcome::Topic(topic) => self.on_topic(topic),
                    }
                }
                received = records.recv(), if open && self.accumulator.bytes() < BUFFERED => match received {
                    Some((partition, record)) => {
                        self.push(partition, &record);
                        while self.accumulator.bytes() < BUFFERED && let Ok((partition, record)) = records.try_recv() {
                            self.push(partition, &record);
                        }
                    }
                    None => open = false,
                },
                () = stop.cancelled(), if !records.is_closed() => records.close(),
                () = async { sleep_until(wake.expect("guarded")).await }, if wake.is_some() => {}
            }
        }
    }

    fn push(&mut self, partition: Option<i32>, record: &NewRecord) {
        let partition = match (partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, self.topic.partitions.len() as i32),
            (None, None) => self.sticky.next(&self.leaders.available, record.size()),
        };
        match self.failed.clone() {
            None => self.accumulator.push(partition, record, self.clock.mono()),
            Some(error) => self.tell(partition, 1, Err(error)),
        }
    }

    fn send_what_is_due(&mut self, flush: bool) {
        let now = self.clock.mono();
        match self.refresh {
            Refresh::NotNeeded => {}
            Refresh::At(at) if at <= now => {
                self.refresh = Refresh::UnderWay;
                let (client, name) = (self.client.clone(), self.topic.name.clone());
                self.under_way.spawn(async move { Outcome::Topic(client.try_topic(&name, false).await) });
                return;
            }
            Refresh::At(_) | Refresh::UnderWay => return,
        }
        for &broker in &self.leaders.brokers {
            if self.busy.contains(&broker) {
                continue;
            }
            let batches = self.accumulator.take(now, flush, REQUEST_BYTES, |partition| self.leaders.of(partition), broker);
            if batches.is_empty() {
                continue;
            }
            self.busy.insert(broker);
            let (client, name, id, acks) = (self.client.clone(), self.topic.name.clone(), self.topic.id, self.acks);
            self.under_way.spawn(async move {
                let answer = produce(&client, broker, &name, id, acks, &batches).await;
                Outcome::Answered(Answered { broker, batches, answer })
            });
        }
    }

    fn on_topic(&mut self, topic: Result<Topic, ClientError>) {
        self.refresh = Refresh::NotNeeded;
        // What cannot be looked up now is still tried at the brokers that were known.
        if let Ok(topic) = topic {
            self.leaders = Leaders::new(&topic);
            self.topic = topic;
        }
    }

    fn on_answer(&mut self, answered: Answered) {
        self.busy.remove(&answered.broker);
        let mut passing = false;
        for batch in answered.batches {
            let result = match &answered.answer {
                Ok(rows) => rows.get(&batch.partition).cloned().unwrap_or_else(|| {
                    let missing = format!("partition {}", batch.partition);
                    Err(ClientError::Incomplete { api: kafka_protocol::messages::ApiKey::Produce, missing })
                }),
                Err(error) => Err(error.clone()),
            };
            let result = match result {
                // It is in the log already; the answer of the first time was lost.
                Err(error) if error.code() == Some(ErrorCode::DuplicateSequenceNumber) => {
                    Ok(Delivered { base_offset: -1, log_append_time: None })
                }
                other => other,
            };
            match result {
                Ok(delivered) => {
                    self.accumulator.accepted(&batch);
                    self.tell(batch.partition, batch.records, Ok(delivered));
                }
                Err(error) if error.code() == Some(ErrorCode::MessageTooLarge) && self.accumulator.split(&batch) => {}
                Err(error) if self.is_worth_another(&error, &batch) => {
                    passing = true;
                    self.accumulator.again(batch);
                }
                Err(error) => {
                    self.tell(batch.partition, batch.records, Err(error.clone()));
                    for (partition, records) in self.accumulator.refused(&batch) {
                        self.tell(partition, records, Err(error.clone()));
                    }
                    self.failed.get_or_insert(error);
                }
            }
        }
        self.failures = if passing { self.failures + 1 } else { 0 };
        if passing {
            self.refresh = Refresh::At(self.clock.mono() + retry::pause(self.failures - 1));
        }
    }

    fn is_worth_another(&self, error: &ClientError, batch: &SealedBatch) -> bool {
        let passes = error.is_retriable() || matches!(error, ClientError::Timeout { .. } | ClientError::UnknownBroker(_));
        passes && self.clock.mono().since(batch.sent) < self.client.options().operation_timeout
    }

    fn tell(&self, partition: i32, records: usize, result: Result<Delivered, ClientError>) {
        // Nobody may be listening any more; the records are where they are all the same.
        let _ = self.delivered.send(Delivery { partition, records, result });
    }
}

/// Who leads which partition, as far as it is known. Partitions without a leader belong to [`NO_LEADER`], which is always asked in vain.
struct Leaders {
    by_partition: BTreeMap<i32, BrokerId>,
    brokers: BTreeSet<BrokerId>,
    /// Partitions that records without a key go to: those that have a leader, or all if none has.
    available: Vec<i32>,
}

impl Leaders {
    fn new(topic: &Topic) -> Self {
        let by_partition: BTreeMap<_, _> =
            topic.partitions.iter().filter_map(|p| p.leader.map(|leader| (p.partition, leader))).collect();
        let led = by_partition.keys().copied();
        let available = if by_partition.is_empty() { (0..topic.partitions.len() as i32).collect() } else { led.collect() };
        let brokers = by_partition.values().copied().chain([NO_LEADER]).collect();
        Self { by_partition, brokers, available }
    }

    fn of(&self, partition: i32) -> BrokerId {
        self.by_partition.get(&partition).copied().unwrap_or(NO_LEADER)
    }
}
