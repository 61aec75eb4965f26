//! The words every layer speaks: identifiers of brokers, topics, partitions, producers and epochs.
//!
//! Numbers are plain aliases with Kafka's widths, because they come from and go to the wire unchanged; the name says the unit.

use std::fmt;
use std::sync::Arc;

/// Node id of a broker, as in `node.id`.
pub type BrokerId = i32;
/// Offset of a record in a partition's log; −1 means none.
pub type Offset = i64;
/// Epoch of a partition's leader; −1 means unknown (KIP-101).
pub type LeaderEpoch = i32;
/// Id of an idempotent or transactional producer; −1 means none (KIP-98).
pub type ProducerId = i64;
/// Epoch of a producer id; −1 means none.
pub type ProducerEpoch = i16;
/// Milliseconds since 1970-01-01 UTC; −1 means none.
pub type TimestampMs = i64;
/// Unique id of a topic over its whole life (KIP-516); never zero for a real topic.
pub type TopicId = uuid::Uuid;

/// "No leader", as Kafka's metadata says it.
pub const NO_LEADER: BrokerId = -1;
pub const NO_PRODUCER_ID: ProducerId = -1;
pub const NO_PRODUCER_EPOCH: ProducerEpoch = -1;
pub const NO_SEQUENCE: i32 = -1;
pub const NO_TIMESTAMP: TimestampMs = -1;
pub const NO_LEADER_EPOCH: LeaderEpoch = -1;

/// A partition named as people name it: topic and number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
