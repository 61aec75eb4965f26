//! `klamm group list`.

use clap::Args;
use serde::Serialize;

use crate::cli::error::Result;
use crate::cli::output::{Format, Table, lines, note};
use crate::client::Client;
use crate::client::group::admin::ListedGroup;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm group list
  klamm group list --state empty
  klamm group list --names | xargs -n1 klamm group describe")]
pub struct List {
    /// Show only groups in these states, such as stable, empty, preparing-rebalance
    #[arg(long, value_name = "STATES", value_delimiter = ',')]
    state: Vec<String>,
    /// Show only groups of these types: classic, consumer, share
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// Print names only, one a line
    #[arg(long, short)]
    names: bool,
}

#[derive(Serialize)]
struct Row {
    group: String,
    state: String,
    #[serde(rename = "type")]
    group_type: String,
    protocol_type: String,
}

impl List {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let groups = client.list_groups().await?;
        let none_at_all = groups.is_empty();
        let rows: Vec<Row> = groups.into_iter().filter(|group| self.shows(group)).map(row).collect();
        if rows.is_empty() && !format.is_json() {
            note(if none_at_all { "There are no groups." } else { "No group is like that." });
        }
        if self.names {
            let names: Vec<&str> = rows.iter().map(|row| &*row.group).collect();
            return format.print(&names, || lines(&names));
        }
        format.print(&rows, || table(&rows))
    }

    fn shows(&self, group: &ListedGroup) -> bool {
        let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
        let one_of = |wanted: &[String], text: &str| wanted.is_empty() || wanted.iter().any(|w| plain(w) == plain(text));
        one_of(&self.state, &group.state) && one_of(&self.types, &group.group_type)
    }
}

fn row(listed: ListedGroup) -> Row {
    let ListedGroup { group, protocol_type, state, group_type } = listed;
    Row { group, state, group_type, protocol_type }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["GROUP", "STATE", "TYPE", "PROTOCOL"]);
    for Row { group, state, group_type, protocol_type } in rows {
        table.row([group, state, group_type, protocol_type]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_may_be_written_in_any_case() {
        let group = ListedGroup {
            group: "g".into(),
            protocol_type: "consumer".into(),
            state: "PreparingRebalance".into(),
            group_type: "classic".into(),
        };
        for (states, types, shown) in [
            (vec![], vec![], true),
            (vec!["preparing-rebalance"], vec![], true),
            (vec!["Stable", "PREPARING_REBALANCE"], vec!["Classic"], true),
            (vec!["stable"], vec![], false),
            (vec![], vec!["share"], false),
        ] {
            let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
            let list = List { state: own(states), types: own(types), names: false };
            assert_eq!(list.shows(&group), shown);
        }
    }
}
