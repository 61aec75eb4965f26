//! Cases of `load`.

use proptest::prelude::*;

use super::*;

fn file(text: &str) -> Inputs {
    Inputs { file: Some(("klamm.toml".into(), text.into())), ..Inputs::default() }
}

fn value(settings: &Settings, name: &str) -> Option<String> {
    settings.text(BROKER.find(name).unwrap()).map(str::to_owned)
}

/// Everything that is said about a file.
fn told(text: &str) -> String {
    load(file(text)).unwrap_err().to_string()
}

#[test]
fn keys_may_be_dotted_quoted_or_in_tables() {
    for text in [
        "log.retention.hours = 5\nlog.segment.bytes = 2097152",
        "'log.retention.hours' = 5\n\"log.segment.bytes\" = 2097152",
        "[log]\nretention.hours = 5\nsegment.bytes = 2_097_152",
        "[log.retention]\nhours = 5\n[log.segment]\nbytes = 0x200000",
        "log = { retention.hours = 5, segment = { bytes = \"2MiB\" } }",
    ] {
        let settings = load(file(text)).unwrap();
        assert_eq!(value(&settings, "log.retention.hours").as_deref(), Some("5"), "{text}");
        assert_eq!(value(&settings, "log.segment.bytes").as_deref(), Some("2097152"), "{text}");
    }
}

#[test]
fn a_key_that_begins_another_is_quoted() {
    let settings = load(file("\"max.connections\" = 9\nmax.connections.per.ip = 3")).unwrap();
    assert_eq!(value(&settings, "max.connections").as_deref(), Some("9"));
    assert_eq!(value(&settings, "max.connections.per.ip").as_deref(), Some("3"));
    assert!(told("max.connections = 9\nmax.connections.per.ip = 3").contains("must be quoted"));
}

#[test]
fn values_may_have_units_and_lists_may_be_arrays() {
    let settings = load(file(concat!(
        "log.retention.hours = \"7d\"\n",
        "log.segment.bytes = \"512 MiB\"\n",
        "log.cleanup.policy = [\"compact\", \"delete\"]\n",
        "log.cleaner.min.cleanable.ratio = 0.25\n",
        "log.preallocate = true\n",
        "delete.topic.enable = \"false\"\n",
        "log.dirs = \"/a, /b\"\n",
    )))
    .unwrap();
    let config = BrokerConfig::of(&settings);
    assert_eq!(config.log.retention_hours, 168);
    assert_eq!(config.log.segment_bytes, 512 << 20);
    assert_eq!(config.log.cleanup_policy, ["compact", "delete"]);
    assert_eq!(config.log.cleaner_min_cleanable_ratio, 0.25);
    assert!(config.log.preallocate && !config.log.delete_topic_enable);
    assert_eq!(config.node.data_dirs(), ["/a", "/b"]);
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file() {
    let mut inputs = file("num.partitions = 2\nlog.retention.hours = 2\nlog.segment.bytes = \"2MiB\"");
    inputs.environment = vec![
        ("KLAMM_NUM_PARTITIONS".into(), "3".into()),
        ("KLAMM_LOG_RETENTION_HOURS".into(), "3d".into()),
        ("KLAMM_CONFIG".into(), "klamm.toml".into()),
        ("KLAMM_LOG_FORMAT".into(), "json".into()),
        ("HOME".into(), "/".into()),
    ];
    inputs.set = vec!["num.partitions=4".into(), "num.partitions = 5".into()];
    let settings = load(inputs).unwrap();
    let of = |name| {
        let fixed = settings.fixed(BROKER.find(name).unwrap()).unwrap();
        (fixed.value.clone(), fixed.place.to_string())
    };
    assert_eq!(of("num.partitions"), ("5".into(), "--set".into()));
    assert_eq!(of("log.retention.hours"), ("72".into(), "KLAMM_LOG_RETENTION_HOURS".into()));
    assert_eq!(of("log.segment.bytes"), ("2097152".into(), "klamm.toml:3".into()));
}

#[test]
fn a_service_called_klamm_sets_nothing() {
    let links = [
        "KLAMM_SERVICE_HOST",
        "KLAMM_SERVICE_PORT",
        "KLAMM_SERVICE_PORT_KAFKA",
        "KLAMM_PORT",
        "KLAMM_PORT_9092_TCP",
        "KLAMM_PORT_9092_TCP_ADDR",
        "KLAMM_HEADLESS_SERVICE_HOST",
        "KLAMM_0_PORT",
    ];
    let environment = links.iter().map(|name| (name.to_string(), "tcp://10.0.0.1:9092".to_string())).collect();
    assert_eq!(load(Inputs { environment, ..Inputs::default() }), Ok(Settings::default()));
}

#[test]
fn no_two_keys_share_a_variable_and_none_is_taken_for_a_service() {
    let mut variables: Vec<String> = BROKER.keys().map(|key| variable_of(key.name)).collect();
    for variable in &variables {
        assert!(
            !is_service_link(variable.strip_prefix(PREFIX).unwrap()) && !ARGUMENTS.contains(&variable.as_str()),
            "{variable}"
        );
    }
    variables.sort();
    let count = variables.len();
    variables.dedup();
    assert_eq!(variables.len(), count);
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "\
num.partitions = 0
num.partition = 168

[log]
segment.bytes = \"1G\"
cleanup.policy = [\"compact\", \"squash\"]
node.id = 8
";
    assert_eq!(
        told(text),
        "\
error: num.partitions: `0` is not allowed: value must be at least 1
  --> klamm.toml:1:18
  |
1 | num.partitions = 0
  |                  ^
  = help: num.partitions takes at least 1

error: unknown key `num.partition`
  --> klamm.toml:2:1
  |
2 | num.partition = 168
  | ^^^^^^^^^^^^^
  = help: the nearest key is `num.partitions`

error: log.segment.bytes: expected a size such as 1048576, \"512KiB\" or \"1GiB\", or a plain number of bytes
  --> klamm.toml:5:17
  |
5 | segment.bytes = \"1G\"
  |                 ^^^^
  = help: log.segment.bytes takes at least 1048576

error: log.cleanup.policy: `squash` is not allowed: string must be one of: compact, delete
  --> klamm.toml:6:18
  |
6 | cleanup.policy = [\"compact\", \"squash\"]
  |                  ^^^^^^^^^^^^^^^^^^^^^
  = help: log.cleanup.policy takes any of compact, delete

error: unknown key `log.node.id`
  --> klamm.toml:7:1
  |
7 | node.id = 8
  | ^^^^^^^
  = help: `node.id` is a key, but here it belongs to the table above it; write it before the first table
"
    );
}

#[test]
fn wrong_kinds_of_values_are_told_with_what_is_expected() {
    for (text, message) in [
        ("num.partitions = 1.5", "num.partitions: expected a whole number of 32 bits, found a float"),
        ("num.partitions = 99999999999", "num.partitions: `99999999999` is not a whole number of 32 bits"),
        ("num.partitions = 99999999999999999999", "num.partitions: `99999999999999999999` is not a whole number of 32 bits"),
        ("num.partitions = true", "num.partitions: expected a whole number of 32 bits, found a boolean"),
        ("log.preallocate = 1", "log.preallocate: expected true or false, found an integer"),
        ("log.dirs = [1]", "log.dirs: expected a list of strings, found an integer in the list"),
        ("log.dirs = ['a,b']", "log.dirs: the element `a,b` contains a comma"),
        ("broker.rack = 1979-05-27", "broker.rack: expected a string, found a datetime"),
        (
            "log.retention.ms = 'soon'",
            "log.retention.ms: expected a duration such as \"30s\", \"1h30m\" or \"7d\", or a plain number of milliseconds",
        ),
        ("log.retention.hours = '90m'", "log.retention.hours: not a whole number of hours"),
        ("num.network.threads = 8", "unknown key `num.network.threads`"),
        ("retention.ms = 8", "unknown key `retention.ms`"),
        ("'num.partitions' = 1\nnum.partitions = 2", "num.partitions is set twice"),
        ("num.partitions = 1\nnum.partitions = 2", "duplicate key"),
    ] {
        let told = told(text);
        assert_eq!(told.lines().next().unwrap(), format!("error: {message}"), "{text}");
    }
    assert!(told("num.network.threads = 8").contains("klamm runs one thread a core"));
    assert!(told("retention.ms = 8").contains("the default of all topics is `log.retention.ms`"));
}

#[test]
fn rules_between_keys_are_told_at_the_key_to_change() {
    let told = told("node.id = 1\nbroker.heartbeat.interval.ms = \"10s\"");
    let expected = "\
error: broker.heartbeat.interval.ms must be less than broker.session.timeout.ms, or a living broker is taken for dead
  --> klamm.toml:2:32
  |
2 | broker.heartbeat.interval.ms = \"10s\"
  |                                ^^^^^
";
    assert_eq!(told, expected);
}

#[test]
fn the_environment_and_the_command_line_are_judged_alike() {
    let environment = vec![("KLAMM_NUM_PARTITION".into(), "1".into()), ("KLAMM_NODE_ID".into(), "one".into())];
    let set = vec!["num.partitions".into(), "log.retention.ms=1y".into(), "nod.id=5".into()];
    let told = load(Inputs { environment, set, ..Inputs::default() }).unwrap_err().to_string();
    let expected = "\
error: node.id: `one` is not a whole number of 32 bits
 --> environment variable KLAMM_NODE_ID
 = help: node.id takes at least 0

error: unknown key `num.partition`
 --> environment variable KLAMM_NUM_PARTITION
 = help: the nearest key is `num.partitions`

error: `num.partitions` has no value
 --> command line: --set num.partitions
 = help: write --set key=value

error: log.retention.ms: expected a duration such as \"30s\", \"1h30m\" or \"7d\", or a plain number of milliseconds
 --> command line: --set log.retention.ms=1y
 = help: log.retention.ms takes at least 1, or -1

error: unknown key `nod.id`
 --> command line: --set nod.id=5
 = help: the nearest key is `node.id`
";
    assert_eq!(told, expected);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,300}") {
        let _ = load(file(&text)).map_err(|problems| problems.to_string());
    }

    #[test]
    fn anything_like_a_file_is_read_or_refused(
        lines in prop::collection::vec(
            ("(log|max|node|a)?", "(\\.(retention|connections|id|é))?", "(\\.(hours|per|ms))?", "( = |=|\\]|\\[)?", "(5|\"7d\"|\\[1|\\{|'|true|1e9|nan|-1|\"\\t\")?"),
            0..12,
        )
    ) {
        let text: String = lines.iter().map(|(a, b, c, d, e)| format!("{a}{b}{c}{d}{e}\n")).collect();
        let _ = load(file(&text)).map_err(|problems| problems.to_string());
    }

    #[test]
    fn any_argument_and_variable_is_read_or_refused(argument in ".{0,60}", name in "[A-Z_0-9]{0,30}", value in ".{0,30}") {
        let inputs = Inputs { file: None, environment: vec![(format!("KLAMM_{name}"), value)], set: vec![argument] };
        let _ = load(inputs).map_err(|problems| problems.to_string());
    }
}
