//! Commands that ask nobody: completions, manual pages, the version, and the configuration before a broker runs.

use crate::terminal::Terminal;

#[test]
fn shells_complete() {
    let at = Terminal::without_broker();
    for (shell, word) in [
        ("bash", "complete -F _klamm"),
        ("zsh", "#compdef klamm"),
        ("fish", "complete -c klamm"),
        ("elvish", "klamm"),
        ("powershell", "klamm"),
    ] {
        let script = at.ok(&format!("completion {shell}"));
        assert!(script.contains(word) && script.contains("reset-offsets"), "{shell}");
    }
    at.fails(2, "completion tcsh", &["bash", "zsh", "fish"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let at = Terminal::without_broker();
    at.ok("man pages");
    for page in ["klamm.1", "klamm-serve.1", "klamm-topic-create.1", "klamm-group-reset-offsets.1", "klamm-bench-mixed.1"] {
        let text = std::fs::read_to_string(at.dir().join("pages").join(page)).expect(page);
        assert!(text.contains(".TH klamm") && text.contains("Examples:"), "{page}: {text}");
    }
    at.file("taken", "");
    at.fails(1, "man taken", &["cannot create taken"]);
}

#[test]
fn the_version_is_told() {
    let at = Terminal::without_broker();
    let version = env!("CARGO_PKG_VERSION");
    assert!(at.ok("version").starts_with(&format!("klamm {version} (")));
    assert_eq!(at.ok("--version"), format!("klamm {version}\n"));
    assert_eq!(at.json("version")["version"], version);
}

#[test]
fn keys_are_explained_without_a_broker() {
    let at = Terminal::without_broker();
    let told = at.ok("config keys log.retention.ms");
    assert!(told.contains("KLAMM_LOG_RETENTION_MS") && told.contains("How long records are kept"), "{told}");
    let rows = at.json("config keys retention.ms");
    let names: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["log.retention.ms", "log.cleaner.delete.retention.ms", "delete.retention.ms", "local.retention.ms", "retention.ms"]
    );
    at.fails(1, "config keys log.retention.hour.s", &["did you mean log.retention.hours?"]);
    at.fails(1, "config keys num.io.threads", &["Kafka has it; klamm runs one thread a core"]);
}

#[test]
fn a_configuration_of_kafka_becomes_one_of_klamm() {
    let at = Terminal::without_broker();
    at.file(
        "server.properties",
        "node.id=3\nlog.dirs=/data/a,/data/b\nnum.io.threads=8\nlog.retention.hours=24 hours\nssl.key.password=hunter2\n",
    );
    let ran = at.run("config import server.properties");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("num.io.threads = 8: klamm runs one thread a core"), "{}", ran.stderr);
    assert!(ran.stderr.contains("log.dirs = /data/a,/data/b: klamm cannot take over data of Kafka"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Not taken over as it was, see above: 5 values."), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2") && !ran.stdout.contains("hunter2"), "{}{}", ran.stderr, ran.stdout);
    assert!(ran.stdout.contains("node.id = 3"), "{}", ran.stdout);
    at.ok("config import server.properties --to klamm.toml");
    let effective = at.ok("serve --config klamm.toml --check");
    assert!(effective.lines().any(|line| line.starts_with("node.id = 3 ") && line.ends_with("# klamm.toml:4")), "{effective}");
    // What somebody has written is not written over.
    at.fails(1, "config import server.properties --to klamm.toml", &["cannot write klamm.toml", "exists"]);
    assert_eq!(at.json("config import server.properties")["notes"][0]["key"], "log.dirs");
    at.fails(1, "config import nothing.properties", &["cannot read nothing.properties"]);
}
