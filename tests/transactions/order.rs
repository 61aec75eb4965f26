//! Requests of one connection are decided in the order in which they come, however long the answers to those before take.

use kafka_protocol::messages::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use kafka_protocol::messages::*;
use klamm::api::reply::{Pending, Reply};
use klamm::api::session::{Context, Session};
use klamm::api::transaction::{end_txn, init_producer_id};
use klamm::base::ErrorCode;
use klamm::protocol::ApiRequest;
use klamm::protocol::header::{ApiVersion, RequestHeader};

use crate::by_hand::*;
use crate::support::everyday::{error, text, topic_name};
use crate::support::{Client, TestNode, decode_response, request_frame};

const NODE: &[&str] = &["transaction.state.log.num.partitions=1", "offsets.topic.num.partitions=1"];

/// Has a request handled, and does not look after its answer.
fn asked<R: ApiRequest>(
    node: &TestNode,
    handle: fn(&Context, R) -> Reply<R::Response>,
    version: i16,
    request: R,
) -> Pending<R::Response> {
    let address = node.address();
    let session = Session::new(node.node().broker().clone(), "PLAINTEXT".into(), address, address);
    let header = RequestHeader { api: ApiVersion { key: R::KEY, version }, correlation_id: 1, client_id: None };
    match handle(&Context { session: &session, header: &header }, request) {
        Reply::Later(answer) => answer,
        _ => panic!("its answer waits for the coordinator"),
    }
}

fn described(client: &mut Client, id: &str) -> (String, Vec<String>) {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![text(id).into()]);
    let response = client.call(0, &request);
    let transaction = &response.transaction_states[0];
    let topics = transaction.topics.iter().map(|topic| topic.topic.to_string()).collect();
    (transaction.transaction_state.to_string(), topics)
}

#[test]
fn what_comes_behind_an_end_belongs_to_the_next_transaction() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("before");
    client.make_topic("behind");
    let mut txn = Txn::init(&mut client, "id", Speaks::V1);
    txn.add(&mut client, "before", &[0]).unwrap();
    let (version, request) = txn.request_end(true);
    let ending = asked(&node, end_txn::handle, version, request);
    patiently(|| txn.add(&mut client, "behind", &[0])).unwrap();
    assert_eq!(error(node.block_on(ending).error_code), None);
    assert_eq!(described(&mut client, "id"), ("Ongoing".to_owned(), vec!["behind".to_owned()]));
    txn.end(&mut client, false);
}

#[test]
fn who_takes_an_id_fences_what_comes_behind() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    let old = Txn::init(&mut client, "id", Speaks::V1);
    let request =
        InitProducerIdRequest::default().with_transactional_id(Some(text("id").into())).with_transaction_timeout_ms(1000);
    let request = request.with_producer_id((-1).into()).with_producer_epoch(-1);
    let taking = asked(&node, init_producer_id::handle, 5, request);
    assert_eq!(old.add(&mut client, "t", &[0]), Err(ErrorCode::ProducerFenced));
    let taken = node.block_on(taking);
    assert_eq!((taken.producer_id.0, taken.producer_epoch), (old.producer_id, old.epoch + 1));
}

/// Two coordinators are asked for them, one after the other, and the end asks only one.
#[test]
fn offsets_are_in_their_transaction_before_the_end_behind_them_is_looked_at() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    assert_eq!(client.commit("g", "t", 1), None);
    let mut txn = Txn::init(&mut client, "id", Speaks::V2);
    for offset in 50..60 {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        let offsets = TxnOffsetCommitRequest::default()
            .with_transactional_id(text("id").into())
            .with_group_id(text("g").into())
            .with_producer_id(txn.producer_id.into())
            .with_producer_epoch(txn.epoch)
            .with_topics(vec![topic]);
        let (version, end) = txn.request_end(true);
        client.send_frame(&request_frame(1, 5, &offsets).unwrap()).unwrap();
        client.send_frame(&request_frame(2, version, &end).unwrap()).unwrap();
        let (_, committed) = decode_response::<TxnOffsetCommitRequest>(5, client.receive_frame().unwrap()).unwrap();
        let (_, ended) = decode_response::<EndTxnRequest>(version, client.receive_frame().unwrap()).unwrap();
        assert_eq!((error(committed.topics[0].partitions[0].error_code), error(ended.error_code)), (None, None));
        assert_eq!(patiently(|| stable_offset(&mut client, "g", "t")), Ok(offset));
        (txn.producer_id, txn.epoch) = (ended.producer_id.0, ended.producer_epoch);
    }
}
