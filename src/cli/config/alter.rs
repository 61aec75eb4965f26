//! `klamm config alter`.

use clap::Args;
use serde::Serialize;

use super::{Entity, scope};
use crate::cli::connect::existing_topic;
use crate::cli::error::{CliError, Result};
use crate::cli::output::Format;
use crate::cli::settings::{Setting, meant};
use crate::client::Client;
use crate::client::configs::{ConfigChange, ConfigResource};
use crate::config::def::Scope;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm config alter --topic orders --add-config retention.ms=7d --add-config cleanup.policy=compact,delete
  klamm config alter --topic orders --delete-config retention.ms
  klamm config alter --broker-defaults --add-config log.retention.bytes=10GiB
  klamm config alter --topic orders --append cleanup.policy=compact --dry-run
  klamm config alter --broker-logger 1 --add-config klamm.coordinator=DEBUG")]
pub struct Alter {
    #[command(flatten)]
    entity: Entity,
    /// Key to set; may be repeated. Sizes and times may have units
    #[arg(long, short, value_name = "KEY=VALUE", required_unless_present_any = ["delete_config", "append", "subtract"])]
    add_config: Vec<Setting>,
    /// Key to set back to its default; may be repeated
    #[arg(long, short, value_name = "KEY", value_delimiter = ',')]
    delete_config: Vec<String>,
    /// Add an element to a key that is a list
    #[arg(long, value_name = "KEY=VALUE")]
    append: Vec<Setting>,
    /// Take an element out of a key that is a list
    #[arg(long, value_name = "KEY=VALUE")]
    subtract: Vec<Setting>,
    /// Ask the broker whether it would do it, without doing it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Altered {
    resource: String,
    altered: bool,
}

impl Alter {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let resource = self.entity.resource();
        let changes = self.changes(scope(&resource)).map_err(CliError::Usage)?;
        if let ConfigResource::Topic(name) = &resource {
            existing_topic(client, name).await?;
        }
        if let Err(error) = client.alter_configs(&resource, &changes, self.dry_run).await {
            let settings = self.add_config.iter().chain(&self.append).chain(&self.subtract);
            let keys = settings.map(|setting| &setting.key).chain(&self.delete_config);
            return Err(match meant(scope(&resource), keys) {
                Some(meant) => CliError::failed_with_tip(error.to_string(), meant),
                None => error.into(),
            });
        }
        let what = resource.describe();
        format.print(&Altered { resource: what.clone(), altered: !self.dry_run }, || match self.dry_run {
            false => format!("Altered the configuration of {what}.\n"),
            true => format!("The configuration of {what} would be altered.\n"),
        })
    }

    fn changes(&self, scope: &Scope) -> Result<Vec<ConfigChange>, String> {
        let mut changes = Vec::new();
        for setting in &self.add_config {
            changes.push(ConfigChange::Set { name: setting.key.clone(), value: without_brackets(setting.plain(scope)?) });
        }
        changes.extend(self.delete_config.iter().map(|name| ConfigChange::Delete { name: name.clone() }));
        for Setting { key, value } in &self.append {
            changes.push(ConfigChange::Append { name: key.clone(), value: value.clone() });
        }
        for Setting { key, value } in &self.subtract {
            changes.push(ConfigChange::Subtract { name: key.clone(), value: value.clone() });
        }
        Ok(changes)
    }
}

/// Kafka's tool wants lists in brackets, because it separates keys by commas; here they are not needed, but understood.
fn without_brackets(value: String) -> String {
    match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(list) => list.to_owned(),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::def::TOPIC;

    fn alter(add: &[&str]) -> Alter {
        Alter {
            entity: Entity { topic: Some("t".into()), broker: None, broker_defaults: false, broker_logger: None, group: None },
            add_config: add.iter().map(|text| text.parse().unwrap()).collect(),
            delete_config: vec!["flush.ms".into()],
            append: Vec::new(),
            subtract: Vec::new(),
            dry_run: false,
        }
    }

    #[test]
    fn units_and_brackets_are_understood() {
        let changes = alter(&["retention.ms=1h", "cleanup.policy=[compact,delete]"]).changes(&TOPIC).unwrap();
        let set = |name: &str, value: &str| ConfigChange::Set { name: name.into(), value: value.into() };
        let delete = ConfigChange::Delete { name: "flush.ms".into() };
        assert_eq!(changes, [set("retention.ms", "3600000"), set("cleanup.policy", "compact,delete"), delete]);
        assert!(alter(&["retention.ms=1 fortnight"]).changes(&TOPIC).is_err());
    }
}
