//! What the requests of a transaction answer, by version: fencing, verification, and what is asked at the wrong time.

use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::*;
use klamm::base::ErrorCode::*;

use crate::by_hand::*;
use crate::support::everyday::{error, text, topic_name};
use crate::support::{Client, TestNode};

const NODE: &[&str] = &["transaction.state.log.num.partitions=1", "offsets.topic.num.partitions=1"];

#[test]
fn the_feature_is_on_and_told() {
    let node = TestNode::start(&[]);
    let request = ApiVersionsRequest::default().with_client_software_name(text("test")).with_client_software_version(text("1"));
    let response = node.connect().call(4, &request);
    let feature = response.finalized_features.iter().find(|it| &*it.name == "transaction.version").unwrap();
    assert_eq!((feature.min_version_level, feature.max_version_level), (2, 2));
    assert!(response.finalized_features_epoch >= 0);
}

#[test]
fn fencing_has_the_name_that_each_version_knows() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    let old = Txn::init(&mut client, "id", Speaks::V1);
    Txn::init(&mut client, "id", Speaks::V1);
    let name = |since, version| if version >= since { ProducerFenced } else { InvalidProducerEpoch };
    for version in 3..=5 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(text("id").into()))
            .with_transaction_timeout_ms(1000)
            .with_producer_id((old.producer_id + 1).into())
            .with_producer_epoch(old.epoch);
        assert_eq!(error(client.call(version, &request).error_code), Some(name(4, version)), "InitProducerId {version}");
    }
    for version in 0..=5 {
        let (_, request) = old.request_end(true);
        assert_eq!(error(client.call(version, &request).error_code), Some(name(2, version)), "EndTxn {version}");
    }
    for version in 0..=4 {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(text("id").into())
            .with_producer_id(old.producer_id.into())
            .with_producer_epoch(old.epoch)
            .with_group_id(text("g").into());
        assert_eq!(error(client.call(version, &request).error_code), Some(name(2, version)), "AddOffsetsToTxn {version}");
    }
    for version in 0..=3 {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name("t")).with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(text("id").into())
            .with_v3_and_below_producer_id(old.producer_id.into())
            .with_v3_and_below_producer_epoch(old.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let response = client.call(version, &request);
        let code = response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
        assert_eq!(error(code), Some(name(2, version)), "AddPartitionsToTxn {version}");
    }
}

#[test]
fn an_id_is_given_only_for_what_makes_sense() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    Txn::init(&mut client, "id", Speaks::V1);
    assert_eq!(init(&mut client, "", 1000, None), Err(InvalidRequest));
    assert_eq!(init(&mut client, "id", 1000, Some((5, -1))), Err(InvalidRequest), "one without the other");
    for timeout in [0, -1, 900_001, i32::MAX] {
        assert_eq!(init(&mut client, "id", timeout, None), Err(InvalidTransactionTimeout), "{timeout}");
    }
    assert_eq!(init(&mut client, "id", 900_000, None).map(|held| held.1), Ok(1));
}

#[test]
fn partitions_are_added_all_or_none() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    let txn = Txn::init(&mut client, "id", Speaks::V1);
    let topic = |name, partitions: &[i32]| {
        AddPartitionsToTxnTopic::default().with_name(topic_name(name)).with_partitions(partitions.to_vec())
    };
    let request = |topics| {
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(text("id").into())
            .with_v3_and_below_producer_id(txn.producer_id.into())
            .with_v3_and_below_producer_epoch(txn.epoch)
            .with_v3_and_below_topics(topics)
    };
    let response = client.call(3, &request(vec![topic("t", &[0, 9]), topic("none", &[0])]));
    let mut told: Vec<_> = response
        .results_by_topic_v3_and_below
        .iter()
        .flat_map(|topic| {
            topic
                .results_by_partition
                .iter()
                .map(|it| (topic.name.to_string(), it.partition_index, error(it.partition_error_code)))
        })
        .collect();
    told.sort_by_key(|(name, partition, _)| (name.clone(), *partition));
    let expected = [
        ("none".to_owned(), 0, Some(UnknownTopicOrPartition)),
        ("t".to_owned(), 0, Some(OperationNotAttempted)),
        ("t".to_owned(), 9, Some(UnknownTopicOrPartition)),
    ];
    assert_eq!(told, expected);
    assert_eq!(txn.add(&mut client, "t", &[0]), Ok(()));
    assert_eq!(txn.add(&mut client, "t", &[0]), Ok(()), "again");
}

#[test]
fn brokers_ask_for_several_transactions_at_once_and_whether_partitions_are_in_them() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    let txn = Txn::init(&mut client, "id", Speaks::V1);
    txn.add(&mut client, "t", &[0]).unwrap();
    let ask = |id: &str, verify_only, name| {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(name)).with_partitions(vec![0]);
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(text(id).into())
            .with_producer_id(txn.producer_id.into())
            .with_producer_epoch(txn.epoch)
            .with_verify_only(verify_only)
            .with_topics(vec![topic])
    };
    client.make_topic("other");
    for version in 4..=5 {
        let transactions = vec![ask("id", true, "t"), ask("unknown", true, "t")];
        let response = client.call(version, &AddPartitionsToTxnRequest::default().with_transactions(transactions));
        let code = |id: &str| {
            let result = response.results_by_transaction.iter().find(|it| &**it.transactional_id == id).unwrap();
            error(result.topic_results[0].results_by_partition[0].partition_error_code)
        };
        assert_eq!((code("id"), code("unknown")), (None, Some(InvalidProducerIdMapping)));
        let one = |client: &mut Client, transaction| {
            let request = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
            let response = client.call(version, &request);
            error(response.results_by_transaction[0].topic_results[0].results_by_partition[0].partition_error_code)
        };
        if version == 4 {
            assert_eq!(one(&mut client, ask("id", true, "other")), Some(TransactionAbortable));
            assert_eq!(one(&mut client, ask("id", false, "other")), None);
        }
        assert_eq!(one(&mut client, ask("id", true, "other")), None);
    }
}

#[test]
fn a_write_outside_of_its_transaction_is_refused_in_the_words_of_its_version() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    let mut txn = Txn::init(&mut client, "id", Speaks::V1);
    let batch = txn.batch("t", 0, "v");
    for (version, code) in [(3, InvalidTxnState), (10, InvalidTxnState), (11, TransactionAbortable)] {
        assert_eq!(txn.produce_as(&mut client, version, "t", 0, batch.clone()), Err(code), "Produce {version}");
    }
    assert_eq!(txn.produce_as(&mut client, 12, "t", 0, batch.clone()), Ok(0), "it is added");
    assert_eq!(txn.produce_as(&mut client, 12, "t", 0, batch.clone()), Ok(0), "a retry is known");
    txn.end(&mut client, false);
    let anonymous = crate::support::everyday::produce_request("t", 0, -1, txn.batch("t", 0, "v"));
    let response = client.call(12, &anonymous);
    let code = error(response.responses[0].partition_responses[0].error_code);
    assert_eq!(code, Some(TransactionalIdAuthorizationFailed), "whose transaction?");
}

#[test]
fn offsets_of_a_transaction_count_when_it_commits() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    assert_eq!(patiently(|| client.commit("g", "t", 1).map_or(Ok(()), Err)), Ok(()));
    for (speaks, commits, after) in
        [(Speaks::V1, false, 1), (Speaks::V1, true, 50), (Speaks::V2, false, 50), (Speaks::V2, true, 50)]
    {
        let mut txn = Txn::init(&mut client, "id", speaks);
        if speaks == Speaks::V1 {
            for (version, code) in [(0, InvalidTxnState), (3, InvalidTxnState), (4, TransactionAbortable)] {
                assert_eq!(txn.commit_offset_as(&mut client, version, "g", "t", 50), Err(code), "not added, version {version}");
            }
        }
        assert_eq!(txn.commit_offset(&mut client, "g", "t", 50), Ok(()));
        assert_eq!(stable_offset(&mut client, "g", "t"), Err(UnstableOffsetCommit), "it is not decided yet");
        assert!(client.committed("g", "t").is_ok(), "who does not ask for that is told what was before");
        txn.end(&mut client, commits);
        assert_eq!(patiently(|| stable_offset(&mut client, "g", "t")), Ok(after));
    }
    let txn = Txn::init(&mut client, "other", Speaks::V2);
    assert_eq!(txn.commit_offset_as(&mut client, 5, "g", "none", 1), Err(UnknownTopicOrPartition));
}

/// Nobody would ever end their transaction.
#[test]
fn offsets_of_no_producer_are_refused_whether_transactions_are_verified_or_not() {
    for verifies in [true, false] {
        let setting = format!("transaction.partition.verification.enable={verifies}");
        let node = TestNode::start(&[NODE[0], NODE[1], &setting]);
        let mut client = node.connect();
        client.make_topic("t");
        assert_eq!(client.commit("g", "t", 1), None);
        let mut without_epoch = Txn::init(&mut client, "id", Speaks::V1);
        let mut without_id = without_epoch.clone();
        (without_id.producer_id, without_epoch.epoch) = (-1, -1);
        for version in [0, 3, 5] {
            let committed = without_id.commit_offset_as(&mut client, version, "g", "t", 50);
            assert_eq!(committed, Err(InvalidProducerIdMapping), "version {version}, verification: {verifies}");
            let committed = without_epoch.commit_offset_as(&mut client, version, "g", "t", 50);
            assert_eq!(committed, Err(InvalidProducerEpoch), "version {version}, verification: {verifies}");
        }
        assert_eq!(stable_offset(&mut client, "g", "t"), Ok(1));
    }
}

#[test]
fn a_reader_of_committed_records_sees_neither_open_nor_aborted_ones() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    client.make_topic("t");
    let mut expected = Vec::new();
    for round in 0..10 {
        let (mut one, mut two) = (Txn::init(&mut client, "one", Speaks::V1), Txn::init(&mut client, "two", Speaks::V2));
        one.send(&mut client, "t", 0, &format!("one {round}")).unwrap();
        client.produce("t", &[b"plain"]);
        two.send(&mut client, "t", 0, &format!("two {round}")).unwrap();
        let open = read_committed(&mut client, "t", 0);
        assert_eq!(open.values, expected, "nothing behind an open transaction");
        two.end(&mut client, round % 3 == 0);
        one.end(&mut client, round % 2 == 0);
        expected.extend((round % 2 == 0).then(|| format!("one {round}")));
        expected.push("plain".into());
        expected.extend((round % 3 == 0).then(|| format!("two {round}")));
        assert_eq!(read_settled(&mut client, "t", 0), expected);
    }
}
