//! `klamm cluster features`: what `kafka-features describe` shows.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use crate::cli::error::Result;
use crate::cli::output::{Format, Table, or_dash};
use crate::client::Client;
use crate::client::versions::ServerVersions;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm cluster features")]
pub struct Features {}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    feature: String,
    supported_min: Option<i16>,
    supported_max: Option<i16>,
    /// Null where the cluster has not agreed on it.
    finalized: Option<i16>,
}

impl Features {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let rows = rows(client.any().await?.versions());
        format.print(&rows, || {
            let mut table = Table::new(&["FEATURE", ">SUPPORTED-MIN", ">SUPPORTED-MAX", ">FINALIZED"]);
            for row in &rows {
                let levels = [row.supported_min, row.supported_max, row.finalized].map(or_dash);
                table.row([vec![row.feature.clone()], levels.to_vec()].concat());
            }
            table.render()
        })
    }
}

fn rows(versions: &ServerVersions) -> Vec<Row> {
    let names: BTreeSet<&String> = versions.supported_features.keys().chain(versions.finalized_features.keys()).collect();
    names
        .into_iter()
        .map(|name| {
            let supported = versions.supported_features.get(name);
            Row {
                feature: name.clone(),
                supported_min: supported.map(|levels| levels.min),
                supported_max: supported.map(|levels| levels.max),
                finalized: versions.finalized_features.get(name).map(|levels| levels.max),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::versions::Levels;

    #[test]
    fn what_is_supported_need_not_be_agreed_on() {
        let mut versions = ServerVersions::default();
        versions.supported_features.insert("a.version".into(), Levels { min: 0, max: 2 });
        versions.supported_features.insert("b.version".into(), Levels { min: 1, max: 30 });
        versions.finalized_features.insert("b.version".into(), Levels { min: 29, max: 29 });
        let found: Vec<_> = rows(&versions).into_iter().map(|r| (r.feature, r.supported_max, r.finalized)).collect();
        assert_eq!(found, [("a.version".into(), Some(2), None), ("b.version".into(), Some(30), Some(29))]);
    }
}
