//! `klamm produce` and `klamm consume`.

use serde_json::{Value, json};

use crate::support::TestNode;
use crate::terminal::Terminal;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn lines_go_in_and_come_out() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    assert_eq!(at.ok_with("one\ntwo\nthree\n", "produce orders"), "");
    assert_eq!(at.ok("consume orders --from-beginning --exit-at-end"), "one\ntwo\nthree\n");
    assert_eq!(at.ok("consume orders --last 1"), "three\n");
    assert_eq!(at.ok("consume orders --offset 1 --max-messages 1"), "two\n");
    assert_eq!(at.ok("consume orders -o -2 -e"), "two\nthree\n");
    assert_eq!(at.ok("consume orders --since '1h ago' -e"), "one\ntwo\nthree\n");
    assert_eq!(at.ok("consume orders --from-beginning --until '1h ago'"), "");
    assert_eq!(at.ok("consume orders --timeout-ms 200"), "", "it begins at the end");
}

#[test]
fn records_have_keys_headers_and_times() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    at.ok_with(
        "k:v\nempty:\nnull:NULL\n",
        "produce orders -K : --null-marker NULL -H source=shop --timestamp 1700000000000 -z zstd",
    );
    let all = lines(&at.ok("consume orders --from-beginning -e --output json"));
    let brief: Vec<_> = all.iter().map(|r| (&r["key"], &r["value"], &r["timestamp"])).collect();
    let time = json!(1_700_000_000_000_i64);
    assert_eq!(
        brief,
        [(&json!("k"), &json!("v"), &time), (&json!("empty"), &json!(""), &time), (&json!("null"), &Value::Null, &time)]
    );
    assert_eq!(all[0]["headers"], json!([{"key": "source", "value": "shop"}]));
    assert_eq!(at.ok("consume orders --from-beginning -e --format '%p:%o %k=%v %h\\n' -n 1"), "0:0 k=v source=shop\n");
    assert!(at.ok("consume orders --from-beginning -n 1 --print key,timestamp").ends_with("1700000000000\tk\tv\n"));
}

#[test]
fn what_json_says_is_produced_again() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create from -p 2");
    at.ok("topic create to -p 2");
    at.ok_with("a:1\nb:2\nc:3\n", "produce from -K : -H x=y");
    let taken = at.ok("consume from --from-beginning -e --output json");
    at.ok_with(&taken, "produce to --input json");
    for wrong in ["hello", "5"] {
        at.pipe(wrong, "produce to --input json").failed(1, "produce", &["expected an object such as {\"key\": \"k\""]);
    }
    let plain = |text: &str| {
        let mut all: Vec<_> =
            lines(text).iter().map(|r| format!("{} {} {} {}", r["partition"], r["key"], r["value"], r["headers"])).collect();
        all.sort();
        all
    };
    assert_eq!(plain(&at.ok("consume to --from-beginning -e --output json")), plain(&taken));
}

#[test]
fn files_are_records_or_lines() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create files");
    at.file("a.txt", "one\ntwo\n");
    at.file("b.txt", "three\n");
    at.ok("produce files a.txt b.txt");
    assert_eq!(at.ok("consume files --from-beginning -e"), "one\ntwo\nthree\n");
    at.ok("produce files a.txt --input whole --key a");
    assert_eq!(at.ok("consume files -l 1 -f '%k %V\\n'"), "a 8\n");
    at.fails(1, "produce files missing.txt", &["missing.txt", "No such file"]);
    assert_eq!(at.json("topic offsets files")[0]["latest"], 4);
}

#[test]
fn a_group_goes_on_where_it_was() {
    let node = TestNode::start(&["group.initial.rebalance.delay.ms=0"]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    at.ok_with("one\ntwo\n", "produce orders");
    assert_eq!(at.ok("consume orders --group billing --from-beginning -e"), "one\ntwo\n");
    at.ok_with("three\n", "produce orders");
    assert_eq!(at.ok("consume orders --group billing -e"), "three\n");
}

#[test]
fn a_topic_that_is_not_there_is_not_made_by_accident() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    at.fails(1, "consume ordres -e", &["topic \"ordres\" does not exist", "tip: there is a topic \"orders\""]);
    at.pipe("x\n", "produce payments").failed(
        1,
        "produce payments",
        &["topic \"payments\" does not exist", "klamm topic create payments"],
    );
    at.ok_with("x\n", "produce payments --allow-auto-topic-creation");
    assert_eq!(at.ok("consume payments --from-beginning -e"), "x\n");
}

#[test]
fn reading_to_the_end_ends_where_what_was_left_is_deleted() {
    let node = TestNode::start(&["group.initial.rebalance.delay.ms=0"]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    at.ok_with("1\n2\n3\n4\n5\n", "produce orders");
    at.ok("consume orders --group g --from-beginning --max-messages 2");
    at.ok("topic delete-records orders --all");
    // The bound on silence ends a command that would wait for ever.
    let ran = at.run("consume orders --group g --exit-at-end --timeout-ms 20000");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("were deleted; going on at 5"), "{}", ran.stderr);
    assert_eq!(at.json("group describe g")[0]["offsets"][0]["current_offset"], 5, "the next one is not warned again");
}

#[test]
fn the_last_records_are_so_many_in_all_and_the_latest() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders --partitions 3");
    for n in 0..6 {
        at.ok_with(&format!("{n}\n"), &format!("produce orders --partition {} --timestamp {}", n % 3, 1_700_000_000_000_i64 + n));
    }
    assert_eq!(at.ok("consume orders --last 2"), "4\n5\n");
    assert_eq!(at.ok("consume orders --last 100"), "0\n1\n2\n3\n4\n5\n");
}
