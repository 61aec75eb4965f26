//! What happens while a transaction's first batch waits for its proof (KIP-890): the handler is stepped by hand, between asking and appending.

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use klamm::api::data::produce;
use klamm::api::reply::Reply;
use klamm::api::session::{Context, Session};
use klamm::base::ErrorCode;
use klamm::protocol::ApiRequest;
use klamm::protocol::header::{ApiVersion, RequestHeader};

use crate::by_hand::*;
use crate::support::TestNode;
use crate::support::everyday::{error, text, topic_name};

/// It would be appended unproven: to a transaction that its coordinator does not know to include it, and that nobody ends there.
#[test]
fn a_partition_that_appears_meanwhile_is_as_unknown_as_it_was_when_the_others_were_asked_for() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    client.make_topic("here");
    let mut txn = Txn::init(&mut client, "id", Speaks::V2);
    let topics = ["here", "late"].map(|topic| {
        let partition = PartitionProduceData::default().with_records(Some(txn.batch(topic, 0, "v")));
        TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![partition])
    });
    let request = ProduceRequest::default()
        .with_transactional_id(Some(text("id").into()))
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(topics.to_vec());

    let address = node.address();
    let session = Session::new(node.node().broker().clone(), "PLAINTEXT".into(), address, address);
    let api = ApiVersion { key: ProduceRequest::KEY, version: 12 };
    let header = RequestHeader { api, correlation_id: 1, client_id: None };
    let Reply::Alone(asking) = produce::handle(&Context { session: &session, header: &header }, request) else {
        panic!("the first batch of a transaction waits for its proof")
    };
    client.make_topic("late");
    let response = node.block_on(asking);
    let codes: Vec<_> = response.responses.iter().map(|topic| error(topic.partition_responses[0].error_code)).collect();
    assert_eq!(codes, [None, Some(ErrorCode::UnknownTopicOrPartition)]);

    txn.end(&mut client, true);
    assert_eq!(read_settled(&mut client, "here", 0), ["v"]);
    let late = read_committed(&mut client, "late", 0);
    assert_eq!((late.last_stable_offset, late.high_watermark), (0, 0), "nothing came in unproven");
}
