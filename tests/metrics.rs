//! What a running broker exports is what `docs/metrics.md` says, and counts what happened.

#[allow(unused)]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use klamm::base::logging::{Levels, LogFormat, Logging};
use klamm::record::builder::BatchBuilder;
use klamm::record::compression::Codec;
use support::TestNode;

const TOPIC: &str = "orders";

fn get(address: SocketAddr, path: &str, accept: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Samples by name with labels, and the kinds of families by name.
struct Scrape {
    samples: BTreeMap<String, f64>,
    families: BTreeMap<String, String>,
}

impl Scrape {
    fn of(node: &TestNode) -> Self {
        let (status, text) = get(node.node().http().unwrap(), "/metrics", "text/plain");
        assert_eq!(status, 200, "{text}");
        let mut scrape = Scrape { samples: BTreeMap::new(), families: BTreeMap::new() };
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(scrape.families.insert(name.into(), kind.into()).is_none(), "{name} comes twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(scrape.samples.insert(series.into(), value.parse().unwrap()).is_none(), "{series} comes twice");
            }
        }
        scrape
    }

    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("{series} is missing in {:#?}", self.samples.keys()))
    }
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// One request of each kind that moves something: three records in and out, a refusal, a group that read one record.
fn use_broker(node: &TestNode) -> usize {
    let mut client = node.connect();
    let topic = CreatableTopic::default().with_name(text(TOPIC).into()).with_num_partitions(2).with_replication_factor(1);
    let created = client.call(5, &CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000));
    assert_eq!(created.topics[0].error_code, 0);

    let mut batch = BatchBuilder::new(Codec::None);
    for value in ["a", "b", "c"] {
        batch.push_plain(1_700_000_000_000, None, Some(value.as_bytes()));
    }
    let records: Bytes = batch.build();
    let size = records.len();
    let produce = |topic: &'static str, index| {
        let data = PartitionProduceData::default().with_index(index).with_records(Some(records.clone()));
        let topic = TopicProduceData::default().with_name(text(topic).into()).with_partition_data(vec![data]);
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
    };
    let code = |response: ProduceResponse| response.responses[0].partition_responses[0].error_code;
    assert_eq!(code(client.call(9, &produce(TOPIC, 0))), 0);
    assert_eq!(code(client.call(9, &produce(TOPIC, 7))), 3);
    assert_eq!(code(client.call(9, &produce("nothing", 0))), 3);

    let partition = FetchPartition::default().with_partition(0).with_fetch_offset(0).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(text(TOPIC).into()).with_partitions(vec![partition]);
    let fetch =
        FetchRequest::default().with_replica_id(BrokerId(-1)).with_max_bytes(1 << 20).with_min_bytes(1).with_max_wait_ms(1000);
    let fetched = client.call(11, &fetch.with_session_epoch(-1).with_topics(vec![topic]));
    assert_eq!(fetched.responses[0].partitions[0].records.as_ref().unwrap().len(), size);

    let committed = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default().with_name(text(TOPIC).into()).with_partitions(vec![committed]);
    let commit = OffsetCommitRequest::default().with_group_id(text("billing").into()).with_generation_id_or_member_epoch(-1);
    let commit = commit.with_topics(vec![topic]);
    // The coordinator's topic is made when it is asked for, and its shard loads.
    loop {
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("billing")]);
        let found = client.call(4, &find).coordinators[0].error_code;
        if found == 0 && client.call(8, &commit).topics[0].partitions[0].error_code == 0 {
            return size;
        }
    }
}

/// Names in the tables of the page.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let names = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

#[test]
fn what_is_documented_is_exported_and_the_reverse() {
    let logging = Logging::start(Levels::default(), LogFormat::Human).unwrap();
    let node = TestNode::start_logged(&["http.listener=127.0.0.1:0"], Some(logging));
    use_broker(&node);
    let exported: BTreeSet<String> = Scrape::of(&node).families.into_keys().collect();
    let documented = documented();
    let missing: Vec<_> = documented.difference(&exported).collect();
    assert!(missing.is_empty(), "documented and not exported: {missing:#?}");
    // Quantiles have a second family, which the page's introduction explains.
    let of_quantiles = |name: &String| name.strip_suffix("_count").is_some_and(|base| documented.contains(base));
    let unknown: Vec<_> = exported.difference(&documented).filter(|name| !of_quantiles(name)).collect();
    assert!(unknown.is_empty(), "exported and not documented: {unknown:#?}");
}

#[test]
fn what_happened_is_counted() {
    let node = TestNode::start(&["http.listener=127.0.0.1:0", "http.metrics.per.partition=true"]);
    let size = use_broker(&node) as f64;
    let scrape = Scrape::of(&node);
    for (series, expected) in [
        (r#"kafka_network_requestmetrics_requests_total{request="Produce",version="9"}"#, 3.0),
        (r#"kafka_network_requestmetrics_errors_total{request="Produce",error="UNKNOWN_TOPIC_OR_PARTITION"}"#, 2.0),
        (r#"kafka_network_requestmetrics_errors_total{request="Fetch",error="NONE"}"#, 1.0),
        (r#"kafka_network_requestmetrics_totaltimems_count{request="CreateTopics"}"#, 1.0),
        (r#"kafka_server_brokertopicmetrics_messagesin_total{topic="orders"}"#, 3.0),
        (r#"kafka_server_brokertopicmetrics_bytesin_total{topic="orders"}"#, size),
        (r#"kafka_server_brokertopicmetrics_bytesout_total{topic="orders"}"#, size),
        (r#"kafka_server_brokertopicmetrics_failedproducerequests_total{topic="orders"}"#, 1.0),
        ("kafka_server_brokertopicmetrics_failedproducerequests_total", 2.0),
        (r#"kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}"#, 0.0),
        (r#"kafka_server_socket_server_metrics_connection_creation_total{listener="PLAINTEXT"}"#, 1.0),
        (r#"kafka_log_log_logendoffset{topic="orders",partition="0"}"#, 3.0),
        (r#"kafka_log_log_size{topic="orders",partition="0"}"#, size),
        (r#"kafka_log_log_size{topic="orders",partition="1"}"#, 0.0),
        (r#"kafka_consumergroup_current_offset{consumergroup="billing",topic="orders",partition="0"}"#, 1.0),
        (r#"kafka_consumergroup_lag{consumergroup="billing",topic="orders",partition="0"}"#, 2.0),
        (r#"klamm_consumergroup_max_lag{consumergroup="billing",topic="orders"}"#, 2.0),
        ("kafka_coordinator_group_groupmetadatamanager_numgroups", 1.0),
        ("kafka_server_group_coordinator_metrics_offset_commit_total", 1.0),
        ("kafka_controller_kafkacontroller_activecontrollercount", 1.0),
        ("kafka_controller_kafkacontroller_globaltopiccount", 2.0),
        ("kafka_controller_kafkacontroller_offlinepartitionscount", 0.0),
        ("kafka_server_kafkaserver_brokerstate", 3.0),
        ("kafka_server_replicamanager_partitioncount", 52.0),
        ("kafka_network_socketserver_memorypoolused", 0.0),
    ] {
        // The connection of the requests above may not be seen as closed yet.
        if series.contains("connection_count") {
            assert!(scrape.value(series) <= 1.0);
            continue;
        }
        assert_eq!(scrape.value(series), expected, "{series}");
    }
    assert!(scrape.value(r#"kafka_network_requestmetrics_totaltimems{request="Produce",quantile="0.99"}"#) > 0.0);
    assert!(scrape.value(r#"klamm_request_bytes_total{request="Produce"}"#) > 3.0 * size);
    // acks=all of a topic with one replica waits for the disk.
    assert!(scrape.value("kafka_log_logflushstats_logflushrateandtimems_count") >= 1.0);
}

#[test]
fn a_broker_is_ready_once_it_serves() {
    let node = TestNode::start(&["http.listener=127.0.0.1:0"]);
    let address = node.node().http().unwrap();
    let (status, text) = get(address, "/readyz", "text/plain");
    assert_eq!(status, 200, "{text}");
    let directory = format!("log directory {} ok", node.node().data_dirs()[0].display());
    assert!(text.contains("unfenced ok") && text.contains(&directory), "{text}");
    assert_eq!(get(address, "/healthz", "application/json"), (200, r#"{"alive":true}"#.into()));
}
