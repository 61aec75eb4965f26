//! Every response is written at every version klamm offers.
//!
//! The encoder refuses a field that is set but does not exist at the version. A handler therefore shapes its response by the version of
//! the request; the table of [`SHAPED`] says how, one entry a response, and grows with the handlers.

mod protocol_support;

use std::fmt::Debug;

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use klamm::protocol::{ApiMessage, ApiRequest, encode_response};
use proptest::prelude::*;
use protocol_support::{Visit, dream, encode, versions, visit_every_request};

fn can_encode<M: ApiMessage>(response: &M, version: i16) -> Result<(), String> {
    encode_response(response, version, &mut Vec::new()).map_err(|e| format!("version {version}: {e}"))
}

/// Responses as they come from `Default`.
struct Defaults;

impl Visit for Defaults {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + PartialEq,
        R::Response: Debug + Default + PartialEq,
    {
        for version in versions::<R>() {
            can_encode(&R::Response::default(), version).unwrap_or_else(|e| panic!("key {}: {e}", R::KEY));
        }
    }
}

#[test]
fn every_default_response_is_written_at_every_version() {
    visit_every_request(&mut Defaults);
}

/// Random responses with every field of their version.
struct RoundTrips {
    seed: u64,
}

impl Visit for RoundTrips {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + PartialEq,
        R::Response: Debug + Default + PartialEq,
    {
        for version in versions::<R>() {
            let response: R::Response = dream(self.seed ^ (R::KEY as u64) << 32 ^ version as u64, version);
            let mut bytes = Bytes::from(encode(&response, version));
            assert_eq!(R::Response::read(&mut bytes, version).unwrap(), response, "key {} version {version}", R::KEY);
            assert!(bytes.is_empty(), "key {} version {version}", R::KEY);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_response_is_read_back_as_it_was_written(seed: u64) {
        visit_every_request(&mut RoundTrips { seed });
    }
}

/// One response, filled as far as the version has fields.
struct Shaped {
    name: &'static str,
    encode_all: fn() -> Result<(), String>,
}

fn encode_all<R: ApiRequest>(shape: fn(i16) -> R::Response) -> Result<(), String> {
    versions::<R>().try_for_each(|version| can_encode(&shape(version), version))
}

macro_rules! shaped {
    ($($request:ty: $shape:expr;)*) => {
        const SHAPED: &[Shaped] = &[$(Shaped { name: stringify!($request), encode_all: || encode_all::<$request>($shape) },)*];
    };
}

fn string(s: &'static str) -> StrBytes {
    StrBytes::from_static_str(s)
}

const TOPIC_ID: uuid::Uuid = uuid::Uuid::from_u128(7);

shaped! {
    ProduceRequest: |version| {
        use produce_response::*;
        let mut partition = PartitionProduceResponse::default().with_error_code(87).with_log_start_offset(if version >= 5 { 3 } else { -1 });
        if version >= 8 {
            partition.record_errors = vec![BatchIndexAndErrorMessage::default().with_batch_index_error_message(Some(string("no key")))];
            partition.error_message = Some(string("one record is invalid"));
        }
        let mut topic = TopicProduceResponse::default();
        if version >= 13 { topic.topic_id = TOPIC_ID } else { topic.name = string("orders").into() }
        let mut response = ProduceResponse::default().with_throttle_time_ms(9);
        if version >= 10 {
            partition.current_leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(1)).with_leader_epoch(4);
            response.node_endpoints = vec![NodeEndpoint::default().with_host(string("b1")).with_port(9092)];
        }
        response.with_responses(vec![topic.with_partition_responses(vec![partition])])
    };
    FetchRequest: |version| {
        use fetch_response::*;
        // Null where nothing was aborted: the default is an empty list, which says the reader wanted to know.
        let mut partition = PartitionData::default().with_high_watermark(9).with_records(Some(Bytes::from_static(b"batch"))).with_aborted_transactions(None);
        if version >= 5 { partition.log_start_offset = 2 }
        if version >= 11 { partition.preferred_read_replica = BrokerId(2) }
        if version >= 12 {
            partition.diverging_epoch = EpochEndOffset::default().with_epoch(3).with_end_offset(8);
            partition.current_leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(1)).with_leader_epoch(4);
        }
        let mut topic = FetchableTopicResponse::default();
        if version >= 13 { topic.topic_id = TOPIC_ID } else { topic.topic = string("orders").into() }
        let mut response = FetchResponse::default().with_throttle_time_ms(9);
        if version >= 7 { response = response.with_session_id(5).with_error_code(70) }
        if version >= 16 { response.node_endpoints = vec![NodeEndpoint::default().with_host(string("b1")).with_port(9092)] }
        response.with_responses(vec![topic.with_partitions(vec![partition])])
    };
    FindCoordinatorRequest: |version| {
        use find_coordinator_response::*;
        let mut response = FindCoordinatorResponse::default();
        if version >= 1 { response.throttle_time_ms = 9 }
        if version >= 4 {
            return response.with_coordinators(vec![
                Coordinator::default().with_key(string("billing")).with_node_id(BrokerId(1)).with_host(string("b1")).with_port(9092),
            ]);
        }
        if version >= 1 { response.error_message = Some(string("none")) }
        response.with_error_code(15).with_node_id(BrokerId(1)).with_host(string("b1")).with_port(9092)
    };
    OffsetFetchRequest: |version| {
        use offset_fetch_response::*;
        let mut response = OffsetFetchResponse::default();
        if version >= 3 { response.throttle_time_ms = 9 }
        if version >= 8 {
            let mut topic = OffsetFetchResponseTopics::default();
            if version >= 10 { topic.topic_id = TOPIC_ID } else { topic.name = string("orders").into() }
            let partition = OffsetFetchResponsePartitions::default().with_committed_offset(4).with_committed_leader_epoch(2);
            return response.with_groups(vec![
                OffsetFetchResponseGroup::default()
                    .with_group_id(string("billing").into())
                    .with_topics(vec![topic.with_partitions(vec![partition])]),
            ]);
        }
        if version >= 2 { response.error_code = 16 }
        let mut partition = OffsetFetchResponsePartition::default().with_committed_offset(4).with_metadata(Some(string("note")));
        if version >= 5 { partition.committed_leader_epoch = 2 }
        response.with_topics(vec![OffsetFetchResponseTopic::default().with_name(string("orders").into()).with_partitions(vec![partition])])
    };
    OffsetCommitRequest: |version| {
        use offset_commit_response::*;
        let mut response = OffsetCommitResponse::default();
        if version >= 3 { response.throttle_time_ms = 9 }
        let mut topic = OffsetCommitResponseTopic::default();
        if version >= 10 { topic.topic_id = TOPIC_ID } else { topic.name = string("orders").into() }
        response.with_topics(vec![topic.with_partitions(vec![OffsetCommitResponsePartition::default().with_error_code(25)])])
    };
    ListOffsetsRequest: |version| {
        use list_offsets_response::*;
        let mut response = ListOffsetsResponse::default();
        if version >= 2 { response.throttle_time_ms = 9 }
        let mut partition = ListOffsetsPartitionResponse::default().with_offset(4).with_timestamp(5);
        if version >= 4 { partition.leader_epoch = 2 }
        response.with_topics(vec![ListOffsetsTopicResponse::default().with_name(string("orders").into()).with_partitions(vec![partition])])
    };
}

#[test]
fn responses_shaped_by_their_version_are_written_at_every_version() {
    for Shaped { name, encode_all } in SHAPED {
        encode_all().unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn a_field_that_the_version_lacks_is_refused() {
    let response = FindCoordinatorResponse::default().with_error_code(15);
    can_encode(&response, 3).unwrap();
    can_encode(&response, 4).unwrap_err();
}
