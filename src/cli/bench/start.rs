//! `bench start`: how long a broker takes from the start of its process to its first answer, and to the last of its partitions; what it
//! holds when it idles; how long it takes to stop.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};

use super::admin::Admin;
use super::error::{BenchError, Result};
use super::figure::Figure;
use super::load;
use super::options::{Broker, Common};
use super::process::Process;
use super::run::Workload;

const START_TIMEOUT: Duration = Duration::from_secs(900);
/// Between two attempts: short against any start worth measuring.
const RETRY: Duration = Duration::from_millis(1);

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  Five starts of a broker that listens on the default port:
    klamm bench start --rounds 5 -- klamm serve
  How long until ten thousand partitions answer again:
    klamm bench start --rounds 1 --await bench-partitions=10000 -- klamm serve")]
pub struct Start {
    /// Wait until the topics whose names begin like this have so many partitions, all led and answering
    #[arg(long = "await", value_name = "PREFIX=PARTITIONS", value_parser = prefix_count)]
    pub await_partitions: Option<(String, i32)>,
    /// Seconds the broker is left alone before its memory is looked at
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub settle: f64,
    /// What becomes of the broker at the end
    #[arg(long, value_enum, default_value_t = End::Stop)]
    pub end: End,
    /// File that gets what the broker prints [default: nowhere]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// The broker's command line
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum End {
    /// It is asked to stop (SIGTERM), and the time until it has is taken
    Stop,
    /// It goes on running
    Leave,
}

fn prefix_count(text: &str) -> Result<(String, i32), String> {
    let pair = text.rsplit_once('=').and_then(|(prefix, count)| Some((prefix.to_owned(), count.parse().ok()?)));
    pair.filter(|(_, count)| *count > 0).ok_or("expected PREFIX=PARTITIONS".to_owned())
}

impl Start {
    fn spawn(&self) -> Result<Child> {
        let output = || -> Result<Stdio> {
            let Some(path) = &self.log else { return Ok(Stdio::null()) };
            let file = File::options().create(true).append(true).open(path);
            file.map(Stdio::from).map_err(|source| BenchError::File {
                path: path.display().to_string(),
                operation: "open",
                source,
            })
        };
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null()).stdout(output()?).stderr(output()?);
        command.spawn().map_err(|source| BenchError::File { path: self.command[0].clone(), operation: "start", source })
    }

    /// Tries until `attempt` gives something, the broker ends, or patience does.
    fn poll<T>(child: &mut Child, what: &str, mut attempt: impl FnMut() -> Option<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(value) = attempt() {
                return Ok(value);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(BenchError::Usage(format!("the broker ended ({status}) before {what}; see its log (--log)")));
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(BenchError::Timeout { what: what.to_owned(), waited: START_TIMEOUT });
            }
            thread::sleep(RETRY);
        }
    }

    fn all_answer(address: &str, prefix: &str, partitions: i32) -> Option<()> {
        let mut admin = Admin::connect(address).ok()?;
        let topics = admin.topics_beginning_with(prefix).ok()?;
        let all = topics.iter().map(|(_, count)| count).sum::<i32>() == partitions;
        (all && topics.iter().all(|(name, count)| admin.is_ready(name, *count).unwrap_or(false))).then_some(())
    }

    fn observe(&self, child: &mut Child, started: Instant, broker: &Broker) -> Result<Figure> {
        let mut figure = Figure::default();
        Self::poll(child, "its first answer", || Admin::connect(&broker.address).ok())?;
        figure.push("first_answer_ms", "start to first answer ms", started.elapsed().as_secs_f64() * 1e3);
        if let Some((prefix, count)) = &self.await_partitions {
            Self::poll(child, "all partitions answered", || Self::all_answer(&broker.address, prefix, *count))?;
            figure.push("ready_ms", "start to all partitions ms", started.elapsed().as_secs_f64() * 1e3);
        }
        thread::sleep(Duration::from_secs_f64(self.settle.clamp(0.0, 3600.0)));
        let process = Process { pid: child.id() };
        figure.push("start_cpu_ms", "CPU until now ms", process.cpu()?.as_secs_f64() * 1e3);
        figure.push_usage(&process.usage()?);
        Ok(figure)
    }

    fn stop(child: &mut Child) -> Result<Duration> {
        let signalled = Instant::now();
        let pid = Pid::from_child(child);
        kill_process(pid, Signal::TERM).map_err(|e| BenchError::Usage(format!("cannot signal the broker: {e}")))?;
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            if signalled.elapsed() > START_TIMEOUT {
                return Err(BenchError::Timeout { what: "the broker's end after SIGTERM".to_owned(), waited: START_TIMEOUT });
            }
            thread::sleep(RETRY);
        }
        Ok(signalled.elapsed())
    }
}

impl Workload for Start {
    fn title(&self) -> String {
        format!("start: {}", self.command[0])
    }

    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure> {
        if Admin::connect(&broker.address).is_ok() {
            return Err(BenchError::Usage(format!("{} answers already: stop that broker first", broker.address)));
        }
        load::settle(common);
        let started = Instant::now();
        let mut child = self.spawn()?;
        let mut figure = match self.observe(&mut child, started, broker) {
            Ok(figure) => figure,
            Err(error) => {
                // It is of no use to anybody now; that it could not be killed would say nothing new.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        match self.end {
            End::Stop => figure.push("stop_ms", "stop ms", Self::stop(&mut child)?.as_secs_f64() * 1e3),
            End::Leave => figure.push("pid", "process id", f64::from(child.id())),
        }
        Ok(figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_wait_for_is_a_prefix_and_a_count() {
        assert_eq!(prefix_count("bench-partitions=10000"), Ok(("bench-partitions".to_owned(), 10_000)));
        assert!(prefix_count("bench").is_err() && prefix_count("bench=0").is_err());
    }
}
