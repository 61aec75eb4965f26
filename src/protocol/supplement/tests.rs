//! Bodies as Kafka's own classes write them. Each was made with the kafka-clients 4.3.1 jar:
//! `MessageUtil.toByteBufferAccessor(new OffsetCommitRequestData()…, version)`, printed as hex.

use std::fmt::Debug;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::{DescribeLogDirsResponse, WriteTxnMarkersRequest};
use crate::protocol::messages::ApiMessage;

const TOPIC_ID: uuid::Uuid = uuid::Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn string(s: &'static str) -> StrBytes {
    StrBytes::from_static_str(s)
}

fn encode<M: ApiMessage>(message: &M, version: i16) -> Vec<u8> {
    let mut buf = Vec::new();
    message.write(&mut buf, version).unwrap();
    buf
}

/// Kafka's bytes are read as `message`, to the end, and `message` is written as Kafka's bytes. No cut of them is a message.
fn check<M: ApiMessage + Debug + PartialEq>(version: i16, hex: &str, message: M) {
    let kafka = bytes(hex);
    let mut rest = bytes::Bytes::from(kafka.clone());
    assert_eq!(M::read(&mut rest, version).unwrap(), message);
    assert!(rest.is_empty());
    assert_eq!(encode(&message, version), kafka);
    for cut in 0..kafka.len() {
        assert!(M::read(&mut &kafka[..cut], version).is_err(), "cut at {cut}");
    }
    assert!(M::read(&mut &kafka[..], M::VERSIONS.max + 1).is_err());
    assert!(message.write(&mut Vec::new(), M::VERSIONS.max + 1).is_err());
}

#[test]
fn list_offsets_11_asks_for_the_earliest_pending_upload() {
    use list_offsets_request::*;
    use list_offsets_response::*;
    check(
        11,
        "ffffffff0102076f7264657273020000000300000007fffffffffffffffa00000000753000",
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_isolation_level(1).with_timeout_ms(30_000).with_topics(
            vec![ListOffsetsTopic::default().with_name(string("orders").into()).with_partitions(vec![
                ListOffsetsPartition::default().with_partition_index(3).with_current_leader_epoch(7).with_timestamp(-6),
            ])],
        ),
    );
    check(
        11,
        "0000000502076f726465727302000000030000ffffffffffffffff000000000000002a00000007000000",
        ListOffsetsResponse::default().with_throttle_time_ms(5).with_topics(vec![
            ListOffsetsTopicResponse::default().with_name(string("orders").into()).with_partitions(vec![
                ListOffsetsPartitionResponse::default().with_partition_index(3).with_offset(42).with_leader_epoch(7),
            ]),
        ]),
    );
}

#[test]
fn offset_commit_10_names_topics_by_id() {
    use offset_commit_request::*;
    use offset_commit_response::*;
    check(
        10,
        "0862696c6c696e6700000004046d2d3104692d3102000102030405060708090a0b0c0d0e0f0300000003000000000000002a00000007056e6f74\
         650000000004000000000000002bffffffff00000000",
        OffsetCommitRequest::default()
            .with_group_id(string("billing").into())
            .with_generation_id_or_member_epoch(4)
            .with_member_id(string("m-1"))
            .with_group_instance_id(Some(string("i-1")))
            .with_topics(vec![OffsetCommitRequestTopic::default().with_topic_id(TOPIC_ID).with_partitions(vec![
                OffsetCommitRequestPartition::default()
                    .with_partition_index(3)
                    .with_committed_offset(42)
                    .with_committed_leader_epoch(7)
                    .with_committed_metadata(Some(string("note"))),
                OffsetCommitRequestPartition::default()
                    .with_partition_index(4)
                    .with_committed_offset(43)
                    .with_committed_metadata(None),
            ])]),
    );
    check(
        10,
        "0000000502000102030405060708090a0b0c0d0e0f02000000030064000000",
        OffsetCommitResponse::default().with_throttle_time_ms(5).with_topics(vec![
            OffsetCommitResponseTopic::default()
                .with_topic_id(TOPIC_ID)
                .with_partitions(vec![OffsetCommitResponsePartition::default().with_partition_index(3).with_error_code(100)]),
        ]),
    );
}

#[test]
fn offset_fetch_10_names_topics_by_id_or_asks_for_all() {
    use offset_fetch_request::*;
    use offset_fetch_response::*;
    check(
        10,
        "030862696c6c696e67046d2d310000000402000102030405060708090a0b0c0d0e0f030000000300000004000004616c6c00ffffffff00000100",
        OffsetFetchRequest::default().with_require_stable(true).with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(string("billing").into())
                .with_member_id(Some(string("m-1")))
                .with_member_epoch(4)
                .with_topics(Some(vec![
                    OffsetFetchRequestTopics::default().with_topic_id(TOPIC_ID).with_partition_indexes(vec![3, 4]),
                ])),
            OffsetFetchRequestGroup::default().with_group_id(string("all").into()).with_topics(None),
        ]),
    );
    check(
        10,
        "00000005020862696c6c696e6702000102030405060708090a0b0c0d0e0f0200000003000000000000002a00000007056e6f7465000000000000\
         0000",
        OffsetFetchResponse::default().with_throttle_time_ms(5).with_groups(vec![
            OffsetFetchResponseGroup::default().with_group_id(string("billing").into()).with_topics(vec![
                OffsetFetchResponseTopics::default().with_topic_id(TOPIC_ID).with_partitions(vec![
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(3)
                        .with_committed_offset(42)
                        .with_committed_leader_epoch(7)
                        .with_metadata(Some(string("note"))),
                ]),
            ]),
        ]),
    );
}

#[test]
fn offset_fetch_10_has_no_place_for_a_single_group() {
    let single = OffsetFetchRequest::default().with_group_id(string("billing").into());
    assert!(single.write(&mut Vec::new(), 10).is_err());
    let all_topics = OffsetFetchRequest::default().with_topics(None);
    assert!(all_topics.write(&mut Vec::new(), 10).is_err());
}

#[test]
fn write_txn_markers_2_tells_the_level_of_each_transaction() {
    use write_txn_markers_response::*;
    let request = || WriteTxnMarkersRequest { transaction_versions: vec![2, 0], ..two_markers().into() };
    check(
        2,
        "03000000000000000700050102076f72646572730300000003000000040000000009020000000000000000080000000100000000000000",
        request(),
    );
    let one = "03000000000000000700050102076f7264657273030000000300000004000000000900000000000000000800000001000000000000";
    assert_eq!(encode(&request(), 1), bytes(one), "version 1 is silent about it");
    check::<WriteTxnMarkersRequest>(1, one, two_markers().into());
    let silent: WriteTxnMarkersRequest = two_markers().into();
    assert_eq!(encode(&silent, 2).len(), encode(&request(), 2).len(), "no word means 0");
    check(
        2,
        "02000000000000000702076f72646572730200000003002f00000000",
        WriteTxnMarkersResponse::default().with_markers(vec![
            WritableTxnMarkerResult::default().with_producer_id(7.into()).with_topics(vec![
                WritableTxnMarkerTopicResult::default().with_name(string("orders").into()).with_partitions(vec![
                    WritableTxnMarkerPartitionResult::default().with_partition_index(3).with_error_code(47),
                ]),
            ]),
        ]),
    );
}

fn two_markers() -> kafka_protocol::messages::WriteTxnMarkersRequest {
    use write_txn_markers_request::*;
    let topic = WritableTxnMarkerTopic::default().with_name(string("orders").into()).with_partition_indexes(vec![3, 4]);
    kafka_protocol::messages::WriteTxnMarkersRequest::default().with_markers(vec![
        WritableTxnMarker::default()
            .with_producer_id(7.into())
            .with_producer_epoch(5)
            .with_transaction_result(true)
            .with_topics(vec![topic])
            .with_coordinator_epoch(9),
        WritableTxnMarker::default().with_producer_id(8.into()).with_producer_epoch(0),
    ])
}

#[test]
fn describe_log_dirs_5_tells_cordoned_directories() {
    use describe_log_dirs_request::*;
    check(
        5,
        "02076f72646572730300000003000000040000",
        DescribeLogDirsRequest::default().with_topics(Some(vec![
            DescribableLogDirTopic::default().with_topic(string("orders").into()).with_partitions(vec![3, 4]),
        ])),
    );
    check(
        5,
        "000000050000030000032f6102076f7264657273020000000300000000000002580000000000000002010000\
         00000000000003e8000000000000019001000038032f6201ffffffffffffffffffffffffffffffff000000",
        DescribeLogDirsResponse { is_cordoned: vec![true, false], ..two_directories().into() },
    );
}

#[test]
fn describe_log_dirs_below_5_is_silent_about_cordoned_directories() {
    let response = DescribeLogDirsResponse { is_cordoned: vec![true, false], ..two_directories().into() };
    let four = encode(&response, 4);
    assert_eq!(DescribeLogDirsResponse::read(&mut &four[..], 4).unwrap(), two_directories().into());
    assert_eq!(
        encode(&DescribeLogDirsResponse::from(two_directories()), 5).len(),
        encode(&response, 5).len(),
        "no word means not cordoned"
    );
}

fn two_directories() -> kafka_protocol::messages::DescribeLogDirsResponse {
    use describe_log_dirs_response::*;
    kafka_protocol::messages::DescribeLogDirsResponse::default().with_throttle_time_ms(5).with_results(vec![
        DescribeLogDirsResult::default().with_log_dir(string("/a")).with_total_bytes(1000).with_usable_bytes(400).with_topics(
            vec![DescribeLogDirsTopic::default().with_name(string("orders").into()).with_partitions(vec![
                DescribeLogDirsPartition::default()
                    .with_partition_index(3)
                    .with_partition_size(600)
                    .with_offset_lag(2)
                    .with_is_future_key(true),
            ])],
        ),
        DescribeLogDirsResult::default().with_log_dir(string("/b")).with_error_code(56),
    ])
}

#[test]
fn a_count_beyond_the_body_is_an_error_and_no_allocation() {
    let billions = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(OffsetFetchRequest::read(&mut &billions[..], 10).is_err());
    let string_beyond = [2, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(OffsetFetchRequest::read(&mut &string_beyond[..], 10).is_err());
    let endless_varint = [0xff; 16];
    assert!(OffsetFetchRequest::read(&mut &endless_varint[..], 10).is_err());
}
