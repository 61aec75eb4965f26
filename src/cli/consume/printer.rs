//! Writes records to the standard output, as text or as JSON, and counts them.

use std::io::{self, IsTerminal, StdoutLock, Write};

use super::format::{RecordFormat, Style};
use crate::cli::error::{CliError, Result};
use crate::cli::record_json::OutputRecord;
use crate::record::owned::Record;

/// How records are written.
pub enum Form {
    Text(RecordFormat),
    Json,
}

/// See the module. Nothing more is written once `limit` records were.
pub struct Printer {
    form: Form,
    style: Style,
    out: StdoutLock<'static>,
    line: Vec<u8>,
    written: u64,
    limit: Option<u64>,
}

impl Printer {
    pub fn new(form: Form, null_marker: String, limit: Option<u64>) -> Self {
        let out = io::stdout();
        let style = Style { null_marker, escape: out.is_terminal() };
        Self { form, style, out: out.lock(), line: Vec::new(), written: 0, limit }
    }

    pub fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.written >= limit)
    }

    /// Writes a record, unless the limit is reached; says whether it did.
    pub fn write(&mut self, topic: &str, partition: i32, record: &Record) -> Result<bool> {
        if self.is_full() {
            return Ok(false);
        }
        self.written += 1;
        match &self.form {
            Form::Text(format) => format.write(&mut self.line, &self.style, topic, partition, record),
            Form::Json => {
                let record = OutputRecord::new(topic, partition, record);
                serde_json::to_writer(&mut self.line, &record).map_err(|error| CliError::Output(error.into()))?;
                self.line.push(b'\n');
            }
        }
        // Records go out in large pieces while there are many, and at once when there are few: see `flush`.
        if self.line.len() >= WRITE_AT {
            self.flush()?
        }
        Ok(true)
    }

    /// Hands everything to the reader.
    pub fn flush(&mut self) -> Result {
        let written = self.out.write_all(&self.line).and_then(|()| self.out.flush());
        self.line.clear();
        written.map_err(CliError::Output)
    }
}

/// Bytes that are written at once.
const WRITE_AT: usize = 64 << 10;
