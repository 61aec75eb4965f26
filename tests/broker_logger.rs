//! Levels of the log, asked for and changed by a client: `kafka-configs --entity-type broker-loggers`, `klamm config --broker-logger`.

#[allow(unused)]
mod support;
#[allow(unused)]
#[path = "cli/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;
use klamm::base::logging::{Levels, LogFormat, Logging};
use support::{Client, TestNode};
use terminal::Terminal;

const BROKER_LOGGER: i8 = 8;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const INVALID_REQUEST: i16 = 42;
const INVALID_CONFIG: i16 = 40;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn loggers(client: &mut Client, broker: &str) -> Result<BTreeMap<String, String>, i16> {
    let resource = DescribeConfigsResource::default().with_resource_type(BROKER_LOGGER).with_resource_name(text(broker));
    let resource = resource.with_configuration_keys(None);
    let response = client.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource]));
    let result = &response.results[0];
    match result.error_code {
        0 => Ok(result.configs.iter().map(|c| (c.name.to_string(), c.value.as_ref().unwrap().to_string())).collect()),
        code => Err(code),
    }
}

/// Alters several loggers in one request; the error code.
fn alter(client: &mut Client, broker: &str, changes: &[(i8, &str, &str)], validate_only: bool) -> i16 {
    let configs = changes.iter().map(|(operation, logger, level)| {
        let config = AlterableConfig::default().with_name(text(logger)).with_config_operation(*operation);
        config.with_value((*operation != DELETE).then(|| text(level)))
    });
    let resource = AlterConfigsResource::default().with_resource_type(BROKER_LOGGER).with_resource_name(text(broker));
    let resource = resource.with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
    client.call(1, &request).responses[0].error_code
}

#[test]
fn a_client_changes_levels_while_the_broker_runs() {
    let logging = Logging::start(Levels::default(), LogFormat::Human).unwrap();
    let node = TestNode::start_logged(&[], Some(logging));
    let client = &mut node.connect();
    let level = |client: &mut Client, logger: &str| loggers(client, "1").unwrap()[logger].clone();
    assert_eq!(level(client, "root"), "INFO");
    assert_eq!(level(client, "klamm.storage"), "INFO");

    assert_eq!(alter(client, "1", &[(SET, "klamm.storage", "DEBUG"), (SET, "root", "WARN")], true), 0);
    assert_eq!(level(client, "klamm.storage"), "INFO", "validating changes nothing");
    assert_eq!(alter(client, "1", &[(SET, "klamm.storage", "DEBUG"), (SET, "root", "WARN")], false), 0);
    assert_eq!(level(client, "klamm.storage"), "DEBUG");
    assert_eq!(level(client, "klamm.replica"), "WARN");
    assert_eq!(alter(client, "1", &[(DELETE, "klamm.storage", "")], false), 0);
    assert_eq!(level(client, "klamm.storage"), "WARN");

    for (changes, code) in [
        (&[(SET, "kafka.server.KafkaApis", "INFO")], INVALID_CONFIG),
        (&[(SET, "klamm.storage", "LOUD")], INVALID_CONFIG),
        (&[(DELETE, "root", "")], INVALID_REQUEST),
        (&[(APPEND, "klamm.storage", "INFO")], INVALID_REQUEST),
    ] {
        assert_eq!(alter(client, "1", changes, false), code, "{changes:?}");
    }
    assert_eq!(alter(client, "1", &[(SET, "klamm.api", "DEBUG"), (SET, "klamm.nothing", "DEBUG")], false), INVALID_CONFIG);
    assert_eq!(level(client, "klamm.api"), "WARN", "a request is taken whole or refused whole");
    assert_eq!(alter(client, "2", &[(SET, "klamm.api", "DEBUG")], false), INVALID_REQUEST);
    assert_eq!(loggers(client, "2"), Err(INVALID_REQUEST));

    let at = Terminal::at(&node);
    at.ok("config alter --broker-logger 1 --add-config klamm.coordinator=DEBUG");
    assert_eq!(level(client, "klamm.coordinator"), "DEBUG");
    let told = at.json("config describe --broker-logger 1 klamm.coordinator");
    assert_eq!((&told[0]["value"], &told[0]["source"]), (&"DEBUG".into(), &"DYNAMIC_BROKER_LOGGER_CONFIG".into()));
    at.ok("config alter --broker-logger 1 --delete-config klamm.coordinator");
    assert_eq!(level(client, "klamm.coordinator"), "WARN");
    at.fails(1, "config alter --broker-logger 1 --add-config klamm.coordinator=LOUD", &["INVALID_CONFIG", "LOUD"]);
    at.fails(1, "config describe --broker-logger 1 klamm.coordinater", &["did you mean klamm.coordinator?"]);
}
