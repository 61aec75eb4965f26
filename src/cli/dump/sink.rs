//! Where a dump goes: lines for people, or one JSON object a line.

use std::io::{self, StdoutLock, Write};

use serde::Serialize;

use crate::cli::error::{CliError, Result};
use crate::cli::output::Format;

/// See the module.
pub struct Sink {
    format: Format,
    out: io::BufWriter<StdoutLock<'static>>,
}

impl Sink {
    pub fn new(format: Format) -> Self {
        Self { format, out: io::BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    pub fn is_json(&self) -> bool {
        self.format.is_json()
    }

    /// Writes one thing, in the form that was asked for.
    pub fn put(&mut self, json: &impl Serialize, text: impl FnOnce() -> String) -> Result {
        if !self.is_json() {
            return self.text(&text());
        }
        serde_json::to_writer(&mut self.out, json).map_err(|error| CliError::Output(error.into()))?;
        self.out.write_all(b"\n").map_err(CliError::Output)
    }

    /// Writes a line that only people need.
    pub fn heading(&mut self, text: impl FnOnce() -> String) -> Result {
        if self.is_json() { Ok(()) } else { self.text(&text()) }
    }

    pub fn flush(&mut self) -> Result {
        self.out.flush().map_err(CliError::Output)
    }

    fn text(&mut self, line: &str) -> Result {
        writeln!(self.out, "{line}").map_err(CliError::Output)
    }
}
