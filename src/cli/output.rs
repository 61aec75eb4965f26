//! What commands print: tables and sentences for people, JSON for programs, and nothing that only makes sense on a terminal elsewhere.
//!
//! Invariants: with `--output json` the standard output holds JSON and nothing else; everything that is not the answer itself goes to the
//! standard error.

use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use comfy_table::{Attribute, Cell, CellAlignment, presets};
use serde::Serialize;

use super::error::{CliError, Result};

#[derive(Args, Clone, Copy, Debug)]
pub struct Format {
    /// Form of the output
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences
    Text,
    /// JSON with stable field names
    Json,
}

impl Format {
    pub fn is_json(self) -> bool {
        self.output == Output::Json
    }

    /// Prints an answer in the form that was asked for. Text is made only if it is wanted.
    pub fn print(self, answer: &impl Serialize, text: impl FnOnce() -> String) -> Result {
        let text = match self.output {
            Output::Text => text(),
            Output::Json => {
                let mut json = serde_json::to_string_pretty(answer).map_err(|e| CliError::Output(e.into()))?;
                json.push('\n');
                json
            }
        };
        print(&text)
    }
}

/// Writes to the standard output; a reader that went away is an error that ends the command quietly.
pub fn print(text: &str) -> Result {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(CliError::Output)
}

/// Writes a line about the command's work to the standard error.
pub fn note(text: impl AsRef<str>) {
    // There is nobody left to tell that nobody listens.
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Writes what went wrong to the standard error, with what to do about it below.
pub fn report(error: &CliError) {
    let paint = |style: Style, text: &str| match colours(&io::stderr()) {
        true => format!("{style}{text}{style:#}"),
        false => text.to_owned(),
    };
    let red = AnsiColor::Red.on_default().bold();
    let green = AnsiColor::Green.on_default();
    note(format!("{} {error}", paint(red, "error:")));
    if let Some(tip) = error.tip() {
        note(format!("\n  {} {tip}", paint(green, "tip:")));
    }
}

/// Whether a stream shows colours: it is a terminal, and nobody has asked for none (no-color.org).
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table: a line of headings and a line a row, columns two blanks apart, no borders, so that it can be cut and grepped.
pub struct Table {
    table: comfy_table::Table,
    right: Vec<bool>,
}

impl Table {
    /// Headings; those that begin with `>` are of columns that are aligned to the right.
    pub fn new(headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        let right: Vec<bool> = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let bold = colours(&io::stdout());
        table.set_header(headings.iter().zip(&right).map(|(heading, right)| {
            let cell = cell(heading.trim_start_matches('>'), *right);
            if bold { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
        Self { table, right }
    }

    /// Adds a row; it has as many cells as there are headings.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.table.add_row(cells.into_iter().zip(&self.right).map(|(text, right)| cell(&text.to_string(), *right)));
    }

    pub fn render(mut self) -> String {
        let last = self.right.len().saturating_sub(1);
        for (index, column) in self.table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
        }
        self.table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

fn cell(text: &str, right: bool) -> Cell {
    // What a cluster holds may be written by anybody; it must not move the cursor of who looks at it.
    let text: String = text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    Cell::new(text).set_alignment(if right { CellAlignment::Right } else { CellAlignment::Left })
}

/// `1 topic`, `2 topics`.
pub fn plural(count: impl Into<i64>, noun: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Numbers separated by commas, or a dash where there are none.
pub fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".into() } else { items.join(",") }
}

/// One a line.
pub fn lines<T: AsRef<str>>(items: &[T]) -> String {
    items.iter().map(|item| format!("{}\n", item.as_ref())).collect()
}

/// A number of bytes as people read it: `512 B`, `1.5 MiB`.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// The value, or a dash.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_can_be_cut() {
        let mut table = Table::new(&["TOPIC", ">PARTITIONS", "ISR"]);
        table.row(["orders", "3", "1,2"]);
        table.row(["a\u{1b}[2J", "12", ""]);
        assert_eq!(table.render(), "TOPIC   PARTITIONS  ISR\norders           3  1,2\na\u{fffd}[2J           12\n");
    }

    #[test]
    fn counts_are_spoken() {
        assert_eq!((plural(1, "topic"), plural(0, "topic")), ("1 topic".into(), "0 topics".into()));
        assert_eq!([0, 1023, 1024, 1_572_864, 5 << 40].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB"]);
        assert_eq!((list([1, 2]), list::<i32>([])), ("1,2".into(), "-".into()));
    }
}
