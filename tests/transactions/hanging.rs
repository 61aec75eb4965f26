//! Transactions that nobody ends: timed out and aborted by the coordinator, or, where it does not know of them, by hand (KIP-664).

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::*;
use klamm::base::ErrorCode;
use klamm::metadata::{PartitionRegistration, Replicas, TopicImage};
use klamm::protocol::supplement::WriteTxnMarkersRequest;
use uuid::Uuid;

use crate::by_hand::*;
use crate::support::everyday::{error, text, topic_name};
use crate::support::{Client, TestNode};

#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    let node = TestNode::start(&["transaction.abort.timed.out.transaction.cleanup.interval.ms=20"]);
    let mut client = node.connect();
    client.make_topic("t");
    for speaks in [Speaks::V1, Speaks::V2] {
        let id = format!("{speaks:?}");
        let mut txn = Txn::init(&mut client, &id, speaks);
        (txn.producer_id, txn.epoch) = patiently(|| init(&mut client, &id, 50, None)).unwrap();
        txn.send(&mut client, "t", 0, "late").unwrap();
        assert_eq!(read_settled(&mut client, "t", 0), [] as [&str; 0]);
        let late = txn.batch("t", 0, "later");
        let produced = txn.produce_as(&mut client, 11, "t", 0, late);
        assert_eq!(produced, Err(ErrorCode::InvalidProducerEpoch), "its producer is fenced");
        assert_eq!(patiently(|| txn.try_end(&mut client, true)), Err(ErrorCode::ProducerFenced));
        let again = init(&mut client, &id, 50, Some((txn.producer_id, txn.epoch)));
        assert_eq!(again, Err(ErrorCode::ProducerFenced), "it does not come back with what it had");
    }
}

#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let node = TestNode::start(&[
        "transactional.id.expiration.ms=50",
        "transaction.remove.expired.transaction.cleanup.interval.ms=20",
        "transaction.state.log.num.partitions=1",
    ]);
    let mut client = node.connect();
    client.make_topic("t");
    let mut open = Txn::init(&mut client, "open", Speaks::V1);
    open.send(&mut client, "t", 0, "v").unwrap();
    let idle = Txn::init(&mut client, "idle", Speaks::V1);
    let listed = |client: &mut Client| -> Vec<String> {
        let states = client.call(0, &ListTransactionsRequest::default()).transaction_states;
        states.iter().map(|it| it.transactional_id.to_string()).collect()
    };
    let forgotten = patiently(|| match listed(&mut client).contains(&"idle".to_owned()) {
        true => Err(ErrorCode::ConcurrentTransactions),
        false => Ok(()),
    });
    assert_eq!(forgotten, Ok(()));
    assert_eq!(listed(&mut client), ["open"], "an open transaction keeps its id");
    assert_eq!(idle.add(&mut client, "t", &[0]), Err(ErrorCode::InvalidProducerIdMapping));
    let again = Txn::init(&mut client, "idle", Speaks::V1);
    assert!(again.producer_id > idle.producer_id && again.epoch == 0, "{again:?}");
    open.end(&mut client, true);
}

#[test]
fn a_topic_that_is_deleted_does_not_keep_its_transactions_from_ending() {
    let node = TestNode::start(&["transaction.state.log.num.partitions=1"]);
    let mut client = node.connect();
    client.make_topic("stays");
    client.make_topic("goes");
    for speaks in [Speaks::V1, Speaks::V2] {
        client.make_topic("goes");
        let mut txn = Txn::init(&mut client, "id", speaks);
        txn.send(&mut client, "goes", 0, "v").unwrap();
        txn.send(&mut client, "stays", 0, "v").unwrap();
        assert_eq!(client.delete_topic("goes"), None);
        txn.end(&mut client, true);
        read_settled(&mut client, "stays", 0);
        txn.send(&mut client, "stays", 0, "next").unwrap();
        txn.end(&mut client, true);
    }
    assert_eq!(read_settled(&mut client, "stays", 0), ["v", "next", "v", "next"]);
}

/// The partitions of a topic that is being created take writes, and then it is shown.
#[test]
fn a_transaction_that_reaches_a_partition_before_it_is_shown_is_ended_there() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    let broker = node.node().broker();
    let here = Replicas::from_slice(&[broker.id]);
    let partition = PartitionRegistration::new(here.clone(), [Uuid::nil()].into(), here);
    let topic = TopicImage { id: Uuid::from_u128(7), name: "early".into(), partitions: vec![partition.into()] };
    let config = broker.effective.topic(&broker.metadata.image(), "early");
    broker.replicas.apply(&topic, false, config, true, broker.clock.wall_ms());
    let mut txn = Txn::init(&mut client, "id", Speaks::V2);
    for value in ["first", "second"] {
        txn.send(&mut client, "early", 0, value).unwrap();
        txn.end(&mut client, true);
    }
    assert!(broker.metadata.image().topic("early").is_none());
    assert_eq!(read_settled(&mut client, "early", 0), ["first", "second"]);
}

/// A transaction in a partition of which the coordinator knows nothing, as a bug of an old broker could leave it.
#[test]
fn a_hanging_transaction_is_seen_and_aborted_by_hand() {
    let node = TestNode::start(&["transaction.partition.verification.enable=false"]);
    let mut client = node.connect();
    client.make_topic("t");
    let mut txn = Txn::init(&mut client, "hangs", Speaks::V1);
    let batch = txn.batch("t", 0, "hangs");
    txn.produce_as(&mut client, 11, "t", 0, batch).unwrap();
    client.produce("t", &[b"behind it"]);
    let read = read_committed(&mut client, "t", 0);
    assert_eq!((read.values.len(), read.last_stable_offset, read.high_watermark), (0, 0, 2), "it keeps readers back");

    let described = describe_producers(&mut client);
    assert_eq!((described.producer_id.0, described.current_txn_start_offset), (txn.producer_id, 0));
    let marker = |coordinator_epoch, name| {
        WritableTxnMarker::default()
            .with_producer_id(described.producer_id)
            .with_producer_epoch(described.producer_epoch as i16)
            .with_coordinator_epoch(coordinator_epoch)
            .with_topics(vec![WritableTxnMarkerTopic::default().with_name(topic_name(name)).with_partition_indexes(vec![0])])
    };
    let mut write = |version, marker| {
        let mut request = WriteTxnMarkersRequest { transaction_versions: vec![2], ..Default::default() };
        request.request.markers.push(marker);
        let response = client.call(version, &request);
        error(response.markers[0].topics[0].partitions[0].error_code)
    };
    assert_eq!(write(1, marker(3, "unknown")), Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(write(2, marker(3, "t")), Some(ErrorCode::InvalidProducerEpoch), "at level 2 an end has an epoch of its own");
    assert_eq!(write(1, marker(3, "t")), None);
    assert_eq!(write(1, marker(2, "t")), Some(ErrorCode::TransactionCoordinatorFenced), "of a coordinator that is past");
    let stale = marker(3, "t").with_producer_epoch(-1);
    assert_eq!(write(1, stale), Some(ErrorCode::InvalidProducerEpoch));
    let bumped = marker(3, "t").with_producer_epoch(described.producer_epoch as i16 + 1);
    assert_eq!(write(2, bumped), None);
    assert_eq!(read_settled(&mut client, "t", 0), ["behind it"]);
    assert_eq!(describe_producers(&mut client).current_txn_start_offset, -1);
}

fn describe_producers(client: &mut Client) -> describe_producers_response::ProducerState {
    let topic = TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let response = client.call(0, &DescribeProducersRequest::default().with_topics(vec![topic]));
    let mut producers = response.topics[0].partitions[0].active_producers.clone();
    producers.remove(0)
}

#[test]
fn transactions_are_described_and_listed() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    client.make_topic("t");
    let mut txn = Txn::init(&mut client, "seen", Speaks::V2);
    txn.send(&mut client, "t", 0, "v").unwrap();
    let ids = ["seen", "unseen", ""].map(|id| text(id).into()).to_vec();
    let response = client.call(0, &DescribeTransactionsRequest::default().with_transactional_ids(ids));
    let described = |id: &str| response.transaction_states.iter().find(|it| &**it.transactional_id == id).unwrap();
    let seen = described("seen");
    assert_eq!((seen.error_code, &*seen.transaction_state, seen.transaction_timeout_ms), (0, "Ongoing", 60_000));
    assert_eq!((seen.producer_id.0, seen.producer_epoch), (txn.producer_id, txn.epoch));
    assert!(seen.transaction_start_time_ms > 0);
    assert_eq!((&**seen.topics[0].topic, &seen.topics[0].partitions[..]), ("t", &[0][..]));
    assert_eq!(error(described("unseen").error_code), Some(ErrorCode::TransactionalIdNotFound));
    assert_eq!(error(described("").error_code), Some(ErrorCode::InvalidRequest));

    let mut listed = |version, request: ListTransactionsRequest| {
        let response = client.call(version, &request);
        let ids = response.transaction_states.iter().map(|it| it.transactional_id.to_string()).collect::<Vec<_>>();
        (error(response.error_code), ids, response.unknown_state_filters.len())
    };
    let all = ListTransactionsRequest::default();
    assert_eq!(listed(0, all.clone()), (None, vec!["seen".to_owned()], 0));
    assert_eq!(listed(1, all.clone().with_duration_filter(3_600_000)), (None, vec![], 0));
    assert_eq!(listed(2, all.clone().with_transactional_id_pattern(Some(text("s..n")))).1.len(), 1);
    let wrong = listed(2, all.clone().with_transactional_id_pattern(Some(text("["))));
    assert_eq!(wrong.0, Some(ErrorCode::InvalidRegularExpression));
    assert_eq!(listed(0, all.with_state_filters(vec![text("Nowhere")])), (None, vec![], 1));
}
