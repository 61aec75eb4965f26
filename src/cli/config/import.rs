//! `klamm config import`: the command around [`config_import`](crate::cli::config_import).

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::config_import::{Note, import};
use crate::cli::error::{CliError, Result};
use crate::cli::output::{Format, note, plural, print};

#[derive(Args)]
#[command(
    after_help = "The TOML goes to the standard output, or to --to FILE; what is not taken over as it was is told on the standard error, and
stands as comments at the end of the TOML, without the values of secrets.

Examples:
  klamm config import server.properties > klamm.toml
  klamm config import server.properties --to klamm.toml && klamm serve --config klamm.toml --check"
)]
pub struct Import {
    /// A server.properties of Kafka
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File that gets the TOML; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Serialize)]
struct Imported {
    toml: String,
    /// Keys that are not taken over as they were.
    notes: Vec<Note>,
}

impl Import {
    pub fn run(self, format: Format) -> Result {
        let text = std::fs::read_to_string(&self.file).map_err(CliError::file("read", &self.file))?;
        let imported = import(&text);
        if let Some(to) = &self.to {
            let file = OpenOptions::new().write(true).create_new(true).open(to);
            file.and_then(|mut file| file.write_all(imported.toml.as_bytes())).map_err(CliError::file("write", to))?;
        }
        if format.is_json() {
            return format.print(&Imported { toml: imported.toml, notes: imported.notes }, String::new);
        }
        if self.to.is_none() {
            print(&imported.toml)?;
        }
        for Note { key, value, what } in &imported.notes {
            note(format!("{key} = {value}: {what}"));
        }
        let counted = match imported.notes.len() {
            0 => "Everything is taken over.".to_owned(),
            n => format!("Not taken over as it was, see above: {}.", plural(n as i64, "value")),
        };
        note(match &self.to {
            Some(to) => format!("{counted} Wrote {}.", to.display()),
            None => counted,
        });
        Ok(())
    }
}
