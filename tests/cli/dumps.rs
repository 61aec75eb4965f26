//! `klamm dump`, on the files of a broker that has stopped: as it left them, and damaged.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::process::{BrokerProcess, Launch};
use crate::terminal::Terminal;

const LOG: &str = "orders-0/00000000000000000000.log";

/// The data of a broker with three batches in `orders` and a group that has read them.
fn data() -> (Terminal, PathBuf) {
    let at = Terminal::without_broker();
    let data = at.dir().join("data");
    let mut broker: BrokerProcess = Launch::with(&["group.initial.rebalance.delay.ms=0"]).data(&data).start();
    let there = broker.bootstrap();
    at.ok(&format!("topic create orders -b {there}"));
    for n in 0..3 {
        at.ok_with(&format!("k{n}:v{n}\n"), &format!("produce orders -K : -b {there}"));
    }
    at.ok(&format!("consume orders -g billing --from-beginning -e -b {there}"));
    broker.stop();
    (at, data)
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Turns the last byte of a log's batch with this number around.
fn damage(log: &Path, batches: &[Value], number: usize) {
    let mut bytes = std::fs::read(log).unwrap();
    let (position, size) = (batches[number]["position"].as_u64().unwrap(), batches[number]["size"].as_u64().unwrap());
    bytes[(position + size) as usize - 1] ^= 0xff;
    std::fs::write(log, bytes).unwrap();
}

#[test]
fn a_log_is_shown_batch_by_batch_and_record_by_record() {
    let (at, _) = data();
    let batches = objects(&at.ok(&format!("dump data/{LOG} --print-data-log --output json")));
    let brief: Vec<_> =
        batches.iter().map(|b| (&b["base_offset"], &b["valid"], &b["records"][0]["key"], &b["records"][0]["payload"])).collect();
    let valid = json!(true);
    assert_eq!(
        brief,
        [
            (&json!(0), &valid, &json!("k0"), &json!("v0")),
            (&json!(1), &valid, &json!("k1"), &json!("v1")),
            (&json!(2), &valid, &json!("k2"), &json!("v2")),
        ]
    );
    let text = at.ok(&format!("dump data/{LOG} --print-data-log"));
    assert!(text.starts_with("Log starting offset: 0\nbaseOffset: 0 lastOffset: 0 count: 1 "), "{text}");
    assert!(text.contains("| offset: 1 CreateTime: ") && text.contains(" key: k1 payload: v1"), "{text}");
    assert!(!at.ok(&format!("dump data/{LOG}")).contains("payload"), "data is shown when asked for");
}

#[test]
fn commits_of_groups_are_read() {
    let (at, data) = data();
    let logs = (0..50).map(|n| format!("data/__consumer_offsets-{n}/00000000000000000000.log"));
    let all: String = logs
        .filter(|log| data.parent().unwrap().join(log).exists())
        .map(|log| at.ok(&format!("dump {log} --print-data-log --output json")))
        .collect();
    let records: Vec<Value> = objects(&all).iter().flat_map(|batch| batch["records"].as_array().unwrap().clone()).collect();
    let commits: Vec<_> = records.iter().filter(|record| record["key"]["data"]["topic"] == "orders").collect();
    assert_eq!(commits.last().expect("the group has committed")["payload"]["data"]["offset"], 3, "{all}");
}

#[test]
fn every_file_of_a_data_directory_is_shown() {
    let (at, data) = data();
    let mut shown = 0;
    for dir in [data.clone(), data.join("orders-0"), data.join("metadata")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !name.starts_with('.') {
                let ran = at.run(&format!("dump {}", entry.path().display()));
                assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
                shown += 1;
            }
        }
    }
    assert!(shown > 8, "only {shown} files were there");
}

#[test]
fn whole_data_is_whole() {
    let (at, _) = data();
    let report = at.json("dump --verify data --deep");
    assert_eq!((&report["damage"], &report["findings"]), (&json!(0), &json!([])), "{report}");
    assert!(report["records"].as_u64().is_some_and(|records| records >= 3), "{report}");
}

#[test]
fn a_damaged_batch_is_named_and_the_rest_is_shown() {
    let (at, data) = data();
    let batches = objects(&at.ok(&format!("dump data/{LOG} --output json")));
    damage(&data.join(LOG), &batches, 1);
    let after = objects(&at.ok(&format!("dump data/{LOG} --output json")));
    assert_eq!(after.iter().map(|b| b["valid"].as_bool().unwrap()).collect::<Vec<_>>(), [true, false, true]);

    let ran = at.run("dump --verify data --output json");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("damaged"), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).expect("a report, damaged or not");
    let found = &report["findings"][0];
    assert!(found["file"].as_str().is_some_and(|file| file.ends_with(LOG)), "{report}");
    assert_eq!(found["position"], batches[1]["position"], "{report}");
}

#[test]
fn what_cannot_be_shown_is_told() {
    let at = Terminal::without_broker();
    at.file("notes.txt", "hello");
    at.fails(1, "dump notes.txt", &["notes.txt is none of the files of a data directory"]);
    at.fails(1, "dump .", &["is a directory", "--verify"]);
    at.fails(1, "dump 00000000000000000000.log", &["cannot open 00000000000000000000.log", "No such file"]);
    for path in ["nosuch", "nosuchdir/recovery-point-offset-checkpoint", "leader-epoch-checkpoint", "x/partition.metadata"] {
        at.fails(1, &format!("dump {path}"), &[&format!("cannot open {path}"), "No such file"]);
    }
    at.fails(1, "dump --verify .", &["no log segments to verify"]);
    at.fails(1, "dump --verify notes.txt", &["notes.txt is a file", "tip: ", "klamm dump --verify ."]);
    at.fails(2, "dump", &["<PATH>"]);
}
