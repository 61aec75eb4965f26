//! `klamm bench`: every workload runs, and says what it measured. How fast is not this test's business.

use std::process::{Command, Stdio};
use std::time::Duration;

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
fn an_interrupted_benchmark_leaves_no_topic() {
    let node = TestNode::start(&[]);
    let at = Terminal::at(&node);
    let there = node.address().to_string();
    for workload in [&["produce"][..], &["partitions", "--count", "5", "--warmup", "60"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_klamm"))
            .arg("bench")
            .args(workload)
            .args(["--seconds", "60", "--no-sync", "-b", &there])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        while at.ok("topic list --names").is_empty() {
            assert!(child.try_wait().expect("it can be asked").is_none(), "{workload:?} has ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "{workload:?}");
        assert_eq!(at.ok("topic list --names"), "", "{workload:?}");
    }
}

#[test]
fn a_benchmark_of_nothing_fails() {
    let at = Terminal::without_broker();
    at.fails(1, &format!("bench produce -b 127.0.0.1:1 {BRIEFLY}"), &["127.0.0.1:1"]);
    at.fails(2, "bench juggling", &["unrecognized subcommand"]);
}
