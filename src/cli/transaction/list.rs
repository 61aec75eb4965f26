//! `klamm transaction list`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::base::ids::ProducerId;
use crate::cli::error::Result;
use crate::cli::output::{Format, Table, note};
use crate::cli::when;
use crate::client::Client;
use crate::client::transactions::TransactionFilter;

/// Kafka's names of the states a transactional id can be in.
const STATES: [&str; 8] =
    ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"];

/// Those of them in which a transaction is open.
const OPEN: [&str; 3] = ["Ongoing", "PrepareCommit", "PrepareAbort"];

#[derive(Args)]
#[command(after_help = "Examples:
  klamm transaction list
  klamm transaction list --state ongoing --longer-than 5m
  klamm transaction list --id-pattern 'payments-.*' --output json")]
pub struct List {
    /// Show only ids in these states, such as ongoing, empty, complete-commit
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = state)]
    state: Vec<String>,
    /// Show only ids that these producers have
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    producer_id: Vec<ProducerId>,
    /// Show only transactions that are open for longer than this
    #[arg(long, value_name = "DURATION", value_parser = when::duration)]
    longer_than: Option<Duration>,
    /// Show only ids that are like this regular expression from end to end
    #[arg(long, value_name = "REGEX")]
    id_pattern: Option<String>,
}

#[derive(Serialize)]
struct Row {
    transactional_id: String,
    coordinator: String,
    producer_id: ProducerId,
    state: String,
}

impl List {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let all = self.state.is_empty() && self.producer_id.is_empty() && self.longer_than.is_none() && self.id_pattern.is_none();
        // A broker takes an id without a transaction for one that is open since the beginning of time.
        let states = match (self.state, self.longer_than) {
            (states, Some(_)) if states.is_empty() => OPEN.map(str::to_owned).to_vec(),
            (states, _) => states,
        };
        let filter = TransactionFilter {
            states,
            producer_ids: self.producer_id,
            longer_than_ms: self.longer_than.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
            id_pattern: self.id_pattern,
        };
        let listed = client.list_transactions(&filter).await?;
        let rows = listed.into_iter().map(|it| Row {
            transactional_id: it.transactional_id,
            coordinator: it.coordinator,
            producer_id: it.producer_id,
            state: it.state,
        });
        let rows: Vec<Row> = rows.collect();
        if rows.is_empty() && !format.is_json() {
            note(if all { "There are no transactional ids." } else { "No transactional id is like that." });
        }
        format.print(&rows, || table(&rows))
    }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["TRANSACTIONAL-ID", "COORDINATOR", ">PRODUCER-ID", "STATE"]);
    for Row { transactional_id, coordinator, producer_id, state } in rows {
        table.row([transactional_id, coordinator, &producer_id.to_string(), state]);
    }
    table.render()
}

/// Reads a state in any case, with or without dashes.
fn state(text: &str) -> Result<String, String> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    match STATES.iter().find(|state| plain(state) == plain(text)) {
        Some(state) => Ok((*state).to_owned()),
        None => Err(format!("there are {}", STATES.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_may_be_written_in_any_case() {
        for text in ["Ongoing", "ongoing"] {
            assert_eq!(state(text).as_deref(), Ok("Ongoing"));
        }
        assert_eq!(state("complete-commit").as_deref(), Ok("CompleteCommit"));
        assert!(state("gone").is_err_and(|why| why.contains("PrepareCommit")));
    }
}
