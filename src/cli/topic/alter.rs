//! `klamm topic alter`.

use clap::Args;
use serde::Serialize;

use super::add_partitions::grow;
use crate::cli::connect::existing_topic;
use crate::cli::error::{CliError, Result};
use crate::cli::output::Format;
use crate::cli::settings::{Setting, meant, topic_setting};
use crate::client::Client;
use crate::client::configs::{ConfigChange, ConfigResource};
use crate::config::def::TOPIC;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm topic alter orders --config retention.ms=7d --config max.message.bytes=2MiB
  klamm topic alter orders --delete-config retention.ms
  klamm topic alter orders --partitions 12")]
pub struct Alter {
    /// Topic to change
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Configuration to set; sizes and times may have units
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = topic_setting, required_unless_present_any = ["delete_config", "partitions"])]
    config: Vec<Setting>,
    /// Configuration to set back to the broker's default
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    delete_config: Vec<String>,
    /// Number of partitions the topic is to have in all; there can only be more of them
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Ask the broker whether it would do it, without doing it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Altered<'a> {
    name: &'a str,
    altered: bool,
}

impl Alter {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        existing_topic(client, &self.topic).await?;
        let set = self.config.iter().map(|s| ConfigChange::Set { name: s.key.clone(), value: s.value.clone() });
        let delete = self.delete_config.iter().map(|name| ConfigChange::Delete { name: name.clone() });
        let changes: Vec<ConfigChange> = set.chain(delete).collect();
        // What can only be refused as a whole is asked first; a configuration that is changed already would stay so.
        if let Some(partitions) = self.partitions.filter(|_| !changes.is_empty()) {
            grow(client, &self.topic, partitions, true).await?;
        }
        if !changes.is_empty() {
            let resource = ConfigResource::Topic(self.topic.clone());
            let keys = self.config.iter().map(|setting| &setting.key).chain(&self.delete_config);
            client.alter_configs(&resource, &changes, self.dry_run).await.map_err(|error| match meant(&TOPIC, keys) {
                Some(meant) => CliError::failed_with_tip(error.to_string(), meant),
                None => error.into(),
            })?;
        }
        if let Some(partitions) = self.partitions {
            grow(client, &self.topic, partitions, self.dry_run).await?;
        }
        format.print(&Altered { name: &self.topic, altered: !self.dry_run }, || match self.dry_run {
            false => format!("Altered topic {}.\n", self.topic),
            true => format!("Topic {} would be altered.\n", self.topic),
        })
    }
}
