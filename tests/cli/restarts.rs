//! A broker that goes away and comes back, under commands that go on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::process::BrokerProcess;

/// How long a line may take to come.
const DEADLINE: Duration = Duration::from_secs(60);

fn klamm(broker: &BrokerProcess, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klamm"));
    command.args(arguments).env("KLAMM_BOOTSTRAP_SERVER", broker.bootstrap());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary starts")
}

fn produce(broker: &BrokerProcess, value: &str) {
    let mut child = klamm(broker, &["produce", "t"]);
    child.stdin.take().expect("it is piped").write_all(value.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
}

/// The lines that a command prints, as they come.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (send, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| send.send(line).is_ok()));
    lines
}

#[test]
fn whoever_consumes_goes_on_when_the_broker_is_back() {
    for group in [&[][..], &["--group", "readers"]] {
        let mut broker = BrokerProcess::start(&["group.initial.rebalance.delay.ms=0"]);
        assert!(klamm(&broker, &["topic", "create", "t"]).wait().expect("it ends").success());
        produce(&broker, "before");
        let mut child = klamm(&broker, &[&["consume", "t", "--from-beginning", "--max-messages", "2"], group].concat());
        let lines = lines_of(&mut child);
        assert_eq!(lines.recv_timeout(DEADLINE).as_deref(), Ok("before"), "{group:?}");
        broker.kill();
        broker.start_again();
        produce(&broker, "after");
        assert_eq!(lines.recv_timeout(DEADLINE).as_deref(), Ok("after"), "{group:?}");
        assert!(child.wait().expect("it ends").success(), "{group:?}");
    }
}

/// Batches of some partitions are under way when the broker falls silent, those of others are sent later, and further records wait: whatever became
/// of each, it is told, although no producer id can be had for those that are left.
#[test]
fn of_every_record_it_is_told_what_became_of_it_when_the_broker_does_not_come_back() {
    let mut broker = BrokerProcess::start(&[]);
    assert!(klamm(&broker, &["topic", "create", "t", "--partitions", "4"]).wait().expect("it ends").success());
    let mut child = klamm(&broker, &["produce", "t", "--input", "json", "--timeout", "2", "--output", "json"]);
    let mut input = child.stdin.take().expect("it is piped");
    let mut fed = 0;
    let mut feed = |partitions: &[i32]| {
        for partition in partitions {
            writeln!(input, r#"{{"partition":{partition},"value":"v"}}"#).expect("it reads");
            fed += 1;
            // Batches leave in their turn, not all at once.
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    feed(&[0, 1, 2, 3]);
    let pid = Pid::from_raw(i32::try_from(broker.pid()).expect("a process id")).expect("it is not 0");
    kill_process(pid, Signal::STOP).expect("the broker can be stopped");
    feed(&[0, 0, 1, 1]);
    // So that the first to be given up are that much older than the others.
    std::thread::sleep(Duration::from_millis(500));
    feed(&[2, 3, 0, 3]);
    broker.kill();
    feed(&[0, 1, 2, 3]);
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let told = |field: &str| summary[field].as_u64().expect("a number");
    assert_eq!(told("records") + told("failed"), fed, "{summary}");
    assert!(told("failed") > 0 && !output.status.success(), "{summary}");
}

/// Whoever asked for so many records has not got them when it is interrupted before; whoever reads on and on has what it wanted.
#[test]
fn who_is_interrupted_before_the_end_says_so() {
    let broker = BrokerProcess::start(&[]);
    assert!(klamm(&broker, &["topic", "create", "t"]).wait().expect("it ends").success());
    produce(&broker, "one");
    for (end, code) in
        [(&[][..], 0), (&["-n", "2"], 130), (&["--timeout-ms", "600000"], 130), (&["-n", "2", "-g", "readers"], 130)]
    {
        let mut child = klamm(&broker, &[&["consume", "t", "--from-beginning"], end].concat());
        assert_eq!(lines_of(&mut child).recv_timeout(DEADLINE).as_deref(), Ok("one"), "{end:?}");
        kill_process(Pid::from_child(&child), Signal::INT).expect("it can be interrupted");
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{end:?}");
    }
}
