//! The thread that reads the input and hands its records to the producer, so that a terminal or a pipe may keep it waiting.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::ProgressBar;

use super::input::{InputForm, Template, without_line_end};
use crate::base::time::Clock;
use crate::cli::error::{CliError, Result};
use crate::client::Producer;

/// Bytes read from a file at once.
const BUFFER: usize = 256 << 10;

/// Most bytes that a line, or a file taken whole, may have: no broker takes a request of that size.
const RECORD_MAX: u64 = 1 << 30;

/// Where records come from and at what pace.
pub struct Source {
    pub template: Template,
    /// None stand for the standard input.
    pub files: Vec<PathBuf>,
    /// Records a second.
    pub rate: Option<f64>,
    /// Partitions there are; a record for another one is a mistake.
    pub partitions: i32,
    pub progress: ProgressBar,
}

impl Source {
    /// Reads everything; ends early, without an error, when the producer takes no more.
    pub fn feed(self, producer: Producer) -> Result {
        let mut pace = Pace::new(self.rate);
        if self.files.is_empty() {
            let name = PathBuf::from("the standard input");
            return self.feed_one(&producer, io::stdin().lock(), &name, &mut pace).map(drop);
        }
        for path in &self.files {
            let file = File::open(path).map_err(CliError::file("open", path))?;
            if !self.feed_one(&producer, BufReader::with_capacity(BUFFER, file), path, &mut pace)? {
                break;
            }
        }
        Ok(())
    }

    fn feed_one(&self, producer: &Producer, mut input: impl BufRead, path: &PathBuf, pace: &mut Pace) -> Result<bool> {
        let clock = Clock::system();
        for number in 1u64.. {
            let mut line = Vec::new();
            let mut bounded = input.by_ref().take(RECORD_MAX + 1);
            let read = match self.template.form {
                InputForm::Whole => bounded.read_to_end(&mut line),
                _ => bounded.read_until(b'\n', &mut line),
            };
            let read = read.map_err(CliError::file("read", path))?;
            let wrong = |why: String| CliError::failed(format!("{}, line {number}: {why}", path.display()));
            if read as u64 > RECORD_MAX {
                return Err(wrong("a record has at most 1 GiB".into()));
            }
            if read == 0 && !(self.template.form == InputForm::Whole && number == 1) {
                break;
            }
            self.progress.inc(read as u64);
            if self.template.form != InputForm::Whole {
                without_line_end(&mut line);
            }
            let (partition, record) = self.template.record(Bytes::from(line), clock.wall_ms()).map_err(wrong)?;
            if let Some(partition) = partition.filter(|partition| !(0..self.partitions).contains(partition)) {
                return Err(wrong(format!("there is no partition {partition}; they are 0 to {}", self.partitions - 1)));
            }
            pace.wait();
            if !producer.send_blocking(partition, record) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Lets so many records a second pass, evenly.
struct Pace {
    interval: Option<Duration>,
    next: Instant,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        Self { interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)), next: Instant::now() }
    }

    fn wait(&mut self) {
        let Some(interval) = self.interval else { return };
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next += interval;
    }
}
