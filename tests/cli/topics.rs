//! `klamm topic`.

use serde_json::json;

use crate::support::TestNode;
use crate::terminal::Terminal;

#[test]
fn a_topic_is_made_shown_changed_and_deleted() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    let none = at.run("topic list");
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));
    assert_eq!(none.stderr, "There are no topics. Make one with 'klamm topic create NAME'.\n");
    assert_eq!(
        at.ok("topic create orders -p 3 --config retention.ms=7d"),
        "Created topic orders with 3 partitions, 1 replica each.\n"
    );
    assert_eq!(at.ok("topic list --names"), "orders\n");

    let described = at.json("topic describe orders");
    assert_eq!(described[0]["name"], "orders", "{described}");
    assert_eq!(described[0]["partitions"].as_array().map(Vec::len), Some(3), "{described}");
    assert!(at.ok("topic describe orders").contains("retention.ms=604800000"));

    assert_eq!(at.ok("topic alter orders --config segment.bytes=64MiB"), "Altered topic orders.\n");
    assert!(at.ok("config describe --topic orders").contains("67108864"));
    assert_eq!(at.ok("topic add-partitions orders --num 2"), "Topic orders has 5 partitions, 3 before.\n");

    assert_eq!(at.ok("topic delete orders"), "Deleted topic orders.\n");
    at.fails(1, "topic describe orders", &["topic \"orders\" does not exist"]);
}

#[test]
fn what_is_there_already_is_an_error_unless_it_may_be() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    at.fails(1, "topic create orders", &["TOPIC_ALREADY_EXISTS", "tip: ", "--if-not-exists"]);
    assert_eq!(at.json("topic create orders --if-not-exists")[0]["created"], json!(false));
    // Part is done, part is not: a script must be able to tell.
    at.fails(3, "topic create orders payments", &["orders", "1 of 2 topics failed"]);
    assert!(at.ok("topic list --names").contains("payments"));
    at.fails(1, "topic create orders payments", &["all 2 topics failed"]);
}

#[test]
fn what_is_there_is_shown_beside_what_is_not() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders rates");
    assert_eq!(at.json("topic list --names"), json!(["orders", "rates"]));
    let described = at.run("topic describe orders nosuch --output json");
    described.failed(3, "topic describe orders nosuch", &["topic \"nosuch\" does not exist", "1 of 2 topics failed"]);
    assert!(described.stdout.contains("\"name\": \"orders\""), "{}", described.stdout);
    let offsets = at.run("topic offsets orders nosuch rates:9");
    offsets.failed(3, "topic offsets orders nosuch", &["\"nosuch\" does not exist", "no partition 9", "2 of 3 topics failed"]);
    assert!(offsets.stdout.contains("orders"), "{}", offsets.stdout);
    at.fails(1, "topic describe nosuch neither", &["all 2 topics failed"]);
    at.fails(1, "topic offsets nosuch neither", &["all 2 topics failed"]);
    // What changes something changes nothing then.
    at.fails(1, "topic add-partitions orders nosuch --num 1", &["topic \"nosuch\" does not exist"]);
    assert_eq!(at.json("topic list")[0]["partitions"], 1);
}

#[test]
fn the_clusters_own_topics_are_not_deleted_by_accident() {
    let node = TestNode::start(&["group.initial.rebalance.delay.ms=0"]);
    let at = Terminal::at(&node);
    at.ok("topic create orders");
    at.ok_with("a\n", "produce orders");
    at.ok("consume orders --group readers --from-beginning -e");
    let delete = "topic delete orders __consumer_offsets";
    at.fails(1, delete, &["the cluster's own", "every group would forget its offsets", "nothing was deleted", "--force"]);
    assert_eq!(at.ok("topic list --names --internal"), "__consumer_offsets\norders\n");
    at.ok(&format!("{delete} --force"));
    assert_eq!(at.ok("topic list --names"), "");
}

#[test]
fn a_dry_run_changes_nothing() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders --dry-run");
    assert_eq!(at.ok("topic list --names"), "");
    at.fails(1, "topic create orders --dry-run --config retention.m=1", &["INVALID_CONFIG", "did you mean retention.ms?"]);
    at.ok("topic create orders");
    let refused = at.run("topic alter orders --config log.retention.ms=7d");
    refused.failed(1, "topic alter", &["the nearest is retention.ms", "did you mean retention.ms?"]);
}

#[test]
fn offsets_are_shown_and_records_deleted() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    at.ok("topic create orders -p 2");
    at.ok_with("a\nb\nc\n", "produce orders -p 0");
    let offsets = at.json("topic offsets orders");
    assert_eq!((&offsets[0]["earliest"], &offsets[0]["latest"], &offsets[1]["latest"]), (&json!(0), &json!(3), &json!(0)));
    assert_eq!(at.json("topic offsets orders:0 --time '1h ago'")[0]["offset"], 0);
    assert_eq!(at.json("topic offsets orders:0 --time latest")[0]["offset"], 3);
    at.fails(1, "topic offsets orders:7", &["has no partition 7", "0 to 1"]);

    assert_eq!(at.ok("topic delete-records orders:0 --offset 2"), "Partition orders-0 begins at offset 2.\n");
    assert_eq!(at.ok("consume orders -p 0 --from-beginning -e"), "c\n");
    at.fails(1, "topic delete-records orders:0 --offset 9", &["OFFSET_OUT_OF_RANGE"]);
    at.file("offsets.json", r#"{"partitions": [{"topic": "orders", "partition": 0, "offset": -1}], "version": 1}"#);
    at.ok("topic delete-records --offset-json-file offsets.json");
    assert_eq!(at.json("topic offsets orders:0")[0]["earliest"], 3);
}
