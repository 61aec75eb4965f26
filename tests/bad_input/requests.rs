//! Requests that are well framed: bombs in their counts, numbers and names without end, values that make no sense.

use std::fmt::Debug;

use bytes::BufMut;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeProducersRequest, FetchRequest, GroupId, JoinGroupRequest, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, ProduceRequest, SyncGroupRequest,
};
use klamm::api::table;
use klamm::base::ErrorCode;
use klamm::protocol::ApiRequest;
use klamm::protocol::shape::MAX_ELEMENTS;

use crate::attack::{Victim, header};
use crate::protocol_support::{Random, Visit, dream, encode, versions, visit_every_request};
use crate::support::everyday::{batch, error, fetch_request, produce_request, text, topic_name};
use crate::support::{Client, request_frame};

/// Numbers that a decoder may take for a length or a count.
const LIES: [&[u8]; 5] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x00, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0x7f, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
];

/// Sends each API of the table, in every version, bodies whose counts lie.
struct Bombs<'a> {
    victim: &'a Victim,
    random: Random,
}

impl Visit for Bombs<'_> {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + PartialEq,
        R::Response: Debug + Default + PartialEq,
    {
        if table::find(R::KEY).is_none() {
            return;
        }
        for version in versions::<R>() {
            let header = || {
                let mut header = header(R::KEY, version);
                if R::header_version(version) >= 2 {
                    header.put_u8(0);
                }
                header
            };
            for lie in LIES {
                self.victim.attacker().send_frame(&[header(), lie.repeat(8)].concat());
                let body = encode::<R>(&dream(self.random.next(), version), version);
                let at = self.random.below(body.len() as u64 + 1) as usize;
                self.victim.attacker().send_frame(&[&header()[..], &body[..at], lie, &body[at..]].concat());
                self.victim.attacker().send_frame(&[&header()[..], &body[..at]].concat());
            }
        }
    }
}

#[test]
fn counts_that_lie_cost_the_broker_nothing_in_any_version_of_any_api() {
    let victim = Victim::start(&["auto.create.topics.enable=false"]);
    visit_every_request(&mut Bombs { victim: &victim, random: Random(7) });
    victim.never_held_more_than(0);
    victim.goes_on();
}

/// A request of 4 bytes a number must not become an answer of a hundred bytes a number, without end.
#[test]
fn numbers_without_end_are_refused() {
    let victim = Victim::start(&[]);
    let indexes = vec![0; 20_000_000];
    let topic = TopicRequest::default().with_name(topic_name("ordinary")).with_partition_indexes(indexes);
    let frame = request_frame(1, 0, &DescribeProducersRequest::default().with_topics(vec![topic])).unwrap();
    let size = frame.len() as u64;
    victim.attacker().send_frame(&frame).is_hung_up_on();
    victim.never_held_more_than(2 * size);
    victim.goes_on();
}

/// A name of a few bytes must not be answered, each time it is repeated, with all there is to know of it.
#[test]
fn a_name_that_is_repeated_is_answered_once() {
    let victim = Victim::start(&["num.partitions=200"]);
    let mut client = Client::connect(victim.address());
    assert_eq!(client.make_topic("wide"), 200);
    let wide = MetadataRequestTopic::default().with_name(Some(topic_name("wide")));
    let request = MetadataRequest::default().with_topics(Some(vec![wide; MAX_ELEMENTS]));
    let response = client.call(9, &request);
    assert_eq!(response.topics.len(), 1, "as in Kafka, the topics asked for are a set");

    client.call(0, &join("crowd"));
    let groups = vec![GroupId(text("crowd")); MAX_ELEMENTS];
    let response = client.call(5, &DescribeGroupsRequest::default().with_groups(groups));
    assert_eq!(response.groups.len(), 1);

    for n in 0..20 {
        client.produce("wide", &[format!("{n}").as_bytes()]);
    }
    let topic = TopicRequest::default().with_name(topic_name("wide")).with_partition_indexes(vec![0; MAX_ELEMENTS - 10]);
    let response = client.call(0, &DescribeProducersRequest::default().with_topics(vec![topic]));
    assert_eq!(response.topics[0].partitions.len(), 1);
    victim.never_held_more_than(100 << 20);
    victim.goes_on();
}

fn join(group: &str) -> JoinGroupRequest {
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(vec![1; 10_000].into());
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(30_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

#[test]
fn illegal_topic_names_are_refused_and_never_become_paths() {
    let victim = Victim::start(&[]);
    let outside = victim.broker.data().parent().unwrap().join("klamm-was-here");
    let traversal = format!("../{}", outside.file_name().unwrap().to_str().unwrap());
    let long = "x".repeat(250);
    let names =
        ["", ".", "..", "a/b", "/etc/passwd", &traversal, "a b", "a\0b", "tür", "a\nb", "a:b", "a\\b", "a\u{1b}[31mb", &long];
    let listing = || {
        let mut names: Vec<_> = std::fs::read_dir(victim.broker.data()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = listing();
    let mut client = Client::connect(victim.address());
    for name in names {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
        let response = client.call(9, &request);
        assert_eq!(error(response.topics[0].error_code), Some(ErrorCode::InvalidTopicException), "{name:?}");
        let produced = client.try_produce(name, 0, -1, batch(&[b"v"]));
        assert_eq!(produced, Err(ErrorCode::UnknownTopicOrPartition), "{name:?}");
        let fetched = client.try_fetch(name, 0, 0, 1000).map(|f| f.records);
        assert_eq!(fetched, Err(ErrorCode::UnknownTopicOrPartition), "{name:?}");
    }
    assert_eq!(listing(), before);
    assert!(!outside.exists());
    let said = victim.broker.said();
    assert!(!said.contains('\u{1b}') && !said.contains('\0'), "what clients send is escaped in the log");
    victim.goes_on();
}

#[test]
fn acks_that_do_not_exist_are_refused_and_write_nothing() {
    let victim = Victim::start(&[]);
    let mut client = Client::connect(victim.address());
    let end = client.try_fetch("ordinary", 0, 0, 1000).unwrap().high_watermark;
    for acks in [2, -2, 3, i16::MIN, i16::MAX] {
        let produced = client.try_produce("ordinary", 0, acks, batch(&[b"v"]));
        assert_eq!(produced, Err(ErrorCode::InvalidRequiredAcks), "acks={acks}");
    }
    assert_eq!(client.try_fetch("ordinary", 0, 0, 1000).unwrap().high_watermark, end);
    // Who asked for no answer learns of an error by the end of the connection.
    let frame = request_frame(1, 9, &produce_request("nowhere", 0, 0, batch(&[b"v"]))).unwrap();
    victim.attacker().send_frame(&frame).is_hung_up_on();
    victim.goes_on();
}

#[test]
fn partitions_and_offsets_that_make_no_sense_are_answered_with_their_error() {
    let victim = Victim::start(&[]);
    let mut client = Client::connect(victim.address());
    for partition in [-1, 1, 1_000_000, i32::MIN, i32::MAX] {
        let unknown = Some(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(client.try_produce("ordinary", partition, -1, batch(&[b"v"])).err(), unknown, "{partition}");
        assert_eq!(client.try_fetch("ordinary", partition, 0, 1000).err(), unknown, "{partition}");
        assert_eq!(list_offset(&mut client, partition, -1).err(), unknown, "{partition}");
    }
    for offset in [-1, -2, 1_000_000, i64::MIN, i64::MAX] {
        assert_eq!(client.try_fetch("ordinary", 0, offset, 1000).err(), Some(ErrorCode::OffsetOutOfRange), "{offset}");
    }
    for timestamp in [-7, -100, i64::MIN] {
        assert_eq!(list_offset(&mut client, 0, timestamp), Err(ErrorCode::UnsupportedVersion), "{timestamp}");
    }
    assert_eq!(list_offset(&mut client, 0, i64::MAX), Ok(-1), "nothing is that young");
    victim.goes_on();
}

fn list_offset(client: &mut Client, partition: i32, timestamp: i64) -> Result<i64, ErrorCode> {
    let asked =
        ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(topic_name("ordinary")).with_partitions(vec![asked]);
    let response = client.call(7, &ListOffsetsRequest::default().with_topics(vec![topic]));
    let answer = &response.topics[0].partitions[0];
    error(answer.error_code).map_or(Ok(answer.offset), Err)
}

#[test]
fn sizes_and_times_that_make_no_sense_do_no_harm() {
    let victim = Victim::start(&[]);
    let mut client = Client::connect(victim.address());
    let fetch = |client: &mut Client, change: &dyn Fn(FetchRequest) -> FetchRequest| -> PartitionData {
        let response = client.call(11, &change(fetch_request("ordinary", 0, 0, 1000)));
        response.responses[0].partitions[0].clone()
    };
    for size in [0, -1, i32::MIN, i32::MAX] {
        // Records come in spite of a limit that lets none pass: the first batch is always given, so that readers get on.
        let answer = fetch(&mut client, &|request| request.with_max_bytes(size));
        assert_eq!((answer.error_code, answer.records.is_some_and(|r| !r.is_empty())), (0, true), "max_bytes={size}");
        let answer = fetch(&mut client, &|mut request| {
            request.topics[0].partitions[0].partition_max_bytes = size;
            request
        });
        assert_eq!(answer.error_code, 0, "partition_max_bytes={size}");
    }
    for wait in [-1, i32::MIN] {
        let answer = fetch(&mut client, &|request| request.with_min_bytes(i32::MAX).with_max_wait_ms(wait));
        assert_eq!(answer.error_code, 0, "max_wait_ms={wait}");
    }
    let answer = fetch(&mut client, &|request| request.with_min_bytes(i32::MIN).with_max_wait_ms(i32::MAX));
    assert_eq!(answer.error_code, 0, "nothing is waited for");
    for (session_id, epoch, code) in [
        (77, 5, ErrorCode::FetchSessionIdNotFound),
        (0, 5, ErrorCode::FetchSessionIdNotFound),
        (-1, i32::MAX, ErrorCode::FetchSessionIdNotFound),
        (i32::MIN, i32::MIN, ErrorCode::FetchSessionIdNotFound),
    ] {
        let request = fetch_request("ordinary", 0, 0, 1000).with_session_id(session_id).with_session_epoch(epoch);
        assert_eq!(error(client.call(11, &request).error_code), Some(code), "session {session_id}, epoch {epoch}");
    }
    for timeout in [-1, i32::MIN, 0] {
        let request: ProduceRequest = produce_request("ordinary", 0, 1, batch(&[b"v"])).with_timeout_ms(timeout);
        let response = client.call(9, &request);
        let code = error(response.responses[0].partition_responses[0].error_code);
        // Without time to wait for the disk the outcome is not known.
        assert!(matches!(code, None | Some(ErrorCode::RequestTimedOut)), "timeout_ms={timeout}: {code:?}");
    }
    let end = client.read_from("ordinary", 0, 0).len() as i64;
    drop(client);
    Client::connect(victim.address()).try_fetch("ordinary", 0, end, 1000).unwrap();
    victim.goes_on_after(end);
}

#[test]
fn groups_are_bounded() {
    let victim = Victim::start(&["offset.metadata.max.bytes=100", "group.max.size=2", "offsets.topic.num.partitions=1"]);
    let mut client = Client::connect(victim.address());
    assert_eq!(client.commit("a group", "ordinary", 1), None);
    let partition =
        OffsetCommitRequestPartition::default().with_committed_offset(1).with_committed_metadata(Some(text(&"m".repeat(101))));
    let topic = OffsetCommitRequestTopic::default().with_name(topic_name("ordinary")).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic]);
    let response = client.call(8, &request.with_generation_id_or_member_epoch(-1));
    assert_eq!(error(response.topics[0].partitions[0].error_code), Some(ErrorCode::OffsetMetadataTooLarge));

    for (session_timeout, code) in [(1, ErrorCode::InvalidSessionTimeout), (i32::MAX, ErrorCode::InvalidSessionTimeout)] {
        let response = client.call(2, &join("bounded").with_session_timeout_ms(session_timeout));
        assert_eq!(error(response.error_code), Some(code), "session.timeout.ms={session_timeout}");
    }
    assert_eq!(error(client.call(2, &join("")).error_code), Some(ErrorCode::InvalidGroupId));
    let unknown = SyncGroupRequest::default().with_group_id(GroupId(text("nobody"))).with_member_id(text("m"));
    assert_eq!(error(client.call(2, &unknown).error_code), Some(ErrorCode::UnknownMemberId));
    victim.goes_on();
}

/// What members say of themselves is kept as long as they are members, so it cannot be as large as a request.
#[test]
fn members_cannot_leave_their_luggage_with_the_broker() {
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    let victim = Victim::start(&["offsets.topic.num.partitions=1"]);
    let mut client = Client::connect(victim.address());
    assert_eq!(client.commit("a group", "ordinary", 1), None);
    for n in 0..20 {
        let luggage = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(vec![7; 20 << 20].into());
        let request = join(&format!("group {n}")).with_protocols(vec![luggage]);
        assert_eq!(error(client.call(2, &request).error_code), Some(ErrorCode::InvalidRequest));
    }
    victim.never_held_more_than(80 << 20);
    victim.goes_on();
}
