//! `klamm cluster api-versions`: what `kafka-broker-api-versions` shows.

use clap::Args;
use kafka_protocol::messages::ApiKey;
use serde::Serialize;

use crate::base::ids::BrokerId;
use crate::cli::error::Result;
use crate::cli::output::{Format, Table};
use crate::client::Client;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm cluster api-versions
  klamm cluster api-versions --broker 2")]
pub struct ApiVersions {
    /// Broker to ask [default: any]
    #[arg(long, value_name = "ID")]
    broker: Option<BrokerId>,
}

#[derive(Serialize)]
struct Row {
    key: i16,
    name: String,
    min_version: i16,
    max_version: i16,
}

impl ApiVersions {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let connection = match self.broker {
            Some(id) => client.broker(id).await?,
            None => client.any().await?,
        };
        let row = |(key, min_version, max_version)| Row { key, name: name(key), min_version, max_version };
        let rows: Vec<Row> = connection.versions().apis().map(row).collect();
        format.print(&rows, || {
            let mut table = Table::new(&[">KEY", "API", ">MIN", ">MAX"]);
            for Row { key, name, min_version, max_version } in &rows {
                table.row([key.to_string(), name.clone(), min_version.to_string(), max_version.to_string()]);
            }
            table.render()
        })
    }
}

/// A broker may be newer than we are.
fn name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| "(unknown)".into(), |api| format!("{api:?}"))
}
