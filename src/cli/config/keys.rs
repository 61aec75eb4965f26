//! `klamm config keys`: every key that klamm has, with its documentation. Asks no broker.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use crate::cli::error::{CliError, Result};
use crate::cli::output::Format;
use crate::config::def::{BROKER, GROUP, Scope, TOPIC};
use crate::config::foreign;
use crate::config::key::{Key, Update};
use crate::config::load::variable_of;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm config keys
  klamm config keys retention
  klamm config keys log.retention.ms --output json")]
pub struct Keys {
    /// Show keys with this text in their name only
    #[arg(value_name = "TEXT")]
    text: Option<String>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    /// Whose key it is: broker, topic or group.
    of: &'static str,
    /// Plain, without units; null where Kafka says null.
    default: Option<&'static str>,
    allowed: String,
    /// Whether it can be changed while the broker runs.
    dynamic: bool,
    /// Name of the environment variable; null for keys that are not in the file.
    environment: Option<String>,
    documentation: &'static str,
}

impl Row {
    fn new(scope: &Scope, key: &'static Key) -> Self {
        let of_broker = scope.name == BROKER.name;
        Self {
            name: key.name,
            of: scope.name,
            default: key.default,
            allowed: key.allowed.to_string(),
            dynamic: !of_broker || key.update == Update::ClusterWide,
            environment: of_broker.then(|| variable_of(key.name)),
            documentation: key.doc(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} = {}\n  of a {}", self.name, self.default.unwrap_or("(not set)"), self.of);
        text.push_str(if self.dynamic { ", can be changed while it runs" } else { ", needs a restart" });
        if let Some(variable) = &self.environment {
            let _ = write!(text, "; {variable}");
        }
        if !self.allowed.is_empty() {
            let _ = write!(text, "\n  takes {}", self.allowed);
        }
        text.push('\n');
        for line in super::describe::wrapped(self.documentation, 100) {
            let _ = writeln!(text, "  {line}");
        }
        text
    }
}

impl Keys {
    pub fn run(self, format: Format) -> Result {
        let wanted = self.text.as_deref().unwrap_or_default();
        let rows: Vec<Row> = [&BROKER, &TOPIC, &GROUP]
            .into_iter()
            .flat_map(|scope| scope.keys().map(move |key| Row::new(scope, key)))
            .filter(|row| row.name.contains(wanted))
            .collect();
        if rows.is_empty() {
            return Err(unknown(wanted));
        }
        format.print(&rows, || rows.iter().map(Row::text).collect::<Vec<_>>().join("\n"))
    }
}

fn unknown(name: &str) -> CliError {
    let message = format!("klamm has no key with {name:?} in its name");
    let nearest = [&BROKER, &TOPIC, &GROUP].into_iter().find_map(|scope| scope.nearest(name));
    match (foreign::why_absent(name), nearest) {
        (Some(why), _) => CliError::failed_with_tip(message, format!("Kafka has it; {why}")),
        (None, Some(nearest)) => CliError::failed_with_tip(message, format!("did you mean {nearest}?")),
        (None, None) => CliError::failed_with_tip(message, "'klamm config keys' shows all keys"),
    }
}
