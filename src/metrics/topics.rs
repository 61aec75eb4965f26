//! What flows through each topic. A hosted topic keeps its handle, so counting needs no look-up.
//!
//! Invariant: the sum over all topics (the series without label, as Kafka has it) never falls, though topics go: what a topic counted
//! is kept in the sum when its last handle is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::def::metrics;
use super::samples::{Label, Samples};

metrics! {
    /// Each has one series a topic that this broker hosts, and one without the label `topic`: the sum over all topics, also those that were
    /// deleted since. Add up only one kind: `sum(… {topic!=""})` or `{topic=""}`.
    area "Topics";

    /// Records appended by producers.
    pub MESSAGES_IN = counter "kafka_server_brokertopicmetrics_messagesin" ["topic"];

    /// Bytes of batches appended by producers.
    pub BYTES_IN = counter "kafka_server_brokertopicmetrics_bytesin" ["topic"];

    /// Bytes of batches sent to consumers.
    pub BYTES_OUT = counter "kafka_server_brokertopicmetrics_bytesout" ["topic"];

    /// Bytes of batches refused as too large.
    pub BYTES_REJECTED = counter "kafka_server_brokertopicmetrics_bytesrejected" ["topic"];

    /// Partitions in produce requests.
    pub PRODUCE_REQUESTS = counter "kafka_server_brokertopicmetrics_totalproducerequests" ["topic"];

    /// Partitions in fetch requests of consumers.
    pub FETCH_REQUESTS = counter "kafka_server_brokertopicmetrics_totalfetchrequests" ["topic"];

    /// Partitions in produce requests that were answered with an error.
    pub FAILED_PRODUCE = counter "kafka_server_brokertopicmetrics_failedproducerequests" ["topic"];

    /// Partitions in fetch requests that were answered with an error.
    pub FAILED_FETCH = counter "kafka_server_brokertopicmetrics_failedfetchrequests" ["topic"];
}

/// Counts of one topic; each is a relaxed atomic addition.
#[derive(Debug, Default)]
pub struct TopicMetrics {
    messages_in: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    bytes_rejected: AtomicU64,
    produce_requests: AtomicU64,
    fetch_requests: AtomicU64,
    failed_produce: AtomicU64,
    failed_fetch: AtomicU64,
}

impl TopicMetrics {
    /// A partition's batches were appended.
    pub fn produced(&self, records: u64, bytes: u64) {
        self.produce_requests.fetch_add(1, Relaxed);
        self.messages_in.fetch_add(records, Relaxed);
        self.bytes_in.fetch_add(bytes, Relaxed);
    }

    /// A partition's batches were refused.
    pub fn produce_failed(&self) {
        self.produce_requests.fetch_add(1, Relaxed);
        self.failed_produce.fetch_add(1, Relaxed);
    }

    /// A partition's batches were refused as too large.
    pub fn produce_too_large(&self, bytes: u64) {
        self.produce_failed();
        self.bytes_rejected.fetch_add(bytes, Relaxed);
    }

    /// A partition was read, with `bytes` of batches, 0 if there was nothing new.
    pub fn fetched(&self, bytes: u64) {
        self.fetch_requests.fetch_add(1, Relaxed);
        if bytes > 0 {
            self.bytes_out.fetch_add(bytes, Relaxed);
        }
    }

    /// Reading a partition was refused.
    pub fn fetch_failed(&self) {
        self.fetch_requests.fetch_add(1, Relaxed);
        self.failed_fetch.fetch_add(1, Relaxed);
    }

    fn add_to(&self, sum: &TopicMetrics) {
        for (to, from) in sum.counters().into_iter().zip(self.counters()) {
            to.fetch_add(from.load(Relaxed), Relaxed);
        }
    }

    fn counters(&self) -> [&AtomicU64; 8] {
        [
            &self.messages_in,
            &self.bytes_in,
            &self.bytes_out,
            &self.bytes_rejected,
            &self.produce_requests,
            &self.fetch_requests,
            &self.failed_produce,
            &self.failed_fetch,
        ]
    }

    fn collect(&self, labels: &[Label], out: &mut Samples) {
        for (metric, counter) in AREA.metrics.iter().zip(self.counters()) {
            out.add(metric, labels, counter.load(Relaxed));
        }
    }
}

/// The handles of all topics.
#[derive(Debug, Default)]
pub struct Topics {
    open: Mutex<HashMap<Arc<str>, Arc<TopicMetrics>>>,
    /// What was counted for topics that this broker does not host (any more).
    elsewhere: TopicMetrics,
}

impl Topics {
    /// The counts of a topic, for as long as somebody holds them.
    pub fn open(&self, topic: &Arc<str>) -> Arc<TopicMetrics> {
        self.open.lock().entry(topic.clone()).or_default().clone()
    }

    /// Counts requests for topics that do not exist here; only the sum over all topics shows them.
    pub fn unknown(&self) -> &TopicMetrics {
        &self.elsewhere
    }

    pub(super) fn collect(&self, out: &mut Samples) {
        let mut open = self.open.lock();
        // Nobody can get a handle meanwhile, so a count of one means that none is left.
        open.retain(|_, counts| {
            let held = Arc::strong_count(counts) > 1;
            if !held {
                counts.add_to(&self.elsewhere);
            }
            held
        });
        let all = TopicMetrics::default();
        self.elsewhere.add_to(&all);
        for (topic, counts) in open.iter() {
            counts.collect(&[topic.into()], out);
            counts.add_to(&all);
        }
        all.collect(&[], out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    fn value(topics: &Topics, series: &str) -> Option<u64> {
        let mut samples = Samples::new(Mono::ZERO, false);
        topics.collect(&mut samples);
        let text = samples.into_open_metrics();
        let start = format!("kafka_server_brokertopicmetrics_{series} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map(|number| number.parse().unwrap())
    }

    #[test]
    fn counters_stand_in_the_order_of_their_declarations() {
        let topics = Topics::default();
        let orders = topics.open(&"orders".into());
        orders.produced(3, 700);
        orders.produce_too_large(5000);
        orders.fetched(700);
        orders.fetched(0);
        orders.fetch_failed();
        for (series, expected) in [
            ("messagesin", 3),
            ("bytesin", 700),
            ("bytesout", 700),
            ("bytesrejected", 5000),
            ("totalproducerequests", 2),
            ("totalfetchrequests", 3),
            ("failedproducerequests", 1),
            ("failedfetchrequests", 1),
        ] {
            assert_eq!(value(&topics, &format!("{series}_total{{topic=\"orders\"}}")), Some(expected), "{series}");
        }
    }

    #[test]
    fn the_sum_outlives_its_topics() {
        let topics = Topics::default();
        let (kept, gone) = (topics.open(&"kept".into()), topics.open(&"gone".into()));
        kept.produced(1, 10);
        gone.produced(1, 100);
        topics.unknown().produce_failed();
        assert_eq!(value(&topics, "bytesin_total"), Some(110));
        drop(gone);
        assert_eq!(value(&topics, "bytesin_total{topic=\"gone\"}"), None);
        assert_eq!(value(&topics, "bytesin_total"), Some(110));
        let again = topics.open(&"gone".into());
        again.produced(1, 1);
        assert_eq!(value(&topics, "bytesin_total{topic=\"gone\"}"), Some(1));
        assert_eq!(value(&topics, "bytesin_total"), Some(111));
        assert_eq!(value(&topics, "failedproducerequests_total"), Some(1));
    }
}
