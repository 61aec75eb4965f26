//! The cluster as its clients see it: brokers, log directories, quorum, features.

use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, DescribeClusterRequest, DescribeLogDirsRequest, DescribeQuorumRequest, UnregisterBrokerRequest,
    UpdateFeaturesRequest,
};
use klamm::base::ErrorCode;

use crate::support::everyday::{text, topic_name};
use crate::support::{Client, TestNode};
use crate::told::{code, outcome};

#[test]
fn the_cluster_is_described_in_every_version() {
    let node = TestNode::start(&["node.id=7", "broker.rack=r1"]);
    let mut client = node.connect();
    let image = node.node().broker().controller.image();
    for version in 0..=2 {
        let request = DescribeClusterRequest::default();
        let response = client.call(version, &request);
        assert_eq!((response.error_code, &*response.cluster_id), (0, &*image.cluster().unwrap().cluster_id));
        assert_eq!((response.controller_id, response.cluster_authorized_operations), (BrokerId(7), i32::MIN));
        let [broker] = &response.brokers[..] else { panic!("{response:?}") };
        assert_eq!((broker.broker_id, broker.rack.as_deref(), broker.is_fenced), (BrokerId(7), Some("r1"), false));
        assert_eq!(format!("{}:{}", &*broker.host, broker.port), node.address().to_string());
        let allowed = client.call(version, &request.with_include_cluster_authorized_operations(true));
        assert_eq!(allowed.cluster_authorized_operations, 0x1fa0);
    }
}

#[test]
fn only_endpoints_of_brokers_are_told() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    let controllers = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
    for (endpoint_type, expected) in [
        (1, "ok".to_owned()),
        (2, format!("MismatchedEndpointType: {controllers}")),
        (7, "UnsupportedEndpointType: Unsupported endpoint type 7".to_owned()),
    ] {
        for version in 1..=2 {
            let response = client.call(version, &DescribeClusterRequest::default().with_endpoint_type(endpoint_type));
            assert_eq!(outcome(response.error_code, &response.error_message), expected, "version {version}");
            assert_eq!(response.brokers.len(), usize::from(endpoint_type == 1));
        }
    }
}

#[test]
fn a_broker_that_is_unregistered_is_not_told_of_any_more() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    let unregister = |id: i32| UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
    for id in [77, -1] {
        let response = client.call(0, &unregister(id));
        let expected = format!("BrokerIdNotRegistered: Broker ID {id} is not currently registered");
        assert_eq!(outcome(response.error_code, &response.error_message), expected);
    }
    assert_eq!(client.call(0, &unregister(1)).error_code, 0);
    let response = client.call(2, &DescribeClusterRequest::default().with_include_fenced_brokers(true));
    assert_eq!((response.brokers.len(), response.controller_id), (0, BrokerId(-1)));
}

/// Partitions with their sizes, as `t-0 70`.
fn logs(result: &DescribeLogDirsResult) -> Vec<String> {
    let partitions = result.topics.iter().flat_map(|t| t.partitions.iter().map(move |p| (t, p)));
    partitions
        .map(|(topic, p)| {
            assert_eq!((p.offset_lag, p.is_future_key), (0, false));
            format!("{}-{} {}", &**topic.name, p.partition_index, p.partition_size)
        })
        .collect()
}

/// Log directories below that of the node, in the order of their configuration, with what they hold.
fn log_dirs(client: &mut Client, version: i16, asked: Option<&[(&str, &[i32])]>) -> Vec<DescribeLogDirsResult> {
    let topic = |(name, partitions): &(&str, &[i32])| {
        DescribableLogDirTopic::default().with_topic(topic_name(name)).with_partitions(partitions.to_vec())
    };
    let asked = asked.map(|topics| topics.iter().map(topic).collect());
    let response = client.call(version, &DescribeLogDirsRequest::default().with_topics(asked));
    assert_eq!(response.response.error_code, 0);
    assert!(!response.is_cordoned.contains(&true));
    response.response.results
}

#[test]
fn log_directories_tell_what_lies_in_them() {
    let node = TestNode::start(&["num.partitions=2"]);
    let mut client = node.connect();
    client.make_topic("t");
    client.make_topic("u");
    client.produce("t", &[b"hello"]);
    let size = std::fs::metadata(node.node().data_dirs()[0].join("t-0/00000000000000000000.log")).unwrap().len();
    assert!(size > 0);
    let t0 = format!("t-0 {size}");
    for version in 1..=5 {
        let [dir] = &log_dirs(&mut client, version, None)[..] else { panic!("one directory") };
        assert_eq!(*dir.log_dir, *node.node().data_dirs()[0].to_str().unwrap());
        assert_eq!((dir.error_code, logs(dir)), (0, vec![t0.clone(), "t-1 0".into(), "u-0 0".into(), "u-1 0".into()]));
        match version {
            4.. => assert!(dir.total_bytes > dir.usable_bytes && dir.usable_bytes > 0),
            _ => assert_eq!((dir.total_bytes, dir.usable_bytes), (-1, -1)),
        }
    }
    let some: &[(&str, &[i32])] = &[("t", &[0, 5]), ("nope", &[0]), ("u", &[])];
    for (asked, expected) in [(&[] as &[(&str, &[i32])], vec![]), (some, vec![t0])] {
        let [dir] = &log_dirs(&mut client, 5, Some(asked))[..] else { panic!("one directory") };
        assert_eq!(logs(dir), expected);
    }
}

#[test]
fn a_log_directory_that_cannot_be_used_is_told_as_offline() {
    // A file stands where the directory should be made.
    let node = TestNode::start(&["log.dirs={data}/a,/proc/version/b"]);
    let mut client = node.connect();
    client.make_topic("t");
    let dirs = log_dirs(&mut client, 5, None);
    let told: Vec<_> = dirs.iter().map(|d| (ErrorCode::try_from_code(d.error_code), logs(d).len(), d.total_bytes > 0)).collect();
    assert_eq!(told, [(None, 1, true), (Some(ErrorCode::KafkaStorageError), 0, false)]);
    assert_eq!(&*dirs[1].log_dir, "/proc/version/b");
}

#[test]
fn the_quorum_is_told_as_its_one_partition() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    let ask = |topics: &[(&str, &[i32])]| {
        let topic = |(name, partitions): &(&str, &[i32])| {
            let partitions = partitions.iter().map(|index| PartitionData::default().with_partition_index(*index));
            TopicData::default().with_topic_name(topic_name(name)).with_partitions(partitions.collect())
        };
        DescribeQuorumRequest::default().with_topics(topics.iter().map(topic).collect())
    };
    for version in 0..=2 {
        let response = client.call(version, &ask(&[("__cluster_metadata", &[0])]));
        let partition = &response.topics[0].partitions[0];
        assert_eq!((response.error_code, partition.error_code, partition.leader_id), (0, 0, BrokerId(1)));
        let [voter] = &partition.current_voters[..] else { panic!("{partition:?}") };
        assert_eq!((voter.replica_id, voter.log_end_offset >= partition.high_watermark), (BrokerId(1), true));
        assert_eq!((voter.last_fetch_timestamp > 0, voter.replica_directory_id.is_nil()), (version >= 1, version < 2));
        assert_eq!(response.nodes.len(), usize::from(version >= 2));
    }
    let unknown = "UnknownTopicOrPartition: This server does not host this topic-partition.";
    for (asked, expected) in [
        (&[("nope", &[0] as &[i32])] as &[(&str, &[i32])], vec![unknown]),
        (&[("__cluster_metadata", &[1])], vec![unknown]),
        (&[("__cluster_metadata", &[0, 1])], vec![unknown, unknown]),
        (&[("__cluster_metadata", &[0]), ("x", &[0])], vec![unknown, unknown]),
        (&[], vec![]),
    ] {
        let response = client.call(2, &ask(asked));
        let partitions = response.topics.iter().flat_map(|t| &t.partitions);
        let told: Vec<_> = partitions.map(|p| outcome(p.error_code, &p.error_message)).collect();
        assert_eq!((told, response.nodes.len()), (expected.iter().map(|s| s.to_string()).collect(), 0), "{asked:?}");
    }
}

const ELR: &str = "eligible.leader.replicas.version";

fn finalized(client: &mut Client, feature: &str) -> Option<i16> {
    let request = ApiVersionsRequest::default().with_client_software_name(text("t")).with_client_software_version(text("1"));
    let response = client.call(4, &request);
    response.finalized_features.iter().find(|f| &*f.name == feature).map(|f| f.max_version_level)
}

fn update(changes: &[(&str, i16, i8)]) -> UpdateFeaturesRequest {
    let change = |(name, level, kind): &(&str, i16, i8)| {
        FeatureUpdateKey::default().with_feature(text(name)).with_max_version_level(*level).with_upgrade_type(*kind)
    };
    UpdateFeaturesRequest::default().with_feature_updates(changes.iter().map(change).collect())
}

#[test]
fn features_are_updated_all_or_none_and_the_next_request_sees_it() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    assert_eq!(finalized(&mut client, ELR), Some(1));
    let failed = "InvalidUpdateVersion: The update failed for all features since the following feature had an error: Invalid update version";
    for (changes, expected) in [
        (&[] as &[(&str, i16, i8)], "ok".to_owned()),
        (&[("nope", 1, 1)], format!("{failed} 1 for feature nope. Local controller 1 does not support this feature.")),
        (
            &[(ELR, 0, 2), ("nope", 1, 1)],
            format!("{failed} 1 for feature nope. Local controller 1 does not support this feature."),
        ),
        (
            &[(ELR, 0, 1)],
            format!(
                "{failed} 0 for feature {ELR}. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
            ),
        ),
        (&[(ELR, 9, 1)], format!("{failed} 9 for feature {ELR}. Local controller 1 only supports versions 0-1")),
        (&[(ELR, 1, 9)], format!("{failed} 1 for feature {ELR}. The controller does not support the given upgrade type.")),
    ] {
        for version in 1..=2 {
            let response = client.call(version, &update(changes));
            assert_eq!(outcome(response.error_code, &response.error_message), expected, "{changes:?} version {version}");
            assert_eq!(finalized(&mut client, ELR), Some(1), "{changes:?} version {version}");
        }
    }
    assert_eq!(code(client.call(2, &update(&[(ELR, 0, 2)]).with_validate_only(true)).error_code), "ok");
    assert_eq!(finalized(&mut client, ELR), Some(1));
    // Version 0 knows one kind of downgrade only.
    let mut request = update(&[(ELR, 0, 1)]);
    request.feature_updates[0].allow_downgrade = true;
    let response = client.call(0, &request);
    assert_eq!((code(response.error_code).as_str(), response.results.len()), ("ok", 1));
    assert_eq!(finalized(&mut client, ELR), None);
    assert_eq!(client.call(2, &update(&[(ELR, 1, 1)])).results, []);
    assert_eq!(finalized(&mut client, ELR), Some(1));
}
