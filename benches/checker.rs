//! The checker for as long as one likes: run after run, each with a seed and a broker of its own, which is killed all the time. Its data lies
//! in memory where there is room: a process that is killed keeps what it has written, and a slow disk would hold the clients up.
//!
//! `cargo bench --bench checker -- --minutes 60 --seed 1` stops at the first anomaly, or after the time is up, and says what was done. A run of
//! one seed: `--minutes 0 --seed N`.

#[allow(unused)]
#[path = "../tests/support/process.rs"]
mod process;

#[path = "../tests/checker/analysis.rs"]
mod analysis;
#[path = "../tests/checker/history.rs"]
mod history;
#[path = "../tests/checker/nemesis.rs"]
mod nemesis;
#[path = "../tests/support/random.rs"]
mod random;
#[path = "../tests/checker/workload.rs"]
mod workload;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use analysis::analyze;
use process::Launch;
use workload::{Crowd, Run};

#[derive(Parser)]
struct Options {
    /// How long runs are begun.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The first run's seed; the next run's is one more.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often the broker is disturbed in a run.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (began, mut seed) = (Instant::now(), options.seed);
    let (mut disturbed, mut acknowledged, mut unknown, mut read) = (0, 0, 0, 0);
    loop {
        let settings = ["group.initial.rebalance.delay.ms=0", "log.segment.bytes=1MiB", "log.roll.ms=1s"];
        let mut broker = Launch::with(&settings).in_memory().start();
        let run = Run::new(broker.bootstrap(), seed);
        let crowd = Crowd { producers: 3, transactional: 4, readers: 3 };
        run.work(crowd, |run| nemesis::disturb(run, &mut broker, options.rounds, |_| {}));
        let report = analyze(&run.recorder.history());
        if !report.anomalies.is_empty() {
            println!("seed {seed}: {:?}\n{report:#?}", report.classes());
            return ExitCode::FAILURE;
        }
        disturbed += options.rounds;
        acknowledged += report.acknowledged;
        unknown += report.unknown;
        read += report.read;
        println!(
            "{:>5} s  seed {seed}: nothing wrong; so far the broker was disturbed {disturbed} times, {acknowledged} writes were acknowledged, \
             of {unknown} nobody knows, {read} records were read",
            began.elapsed().as_secs()
        );
        seed += 1;
        if began.elapsed() >= Duration::from_secs(options.minutes * 60) {
            return ExitCode::SUCCESS;
        }
    }
}
