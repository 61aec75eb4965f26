//! Configuration over the wire: described, altered, listed; and what is set is in force when the answer is there.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource as Replaced, AlterableConfig as ReplacedConfig};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use kafka_protocol::protocol::StrBytes;
use klamm::base::ErrorCode;
use klamm::metadata::ResourceType;

use crate::support::everyday::{batch, text, topic_name};
use crate::support::{Client, TestNode};
use crate::told::outcome;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// A resource by type and name.
type Resource<'a> = (i8, &'a str);
/// Keys, and the values they are to have.
type Pairs<'a> = &'a [(&'a str, Option<&'a str>)];

fn create_topic(client: &mut Client, name: &str) {
    let topic = CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(1).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    assert_eq!(client.call(7, &request).topics[0].error_code, 0);
}

/// IncrementalAlterConfigs on one resource.
fn alter(client: &mut Client, (kind, name): Resource, changes: &[(&str, i8, Option<&str>)], validate_only: bool) -> String {
    let configs = changes.iter().map(|(key, operation, value)| {
        AlterableConfig::default().with_name(text(key)).with_config_operation(*operation).with_value(value.map(text))
    });
    let resource =
        AlterConfigsResource::default().with_resource_type(kind).with_resource_name(text(name)).with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
    let response = client.call(1, &request);
    let [result] = &response.responses[..] else { panic!("{response:?}") };
    assert_eq!((result.resource_type, &*result.resource_name), (kind, name));
    outcome(result.error_code, &result.error_message)
}

/// AlterConfigs on one resource.
fn replace(client: &mut Client, version: i16, (kind, name): Resource, configs: Pairs) -> String {
    let configs = configs.iter().map(|(key, value)| ReplacedConfig::default().with_name(text(key)).with_value(value.map(text)));
    let resource = Replaced::default().with_resource_type(kind).with_resource_name(text(name)).with_configs(configs.collect());
    let response = client.call(version, &AlterConfigsRequest::default().with_resources(vec![resource]));
    let [result] = &response.responses[..] else { panic!("{response:?}") };
    outcome(result.error_code, &result.error_message)
}

fn describe_request((kind, name): Resource, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let resource =
        DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name)).with_configuration_keys(keys);
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

fn describe(client: &mut Client, resource: Resource, keys: Option<&[&str]>) -> DescribeConfigsResult {
    client.call(4, &describe_request(resource, keys)).results.remove(0)
}

/// The value of one key, and the number of its source: `5 1`.
fn value(client: &mut Client, resource: Resource, key: &str) -> String {
    let result = describe(client, resource, Some(&[key]));
    let [config] = &result.configs[..] else { return "absent".into() };
    format!("{} {}", config.value.as_deref().unwrap_or("null"), config.config_source)
}

#[test]
fn resources_that_cannot_be_described_are_refused_as_kafka_does() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    let malformed = "InvalidRequest: This most likely occurs because of a request being malformed by the client library or the \
                     message was sent to an incompatible broker. See the broker logs for more details.";
    for (resource, expected) in [
        ((TOPIC, "nope"), "UnknownTopicOrPartition"),
        ((TOPIC, ""), "InvalidTopicException: Topic name is invalid: the empty string is not allowed"),
        (
            (TOPIC, "b ad"),
            "InvalidTopicException: Topic name is invalid: 'b ad' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        ((BROKER, "2"), "InvalidRequest: Unexpected broker id, expected 1 or empty string, but received 2"),
        ((BROKER, "x"), "InvalidRequest: Broker id must be an integer, but it is: x"),
        ((GROUP, ""), "InvalidRequest: Group name must not be empty"),
        ((CLIENT_METRICS, ""), "InvalidRequest: Client metrics subscription name must not be empty"),
        ((LOGGER, "2"), "InvalidRequest: Unexpected broker id, expected 1 but received 2"),
        ((LOGGER, ""), "InvalidRequest: Broker id must not be empty"),
        ((99, "x"), malformed),
        ((0, "x"), malformed),
    ] {
        for version in 1..=4 {
            let result = client.call(version, &describe_request(resource, None)).results.remove(0);
            assert_eq!(outcome(result.error_code, &result.error_message), expected, "{resource:?} version {version}");
            assert_eq!((result.resource_type, &*result.resource_name, result.configs.len()), (resource.0, resource.1, 0));
        }
    }
}

#[test]
fn one_resource_of_an_unknown_type_spoils_the_request() {
    let node = TestNode::start(&[]);
    let mut request = describe_request((BROKER, "1"), None);
    request.resources.extend(describe_request((99, "x"), None).resources);
    let results = node.connect().call(4, &request).results;
    let told: Vec<_> =
        results.iter().map(|r| (r.resource_type, ErrorCode::try_from_code(r.error_code), r.configs.len())).collect();
    assert_eq!(told, [(BROKER, Some(ErrorCode::InvalidRequest), 0), (99, Some(ErrorCode::InvalidRequest), 0)]);
}

#[test]
fn a_resource_asked_for_twice_is_told_once() {
    let node = TestNode::start(&[]);
    let mut request = describe_request((BROKER, "1"), None);
    request.resources.extend(describe_request((BROKER, ""), None).resources);
    request.resources.extend(describe_request((BROKER, "1"), None).resources);
    let results = node.connect().call(4, &request).results;
    assert_eq!(results.iter().map(|r| &*r.resource_name).collect::<Vec<_>>(), ["1", ""]);
}

#[test]
fn every_version_describes_as_much_as_it_can_say() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    create_topic(&mut client, "t");
    assert_eq!(alter(&mut client, (TOPIC, "t"), &[("retention.ms", SET, Some("5000"))], false), "ok");
    let told = |documentation: &Option<StrBytes>| documentation.as_deref().is_some_and(|text| !text.is_empty());
    for version in 1..=4 {
        let request = describe_request((TOPIC, "t"), Some(&["retention.ms", "no.such.key"]));
        let bare = client.call(version, &request).results.remove(0);
        let [config] = &bare.configs[..] else { panic!("version {version}: {bare:?}") };
        assert_eq!((&*config.name, config.value.as_deref(), config.config_source), ("retention.ms", Some("5000"), 1));
        assert_eq!((config.synonyms.len(), config.read_only, config.is_sensitive), (0, false, false));
        assert_eq!((config.config_type, told(&config.documentation)), (if version >= 3 { 5 } else { 0 }, false));
        let request = request.with_include_synonyms(true).with_include_documentation(version >= 3);
        let full = client.call(version, &request).results.remove(0);
        let synonyms: Vec<_> = full.configs[0].synonyms.iter().map(|s| (&*s.name, s.source)).collect();
        assert_eq!(synonyms, [("retention.ms", 1), ("log.retention.hours", 5)], "version {version}");
        assert_eq!(told(&full.configs[0].documentation), version >= 3, "version {version}");
    }
    for (resource, least) in [((TOPIC, "t"), 30), ((BROKER, "1"), 80), ((GROUP, "g"), 0)] {
        for keys in [None, Some(&[] as &[&str])] {
            assert!(describe(&mut client, resource, keys).configs.len() >= least, "{resource:?} {keys:?}");
        }
    }
}

#[test]
fn every_operation_does_what_it_says_and_the_next_request_sees_it() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    create_topic(&mut client, "t");
    let not_a_list = "InvalidConfig: Can't APPEND to key retention.ms because its type is not LIST.";
    for (key, operation, given, expected, then) in [
        ("retention.ms", SET, Some("5000"), "ok", "5000 1"),
        ("retention.ms", APPEND, Some("1"), not_a_list, "5000 1"),
        ("retention.ms", DELETE, None, "ok", "604800000 5"),
        ("retention.ms", DELETE, None, "ok", "604800000 5"),
        ("retention.ms", SET, None, "InvalidRequest: Null value not supported for : retention.ms", "604800000 5"),
        (
            "retention.ms",
            SET,
            Some("abc"),
            "InvalidConfig: Invalid value abc for configuration retention.ms: Not a number of type LONG",
            "604800000 5",
        ),
        ("cleanup.policy", APPEND, Some("compact"), "ok", "delete,compact 1"),
        ("cleanup.policy", APPEND, Some("compact"), "ok", "delete,compact 1"),
        ("cleanup.policy", SUBTRACT, Some("delete"), "ok", "compact 1"),
        ("cleanup.policy", 9, Some("delete"), "InvalidRequest: Unknown operations type 9", "compact 1"),
        ("a.b", DELETE, None, "ok", "absent"),
        ("a.b", SET, Some("1"), "InvalidConfig: Unknown topic config name: a.b", "absent"),
    ] {
        let change = (key, operation, given);
        if expected == "ok" {
            let before = value(&mut client, (TOPIC, "t"), key);
            assert_eq!(alter(&mut client, (TOPIC, "t"), &[change], true), "ok", "{change:?}");
            assert_eq!(value(&mut client, (TOPIC, "t"), key), before, "validated only: {change:?}");
        }
        assert_eq!(alter(&mut client, (TOPIC, "t"), &[change], false), expected, "{change:?}");
        assert_eq!(value(&mut client, (TOPIC, "t"), key), then, "{change:?}");
    }
    let one_wrong = [("retention.ms", SET, Some("1")), ("retention.bytes", SET, Some("x"))];
    assert!(alter(&mut client, (TOPIC, "t"), &one_wrong, false).starts_with("InvalidConfig"));
    assert_eq!(value(&mut client, (TOPIC, "t"), "retention.ms"), "604800000 5", "a resource is changed whole or not at all");
}

#[test]
fn resources_that_cannot_be_altered_are_refused_as_kafka_does() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    create_topic(&mut client, "t");
    let duplicate = [("retention.ms", Some("1")), ("retention.ms", Some("2"))];
    let cases: Vec<(Resource, Pairs, &str)> = vec![
        ((TOPIC, "nope"), &[], "UnknownTopicOrPartition: The topic 'nope' does not exist."),
        ((TOPIC, ""), &[], "InvalidRequest: Default topic resources are not allowed."),
        ((BROKER, "9"), &[], "InvalidRequest: Unexpected broker id, expected 1, but received 9"),
        ((BROKER, "x"), &[], "InvalidRequest: Node id must be an integer, but it is: x"),
        ((BROKER, "1"), &[("node.id", Some("5"))], "InvalidRequest: Cannot update these configs dynamically: [node.id]"),
        ((BROKER, ""), &[("node.id", Some("5"))], "InvalidRequest: Cannot update these configs dynamically: [node.id]"),
        (
            (BROKER, "1"),
            &[("log.retention.ms", Some("x"))],
            "InvalidRequest: Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        ),
        ((GROUP, ""), &[], "InvalidRequest: Default group resources are not allowed."),
        (
            (GROUP, "g"),
            &[("consumer.session.timeout.ms", Some("50000"))],
            "InvalidConfig: Unknown group config name: consumer.session.timeout.ms; klamm has no consumer groups of the newer protocol \
             (KIP-848) yet",
        ),
        ((CLIENT_METRICS, "m"), &[("interval.ms", Some("1000"))], "InvalidRequest: Unknown resource type 16"),
        ((99, "x"), &[], "InvalidRequest: Unknown resource type 99"),
        ((TOPIC, "t"), &duplicate, "InvalidRequest: Error due to duplicate config keys"),
        ((TOPIC, "t"), &[("retention.ms", None)], "InvalidRequest: Null value not supported for : retention.ms"),
    ];
    for (resource, configs, expected) in cases {
        for version in 0..=2 {
            let told = replace(&mut client, version, resource, configs);
            assert_eq!(told, expected, "AlterConfigs {resource:?} {configs:?} version {version}");
        }
        let changes: Vec<_> = configs.iter().map(|(key, value)| (*key, SET, *value)).collect();
        assert_eq!(alter(&mut client, resource, &changes, false), expected, "{resource:?} {configs:?}");
    }
}

#[test]
fn a_request_is_answered_resource_by_resource_in_its_order() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    create_topic(&mut client, "t");
    let of = |(kind, name): Resource| {
        let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("7")));
        AlterConfigsResource::default().with_resource_type(kind).with_resource_name(text(name)).with_configs(vec![config])
    };
    let asked = [(BROKER, "9"), (TOPIC, "t"), (TOPIC, "a"), (99, "x"), (TOPIC, "a")];
    for version in 0..=1 {
        let request = IncrementalAlterConfigsRequest::default().with_resources(asked.map(of).to_vec());
        let response = client.call(version, &request);
        let told: Vec<_> = response
            .responses
            .iter()
            .map(|r| format!("{} {} {}", r.resource_type, &*r.resource_name, outcome(r.error_code, &r.error_message)))
            .collect();
        assert_eq!(
            told,
            [
                "4 9 InvalidRequest: Unexpected broker id, expected 1, but received 9",
                "2 t ok",
                "2 a InvalidRequest: Each resource must appear at most once.",
                "99 x InvalidRequest: Unknown resource type 99",
                "2 a InvalidRequest: Each resource must appear at most once.",
            ]
        );
    }
    assert_eq!(value(&mut client, (TOPIC, "t"), "retention.ms"), "7 1");
}

#[test]
fn alter_configs_replaces_what_it_does_not_name() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    create_topic(&mut client, "t");
    for version in 0..=2 {
        assert_eq!(
            replace(&mut client, version, (TOPIC, "t"), &[("retention.ms", Some("5")), ("retention.bytes", Some("6"))]),
            "ok"
        );
        assert_eq!(value(&mut client, (TOPIC, "t"), "retention.bytes"), "6 1");
        assert_eq!(replace(&mut client, version, (TOPIC, "t"), &[("retention.ms", Some("7"))]), "ok");
        assert_eq!(value(&mut client, (TOPIC, "t"), "retention.ms"), "7 1");
        assert_eq!(value(&mut client, (TOPIC, "t"), "retention.bytes"), "-1 5");
    }
}

#[test]
fn a_limit_that_is_set_is_in_force_when_the_answer_is_there() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    for name in ["t", "own"] {
        create_topic(&mut client, name);
    }
    let record = vec![b'x'; 4_000];
    let produce = |client: &mut Client, topic: &str| client.try_produce(topic, 0, -1, batch(&[&record])).map(drop);
    let too_large = Err(ErrorCode::MessageTooLarge);
    assert_eq!(produce(&mut client, "t"), Ok(()));
    assert_eq!(alter(&mut client, (BROKER, ""), &[("message.max.bytes", SET, Some("1000"))], false), "ok");
    assert_eq!(produce(&mut client, "t"), too_large, "by the default of all brokers");
    assert_eq!(alter(&mut client, (TOPIC, "own"), &[("max.message.bytes", SET, Some("9000"))], false), "ok");
    assert_eq!(produce(&mut client, "own"), Ok(()), "by the topic's own value");
    assert_eq!(alter(&mut client, (BROKER, "1"), &[("message.max.bytes", SET, Some("5000"))], false), "ok");
    assert_eq!(produce(&mut client, "t"), Ok(()), "by this broker's value");
    assert_eq!(value(&mut client, (TOPIC, "t"), "max.message.bytes"), "5000 2");
    assert_eq!(alter(&mut client, (BROKER, "1"), &[("message.max.bytes", DELETE, None)], false), "ok");
    assert_eq!(produce(&mut client, "t"), too_large);
    assert_eq!(value(&mut client, (BROKER, "1"), "message.max.bytes"), "1000 3");
    assert_eq!(alter(&mut client, (TOPIC, "own"), &[("max.message.bytes", SET, Some("100"))], false), "ok");
    assert_eq!(produce(&mut client, "own"), too_large);
}

#[test]
fn connections_are_bounded_by_what_is_in_force() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    let is_served = || node.connect().try_call(0, &ApiVersionsRequest::default()).is_ok();
    assert!(is_served());
    assert_eq!(alter(&mut client, (BROKER, "1"), &[("max.connections.per.ip", SET, Some("1"))], false), "ok");
    // The bounds follow in a task of their own, and so does the end of the connection before.
    wait_until("the second connection is refused", || !is_served());
    assert_eq!(alter(&mut client, (BROKER, "1"), &[("max.connections.per.ip", DELETE, None)], false), "ok");
    wait_until("connections are taken again", is_served);
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_can_be_configured_is_listed() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    create_topic(&mut client, "t");
    let listed = |response: ListConfigResourcesResponse| -> Vec<(i8, String)> {
        assert_eq!(response.error_code, 0);
        response.config_resources.iter().map(|r| (r.resource_type, r.resource_name.to_string())).collect()
    };
    let of = |types: &[i8]| ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
    let resource = |kind: ResourceType, name: &str| (kind as i8, name.to_owned());
    let topic = resource(ResourceType::Topic, "t");
    let broker = resource(ResourceType::Broker, "1");
    let logger = resource(ResourceType::BrokerLogger, "1");
    assert_eq!(listed(client.call(1, &of(&[]))), [topic.clone(), broker, logger.clone()]);
    assert_eq!(listed(client.call(1, &of(&[GROUP, TOPIC, GROUP]))), [topic]);
    assert_eq!(listed(client.call(1, &of(&[CLIENT_METRICS, LOGGER]))), [logger]);
    assert_eq!(listed(client.call(0, &of(&[]))), []);
    let unknown = client.call(1, &of(&[TOPIC, 99]));
    assert_eq!(
        (ErrorCode::try_from_code(unknown.error_code), unknown.config_resources.len()),
        (Some(ErrorCode::UnsupportedVersion), 0)
    );
}
