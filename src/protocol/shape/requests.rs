//! The table of requests: for each API and its versions where the fields lie that have a length. From Kafka 4.3.1's message schemas
//! (`clients/src/main/resources/common/message/*Request.json`); fields stand in the order of the wire, tagged fields anywhere.
//!
//! Invariants: keys increase; a row's versions are those whose request klamm decodes and whose response it encodes.
//!
//! To read a row: `api, versions, first flexible version, fields`. `fixed(2 + 4)` are two neighbours of 2 and 4 bytes, a field without
//! `since` or `until` is in every version of the row.

use std::ops::RangeInclusive;

use kafka_protocol::messages::ApiKey::{self, *};

use super::{Field, Kind, Request};

#[rustfmt::skip] // one row an API
static REQUESTS: &[Request] = &[
    request(Produce, 3..=13, 9, &[
        STRING.or_null(), fixed(2 + 4), array(&[STRING.until(12), UUID.since(13), array(&[fixed(4), BYTES.or_null()])]),
    ]),
    request(Fetch, 4..=18, 12, &[
        STRING.since(12).or_null().tagged(0), fixed(4).until(14), structure(&[fixed(4 + 8)]).since(15).tagged(1),
        fixed(4 + 4 + 4 + 1), fixed(4 + 4).since(7),
        array(&[
            STRING.until(12), UUID.since(13),
            array(&[
                fixed(4), fixed(4).since(9), fixed(8), fixed(4).since(12), fixed(8).since(5), fixed(4),
                UUID.since(17).tagged(0), fixed(8).since(18).tagged(1),
            ]),
        ]),
        array(&[STRING.until(12), UUID.since(13), numbers(4)]).since(7), STRING.since(11),
    ]),
    request(ListOffsets, 1..=11, 6, &[
        fixed(4), fixed(1).since(2), array(&[STRING, array(&[fixed(4), fixed(4).since(4), fixed(8)])]), fixed(4).since(10),
    ]),
    request(Metadata, 0..=13, 9, &[
        array(&[UUID.since(10), STRING.or_null_since(10)]).or_null_since(1), fixed(1).since(4), fixed(1).since(8).until(10),
        fixed(1).since(8),
    ]),
    request(OffsetCommit, 2..=10, 8, &[
        STRING, fixed(4), STRING, STRING.since(7).or_null(), fixed(8).until(4),
        array(&[STRING.until(9), UUID.since(10), array(&[fixed(4 + 8), fixed(4).since(6), STRING.or_null()])]),
    ]),
    request(OffsetFetch, 1..=10, 6, &[
        STRING.until(7), TOPIC_PARTITIONS.until(7).or_null_since(2),
        array(&[
            STRING, STRING.since(9).or_null(), fixed(4).since(9),
            array(&[STRING.until(9), UUID.since(10), numbers(4)]).or_null(),
        ]).since(8),
        fixed(1).since(7),
    ]),
    request(FindCoordinator, 0..=6, 3, &[STRING.until(3), fixed(1).since(1), STRINGS.since(4)]),
    request(JoinGroup, 0..=9, 6, &[
        STRING, fixed(4), fixed(4).since(1), STRING, STRING.since(5).or_null(), STRING, array(&[STRING, BYTES]),
        STRING.since(8).or_null(),
    ]),
    request(Heartbeat, 0..=4, 4, &[STRING, fixed(4), STRING, STRING.since(3).or_null()]),
    request(LeaveGroup, 0..=5, 4, &[
        STRING, STRING.until(2), array(&[STRING, STRING.or_null(), STRING.since(5).or_null()]).since(3),
    ]),
    request(SyncGroup, 0..=5, 4, &[
        STRING, fixed(4), STRING, STRING.since(3).or_null(), STRING.since(5).or_null(), STRING.since(5).or_null(),
        array(&[STRING, BYTES]),
    ]),
    request(DescribeGroups, 0..=6, 5, &[STRINGS, fixed(1).since(3)]),
    request(ListGroups, 0..=5, 3, &[STRINGS.since(4), STRINGS.since(5)]),
    request(SaslHandshake, 0..=1, NOT_FLEXIBLE, &[STRING]),
    request(ApiVersions, 0..=4, 3, &[STRING.since(3), STRING.since(3)]),
    request(CreateTopics, 2..=7, 5, &[
        array(&[STRING, fixed(4 + 2), array(&[fixed(4), numbers(4)]), array(&[STRING, STRING.or_null()])]), fixed(4 + 1),
    ]),
    request(DeleteTopics, 1..=6, 4, &[array(&[STRING.or_null(), UUID]).since(6), STRINGS.until(5), fixed(4)]),
    request(DeleteRecords, 0..=2, 2, &[array(&[STRING, array(&[fixed(4 + 8)])]), fixed(4)]),
    request(InitProducerId, 0..=5, 2, &[STRING.or_null(), fixed(4), fixed(8 + 2).since(3)]),
    request(OffsetForLeaderEpoch, 2..=4, 4, &[fixed(4).since(3), array(&[STRING, array(&[fixed(4 + 4 + 4)])])]),
    request(AddPartitionsToTxn, 0..=5, 3, &[
        array(&[STRING, fixed(8 + 2 + 1), TOPIC_PARTITIONS]).since(4), STRING.until(3), fixed(8 + 2).until(3),
        TOPIC_PARTITIONS.until(3),
    ]),
    request(AddOffsetsToTxn, 0..=4, 3, &[STRING, fixed(8 + 2), STRING]),
    request(EndTxn, 0..=5, 3, &[STRING, fixed(8 + 2 + 1)]),
    request(WriteTxnMarkers, 1..=2, 1, &[array(&[fixed(8 + 2 + 1), TOPIC_PARTITIONS, fixed(4), fixed(1).since(2)])]),
    request(TxnOffsetCommit, 0..=5, 3, &[
        STRING, STRING, fixed(8 + 2), fixed(4).since(3), STRING.since(3), STRING.since(3).or_null(),
        array(&[STRING, array(&[fixed(4 + 8), fixed(4).since(2), STRING.or_null()])]),
    ]),
    request(DescribeAcls, 1..=3, 2, &[fixed(1), STRING.or_null(), fixed(1), STRING.or_null(), STRING.or_null(), fixed(1 + 1)]),
    request(CreateAcls, 1..=3, 2, &[array(&[fixed(1), STRING, fixed(1), STRING, STRING, fixed(1 + 1)])]),
    request(DeleteAcls, 1..=3, 2, &[
        array(&[fixed(1), STRING.or_null(), fixed(1), STRING.or_null(), STRING.or_null(), fixed(1 + 1)]),
    ]),
    request(DescribeConfigs, 1..=4, 4, &[array(&[fixed(1), STRING, STRINGS.or_null()]), fixed(1), fixed(1).since(3)]),
    request(AlterConfigs, 0..=2, 2, &[array(&[fixed(1), STRING, array(&[STRING, STRING.or_null()])]), fixed(1)]),
    request(AlterReplicaLogDirs, 1..=2, 2, &[array(&[STRING, TOPIC_PARTITIONS])]),
    request(DescribeLogDirs, 1..=5, 2, &[TOPIC_PARTITIONS.or_null()]),
    request(SaslAuthenticate, 0..=2, 2, &[BYTES]),
    request(CreatePartitions, 0..=3, 2, &[array(&[STRING, fixed(4), array(&[numbers(4)]).or_null()]), fixed(4 + 1)]),
    request(CreateDelegationToken, 1..=3, 2, &[
        STRING.since(3).or_null(), STRING.since(3).or_null(), array(&[STRING, STRING]), fixed(8),
    ]),
    request(RenewDelegationToken, 1..=2, 2, &[BYTES, fixed(8)]),
    request(ExpireDelegationToken, 1..=2, 2, &[BYTES, fixed(8)]),
    request(DescribeDelegationToken, 1..=3, 2, &[array(&[STRING, STRING]).or_null()]),
    request(DeleteGroups, 0..=2, 2, &[STRINGS]),
    request(ElectLeaders, 0..=2, 2, &[fixed(1).since(1), TOPIC_PARTITIONS.or_null(), fixed(4)]),
    request(IncrementalAlterConfigs, 0..=1, 1, &[
        array(&[fixed(1), STRING, array(&[STRING, fixed(1), STRING.or_null()])]), fixed(1),
    ]),
    request(AlterPartitionReassignments, 0..=1, 0, &[
        fixed(4), fixed(1).since(1), array(&[STRING, array(&[fixed(4), numbers(4).or_null()])]),
    ]),
    request(ListPartitionReassignments, 0..=0, 0, &[fixed(4), TOPIC_PARTITIONS.or_null()]),
    request(OffsetDelete, 0..=0, NOT_FLEXIBLE, &[STRING, array(&[STRING, array(&[fixed(4)])])]),
    request(DescribeClientQuotas, 0..=1, 1, &[array(&[STRING, fixed(1), STRING.or_null()]), fixed(1)]),
    request(AlterClientQuotas, 0..=1, 1, &[
        array(&[array(&[STRING, STRING.or_null()]), array(&[STRING, fixed(8 + 1)])]), fixed(1),
    ]),
    request(DescribeUserScramCredentials, 0..=0, 0, &[array(&[STRING]).or_null()]),
    request(AlterUserScramCredentials, 0..=0, 0, &[array(&[STRING, fixed(1)]), array(&[STRING, fixed(1 + 4), BYTES, BYTES])]),
    request(DescribeQuorum, 0..=2, 0, &[array(&[STRING, array(&[fixed(4)])])]),
    request(AlterPartition, 2..=3, 0, &[
        fixed(4 + 8),
        array(&[UUID, array(&[fixed(4 + 4), numbers(4).until(2), array(&[fixed(4 + 8)]).since(3), fixed(1 + 4)])]),
    ]),
    request(UpdateFeatures, 0..=2, 0, &[
        fixed(4), array(&[STRING, fixed(2), fixed(1).until(0), fixed(1).since(1)]), fixed(1).since(1),
    ]),
    request(Envelope, 0..=0, 0, &[BYTES, BYTES.or_null(), BYTES]),
    request(DescribeCluster, 0..=2, 0, &[fixed(1), fixed(1).since(1), fixed(1).since(2)]),
    request(DescribeProducers, 0..=0, 0, &[TOPIC_PARTITIONS]),
    request(BrokerRegistration, 0..=4, 0, &[
        fixed(4), STRING, UUID, array(&[STRING, STRING, fixed(2 + 2)]), array(&[STRING, fixed(2 + 2)]), STRING.or_null(),
        fixed(1).since(1), numbers(16).since(2), fixed(8).since(3),
    ]),
    request(BrokerHeartbeat, 0..=1, 0, &[fixed(4 + 8 + 8 + 1 + 1), numbers(16).since(1).tagged(0)]),
    request(UnregisterBroker, 0..=0, 0, &[fixed(4)]),
    request(DescribeTransactions, 0..=0, 0, &[STRINGS]),
    request(ListTransactions, 0..=2, 0, &[STRINGS, numbers(8), fixed(8).since(1), STRING.since(2).or_null()]),
    request(AllocateProducerIds, 0..=0, 0, &[fixed(4 + 8)]),
    request(ConsumerGroupHeartbeat, 0..=1, 0, &[
        STRING, STRING, fixed(4), STRING.or_null(), STRING.or_null(), fixed(4), STRINGS.or_null(), STRING.since(1).or_null(),
        STRING.or_null(), array(&[UUID, numbers(4)]).or_null(),
    ]),
    request(ConsumerGroupDescribe, 0..=1, 0, &[STRINGS, fixed(1)]),
    request(ControllerRegistration, 0..=0, 0, &[
        fixed(4 + 16 + 1), array(&[STRING, STRING, fixed(2 + 2)]), array(&[STRING, fixed(2 + 2)]),
    ]),
    request(GetTelemetrySubscriptions, 0..=0, 0, &[UUID]),
    request(PushTelemetry, 0..=0, 0, &[fixed(16 + 4 + 1 + 1), BYTES]),
    request(AssignReplicasToDirs, 0..=0, 0, &[fixed(4 + 8), array(&[UUID, array(&[UUID, array(&[fixed(4)])])])]),
    request(ListConfigResources, 0..=1, 0, &[numbers(1).since(1)]),
    request(DescribeTopicPartitions, 0..=0, 0, &[array(&[STRING]), fixed(4), structure(&[STRING, fixed(4)]).or_null()]),
    request(ShareGroupHeartbeat, 1..=1, 0, &[STRING, STRING, fixed(4), STRING.or_null(), STRINGS.or_null()]),
    request(ShareGroupDescribe, 1..=1, 0, &[STRINGS, fixed(1)]),
    request(ShareFetch, 1..=1, 0, &[
        STRING.or_null(), STRING.or_null(), fixed(4 + 4 + 4 + 4 + 4 + 4),
        array(&[UUID, array(&[fixed(4), array(&[fixed(8 + 8), numbers(1)])])]), array(&[UUID, numbers(4)]),
    ]),
    request(ShareAcknowledge, 1..=1, 0, &[
        STRING.or_null(), STRING.or_null(), fixed(4), array(&[UUID, array(&[fixed(4), array(&[fixed(8 + 8), numbers(1)])])]),
    ]),
    request(AddRaftVoter, 0..=0, 0, &[STRING.or_null(), fixed(4 + 4 + 16), array(&[STRING, STRING, fixed(2)])]),
    request(RemoveRaftVoter, 0..=0, 0, &[STRING.or_null(), fixed(4 + 16)]),
    request(UpdateRaftVoter, 0..=0, 0, &[
        STRING.or_null(), fixed(4 + 4 + 16), array(&[STRING, STRING, fixed(2)]), structure(&[fixed(2 + 2)]),
    ]),
    request(InitializeShareGroupState, 0..=0, 0, &[STRING, array(&[UUID, array(&[fixed(4 + 4 + 8)])])]),
    request(ReadShareGroupState, 0..=0, 0, &[STRING, array(&[UUID, array(&[fixed(4 + 4)])])]),
    request(WriteShareGroupState, 0..=0, 0, &[
        STRING, array(&[UUID, array(&[fixed(4 + 4 + 4 + 8), array(&[fixed(8 + 8 + 1 + 2)])])]),
    ]),
    request(DeleteShareGroupState, 0..=0, 0, &[STRING, array(&[UUID, array(&[fixed(4)])])]),
    request(ReadShareGroupStateSummary, 0..=0, 0, &[STRING, array(&[UUID, array(&[fixed(4 + 4)])])]),
    request(DescribeShareGroupOffsets, 0..=0, 0, &[array(&[STRING, TOPIC_PARTITIONS.or_null()])]),
    request(AlterShareGroupOffsets, 0..=0, 0, &[STRING, array(&[STRING, array(&[fixed(4 + 8)])])]),
    request(DeleteShareGroupOffsets, 0..=0, 0, &[STRING, array(&[STRING])]),
];

const NOT_FLEXIBLE: i16 = i16::MAX;
const UUID: Field = fixed(16);
const STRING: Field = field(Kind::String);
const BYTES: Field = field(Kind::Bytes);
const STRINGS: Field = field(Kind::Strings);
/// Topics by name, each with the numbers of some of its partitions.
const TOPIC_PARTITIONS: Field = array(&[STRING, numbers(4)]);

/// Bytes that are always there: numbers, booleans, ids.
const fn fixed(size: usize) -> Field {
    field(Kind::Fixed(size))
}

/// Array of numbers of `size` bytes each.
const fn numbers(size: usize) -> Field {
    field(Kind::Numbers(size))
}

/// Array of structs.
const fn array(fields: &'static [Field]) -> Field {
    field(Kind::Structs { fields, least: least_size(fields) })
}

/// One struct, with tagged fields of its own.
const fn structure(fields: &'static [Field]) -> Field {
    field(Kind::Struct(fields))
}

const fn field(kind: Kind) -> Field {
    Field { kind, since: 0, until: i16::MAX, null_since: i16::MAX, tag: None }
}

impl Field {
    const fn since(self, version: i16) -> Self {
        Field { since: version, ..self }
    }

    const fn until(self, version: i16) -> Self {
        Field { until: version, ..self }
    }

    const fn or_null(self) -> Self {
        self.or_null_since(0)
    }

    const fn or_null_since(self, version: i16) -> Self {
        Field { null_since: version, ..self }
    }

    const fn tagged(self, tag: u32) -> Self {
        Field { tag: Some(tag), ..self }
    }
}

/// Bytes that a struct has in every version: fields that come or go count nothing, others at least their length's own byte.
const fn least_size(fields: &[Field]) -> usize {
    let (mut size, mut i) = (0, 0);
    while i < fields.len() {
        let Field { kind, since, until, tag, .. } = fields[i];
        if since == 0 && until == i16::MAX && tag.is_none() {
            size += match kind {
                Kind::Fixed(size) => size,
                _ => 1,
            };
        }
        i += 1;
    }
    // Versions may replace one field by another, but an element without bytes does not exist.
    if size == 0 { 1 } else { size }
}

const fn request(api: ApiKey, versions: RangeInclusive<i16>, flexible: i16, fields: &'static [Field]) -> Request {
    Request { key: api as i16, min: *versions.start(), max: *versions.end(), flexible, fields }
}

/// Row of each key, so that finding one costs no search.
static ROW_OF_KEY: [Option<&Request>; KEYS] = {
    let mut rows = [None; KEYS];
    let mut i = 0;
    while i < REQUESTS.len() {
        assert!(i == 0 || REQUESTS[i - 1].key < REQUESTS[i].key, "keys increase");
        rows[REQUESTS[i].key as usize] = Some(&REQUESTS[i]);
        i += 1;
    }
    rows
};

const KEYS: usize = REQUESTS[REQUESTS.len() - 1].key as usize + 1;

pub(super) fn get(api_key: i16) -> Option<&'static Request> {
    *ROW_OF_KEY.get(usize::try_from(api_key).ok()?)?
}
