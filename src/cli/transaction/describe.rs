//! `klamm transaction describe`.

use clap::Args;
use serde::Serialize;

use super::explain;
use crate::base::ids::{ProducerEpoch, ProducerId, TimestampMs};
use crate::base::time::Clock;
use crate::cli::error::Result;
use crate::cli::outcome::tell_failures;
use crate::cli::output::{Format, Table, list, or_dash, report};
use crate::cli::when;
use crate::client::Client;
use crate::client::transactions::TransactionDescription;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm transaction describe payments-1
  klamm transaction describe payments-1 payments-2 --output json")]
pub struct Describe {
    /// Transactional ids to show
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    transactional_id: String,
    coordinator: String,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    state: String,
    timeout_ms: i32,
    /// Null if no transaction is open.
    start_timestamp: Option<TimestampMs>,
    /// Partitions that the open transaction includes.
    partitions: Vec<String>,
}

impl Describe {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        for id in &self.ids {
            match client.describe_transaction(id).await {
                Ok(description) => rows.push(row(description)),
                Err(error) => errors.push(explain(client, id, error).await),
            }
        }
        format.print(&rows, || if rows.is_empty() { String::new() } else { table(&rows) })?;
        if rows.is_empty() && errors.len() == 1 {
            return Err(errors.remove(0));
        }
        errors.iter().for_each(report);
        tell_failures(errors.len(), self.ids.len(), "transactional ids")
    }
}

fn row(it: TransactionDescription) -> Row {
    Row {
        transactional_id: it.transactional_id,
        coordinator: it.coordinator,
        producer_id: it.producer_id,
        producer_epoch: it.producer_epoch,
        state: it.state,
        timeout_ms: it.timeout_ms,
        start_timestamp: it.start_time,
        partitions: it.partitions.iter().map(ToString::to_string).collect(),
    }
}

fn table(rows: &[Row]) -> String {
    let now = Clock::system().wall_ms();
    let columns = ["TRANSACTIONAL-ID", "COORDINATOR", ">PRODUCER-ID", ">EPOCH", "STATE", ">TIMEOUT-MS", "STARTED", "PARTITIONS"];
    let mut table = Table::new(&columns);
    for row in rows {
        table.row([
            row.transactional_id.clone(),
            row.coordinator.clone(),
            row.producer_id.to_string(),
            row.producer_epoch.to_string(),
            row.state.clone(),
            row.timeout_ms.to_string(),
            or_dash(row.start_timestamp.map(|at| when::ago(at, now))),
            list(&row.partitions),
        ]);
    }
    table.render()
}
