//! `klamm config describe`.

use clap::Args;
use serde::Serialize;

use super::{Entity, scope};
use crate::cli::connect::existing_topic;
use crate::cli::error::{CliError, Result};
use crate::cli::nearest::nearest;
use crate::cli::output::{Format, Table, note};
use crate::client::Client;
use crate::client::configs::{ConfigEntry, ConfigResource, ConfigSource};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm config describe --topic orders
  klamm config describe --topic orders --all
  klamm config describe --topic orders retention.ms --documentation
  klamm config describe --broker 1 --all --output json
  klamm config describe --group billing --all
  klamm config describe --broker-logger 1 klamm.storage")]
pub struct Describe {
    #[command(flatten)]
    entity: Entity,
    /// Keys to show [default: those set for this very resource]
    #[arg(value_name = "KEY", conflicts_with = "all")]
    keys: Vec<String>,
    /// Show every key, whoever set it
    #[arg(long, short)]
    all: bool,
    /// Show what each key does, and what its value overrides
    #[arg(long, short)]
    documentation: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// Null for secrets, and where Kafka says null.
    value: Option<String>,
    source: &'static str,
    sensitive: bool,
    read_only: bool,
    synonyms: Vec<SynonymRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<String>,
}

#[derive(Serialize)]
struct SynonymRow {
    name: String,
    value: Option<String>,
    source: &'static str,
}

impl Describe {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let resource = self.entity.resource();
        if let ConfigResource::Topic(name) = &resource {
            existing_topic(client, name).await?;
        }
        let entries = client.describe_configs(&resource, self.documentation).await?;
        let chosen = self.choose(&resource, entries)?;
        let rows: Vec<Row> = chosen.into_iter().map(|entry| self.row(&resource, entry)).collect();
        if rows.is_empty() && !format.is_json() {
            let what = resource.describe();
            note(match self.all {
                false => format!("Nothing is set for {what} itself. --all shows what holds for it."),
                true => format!("There is nothing to configure for {what}: the broker has no such keys."),
            });
        }
        format.print(&rows, || if self.documentation { explained(&rows) } else { table(&rows) })
    }

    fn choose(&self, resource: &ConfigResource, mut entries: Vec<ConfigEntry>) -> Result<Vec<ConfigEntry>> {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if self.all {
            return Ok(entries);
        }
        if self.keys.is_empty() {
            return Ok(entries.into_iter().filter(|entry| entry.is_set_here(resource)).collect());
        }
        for key in &self.keys {
            if !entries.iter().any(|entry| entry.name == *key) {
                let message = format!("{} has no key {key:?}", resource.describe());
                return Err(match nearest(key, entries.iter().map(|entry| entry.name.as_str())) {
                    Some(nearest) => CliError::failed_with_tip(message, format!("did you mean {nearest}?")),
                    None => CliError::failed_with_tip(message, "--all shows every key"),
                });
            }
        }
        Ok(entries.into_iter().filter(|entry| self.keys.contains(&entry.name)).collect())
    }

    fn row(&self, resource: &ConfigResource, entry: ConfigEntry) -> Row {
        // The broker's own words say what that broker does; not all of them send any.
        let own = || scope(resource).find(&entry.name).map(|key| key.doc().to_owned());
        let documentation = if self.documentation { entry.documentation.clone().or_else(own) } else { None };
        let synonym = |s: crate::client::configs::Synonym| SynonymRow { name: s.name, value: s.value, source: s.source.name() };
        Row {
            name: entry.name,
            value: entry.value,
            source: entry.source.name(),
            sensitive: entry.sensitive,
            read_only: entry.read_only,
            synonyms: entry.synonyms.into_iter().map(synonym).collect(),
            documentation,
        }
    }
}

impl Row {
    fn shown(&self) -> String {
        match &self.value {
            Some(value) => value.clone(),
            None if self.sensitive => "(hidden)".into(),
            None => "(null)".into(),
        }
    }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["KEY", "VALUE", "SOURCE"]);
    for row in rows {
        let source = match (row.source, row.read_only) {
            (source, false) => source.to_owned(),
            (source, true) => format!("{source}, read-only"),
        };
        table.row([row.name.clone(), row.shown(), source]);
    }
    table.render()
}

fn explained(rows: &[Row]) -> String {
    let text = |row: &Row| {
        let documentation = row.documentation.as_deref().unwrap_or("(not documented)");
        let mut text = format!("{} = {}\n  from {}\n", row.name, row.shown(), row.source);
        for synonym in row.synonyms.iter().filter(|s| s.source != row.source || s.source == ConfigSource::Unknown.name()) {
            let value = synonym.value.as_deref().unwrap_or("(null)");
            text += &format!("  overrides {} = {value} from {}\n", synonym.name, synonym.source);
        }
        for line in wrapped(documentation, 100) {
            text += &format!("  {line}\n");
        }
        text
    };
    rows.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// Breaks a text into lines of at most `width` characters, where words allow it. The tags of Kafka's documentation go.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in without_tags(text).split_whitespace() {
        let line = lines.last_mut().expect("there is a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Kafka documents its keys in HTML. What looks like a placeholder, as in `<listener>`, stays.
fn without_tags(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        let tag = rest[at..].find('>').map(|end| &rest[at..at + end + 1]);
        let name = tag.map(|tag| tag.trim_matches(['<', '>', '/']).split_whitespace().next().unwrap_or_default());
        match (tag, name) {
            (Some(tag), Some("code" | "a" | "p" | "br" | "b" | "i" | "em" | "ul" | "ol" | "li" | "pre")) => {
                if ["<p>", "<br>", "<br/>", "<li>", "<ul>"].contains(&tag) {
                    plain.push(' ');
                }
                rest = &rest[at + tag.len()..];
            }
            _ => {
                plain.push('<');
                rest = &rest[at + 1..];
            }
        }
    }
    plain.push_str(rest);
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_is_plain_text_in_lines() {
        assert_eq!(
            without_tags("Use <code>a</code> or <a href=\"x\">b</a>,<br>not <listener>. 1 < 2 &lt; 3"),
            "Use a or b, not <listener>. 1 < 2 < 3"
        );
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("averyverylongword b", 5), ["averyverylongword", "b"]);
    }
}
