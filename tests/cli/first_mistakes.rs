//! What somebody is told who does it wrong: what happened, to what, and what to do.

use std::net::TcpListener;

use crate::support::TestNode;
use crate::support::process::Launch;
use crate::terminal::Terminal;

#[test]
fn there_is_no_broker() {
    let at = Terminal::without_broker();
    let says = [
        "cannot connect to 127.0.0.1:1: Connection refused",
        "tip: nothing listens there; start a broker with 'klamm serve'",
        "--bootstrap-server",
    ];
    at.fails(1, "topic list -b 127.0.0.1:1", &says);
    at.fails(1, "produce orders -b 127.0.0.1:1", &says);
    at.fails(1, "consume orders -b 127.0.0.1:1", &says);
    at.fails(1, "topic list -b no.such.host.invalid:9092", &["no.such.host.invalid:9092", "check how the host name is spelled"]);
    at.fails(2, "topic list -b http://localhost:9092", &["is a web address; write the broker as HOST:PORT"]);
}

#[test]
fn the_port_is_somebody_elses() {
    let node = TestNode::start(&["http.listener=127.0.0.1:0"]);
    let at = Terminal::without_broker();
    let http = node.node().http().expect("it was asked for");
    at.fails(1, &format!("topic list -b {http}"), &["does not speak Kafka's protocol: it answers in HTTP", "check the port"]);
}

#[test]
fn the_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = Terminal::without_broker();
    let address = taken.local_addr().expect("it is bound");
    at.fails(
        1,
        &format!("serve --listen {address} --data data"),
        &[&format!("cannot listen on {address}"), "that port is in use", "--listen HOST:PORT"],
    );
}

#[test]
fn the_data_directory_cannot_be_used() {
    let at = Terminal::without_broker();
    at.file("file", "somebody's");
    at.fails(
        1,
        "serve --listen 127.0.0.1:0 --data file",
        &["none of the log directories can be used", "cannot use file: not a directory", "--data DIR"],
    );
    at.fails(1, "serve --listen 127.0.0.1:0 --data /proc/klamm", &["cannot create /proc/klamm", "--data DIR"]);
    at.fails(2, "serve --data ''", &["at least one directory is needed"]);
    let broker = Launch::default().start();
    let data = broker.data().display().to_string();
    at.fails(
        1,
        &format!("serve --listen 127.0.0.1:0 --data {data}"),
        &[&data, "is in use by klamm process", "stop it, or give this node another directory"],
    );
}

#[test]
fn the_configuration_has_typos() {
    let at = Terminal::without_broker();
    at.file("klamm.toml", "log.retention.hour = 24\nnum.partitions = \"many\"\nbroker.id = 3\nnum.io.threads = 8\n");
    at.fails(
        2,
        "serve --config klamm.toml --check",
        &[
            "unknown key `log.retention.hour`\n  --> klamm.toml:1:1",
            "the nearest key is `log.retention.hours`",
            "--> klamm.toml:2:18",
            "it is called node.id",
            "klamm runs one thread a core",
        ],
    );
    at.file("broken.toml", "num.partitions = = 2\n");
    at.fails(2, "serve --config broken.toml", &["broken.toml:1:18"]);
    at.fails(2, "serve --config missing.toml", &["cannot read missing.toml: No such file"]);
    at.fails(2, "serve --set num.partition=3", &["unknown key `num.partition`", "the nearest key is `num.partitions`"]);
    at.fails(2, "serve --set num.partitions", &["write --set key=value"]);
    at.fails(2, "serve --set log.segment.bytes=10", &["log.segment.bytes: `10` is not allowed", "at least 1048576"]);
    at.fails(2, "serve --listen 9092", &["--listen", "expected HOST:PORT, such as 127.0.0.1:9092"]);
    at.fails(2, "serve --log-level loud", &["error: ", "'loud' for '--log-level", "TRACE, DEBUG, INFO"]);
    at.fails(2, "serve --log-level loud --check", &["'loud' for '--log-level", "TRACE, DEBUG, INFO"]);
    at.fails(2, "serve --config nosuch.toml", &["error: cannot read nosuch.toml"]);
}

#[test]
fn what_is_in_force_is_told_with_its_source() {
    let at = Terminal::without_broker();
    at.file("klamm.toml", "[log]\nretention.hours = 24\nsegment.bytes = \"64MiB\"\n");
    let effective = at.ok("serve --config klamm.toml --set num.partitions=3 --check");
    let line = |key: &str| effective.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {effective}"));
    for (key, value, source) in [
        ("log.retention.hours ", "= 24", "klamm.toml:2"),
        ("log.segment.bytes ", "= \"64MiB\"", "klamm.toml:3"),
        ("num.partitions ", "= 3", "--set"),
        ("node.id ", "= 1", "default"),
    ] {
        assert!(line(key).contains(value) && line(key).ends_with(source), "{}", line(key));
    }
    // What it prints is a configuration, too.
    at.file("again.toml", &effective);
    at.ok("serve --config again.toml --check");
}

#[test]
fn a_command_is_mistyped() {
    let at = Terminal::without_broker();
    at.fails(2, "topic creat orders", &["unrecognized subcommand 'creat'", "'create'"]);
    at.fails(2, "consume", &["<TOPIC>", "--help"]);
    at.fails(2, "topic create orders --partition 3", &["--partitions"]);
    let ran = at.run("");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("Examples:") && ran.stderr.contains("klamm serve"), "{}", ran.stderr);
}
