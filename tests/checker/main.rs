//! The checker: many clients produce, read, commit and transact at random while the broker is killed, and what they were told is held against
//! what Kafka promises, by code that shares nothing with the broker.
//!
//! A run is one seed: what each client decides, and when the broker dies. `benches/checker.rs` runs it for as long as one likes.

#[allow(unused)]
#[path = "../support/process.rs"]
mod process;
#[path = "../support/random.rs"]
mod random;

mod analysis;
mod classes;
mod faults;
mod history;
mod nemesis;
mod proxy;
mod workload;

use analysis::analyze;
use process::Launch;
use workload::{Crowd, Run};

#[test]
fn nothing_goes_wrong_while_the_broker_is_killed() {
    let seed = 1;
    let settings = ["group.initial.rebalance.delay.ms=0", "log.segment.bytes=1MiB", "log.roll.ms=1s"];
    let mut broker = Launch::with(&settings).in_memory().start();
    let run = Run::new(broker.bootstrap(), seed);
    run.work(Crowd { producers: 2, transactional: 3, readers: 2 }, |run| nemesis::disturb(run, &mut broker, 5, |_| {}));
    let report = analyze(&run.recorder.history());
    assert!(report.anomalies.is_empty(), "seed {seed}: {report:#?}");
    assert!(report.acknowledged > 500 && report.read > report.acknowledged, "seed {seed}: too little was done: {report:?}");
}
