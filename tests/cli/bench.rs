//! `klamm bench`: every workload runs, and says what it measured. How fast is not this test's business.

use crate::support::TestNode;
use crate::terminal::Terminal;

const BRIEFLY: &str = "--warmup 0.1 --seconds 0.3 --rounds 1 --no-sync";

#[test]
fn every_workload_gives_figures() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    let there = node.address();
    for workload in [
        "api-versions",
        "produce --partitions 4",
        "produce --partitions 4 --rate 200",
        "flush",
        "fetch",
        "end-to-end --rate 100",
        "mixed --rate 100",
        "idle --connections 20",
        "partitions --count 20",
    ] {
        let report = at.json(&format!("bench {workload} -b {there} {BRIEFLY}"));
        let rounds = &report["brokers"][0]["rounds"];
        assert!(rounds.as_array().is_some_and(|rounds| rounds.len() == 1), "{workload}: {report}");
    }
    let text = at.ok(&format!("bench api-versions -b {there} {BRIEFLY}"));
    assert!(text.contains("p99"), "{text}");
    assert_eq!(at.ok("topic list --names"), "", "what a benchmark makes, it takes away");
}

#[test]
fn a_benchmark_of_nothing_fails() {
    let at = Terminal::without_broker();
    at.fails(1, &format!("bench produce -b 127.0.0.1:1 {BRIEFLY}"), &["127.0.0.1:1"]);
    at.fails(2, "bench juggling", &["unrecognized subcommand"]);
}
