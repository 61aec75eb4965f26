//! A broker that goes away and comes back, under commands that go on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

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
