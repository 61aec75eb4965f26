//! Requests with thousands of names that all differ: what compares each with all others would keep a worker, or a coordinator, for minutes.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{CreatePartitionsRequest, DeleteGroupsRequest, GroupId, JoinGroupRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use klamm::base::ErrorCode;
use klamm::protocol::shape::MAX_ELEMENTS;

use crate::attack::Victim;
use crate::support::Client;
use crate::support::everyday::{error, text};

fn names() -> impl Iterator<Item = StrBytes> {
    (0..MAX_ELEMENTS).map(|n| text(&format!("{n:05x}")))
}

#[test]
fn groups_to_be_deleted_are_looked_at_once() {
    let victim = Victim::start(&["offsets.topic.num.partitions=1"]);
    let mut client = Client::connect(victim.address());
    assert_eq!(client.commit("a group", "ordinary", 1), None);
    let request = DeleteGroupsRequest::default().with_groups_names(names().map(GroupId).collect());
    let results = client.call(1, &request).results;
    let unknown = Some(ErrorCode::GroupIdNotFound);
    assert!(results.len() == MAX_ELEMENTS && results.iter().all(|result| error(result.error_code) == unknown));
    victim.goes_on();
}

#[test]
fn protocols_of_a_member_are_looked_at_once() {
    let settings = ["offsets.topic.num.partitions=1", "group.initial.rebalance.delay.ms=0", "message.max.bytes=200000000"];
    let victim = Victim::start(&settings);
    let mut client = Client::connect(victim.address());
    assert_eq!(client.commit("a group", "ordinary", 1), None);
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text("many ways")))
        .with_session_timeout_ms(30_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(names().map(|name| JoinGroupRequestProtocol::default().with_name(name)).collect());
    let response = client.call(2, &request);
    assert_eq!((error(response.error_code), response.protocol_name.as_deref()), (None, Some("00000")));
    victim.serves_and_stops();
}

#[test]
fn topics_that_are_all_named_twice_are_looked_at_once() {
    let victim = Victim::start(&[]);
    let topic = |name| CreatePartitionsTopic::default().with_name(TopicName(name)).with_count(2).with_assignments(None);
    let half = || names().take(MAX_ELEMENTS / 2).map(topic);
    let request = CreatePartitionsRequest::default().with_topics(half().chain(half()).collect()).with_timeout_ms(30_000);
    let results = Client::connect(victim.address()).call(1, &request).results;
    let refused = Some(ErrorCode::InvalidRequest);
    assert!(results.len() == MAX_ELEMENTS / 2 && results.iter().all(|result| error(result.error_code) == refused));
    victim.goes_on();
}
