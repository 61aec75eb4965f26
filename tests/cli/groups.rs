//! `klamm group`, above all what moves offsets.

use serde_json::json;

use crate::support::TestNode;
use crate::terminal::Terminal;

/// A node with ten records in `orders`, of which group `billing` has read the first four.
fn with_a_group() -> (TestNode, Terminal) {
    let node = TestNode::start(&["group.initial.rebalance.delay.ms=0"]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    for n in 0..10 {
        at.ok_with(&format!("{n}\n"), &format!("produce orders --timestamp {}", 1_700_000_000_000_i64 + n * 60_000));
    }
    at.ok("consume orders --group billing --from-beginning --max-messages 4");
    (node, at)
}

fn position(at: &Terminal) -> i64 {
    at.json("group describe billing")[0]["offsets"][0]["current_offset"].as_i64().expect("the group has committed")
}

#[test]
fn lag_is_told() {
    let (_node, at) = with_a_group();
    assert_eq!(
        at.json("group list"),
        json!([{"group": "billing", "state": "Empty", "type": "classic", "protocol_type": "consumer"}])
    );
    let described = at.json("group describe billing");
    assert_eq!((&described[0]["state"], &described[0]["total_lag"]), (&json!("Empty"), &json!(6)));
    let row = &described[0]["offsets"][0];
    assert_eq!((&row["current_offset"], &row["log_end_offset"], &row["lag"]), (&json!(4), &json!(10), &json!(6)));
    at.fails(1, "group describe biling", &["group \"biling\" does not exist", "there is a group \"billing\""]);
}

#[test]
fn json_holds_what_is_asked_for() {
    let (_node, at) = with_a_group();
    assert_eq!(at.json("group list --names"), json!(["billing"]));
    for (option, has) in [("", [true, true]), ("--members", [true, false]), ("--state", [false, false])] {
        let described = at.json(&format!("group describe billing {option}"));
        assert_eq!(["members", "offsets"].map(|field| described[0].get(field).is_some()), has, "{option}: {described}");
        assert_eq!(described[0]["member_count"], 0, "{option}");
    }
    let export = "group reset-offsets billing --all-topics --to-current --export --output json";
    at.fails(2, export, &["--export prints CSV", "--output json"]);
    let none = at.run("config describe --group billing --all");
    assert_eq!(none.code, Some(0), "{}", none.stderr);
    assert!(none.stderr.contains("nothing to configure for group billing"), "{}", none.stderr);
}

#[test]
fn offsets_move_only_when_told_to() {
    let (_node, at) = with_a_group();
    let dry = at.run("group reset-offsets billing --all-topics --to-earliest");
    assert_eq!(dry.code, Some(0));
    assert!(dry.stderr.contains("Nothing was changed. Pass --execute to do it."), "{}", dry.stderr);
    let rows = at.json("group reset-offsets billing --all-topics --to-earliest --dry-run");
    assert_eq!((&rows[0]["new_offset"], &rows[0]["executed"]), (&json!(0), &json!(false)));
    assert_eq!(position(&at), 4, "a dry run moves nothing");
}

#[test]
fn every_way_to_move_offsets_does() {
    let (_node, at) = with_a_group();
    for (target, offset) in [
        ("--to-earliest", 0),
        ("--to-latest", 10),
        ("--to-offset 7", 7),
        ("--to-current", 7),
        ("--shift-by -2", 5),
        ("--shift-by 3", 8),
        ("--shift-by -99", 0),
        ("--to-offset 99", 10),
        ("--to-datetime 2023-11-14T22:18:20.000", 5),
        ("--to-datetime 2024-05-01", 10),
        ("--by-duration PT1S", 10),
        ("--by-duration 20000d", 0),
    ] {
        let rows = at.json(&format!("group reset-offsets billing --topic orders {target} --execute"));
        assert_eq!((&rows[0]["new_offset"], &rows[0]["executed"]), (&json!(offset), &json!(true)), "{target}: {rows}");
        assert_eq!(position(&at), offset, "{target}");
    }
}

#[test]
fn offsets_are_exported_and_read_again_as_by_kafkas_tool() {
    let (_node, at) = with_a_group();
    let csv = at.ok("group reset-offsets billing --all-topics --to-current --export");
    assert_eq!(csv, "orders,0,4\n");
    at.ok("group reset-offsets billing --all-topics --to-latest --execute");
    at.file("offsets.csv", csv);
    at.ok("group reset-offsets billing --from-file offsets.csv --execute");
    assert_eq!(position(&at), 4);
    at.file("all.csv", "billing,orders,0,6\n");
    at.ok("group reset-offsets billing --from-file all.csv --execute");
    assert_eq!(position(&at), 6);
    at.file("wrong.csv", "orders,zero,4\n");
    at.fails(2, "group reset-offsets billing --from-file wrong.csv", &["wrong.csv: line 1"]);
}

#[test]
fn one_target_is_needed_and_no_more() {
    let at = Terminal::without_broker();
    at.fails(2, "group reset-offsets billing --all-topics", &["--to-earliest"]);
    at.fails(2, "group reset-offsets billing --all-topics --to-earliest --to-latest", &["cannot be used with"]);
    at.fails(2, "group reset-offsets billing --to-latest", &["--topic", "--all-topics", "--from-file"]);
    at.fails(2, "group reset-offsets billing --all-topics --to-latest --dry-run --execute", &["cannot be used with"]);
}

#[test]
fn a_group_is_forgotten() {
    let (_node, at) = with_a_group();
    assert_eq!(at.ok("group delete-offsets billing --topic orders"), "Group billing forgot its offset in orders-0.\n");
    at.ok("group reset-offsets billing --topic orders --to-offset 3 --execute");
    assert_eq!(at.ok("group delete billing"), "Deleted group billing.\n");
    at.fails(1, "group delete billing", &["does not exist"]);
}

#[test]
fn what_would_do_nothing_is_told() {
    let (_node, at) = with_a_group();
    at.fails(1, "group delete-offsets billing --topic ordres", &["has no offsets in topic \"ordres\"", "it has in \"orders\""]);
    at.fails(1, "group reset-offsets biling --all-topics --to-earliest", &["group biling has committed no offsets"]);
}
