//! Outcomes of both ways to alter configurations.

use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as ReplaceResource, AlterableConfig as ReplaceConfig,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};

use super::*;
use crate::controller::testing::{World, text, told};

fn world() -> World {
    let mut world = World::new(&[1, 2]);
    world.create_on("t", &[&[1, 2]]);
    world.set(ResourceType::Topic, "t", "retention.ms", "5");
    world.set(ResourceType::Topic, "t", "cleanup.policy", "delete");
    world
}

/// Operations as `key=value`, `-key`, `key+=value`, `key-=value`.
fn resource(kind: i8, name: &str, operations: &str) -> AlterConfigsResource {
    let operation = |word: &str| {
        let (op, key, value) = match word.split_once('=') {
            Some((key, value)) => match (key.strip_suffix('+'), key.strip_suffix('-')) {
                (Some(key), _) => (2, key, Some(value)),
                (_, Some(key)) => (3, key, Some(value)),
                _ => (0, key, Some(value)),
            },
            None => (1, word.strip_prefix('-').unwrap(), None),
        };
        AlterableConfig::default().with_name(text(key)).with_config_operation(op).with_value(value.map(text))
    };
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(operations.split_whitespace().map(operation).collect())
}

/// What is set on a resource, as `key=value`.
fn set(world: &World, kind: i8, name: &str) -> String {
    let map = world.image.configs().get(ResourceType::from_code(kind).unwrap(), name);
    map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn operations_change_what_they_name() {
    for (kind, name, operations, expected, now) in [
        (2, "t", "retention.ms=7", "0", "cleanup.policy=delete retention.ms=7"),
        (2, "t", "-retention.ms flush.ms=9", "0", "cleanup.policy=delete flush.ms=9"),
        (2, "t", "cleanup.policy+=compact", "0", "cleanup.policy=delete,compact retention.ms=5"),
        (
            2,
            "t",
            "cleanup.policy-=delete cleanup.policy+=compact",
            "42: Error due to duplicate config keys",
            "cleanup.policy=delete retention.ms=5",
        ),
        (
            2,
            "t",
            "retention.ms+=1",
            "40: Can't APPEND to key retention.ms because its type is not LIST.",
            "cleanup.policy=delete retention.ms=5",
        ),
        (
            2,
            "t",
            "retention.ms=x",
            "40: Invalid value x for configuration retention.ms: Not a number of type LONG",
            "cleanup.policy=delete retention.ms=5",
        ),
        (2, "", "retention.ms=7", "42: Default topic resources are not allowed.", ""),
        (
            2,
            "a b",
            "retention.ms=7",
            "17: Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            "",
        ),
        (2, "nix", "retention.ms=7", "3: The topic 'nix' does not exist.", ""),
        (4, "1", "log.retention.ms=7", "0", "log.retention.ms=7"),
        (4, "2", "log.retention.ms=7", "0", "log.retention.ms=7"),
        (4, "9", "log.retention.ms=7", "102: No node with id 9 found.", ""),
        (4, "x", "log.retention.ms=7", "42: Unable to parse broker name as a base 10 number.", ""),
        (4, "-1", "log.retention.ms=7", "42: Invalid negative broker ID.", ""),
        (4, "", "log.retention.ms=7", "0", "log.retention.ms=7 min.insync.replicas=1"),
        (4, "1", "min.insync.replicas=2", "40: Broker-level min.insync.replicas cannot be altered while ELR is enabled.", ""),
        (
            4,
            "",
            "-min.insync.replicas",
            "40: Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
            "min.insync.replicas=1",
        ),
        (4, "", "min.insync.replicas=2", "0", "min.insync.replicas=2"),
        (32, "", "consumer.session.timeout.ms=50000", "42: Default group resources are not allowed.", ""),
    ] {
        let mut world = world();
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource(kind, name, operations)]);
        let decision = world.controller.incremental_alter_configs(&world.image, &request).unwrap();
        let result = world.take(decision).responses.remove(0);
        assert_eq!(told(result.error_code, &result.error_message), expected, "{kind} {name} {operations}");
        assert_eq!((result.resource_type, &*result.resource_name), (kind, name));
        assert_eq!(set(&world, kind, name), now, "{kind} {name} {operations}");
    }
}

#[test]
fn resources_that_are_none_are_refused() {
    let mut world = world();
    let resources = vec![resource(99, "x", "a=b"), resource(8, "1", "root=DEBUG")];
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
    let results = world.controller.incremental_alter_configs(&world.image, &request).unwrap().response.responses;
    let told: Vec<String> = results.iter().map(|r| told(r.error_code, &r.error_message)).collect();
    assert_eq!(told, ["35: Unknown resource type 99.", "42: Unknown resource type 8"]);
}

#[test]
fn what_is_unchanged_writes_nothing_and_validate_only_neither() {
    let mut world = world();
    for (operations, validate_only) in [("retention.ms=5 -flush.ms cleanup.policy+=delete", false), ("retention.ms=6", true)] {
        let resources = vec![resource(2, "t", operations)];
        let request = IncrementalAlterConfigsRequest::default().with_resources(resources).with_validate_only(validate_only);
        let decision = world.controller.incremental_alter_configs(&world.image, &request).unwrap();
        assert_eq!((decision.response.responses[0].error_code, decision.records), (0, vec![]), "{operations}");
    }
}

#[test]
fn resources_fail_one_by_one_and_one_named_twice_is_told_once() {
    let mut world = world();
    let resources = vec![
        resource(2, "t", "retention.ms=7"),
        resource(4, "", "log.retention.ms=8"),
        resource(2, "nix", "retention.ms=7"),
        resource(2, "t", "retention.ms=9"),
    ];
    let decision = world
        .controller
        .incremental_alter_configs(&world.image, &IncrementalAlterConfigsRequest::default().with_resources(resources))
        .unwrap();
    let results = world.take(decision).responses;
    let told: Vec<String> =
        results.iter().map(|r| format!("{} {}", &*r.resource_name, told(r.error_code, &r.error_message))).collect();
    assert_eq!(told, ["t 42: Duplicate resource.", " 0", "nix 3: The topic 'nix' does not exist."]);
    assert_eq!(set(&world, 2, "t"), "cleanup.policy=delete retention.ms=5");
}

#[test]
fn the_old_request_replaces_all() {
    let mut world = world();
    let configs = vec![ReplaceConfig::default().with_name(text("retention.ms")).with_value(Some(text("7")))];
    let resources = vec![ReplaceResource::default().with_resource_type(2).with_resource_name(text("t")).with_configs(configs)];
    let decision =
        world.controller.alter_configs(&world.image, &AlterConfigsRequest::default().with_resources(resources)).unwrap();
    assert_eq!(world.take(decision).responses[0].error_code, 0);
    assert_eq!(set(&world, 2, "t"), "retention.ms=7");
}

#[test]
fn a_value_of_a_broker_counts_for_decisions_at_once() {
    let mut world = world();
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource(4, "", "min.insync.replicas=2")]);
    let decision = world.controller.incremental_alter_configs(&world.image, &request).unwrap();
    world.take(decision);
    world.beat(2, true, false);
    assert_eq!(world.state("t", 0), "1@0 [1] [2]/[] 1", "the ISR is below the minimum, so whoever left it is remembered");
}

#[test]
fn changing_min_insync_replicas_empties_the_elr() {
    let mut world = world();
    world.set(ResourceType::Topic, "t", "min.insync.replicas", "2");
    world.beat(2, true, false);
    assert_eq!(world.state("t", 0), "1@0 [1] [2]/[] 1");
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource(2, "t", "min.insync.replicas=1")]);
    let decision = world.controller.incremental_alter_configs(&world.image, &request).unwrap();
    world.take(decision);
    assert_eq!(world.state("t", 0), "1@0 [1] []/[] 2");
}

#[test]
fn values_have_a_greatest_length() {
    let mut world = world();
    let long = format!("cleanup.policy={}", ["delete"; 5000].join(","));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource(2, "t", &long)]);
    let result = world.controller.incremental_alter_configs(&world.image, &request).unwrap().response.responses.remove(0);
    assert_eq!(
        told(result.error_code, &result.error_message),
        "40: The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes."
    );
}
