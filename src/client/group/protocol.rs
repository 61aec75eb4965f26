//! What consumers of a group tell each other through the coordinator, which does not look inside
//! (`ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json`). Pure.
//!
//! ```text
//! subscription: version i16 · [topic string] · user data bytes? · later fields
//! assignment:   version i16 · [topic string · [partition i32]] · user data bytes?
//! ```
//!
//! Later versions only add fields behind those of version 0, so what is needed is read from any of them. Invariant: nothing is reserved for
//! more elements than bytes are left.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use crate::base::ids::TopicPartition;

/// Name of the protocol type that consumers use.
pub const PROTOCOL_TYPE: &str = "consumer";
/// Version 1 tells also what a member still owns; this one owns nothing while it joins.
const SUBSCRIPTION_VERSION: i16 = 1;
const ASSIGNMENT_VERSION: i16 = 0;
const NULL: i32 = -1;

/// Bytes that are not what their place says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {0} of the consumer protocol is malformed")]
pub struct Malformed(&'static str);

pub fn encode_subscription(topics: &[String]) -> Bytes {
    let mut out = Vec::new();
    out.put_i16(SUBSCRIPTION_VERSION);
    out.put_i32(topics.len() as i32);
    for topic in topics {
        put_string(&mut out, topic);
    }
    out.put_i32(NULL);
    // Owned partitions: none.
    out.put_i32(0);
    out.into()
}

/// The topics of a subscription.
pub fn decode_subscription(mut bytes: Bytes) -> Result<Vec<String>, Malformed> {
    let malformed = Malformed("subscription");
    take_version(&mut bytes).ok_or(malformed)?;
    take_array(&mut bytes, take_string).ok_or(malformed)
}

pub fn encode_assignment(partitions: &[TopicPartition]) -> Bytes {
    let mut partitions: Vec<&TopicPartition> = partitions.iter().collect();
    partitions.sort();
    let topics: Vec<&[&TopicPartition]> = partitions.chunk_by(|a, b| a.topic == b.topic).collect();
    let mut out = Vec::new();
    out.put_i16(ASSIGNMENT_VERSION);
    out.put_i32(topics.len() as i32);
    for topic in topics {
        put_string(&mut out, &topic[0].topic);
        out.put_i32(topic.len() as i32);
        for partition in topic {
            out.put_i32(partition.partition);
        }
    }
    out.put_i32(NULL);
    out.into()
}

/// The partitions of an assignment. No bytes at all stand for no partitions.
pub fn decode_assignment(mut bytes: Bytes) -> Result<Vec<TopicPartition>, Malformed> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let malformed = Malformed("assignment");
    take_version(&mut bytes).ok_or(malformed)?;
    let topics = take_array(&mut bytes, |bytes| {
        let topic: Arc<str> = take_string(bytes)?.into();
        take_array(bytes, |bytes| bytes.try_get_i32().ok().map(|partition| TopicPartition::new(topic.clone(), partition)))
    });
    Ok(topics.ok_or(malformed)?.into_iter().flatten().collect())
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

/// Versions have no upper bound, see the module.
fn take_version(bytes: &mut Bytes) -> Option<i16> {
    bytes.try_get_i16().ok().filter(|version| *version >= 0)
}

fn take_string(bytes: &mut Bytes) -> Option<String> {
    let len = usize::try_from(bytes.try_get_i16().ok()?).ok().filter(|len| *len <= bytes.len())?;
    String::from_utf8(bytes.split_to(len).to_vec()).ok()
}

fn take_array<T>(bytes: &mut Bytes, mut element: impl FnMut(&mut Bytes) -> Option<T>) -> Option<Vec<T>> {
    let count = bytes.try_get_i32().ok()?;
    (0..count).map(|_| element(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
    use kafka_protocol::protocol::Decodable;

    use super::*;

    #[test]
    fn other_consumers_read_what_is_written_here() {
        let mut bytes = encode_subscription(&["a".into(), "b".into()]);
        assert_eq!(bytes.get_i16(), 1);
        let subscription = ConsumerProtocolSubscription::decode(&mut bytes, 1).unwrap();
        assert_eq!(subscription.topics.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(bytes.is_empty() && subscription.owned_partitions.is_empty());

        let partitions = [TopicPartition::new("b", 1), TopicPartition::new("a", 7), TopicPartition::new("b", 0)];
        let mut bytes = encode_assignment(&partitions);
        assert_eq!(bytes.get_i16(), 0);
        let assignment = ConsumerProtocolAssignment::decode(&mut bytes, 0).unwrap();
        let rows: Vec<_> = assignment.assigned_partitions.iter().map(|t| (t.topic.as_str(), t.partitions.clone())).collect();
        assert_eq!(rows, [("a", vec![7]), ("b", vec![0, 1])]);
        assert!(bytes.is_empty());
    }

    #[test]
    fn what_was_written_is_read_and_what_is_cut_off_is_not() {
        let subscription = encode_subscription(&["orders".into()]);
        assert_eq!(decode_subscription(subscription.clone()).unwrap(), ["orders"]);
        let assignment = encode_assignment(&[TopicPartition::new("orders", 3)]);
        assert_eq!(decode_assignment(assignment.clone()).unwrap(), [TopicPartition::new("orders", 3)]);
        assert_eq!(decode_assignment(Bytes::new()).unwrap(), []);
        for len in 0..14 {
            assert!(decode_subscription(subscription.slice(..len)).is_err(), "{len}");
        }
        for len in 1..22 {
            assert!(decode_assignment(assignment.slice(..len)).is_err(), "{len}");
        }
    }

    #[test]
    fn a_count_alone_reserves_nothing() {
        let bomb = Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff]);
        assert!(decode_subscription(bomb.clone()).is_err());
        assert!(decode_assignment(bomb).is_err());
    }
}
