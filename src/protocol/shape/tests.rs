//! The walk, case by case. That the table is true for every message is shown in `tests/protocol_messages.rs`.

use super::*;

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const HEARTBEAT: i16 = 12;
const API_VERSIONS: i16 = 18;
const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

/// Produce 9: no transaction, acks, timeout, then what is given.
fn produce(topics: &[u8]) -> Vec<u8> {
    [&[0, 0, 1, 0, 0, 0, 9], topics].concat()
}

#[test]
fn a_whole_body_is_walked_to_its_end_and_elements_are_counted() {
    let body = produce(&[2, 2, b't', 2, 0, 0, 0, 0, 4, 1, 2, 3, 0, 0, 0]);
    assert_eq!(check(PRODUCE, 9, &body), Ok(Walked { len: body.len(), elements: 2, tagged_fields: 0 }));
}

#[test]
fn bytes_behind_the_last_field_are_ignored() {
    assert_eq!(check(API_VERSIONS, 0, &[1, 2, 3]), Ok(Walked { len: 0, elements: 0, tagged_fields: 0 }));
}

#[test]
fn twelve_bytes_that_announce_two_billion_topics_are_refused() {
    let body = [0xff, 0xff, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff];
    assert_eq!(check(PRODUCE, 3, &body), Err(ShapeError::BeyondEnd { at: 12, length: 0x7fff_ffff, left: 0 }));
}

#[test]
fn a_count_is_held_against_the_least_size_of_its_elements() {
    // Two partitions of Produce 9 need ten bytes; nine are there.
    let body = produce(&[2, 2, b't', 3, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(check(PRODUCE, 9, &body), Err(ShapeError::BeyondEnd { at: 11, length: 2, left: 9 }));
}

#[test]
fn every_cut_of_a_body_is_refused() {
    let body = produce(&[2, 2, b't', 2, 0, 0, 0, 0, 4, 1, 2, 3, 0, 0, 0]);
    for cut in 0..body.len() {
        check(PRODUCE, 9, &body[..cut]).unwrap_err();
    }
}

#[test]
fn null_is_for_fields_and_versions_that_know_it() {
    let null = [0xff; 4];
    assert_eq!(check(METADATA, 0, &null), Err(ShapeError::Null { at: 4 }));
    assert_eq!(check(METADATA, 1, &null).unwrap().len, 4);
    assert_eq!(check(METADATA, 1, &[0xff, 0xff, 0xff, 0xfe]), Err(ShapeError::Negative { at: 4, length: -2 }));
}

#[test]
fn a_struct_is_there_or_not_and_nothing_between() {
    assert_eq!(check(DESCRIBE_TOPIC_PARTITIONS, 0, &[1, 0, 0, 0, 1, 0xff, 0]).unwrap().len, 7);
    assert_eq!(check(DESCRIBE_TOPIC_PARTITIONS, 0, &[1, 0, 0, 0, 1, 1, 2, b't', 0, 0, 0, 0, 0, 0]).unwrap().len, 14);
    assert_eq!(check(DESCRIBE_TOPIC_PARTITIONS, 0, &[1, 0, 0, 0, 1, 2, 0]), Err(ShapeError::Presence { at: 6 }));
}

#[test]
fn strings_end_at_32767_bytes() {
    let heartbeat = |length: usize| {
        let varint = [(length + 1) as u8 | 0x80, ((length + 1) >> 7) as u8 | 0x80, ((length + 1) >> 14) as u8];
        [&varint[..], &vec![b'g'; length], &[0, 0, 0, 0, 1, 0, 0]].concat()
    };
    assert!(check(HEARTBEAT, 4, &heartbeat(32767)).is_ok());
    assert_eq!(check(HEARTBEAT, 4, &heartbeat(32768)), Err(ShapeError::StringTooLong { at: 3, length: 32768 }));
}

#[test]
fn a_varint_has_thirty_two_bits() {
    assert_eq!(check(API_VERSIONS, 3, &[0xff, 0xff, 0xff, 0xff, 0x8f, 0]), Err(ShapeError::Varint { at: 5 }));
    assert_eq!(check(API_VERSIONS, 3, &[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(ShapeError::Varint { at: 5 }));
    assert_eq!(check(API_VERSIONS, 3, &[0x81, 0x80, 0x80, 0x80, 0, 1, 0]).unwrap().len, 7, "longer than needed is valid");
}

#[test]
fn a_known_tagged_field_fills_its_size_and_keeps_to_its_versions() {
    // Fetch 15 without topics, then ReplicaState: tag 1, 13 bytes.
    let fetch = |size: u8| {
        let fixed = [0; 4 + 4 + 4 + 1 + 8];
        let state = [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0];
        [&fixed[..], &[1, 1, 1, 1, 1, size], &state].concat()
    };
    assert!(check(1, 15, &fetch(13)).is_ok());
    assert_eq!(check(1, 15, &fetch(12)), Err(ShapeError::TaggedSize { at: 40, tag: 1 }));
    let with_replica_id = [&[0, 0, 0, 7], &fetch(13)[..]].concat();
    assert_eq!(check(1, 14, &with_replica_id), Err(ShapeError::TaggedVersion { at: 31, tag: 1 }));
}

#[test]
fn unknown_tagged_fields_are_stepped_over_and_counted() {
    assert_eq!(check(API_VERSIONS, 3, &[1, 1, 2, 0, 1, 0xaa, 9, 0]), Ok(Walked { len: 8, elements: 0, tagged_fields: 2 }),);
}

#[test]
fn elements_and_tagged_fields_share_one_limit() {
    // DescribeGroups 0: an array of strings.
    let groups = |count: usize| [&(count as u32).to_be_bytes()[..], &vec![0; 2 * count]].concat();
    assert_eq!(check(15, 0, &groups(MAX_ELEMENTS)).unwrap().elements, MAX_ELEMENTS);
    assert_eq!(check(15, 0, &groups(MAX_ELEMENTS + 1)), Err(ShapeError::TooManyElements { at: 4 }));

    // ApiVersions 3: empty names, then tagged fields without contents.
    let tags = |count: usize| {
        [&[1, 1, count as u8 | 0x80, (count >> 7) as u8 | 0x80, (count >> 14) as u8], &[5, 0].repeat(count)[..]].concat()
    };
    assert!(check(API_VERSIONS, 3, &tags(MAX_ELEMENTS / 4)).is_ok());
    assert_eq!(
        check(API_VERSIONS, 3, &tags(MAX_ELEMENTS / 4 + 1)).unwrap_err(),
        ShapeError::TooManyElements { at: 5 + 2 * MAX_ELEMENTS / 4 + 2 }
    );
}

#[test]
fn only_rows_of_the_table_are_walked() {
    for (api_key, version) in [(-1, 0), (4, 0), (88, 0), (93, 0), (i16::MAX, 0), (PRODUCE, 2), (PRODUCE, 14), (PRODUCE, -1)] {
        assert_eq!(check(api_key, version, &[]), Err(ShapeError::Unsupported { api_key, version }));
    }
    assert_eq!(supported_versions(PRODUCE), Some(VersionRange { min: 3, max: 13 }));
    assert_eq!(supported_versions(4), None);
}
