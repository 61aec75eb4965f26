//! What became of several things of one kind, of which some may have been refused.

use serde::Serialize;

use super::error::{CliError, Result};
use super::output::{self, Format};
use crate::client::{ClientError, kafka_name};

/// One thing, and what became of it.
#[derive(Debug)]
pub struct Outcome<T> {
    pub name: String,
    pub result: Result<T, ClientError>,
}

/// A refusal as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Kafka's name of the error, if a broker refused; null if it was not reached.
    pub code: Option<String>,
    pub message: String,
}

impl From<&ClientError> for Problem {
    fn from(error: &ClientError) -> Self {
        Self { code: error.code().map(kafka_name), message: error.to_string() }
    }
}

#[derive(Serialize)]
struct Row<'a, T: Serialize> {
    name: &'a str,
    #[serde(flatten)]
    done: Option<&'a T>,
    error: Option<Problem>,
}

/// Prints a line for everything that was done, an error for everything that was not, and fails if there was any.
pub fn conclude<T: Serialize>(
    format: Format,
    noun: &'static str,
    outcomes: Vec<Outcome<T>>,
    line: impl Fn(&str, &T) -> String,
) -> Result {
    let rows: Vec<_> = outcomes
        .iter()
        .map(|Outcome { name, result }| Row { name, done: result.as_ref().ok(), error: result.as_ref().err().map(Problem::from) })
        .collect();
    format.print(&rows, || rows.iter().filter_map(|row| row.done.map(|done| format!("{}\n", line(row.name, done)))).collect())?;
    let all = outcomes.len();
    let mut errors: Vec<ClientError> = outcomes.into_iter().filter_map(|outcome| outcome.result.err()).collect();
    let failed = errors.len();
    match failed {
        0 => Ok(()),
        1 if all == 1 => Err(errors.remove(0).into()),
        _ => {
            errors.into_iter().for_each(|error| output::report(&error.into()));
            tell_failures(failed, all, noun)
        }
    }
}

/// How a command ends of which so many parts of all failed, each of which was reported.
pub fn tell_failures(failed: usize, all: usize, what: &'static str) -> Result {
    match failed {
        0 => Ok(()),
        _ if failed >= all => Err(CliError::failed(format!("all {all} {what} failed"))),
        _ => Err(CliError::Partly { failed, all, what }),
    }
}
