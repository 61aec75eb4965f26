//! Records on their way: gathered into batches, one batch of a partition under way at a time. Pure: time comes in, batches go out.
//!
//! Invariants: batches of a partition leave in the order of their records, and the next one leaves when the one before is in the log; so sequence
//! numbers have no gaps (KIP-98). A batch that is tried again is the same bytes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::base::ids::{BrokerId, ProducerEpoch, ProducerId, TimestampMs};
use crate::base::time::Mono;
use crate::record::batch::increment_sequence;
use crate::record::builder::{BatchBuilder, Producer};
use crate::record::compression::Compression;
use crate::record::owned;

/// A record to be produced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    pub timestamp: TimestampMs,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

impl NewRecord {
    /// Bytes of its contents.
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len));
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + headers.sum::<usize>()
    }
}

/// When a batch is full.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Bytes before compression. A larger record has a batch of its own.
    pub bytes: usize,
    /// How long a batch waits for more records.
    pub linger: Duration,
    pub compression: Compression,
}

/// A finished batch, as often as it has to be sent.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    pub partition: i32,
    pub bytes: Bytes,
    pub records: usize,
    /// When it was sent first.
    pub sent: Mono,
}

/// See the module.
#[derive(Debug)]
pub struct Accumulator {
    limits: BatchLimits,
    /// Id and epoch of an idempotent producer.
    producer: Option<(ProducerId, ProducerEpoch)>,
    queues: BTreeMap<i32, Queue>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    full: VecDeque<BatchBuilder>,
    filling: Option<(BatchBuilder, Mono)>,
    /// Taken, and not yet answered.
    under_way: bool,
    /// Refused for now; goes before everything else.
    again: Option<SealedBatch>,
    next_sequence: i32,
}

impl Accumulator {
    pub fn new(limits: BatchLimits, producer: Option<(ProducerId, ProducerEpoch)>) -> Self {
        Self { limits, producer, queues: BTreeMap::new(), bytes: 0 }
    }

    /// Bytes that wait to be sent for the first time.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything was taken and answered.
    pub fn is_empty(&self) -> bool {
        self.queues.values().all(Queue::is_idle)
    }

    pub fn push(&mut self, partition: i32, record: &NewRecord, now: Mono) {
        let queue = self.queues.entry(partition).or_default();
        let fits = |builder: &BatchBuilder| builder.uncompressed_size() + record.size() <= self.limits.bytes;
        if let Some((builder, _)) = queue.filling.take_if(|(builder, _)| !fits(builder)) {
            queue.full.push_back(builder);
        }
        let (builder, _) = queue.filling.get_or_insert_with(|| (BatchBuilder::new(self.limits.compression), now));
        let before = builder.uncompressed_size();
        let headers = record.headers.iter().map(|(key, value)| (&key[..], value.as_deref()));
        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), headers);
        self.bytes += builder.uncompressed_size() - before;
    }

    /// When the next batch has waited long enough, of partitions that `could_go`. `None` if that depends on answers alone.
    pub fn next_due(&self, could_go: impl Fn(i32) -> bool) -> Option<Mono> {
        let waiting = self.queues.iter().filter(|(partition, queue)| !queue.under_way && could_go(**partition));
        waiting.filter_map(|(_, queue)| queue.filling.as_ref()).map(|(_, since)| *since + self.limits.linger).min()
    }

    /// Takes one batch of each partition whose turn it is and whose leader is `leader`, `request_bytes` in all or a single larger one. With
    /// `flush` nothing waits for more records.
    pub fn take(
        &mut self,
        now: Mono,
        flush: bool,
        request_bytes: usize,
        leader_of: impl Fn(i32) -> BrokerId,
        leader: BrokerId,
    ) -> Vec<SealedBatch> {
        let mut taken: Vec<SealedBatch> = Vec::new();
        let mut total = 0;
        for (&partition, queue) in &mut self.queues {
            if total >= request_bytes {
                break;
            }
            if queue.under_way || leader_of(partition) != leader {
                continue;
            }
            let batch = match queue.again.take() {
                Some(batch) => batch,
                None => {
                    let due = |since: Mono| flush || since + self.limits.linger <= now;
                    let filled = || queue.filling.take_if(|(_, since)| due(*since)).map(|(builder, _)| builder);
                    let Some(mut builder) = queue.full.pop_front().or_else(filled) else { continue };
                    self.bytes -= builder.uncompressed_size() - BatchBuilder::new(self.limits.compression).uncompressed_size();
                    if let Some((id, epoch)) = self.producer {
                        builder.producer = Producer { id, epoch, base_sequence: queue.next_sequence };
                    }
                    let records = builder.len();
                    SealedBatch { partition, bytes: builder.build(), records, sent: now }
                }
            };
            queue.under_way = true;
            total += batch.bytes.len();
            taken.push(batch);
        }
        taken
    }

    /// The batch is in the log.
    pub fn accepted(&mut self, batch: &SealedBatch) {
        let queue = self.answered(batch.partition);
        queue.next_sequence = increment_sequence(queue.next_sequence, batch.records as i32);
    }

    /// The batch will not be tried again, and nobody may know whether it is in the log. So what was never sent is given up as well, which would take
    /// its place: how many records of each partition.
    pub fn refused(&mut self, batch: &SealedBatch) -> Vec<(i32, usize)> {
        self.answered(batch.partition);
        let mut given_up = Vec::new();
        for (&partition, queue) in &mut self.queues {
            let filling = queue.filling.take().map(|(builder, _)| builder);
            let records: usize = queue.full.drain(..).chain(filling).map(|builder| builder.len()).sum();
            if records > 0 {
                given_up.push((partition, records));
            }
        }
        self.bytes = 0;
        given_up
    }

    /// The batch is to be sent again, before those behind it.
    pub fn again(&mut self, batch: SealedBatch) {
        let partition = batch.partition;
        self.answered(partition).again = Some(batch);
    }

    /// The batch is too large for the topic: its records go into two. False if it has only one record.
    pub fn split(&mut self, batch: &SealedBatch) -> bool {
        if batch.records < 2 {
            return false;
        }
        let compression = self.limits.compression;
        let half = batch.records.div_ceil(2);
        let mut builders = [BatchBuilder::new(compression), BatchBuilder::new(compression)];
        let decoded = owned::decode(&batch.bytes, usize::MAX).next().and_then(Result::ok).expect("it was built here");
        for (pushed, record) in decoded.record_refs().enumerate() {
            let record = record.expect("it was built here");
            builders[pushed / half].push(record.timestamp, record.key, record.value, record.headers.iter());
        }
        let empty = BatchBuilder::new(compression).uncompressed_size();
        self.bytes += builders.iter().map(|builder| builder.uncompressed_size() - empty).sum::<usize>();
        let queue = self.answered(batch.partition);
        for builder in builders.into_iter().rev() {
            queue.full.push_front(builder);
        }
        true
    }

    fn answered(&mut self, partition: i32) -> &mut Queue {
        let queue = self.queues.get_mut(&partition).expect("a batch of this partition was taken");
        assert!(queue.under_way, "a batch is answered once");
        queue.under_way = false;
        queue
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        !self.under_way && self.again.is_none() && self.full.is_empty() && self.filling.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::BatchHeader;
    use crate::record::compression::Codec;

    const LINGER: Duration = Duration::from_millis(5);

    fn accumulator(bytes: usize) -> Accumulator {
        let limits = BatchLimits { bytes, linger: LINGER, compression: Codec::None.into() };
        Accumulator::new(limits, Some((7, 0)))
    }

    fn record(value: &str) -> NewRecord {
        NewRecord { timestamp: 1, value: Some(Bytes::copy_from_slice(value.as_bytes())), ..NewRecord::default() }
    }

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    fn take(accumulator: &mut Accumulator, now: Mono) -> Vec<SealedBatch> {
        accumulator.take(now, false, 1 << 20, |_| 1, 1)
    }

    fn values(batch: &SealedBatch) -> Vec<String> {
        let decoded = owned::decode(&batch.bytes, usize::MAX).next().unwrap().unwrap();
        decoded.records().map(|r| String::from_utf8(r.unwrap().value.unwrap().to_vec()).unwrap()).collect()
    }

    fn sequence(batch: &SealedBatch) -> i32 {
        BatchHeader::parse(&batch.bytes).unwrap().base_sequence
    }

    #[test]
    fn a_batch_leaves_when_it_has_waited_or_is_full() {
        let mut accumulator = accumulator(130);
        accumulator.push(0, &record("a"), at(0));
        assert!(take(&mut accumulator, at(4)).is_empty());
        assert_eq!(accumulator.next_due(|_| true), Some(at(5)));
        assert_eq!(accumulator.next_due(|partition| partition != 0), None);
        let waited = take(&mut accumulator, at(5));
        assert_eq!(values(&waited[0]), ["a"]);
        accumulator.accepted(&waited[0]);
        for value in ["0123456789012345678901234567890", "1234567890123456789012345678901", "x"] {
            accumulator.push(0, &record(value), at(6));
        }
        assert_eq!(take(&mut accumulator, at(6)).len(), 1, "the first batch is full");
        assert!(accumulator.bytes() > 0);
    }

    #[test]
    fn one_batch_of_a_partition_is_under_way_and_order_holds() {
        let mut accumulator = accumulator(1);
        for value in ["a", "b"] {
            accumulator.push(0, &record(value), at(0));
        }
        accumulator.push(1, &record("c"), at(0));
        let first = take(&mut accumulator, at(9));
        assert_eq!(
            first.iter().map(|b| (b.partition, values(b))).collect::<Vec<_>>(),
            [(0, vec!["a".into()]), (1, vec!["c".into()])]
        );
        assert!(take(&mut accumulator, at(9)).is_empty());
        accumulator.again(first[0].clone());
        let second = take(&mut accumulator, at(10));
        assert_eq!(second[0].bytes, first[0].bytes, "what is tried again is the same");
        accumulator.accepted(&second[0]);
        let third = take(&mut accumulator, at(11));
        assert_eq!((values(&third[0]), sequence(&third[0])), (vec!["b".to_owned()], 1));
        accumulator.accepted(&third[0]);
        accumulator.accepted(&first[1]);
        assert!(accumulator.is_empty() && accumulator.bytes() == 0);
    }

    #[test]
    fn behind_a_batch_that_is_refused_nothing_new_goes() {
        let mut accumulator = accumulator(1);
        for partition in [0, 1, 2, 2] {
            accumulator.push(partition, &record("a"), at(0));
        }
        let first = take(&mut accumulator, at(9));
        accumulator.again(first[1].clone());
        accumulator.push(0, &record("b"), at(9));
        assert_eq!(accumulator.refused(&first[0]), [(0, 1), (2, 1)]);
        let second = take(&mut accumulator, at(99));
        assert_eq!(second.iter().map(|batch| &batch.bytes).collect::<Vec<_>>(), [&first[1].bytes], "what was sent is tried on");
        assert_eq!(accumulator.refused(&second[0]), []);
        assert!(!accumulator.is_empty(), "partition 2 has no answer yet");
        accumulator.accepted(&first[2]);
        assert!(accumulator.is_empty() && accumulator.bytes() == 0);
    }

    #[test]
    fn a_batch_that_is_too_large_is_halved_in_order() {
        let mut accumulator = accumulator(1 << 10);
        for value in ["a", "b", "c"] {
            accumulator.push(0, &record(value), at(0));
        }
        let whole = take(&mut accumulator, at(9)).remove(0);
        assert!(accumulator.split(&whole));
        let first = take(&mut accumulator, at(9)).remove(0);
        accumulator.accepted(&first);
        let second = take(&mut accumulator, at(9)).remove(0);
        assert_eq!((values(&first), values(&second)), (vec!["a".to_owned(), "b".into()], vec!["c".to_owned()]));
        assert_eq!((sequence(&first), sequence(&second)), (0, 2));
        assert!(!accumulator.split(&second), "one record cannot be halved");
        accumulator.refused(&second);
        assert!(accumulator.is_empty() && accumulator.bytes() == 0);
    }

    #[test]
    fn only_the_leader_gets_its_partitions_and_no_more_than_fit() {
        let mut accumulator = accumulator(1);
        for partition in 0..4 {
            accumulator.push(partition, &record("a"), at(0));
        }
        let leader_of = |partition: i32| partition % 2;
        assert_eq!(accumulator.take(at(0), true, 1, leader_of, 0).iter().map(|b| b.partition).collect::<Vec<_>>(), [0]);
        assert_eq!(accumulator.take(at(0), true, 1 << 20, leader_of, 1).iter().map(|b| b.partition).collect::<Vec<_>>(), [1, 3]);
    }
}
