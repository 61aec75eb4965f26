//! Cases of `alter`.

use super::*;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The outcome of one operation as a line: `name=value`, `name deleted`, `nothing`, or the code and message of the refusal.
fn outcome(resource: Resource, current: &[(&str, &str)], name: &str, op: Op, value: Option<&str>) -> String {
    match alter(resource, &Settings::default(), &overrides(current), &[Alteration { name, op, value }]) {
        Ok(changes) if changes.is_empty() => "nothing".into(),
        Ok(changes) => match &changes[..] {
            [Change { name, value: Some(value) }] => format!("{name}={value}"),
            [Change { name, value: None }] => format!("{name} deleted"),
            _ => panic!("one operation made {changes:?}"),
        },
        Err(Refused { code, message }) => format!("{}: {message}", code.code()),
    }
}

#[test]
fn topics_are_altered_as_by_kafka() {
    let lag = [("max.compaction.lag.ms", "5")];
    let policy = [("cleanup.policy", "delete,compact")];
    for (current, name, op, value, expected) in [
        (&[] as &[(&str, &str)], "retention.ms", Op::Set, Some(" 5 "), "retention.ms= 5 "),
        (
            &[],
            "retention.ms",
            Op::Set,
            Some("7d"),
            "40: Invalid value 7d for configuration retention.ms: Not a number of type LONG",
        ),
        (
            &[],
            "retention.ms",
            Op::Set,
            Some("-2"),
            "40: Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        (&[], "retention.ms", Op::Set, None, "42: Null value not supported for : retention.ms"),
        (&[], "retention.mss", Op::Set, Some("5"), "40: Unknown topic config name: retention.mss; the nearest is retention.ms"),
        (&[], "zookeeper", Op::Set, Some("5"), "40: Unknown topic config name: zookeeper"),
        (&[], "retention.ms", Op::Append, Some("5"), "40: Can't APPEND to key retention.ms because its type is not LIST."),
        (&[], "retention.ms", Op::Subtract, Some("5"), "40: Can't SUBTRACT to key retention.ms because its type is not LIST."),
        (&[], "retention.ms", Op::Delete, None, "nothing"),
        (&[("retention.ms", "5")], "retention.ms", Op::Delete, None, "retention.ms deleted"),
        (&[("retention.ms", "5")], "retention.ms", Op::Set, Some("5"), "nothing"),
        (&[], "message.format.version", Op::Delete, None, "nothing"),
        (&[], "cleanup.policy", Op::Append, Some("compact"), "cleanup.policy=delete,compact"),
        (&policy, "cleanup.policy", Op::Append, Some("compact"), "nothing"),
        (&policy, "cleanup.policy", Op::Subtract, Some("delete"), "cleanup.policy=compact"),
        (&policy, "cleanup.policy", Op::Subtract, Some("delete,compact"), "cleanup.policy="),
        (
            &[],
            "cleanup.policy",
            Op::Append,
            Some("squash"),
            "40: Invalid value squash for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            &lag,
            "min.compaction.lag.ms",
            Op::Set,
            Some("50"),
            "40: conflict topic config setting min.compaction.lag.ms (50) > max.compaction.lag.ms (5)",
        ),
        (&[], "remote.storage.enable", Op::Set, Some("false"), "remote.storage.enable=false"),
        (
            &[],
            "remote.storage.enable",
            Op::Set,
            Some("true"),
            "40: Invalid value true for configuration remote.storage.enable: klamm keeps records on local disks only, there is no tiered storage",
        ),
    ] {
        assert_eq!(outcome(Resource::Topic, current, name, op, value), expected);
    }
}

#[test]
fn brokers_are_altered_as_by_kafka() {
    for (name, op, value, expected) in [
        ("log.retention.ms", Op::Set, Some("5000"), "log.retention.ms=5000"),
        ("log.retention.hours", Op::Set, Some("5"), "42: Cannot update these configs dynamically: [log.retention.hours]"),
        ("node.id", Op::Set, Some("5"), "42: Cannot update these configs dynamically: [node.id]"),
        ("node.id", Op::Delete, None, "nothing"),
        (
            "message.max.bytes",
            Op::Set,
            Some("-4"),
            "42: Invalid value -4 for configuration message.max.bytes: Value must be at least 0",
        ),
        (
            "message.max.bytes",
            Op::Set,
            Some("4x"),
            "42: Invalid value 4x for configuration message.max.bytes: Not a number of type INT",
        ),
        ("log.cleanup.policy", Op::Append, Some("compact"), "log.cleanup.policy=delete,compact"),
        (
            "log.retention.msec",
            Op::Set,
            Some("1"),
            "40: Unknown broker config name: log.retention.msec; the nearest is log.retention.ms",
        ),
        (
            "max.connections.per.ip",
            Op::Set,
            Some("0"),
            "42: max.connections.per.ip can be 0 only if max.connections.per.ip.overrides is set",
        ),
    ] {
        for resource in [Resource::Broker, Resource::BrokerDefault] {
            assert_eq!(outcome(resource, &[], name, op, value), expected);
        }
    }
}

#[test]
fn keys_of_groups_are_refused_with_the_reason() {
    let told = outcome(Resource::Group, &[], "consumer.session.timeout.ms", Op::Set, Some("50000"));
    assert!(told.starts_with("40: ") && told.contains("KIP-848"), "{told}");
}

#[test]
fn a_request_is_taken_whole_or_not_at_all() {
    let ask = |name, value| Alteration { name, op: Op::Set, value: Some(value) };
    let settings = Settings::default();
    let none = Overrides::new();
    let mixed = [ask("retention.ms", "5"), ask("segment.bytes", "5")];
    assert!(alter(Resource::Topic, &settings, &none, &mixed).is_err());
    let twice = [ask("retention.ms", "5"), ask("retention.ms", "6")];
    assert_eq!(alter(Resource::Topic, &settings, &none, &twice), Err(Refused::request("Error due to duplicate config keys")));
}

#[test]
fn the_old_request_removes_what_it_does_not_name() {
    let current = overrides(&[("retention.ms", "5"), ("flush.ms", "7"), ("of.another.version", "x")]);
    let changes = replace(Resource::Topic, &Settings::default(), &current, &[("retention.ms", Some("5"))]).unwrap();
    let removed = |name: &str| Change { name: name.into(), value: None };
    assert_eq!(changes, [removed("flush.ms"), removed("of.another.version")]);
}

#[test]
fn what_another_version_left_does_not_stand_in_the_way() {
    let current = [("of.another.version", "x"), ("segment.bytes", "1")];
    assert_eq!(outcome(Resource::Topic, &current, "retention.ms", Op::Set, Some("5")), "retention.ms=5");
}

#[test]
fn a_new_topic_takes_values_but_no_nulls() {
    let settings = Settings::default();
    assert_eq!(new_topic(&settings, &[("cleanup.policy", Some("compact"))]), Ok(overrides(&[("cleanup.policy", "compact")])));
    let nulls = [("cleanup.policy", None), ("flush.ms", None)];
    let told = Refused::config("Null value not supported for topic configs: cleanup.policy,flush.ms");
    assert_eq!(new_topic(&settings, &nulls), Err(told));
}

#[test]
fn operations_have_kafkas_numbers() {
    assert_eq!([0, 1, 2, 3].map(|n| Op::of(n).unwrap()), [Op::Set, Op::Delete, Op::Append, Op::Subtract]);
    assert!(Op::of(4).is_err());
}
