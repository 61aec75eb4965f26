//! What happens to the broker while its clients work: it is killed, stopped for a while, or stopped in order and started again.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::BrokerProcess;
use crate::random::Random;

use super::workload::Run;

/// Disturbs the broker so often, each time after the clients have written something; it runs in the end.
pub fn disturb(run: &Run, broker: &mut BrokerProcess, rounds: usize, mut told: impl FnMut(usize)) {
    let mut random = Random(run.seed);
    for round in 0..rounds {
        run.wait_for_writes(100 + random.below(500) as usize);
        match random.below(10) {
            0 => {
                let pid = Pid::from_raw(broker.pid() as i32).expect("the broker runs");
                kill_process(pid, Signal::STOP).expect("it can be stopped");
                std::thread::sleep(Duration::from_millis(random.below(3000)));
                kill_process(pid, Signal::CONT).expect("it can go on");
            }
            1 => {
                broker.stop();
                broker.start_again();
            }
            _ => {
                broker.kill();
                broker.start_again();
            }
        }
        told(round + 1);
    }
    run.wait_for_writes(200);
    run.wait_for_reads();
}
