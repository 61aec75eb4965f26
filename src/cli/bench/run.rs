//! Rounds: every broker once in each round, in turn, so that whatever else the machine does meets all of them alike.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::error::{BenchError, Result};
use super::figure::Figure;
use super::options::{Broker, Common, Output};
use super::report;

/// Something that can be measured of a broker.
pub trait Workload {
    /// One line that says what is done, for people.
    fn title(&self) -> String;
    /// One round on one broker.
    fn measure(&self, broker: &Broker, common: &Common) -> Result<Figure>;
}

/// All rounds of one broker.
pub struct Measured {
    pub broker: Broker,
    pub rounds: Vec<Figure>,
}

pub fn run(workload: &dyn Workload, common: &Common) -> Result<()> {
    let mut measured: Vec<Measured> =
        common.brokers().into_iter().map(|broker| Measured { broker, rounds: Vec::new() }).collect();
    let progress = progress_bar(u64::from(common.rounds) * measured.len() as u64);
    for round in 1..=common.rounds {
        // Every other round the other way round: who comes second finds a warmer machine.
        let mut order: Vec<usize> = (0..measured.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for index in order {
            let Measured { broker, rounds } = &mut measured[index];
            progress.set_message(format!("{}, round {round} of {}", broker.name, common.rounds));
            rounds.push(workload.measure(broker, common)?);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    let text = match common.output {
        Output::Text => report::text(&workload.title(), common, &measured),
        Output::Json => report::json(&workload.title(), common, &measured),
    };
    print(&text)
}

/// A closed pipe is the reader's way to say that it has seen enough.
fn print(text: &str) -> Result<()> {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout(), "{text}") {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(BenchError::File { path: "standard output".to_owned(), operation: "write", source })
        }
        _ => Ok(()),
    }
}

/// Shows itself on terminals only.
fn progress_bar(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {bar:30} {elapsed}").expect("a template that is known to be right");
    let bar = ProgressBar::new(steps).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// `1 record`, `2 records`.
pub fn plural(count: u32, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
