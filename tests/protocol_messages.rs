//! Requests and responses: the table of shapes is true, and every message is written at every version klamm offers.

mod protocol_support;

use std::fmt::Debug;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use klamm::protocol::shape::ShapeError;
use klamm::protocol::{ApiMessage, ApiRequest, decode_request, shape};
use proptest::prelude::*;
use protocol_support::{Visit, dream, encode, versions, visit_every_request};

/// Random requests, written by the encoder, are walked to their exact end and read back as they were.
struct Walk {
    seed: u64,
}

impl Visit for Walk {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + PartialEq,
        R::Response: Debug + Default + PartialEq,
    {
        for version in versions::<R>() {
            let request: R = dream(self.seed ^ (R::KEY as u64) << 32 ^ version as u64, version);
            let body = encode(&request, version);
            match shape::check(R::KEY, version, &body) {
                Ok(walked) if walked.len == body.len() => {}
                Err(ShapeError::Null { .. }) if takes_null_too_early(R::KEY, version) => continue,
                other => {
                    panic!("key {} version {version}: {other:?} for {} bytes {body:02x?} of {request:?}", R::KEY, body.len())
                }
            }
            assert_eq!(decode_request::<R>(version, Bytes::from(body)).unwrap(), request, "version {version}");
        }
    }
}

/// A field that may be null in some versions is one that the decoder lets be null in all. Kafka does not: "non-nullable field topics was
/// serialized as null". Topics of OffsetFetch from 2, of Metadata from 1, their names from 10.
fn takes_null_too_early(api_key: i16, version: i16) -> bool {
    (api_key == ApiKey::OffsetFetch as i16 && version < 2) || (api_key == ApiKey::Metadata as i16 && version < 10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_at_every_version_is_walked_to_its_end(seed: u64) {
        visit_every_request(&mut Walk { seed });
    }
}

/// A row promises what both sides can: its request is read and its response is written at each of its versions, and at no other.
struct Rows;

impl Visit for Rows {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + PartialEq,
        R::Response: Debug + Default + PartialEq,
    {
        let both = R::VERSIONS.intersect(&R::Response::VERSIONS);
        assert_eq!(shape::supported_versions(R::KEY), Some(both), "key {}", R::KEY);
    }
}

#[test]
fn a_row_spans_the_versions_of_request_and_response() {
    visit_every_request(&mut Rows);
}

#[test]
fn what_kafka_announces_and_klamm_does_not_is_known() {
    let mut gaps = Vec::new();
    for &(api_key, min, max) in KAFKA_4_3_1 {
        match shape::supported_versions(api_key) {
            Some(ours) if (ours.min, ours.max) == (min, max) => {}
            Some(ours) => gaps.push(format!("{api_key}: {min}-{max}, klamm {}-{}", ours.min, ours.max)),
            None => gaps.push(format!("{api_key}: {min}-{max}, klamm none")),
        }
    }
    let known = [
        "0: 0-13, klamm 3-13", // 0 to 2 are announced only for the sake of old librdkafka (KAFKA-18659)
        "78: 1-2, klamm 1-1",  // ShareFetch: acquire mode, renewal (KIP-1206, KIP-1222)
        "79: 1-2, klamm 1-1",  // ShareAcknowledge: renewal (KIP-1222)
        "80: 0-1, klamm 0-0",  // AddRaftVoter: acknowledge when committed
        "85: 0-1, klamm 0-0",  // WriteShareGroupState: delivery complete count, between brokers
        "87: 0-1, klamm 0-0",  // ReadShareGroupStateSummary: the same
        "88: 0-0, klamm none", // StreamsGroupHeartbeat (KIP-1071)
        "89: 0-0, klamm none", // StreamsGroupDescribe (KIP-1071)
        "90: 0-1, klamm 0-0",  // DescribeShareGroupOffsets: lag
    ];
    assert_eq!(gaps, known);
}

/// Key, first and last version in the ApiVersions answer of Kafka 4.3.1 on a broker's listener.
#[rustfmt::skip]
const KAFKA_4_3_1: &[(i16, i16, i16)] = &[
    (0, 0, 13), (1, 4, 18), (2, 1, 11), (3, 0, 13), (8, 2, 10), (9, 1, 10), (10, 0, 6), (11, 0, 9), (12, 0, 4), (13, 0, 5),
    (14, 0, 5), (15, 0, 6), (16, 0, 5), (17, 0, 1), (18, 0, 4), (19, 2, 7), (20, 1, 6), (21, 0, 2), (22, 0, 5), (23, 2, 4),
    (24, 0, 5), (25, 0, 4), (26, 0, 5), (27, 1, 2), (28, 0, 5), (29, 1, 3), (30, 1, 3), (31, 1, 3), (32, 1, 4), (33, 0, 2),
    (34, 1, 2), (35, 1, 5), (36, 0, 2), (37, 0, 3), (38, 1, 3), (39, 1, 2), (40, 1, 2), (41, 1, 3), (42, 0, 2), (43, 0, 2),
    (44, 0, 1), (45, 0, 1), (46, 0, 0), (47, 0, 0), (48, 0, 1), (49, 0, 1), (50, 0, 0), (51, 0, 0), (55, 0, 2), (57, 0, 2),
    (60, 0, 2), (61, 0, 0), (64, 0, 0), (65, 0, 0), (66, 0, 2), (68, 0, 1), (69, 0, 1), (74, 0, 1), (75, 0, 0), (76, 1, 1),
    (77, 1, 1), (78, 1, 2), (79, 1, 2), (80, 0, 1), (81, 0, 0), (83, 0, 0), (84, 0, 0), (85, 0, 1), (86, 0, 0), (87, 0, 1),
    (88, 0, 0), (89, 0, 0), (90, 0, 1), (91, 0, 0), (92, 0, 0),
];
