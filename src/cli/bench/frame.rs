//! Request frames, encoded once and patched in place: length, header, body. Only what differs between two requests of a run has a
//! position here: correlation id, partition, fetch offset, and the batch for those who number their records.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, BrokerId, FetchRequest, ProduceRequest, RequestHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Request, StrBytes, encode_request_header_into_buffer};

use crate::base::ids::Offset;

/// Bytes of the length that stands before every frame.
pub const LENGTH_LEN: usize = 4;
const CORRELATION_AT: usize = LENGTH_LEN + 4;
/// Stands where a partition or an offset is to be patched, so that the position can be checked.
const MARK: i32 = 0x5aa5_c33c;
const MARK_64: i64 = 0x5aa5_c33c_3cc3_a55a;

/// A whole frame: length, request header, request.
pub fn encode<R: Request>(request: &R, version: i16) -> Vec<u8> {
    let api = ApiKey::try_from(R::KEY).expect("every request type of the crate has a key");
    let header = RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("klamm-bench")));
    let mut buf = BytesMut::new();
    buf.put_u32(0);
    encode_request_header_into_buffer(&mut buf, &header).expect("the header of a known API encodes");
    request.encode(&mut buf, version).expect("the version was negotiated and the fields fit it");
    let length = (buf.len() - LENGTH_LEN) as u32;
    buf[..LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
    buf.to_vec()
}

pub fn set_correlation(frame: &mut [u8], correlation: i32) {
    put(frame, CORRELATION_AT, &correlation.to_be_bytes());
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Where `mark` stands in the frame; it stands there once.
fn position(frame: &[u8], mark: &[u8]) -> usize {
    let mut places = frame.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark);
    let (at, _) = places.next().expect("the mark was encoded");
    assert!(places.next().is_none(), "the mark is unlike anything else in a request");
    at
}

pub fn api_versions() -> Vec<u8> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("klamm-bench"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    encode(&request, 3)
}

/// A Produce request with one batch for one partition.
#[derive(Clone)]
pub struct ProduceFrame {
    pub bytes: Vec<u8>,
    partition_at: usize,
    batch: Range<usize>,
}

impl ProduceFrame {
    /// `transactional_id` names the transaction that the batch belongs to.
    pub fn new(version: i16, topic: &str, acks: i16, transactional_id: Option<&str>, batch: Vec<u8>) -> Self {
        let transactional_id = transactional_id.map(|id| TransactionalId(StrBytes::from_string(id.to_owned())));
        let batch_len = batch.len();
        let build = |records: Vec<u8>| {
            let partition = PartitionProduceData::default().with_index(MARK).with_records(Some(Bytes::from(records)));
            let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![partition]);
            let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
            let request = request.with_transactional_id(transactional_id.clone());
            encode(&request, version)
        };
        // The mark is looked for in a request without records: with them it might stand in a value too.
        let partition_at = position(&build(Vec::new()), &MARK.to_be_bytes());
        let batch_at = partition_at + 4 + uvarint_len(batch_len + 1);
        let bytes = build(batch);
        Self { bytes, partition_at, batch: batch_at..batch_at + batch_len }
    }

    pub fn set_partition(&self, frame: &mut [u8], partition: i32) {
        put(frame, self.partition_at, &partition.to_be_bytes());
    }

    pub fn batch_mut<'a>(&self, frame: &'a mut [u8]) -> &'a mut [u8] {
        &mut frame[self.batch.clone()]
    }
}

/// A Fetch request without session for one partition.
#[derive(Clone)]
pub struct FetchFrame {
    pub bytes: Vec<u8>,
    offset_at: usize,
}

/// What a Fetch asks for.
#[derive(Clone, Copy)]
pub struct FetchLimits {
    pub max_bytes: i32,
    pub min_bytes: i32,
    pub max_wait_ms: i32,
    /// Only what is decided, at read_committed.
    pub committed: bool,
}

impl FetchFrame {
    pub fn new(version: i16, topic: &str, partition: i32, limits: FetchLimits) -> Self {
        let partition = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(MARK_64)
            .with_partition_max_bytes(limits.max_bytes);
        let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(limits.max_wait_ms)
            .with_min_bytes(limits.min_bytes)
            .with_max_bytes(limits.max_bytes)
            .with_session_epoch(-1)
            .with_isolation_level(limits.committed.into())
            .with_topics(vec![topic]);
        let bytes = encode(&request, version);
        let offset_at = position(&bytes, &MARK_64.to_be_bytes());
        Self { bytes, offset_at }
    }

    pub fn set_offset(&self, frame: &mut [u8], offset: Offset) {
        put(frame, self.offset_at, &offset.to_be_bytes());
    }
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn uvarint_len(value: usize) -> usize {
    (usize::BITS as usize - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::decode_request_header_from_buffer;

    use super::*;
    use crate::cli::bench::batch;

    fn decode<R: Request>(frame: &[u8]) -> (RequestHeader, R) {
        let mut buf = Bytes::copy_from_slice(&frame[LENGTH_LEN..]);
        let header = decode_request_header_from_buffer(&mut buf).expect("a header");
        let request = R::decode(&mut buf, header.request_api_version).expect("a request");
        assert!(buf.is_empty(), "nothing follows");
        (header, request)
    }

    #[test]
    fn patched_produce_frames_say_what_was_patched() {
        for (version, records) in [(9, 1), (12, 16), (12, 300)] {
            let batch = batch::build(records, 100, 5, Some((9, 0)));
            let template = ProduceFrame::new(version, "bench", -1, None, batch.clone());
            let mut frame = template.bytes.clone();
            set_correlation(&mut frame, 31);
            template.set_partition(&mut frame, 17);
            let (header, request) = decode::<ProduceRequest>(&frame);
            assert_eq!((header.correlation_id, header.request_api_version), (31, version));
            let partition = &request.topic_data[0].partition_data[0];
            assert_eq!((request.acks, partition.index), (-1, 17));
            assert_eq!(partition.records.as_deref(), Some(&batch[..]));
            batch::set_sequence(template.batch_mut(&mut frame), 400);
            let (_, request) = decode::<ProduceRequest>(&frame);
            let mut expected = batch;
            batch::set_sequence(&mut expected, 400);
            assert_eq!(request.topic_data[0].partition_data[0].records.as_deref(), Some(&expected[..]));
        }
    }

    #[test]
    fn patched_fetch_frames_say_what_was_patched() {
        let limits = FetchLimits { max_bytes: 1 << 20, min_bytes: 1, max_wait_ms: 500, committed: true };
        let template = FetchFrame::new(12, "bench", 3, limits);
        let mut frame = template.bytes.clone();
        template.set_offset(&mut frame, 1 << 33);
        let (_, request) = decode::<FetchRequest>(&frame);
        let partition = &request.topics[0].partitions[0];
        assert_eq!((partition.partition, partition.fetch_offset, partition.partition_max_bytes), (3, 1 << 33, 1 << 20));
        assert_eq!((request.session_epoch, request.max_wait_ms, request.min_bytes, request.isolation_level), (-1, 500, 1, 1));
    }
}
