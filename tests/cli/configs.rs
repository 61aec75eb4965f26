//! `klamm config` against a broker.

use serde_json::json;

use crate::support::TestNode;
use crate::terminal::Terminal;

#[test]
fn a_topic_is_configured_with_units_and_back() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    at.ok("config alter --topic orders -a retention.ms=1h -a cleanup.policy=compact");
    let set = at.json("config describe --topic orders");
    assert_eq!((&set[0]["name"], &set[0]["value"]), (&json!("cleanup.policy"), &json!("compact")), "{set}");
    assert_eq!((&set[1]["value"], &set[1]["source"]), (&json!("3600000"), &json!("DYNAMIC_TOPIC_CONFIG")), "{set}");
    at.ok("config alter --topic orders --append cleanup.policy=delete");
    assert_eq!(at.json("config describe --topic orders cleanup.policy")[0]["value"], "compact,delete");
    at.ok("config alter --topic orders --subtract cleanup.policy=compact --delete-config retention.ms");
    let set = at.json("config describe --topic orders");
    assert_eq!((set.as_array().map(Vec::len), &set[0]["value"]), (Some(1), &json!("delete")), "{set}");
    at.ok("config alter --topic orders -a retention.ms=5 --dry-run");
    assert_eq!(at.json("config describe --topic orders retention.ms")[0]["source"], "DEFAULT_CONFIG");
}

#[test]
fn every_key_is_shown_and_explained() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    let all = at.json("config describe --topic orders --all");
    assert!(all.as_array().is_some_and(|all| all.len() > 25), "{all}");
    let told = at.ok("config describe --topic orders retention.ms --documentation");
    assert!(told.contains("from DEFAULT_CONFIG") && told.contains("How long records are kept"), "{told}");
    assert!(at.ok("config describe --broker 1 --all").contains("log.segment.bytes"));
    at.fails(1, "config describe --topic orders retention.mss", &["no key \"retention.mss\"", "did you mean retention.ms?"]);
}

#[test]
fn brokers_are_configured_while_they_run() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("config alter --broker-defaults -a log.retention.bytes=1GiB");
    let entry = &at.json("config describe --broker 1 log.retention.bytes")[0];
    assert_eq!((&entry["value"], &entry["source"]), (&json!("1073741824"), &json!("DYNAMIC_DEFAULT_BROKER_CONFIG")));
    at.fails(1, "config alter --broker 1 -a num.partitions=3", &["num.partitions"]);
    at.fails(1, "config alter --broker-defaults -a log.retention.hours=3", &["tip: ", "log.retention.ms can be changed"]);
    at.fails(1, "config alter --topic nothing -a retention.ms=3", &["topic \"nothing\" does not exist"]);
    at.fails(2, "config alter --topic orders -a retention.ms=soon", &["retention.ms=soon"]);
}
