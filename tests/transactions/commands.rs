//! `klamm transaction`: the command line against transactions that are open, and one that hangs.

use klamm::base::ErrorCode;
use serde_json::json;

use crate::by_hand::*;
use crate::support::TestNode;
use crate::terminal::Terminal;

#[test]
fn an_open_transaction_is_listed_described_and_fenced() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    let mut client = node.connect();
    client.make_topic("t");
    assert_eq!(at.json("transaction list"), json!([]));
    let mut txn = Txn::init(&mut client, "payments-1", Speaks::V2);
    Txn::init(&mut client, "idle", Speaks::V2);
    txn.send(&mut client, "t", 0, "v").unwrap();

    let coordinator = node.address().to_string();
    let ongoing = json!([{"transactional_id": "payments-1", "coordinator": coordinator, "producer_id": txn.producer_id, "state": "Ongoing"}]);
    let all = at.json("transaction list");
    assert_eq!((all.as_array().map(Vec::len), &all[0]["state"]), (Some(2), &json!("Empty")), "by name: {all}");
    for filter in ["--state ongoing", "--id-pattern pay.*", "--longer-than 0s", &format!("--producer-id {}", txn.producer_id)] {
        assert_eq!(at.json(&format!("transaction list {filter}")), ongoing, "{filter}");
    }
    assert_eq!(at.json("transaction list --state ongoing --longer-than 1h"), json!([]));
    at.fails(2, "transaction list --state gone", &["there are Empty, Ongoing"]);

    let described = at.json("transaction describe payments-1");
    let row = &described[0];
    assert_eq!((&row["state"], &row["partitions"], &row["timeout_ms"]), (&json!("Ongoing"), &json!(["t-0"]), &json!(60_000)));
    assert_eq!((&row["producer_id"], &row["producer_epoch"]), (&json!(txn.producer_id), &json!(txn.epoch)));
    at.fails(1, "transaction describe payment-1", &["transactional id \"payment-1\" does not exist", "there is \"payments-1\""]);
    let unknown = at.run("transaction describe payment-1 --output json");
    assert_eq!((unknown.code, unknown.stdout.trim()), (Some(1), "[]"), "what is printed is JSON whatever was found");
    let producers = at.json("transaction producers t");
    assert_eq!((&producers[0]["partition"], &producers[0]["transaction_start_offset"]), (&json!(0), &json!(0)), "{producers}");
    assert_eq!(at.json("transaction find-hanging --max-transaction-timeout 0s"), json!([]), "its coordinator will end it");

    at.fails(1, "transaction fence payment-1", &["does not exist"]);
    at.ok("transaction fence payments-1");
    let late = txn.batch("t", 0, "late");
    assert_eq!(patiently(|| txn.produce_as(&mut client, 12, "t", 0, late.clone())), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(read_settled(&mut client, "t", 0), [] as [&str; 0], "what it had open is aborted");
}

#[test]
fn the_last_records_are_found_behind_the_ends_of_transactions() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    let mut client = node.connect();
    client.make_topic("t");
    let mut txn = Txn::init(&mut client, "id", Speaks::V2);
    for (value, commits) in [("a", true), ("b", true), ("c", false), ("d", false)] {
        txn.send(&mut client, "t", 0, value).unwrap();
        txn.end(&mut client, commits);
        read_settled(&mut client, "t", 0);
    }
    assert_eq!(at.ok("consume t --last 1"), "d\n");
    assert_eq!(at.ok("consume t --last 2 --isolation-level read-committed"), "a\nb\n");
}

#[test]
fn a_transaction_that_hangs_is_found_and_aborted() {
    let node = TestNode::start(&["transaction.partition.verification.enable=false"]);
    let at = Terminal::at(&node);
    let mut client = node.connect();
    client.make_topic("t");
    let mut txn = Txn::init(&mut client, "hangs", Speaks::V1);
    let batch = txn.batch("t", 0, "hangs");
    txn.produce_as(&mut client, 11, "t", 0, batch).unwrap();
    client.produce("t", &[b"behind it"]);

    assert_eq!(at.json("transaction find-hanging"), json!([]), "it may still be a slow one");
    let found = at.json("transaction find-hanging --max-transaction-timeout 0s");
    assert_eq!((found.as_array().map(Vec::len), &found[0]["producer_id"]), (Some(1), &json!(txn.producer_id)), "{found}");
    assert_eq!(found, at.json("transaction find-hanging t:0 --max-transaction-timeout 0s"));
    at.fails(
        1,
        "transaction abort t:0 --start-offset 1",
        &["no open transaction begins at offset 1 of t-0", "transaction producers t:0"],
    );
    at.fails(2, "transaction abort t --start-offset 0", &["one partition is to be named"]);
    at.ok("transaction abort t:0 --start-offset 0 --dry-run");
    assert_eq!(read_committed(&mut client, "t", 0).last_stable_offset, 0, "a dry run aborts nothing");
    at.ok("transaction abort t:0 --start-offset 0");
    assert_eq!(read_settled(&mut client, "t", 0), ["behind it"]);
    assert_eq!(at.json("transaction find-hanging --max-transaction-timeout 0s"), json!([]));
}
