//! `klamm topic list`.

use clap::Args;
use serde::Serialize;

use crate::cli::error::Result;
use crate::cli::output::{Format, Table, lines, note};
use crate::client::Client;
use crate::client::cluster::Topics;
use crate::client::metadata::Topic;
use crate::storage::checkpoint::uuid_text;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm topic list
  klamm topic list --internal
  klamm topic list --names | xargs klamm topic describe")]
pub struct List {
    /// Show the cluster's own topics too, such as __consumer_offsets
    #[arg(long, short)]
    internal: bool,
    /// Print names only, one a line
    #[arg(long, short)]
    names: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    id: String,
    internal: bool,
    partitions: usize,
    replication_factor: usize,
    /// Partitions with fewer replicas in sync than there should be.
    under_replicated: usize,
    /// Partitions that nobody leads.
    leaderless: usize,
}

impl Row {
    fn new(topic: &Topic) -> Self {
        Self {
            name: topic.name.clone(),
            id: uuid_text::format(topic.id),
            internal: topic.internal,
            partitions: topic.partitions.len(),
            replication_factor: topic.partitions.first().map_or(0, |p| p.replicas.len()),
            under_replicated: topic.partitions.iter().filter(|p| p.is_under_replicated()).count(),
            leaderless: topic.partitions.iter().filter(|p| p.leader.is_none()).count(),
        }
    }
}

impl List {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let metadata = client.metadata(Topics::All, false).await?;
        let shown = metadata.topics.values().filter(|topic| self.internal || !topic.internal);
        let rows: Vec<Row> = shown.map(Row::new).collect();
        let hidden = metadata.topics.len() - rows.len();
        if rows.is_empty() && !format.is_json() {
            let others = if hidden > 0 { " but the cluster's own (--internal shows them)" } else { "" };
            note(format!("There are no topics{others}. Make one with 'klamm topic create NAME'."));
        }
        if self.names {
            let names: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
            return format.print(&names, || lines(&names));
        }
        format.print(&rows, || table(&rows))
    }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["TOPIC", ">PARTITIONS", ">REPLICAS", "STATE"]);
    for row in rows {
        let state = match (row.leaderless, row.under_replicated) {
            (0, 0) => "ok".to_owned(),
            (0, n) => format!("{n} under-replicated"),
            (n, _) => format!("{n} without leader"),
        };
        table.row([row.name.clone(), row.partitions.to_string(), row.replication_factor.to_string(), state]);
    }
    table.render()
}
