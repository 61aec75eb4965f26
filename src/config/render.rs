//! Values as TOML that [`load`](super::load()) reads back.

use std::fmt::Write;

use super::check::elements_of;
use super::def::{Area, BROKER};
use super::describe;
use super::key::{Allowed, Key, Type};
use super::settings::Settings;
use super::units;

/// `key = value` for a value in plain form, with units where they make it shorter.
pub fn assignment(key: &Key, plain: &str) -> String {
    format!("{} = {}", toml_key(key.name), toml_value(key, plain))
}

/// The name bare, or quoted where another name goes on from it and needs it for a table.
fn toml_key(name: &str) -> String {
    let begins_another = |key: &Key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    if BROKER.keys().any(begins_another) { format!("\"{name}\"") } else { name.to_owned() }
}

fn toml_value(key: &Key, plain: &str) -> String {
    match key.value_type {
        Type::Boolean | Type::Double => plain.to_owned(),
        Type::Int | Type::Short | Type::Long => match plain.parse().ok().and_then(|number| units::short(key.unit, number)) {
            Some(short) => quoted(&short),
            None => plain.to_owned(),
        },
        Type::String => quoted(plain),
        Type::List => {
            let elements: Vec<String> = elements_of(plain).map(quoted).collect();
            if elements.len() == 1 { elements.concat() } else { format!("[{}]", elements.join(", ")) }
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The effective configuration as TOML, each value with its source.
pub fn effective_toml(settings: &Settings) -> String {
    let lines: Vec<(String, String)> = describe::effective(settings)
        .map(|(key, value, source)| match value {
            Some(value) => (assignment(key, value), source),
            None => (format!("# {} is not set", key.name), source),
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(64);
    let mut text = String::new();
    for (line, source) in lines {
        let _ = writeln!(text, "{line:width$}  # {source}");
    }
    text
}

const HEADER: &str = "\
# The configuration of klamm: every key with its default. A node started without any is configured like this.
#
# Keys have the names and the meaning that Kafka gives them; times are in the unit of their name and sizes in bytes, unless a unit
# is written: \"512KiB\", \"1GiB\", \"30s\", \"1h30m\", \"7d\". A key that begins another one stands in quotes.
#
# A value may also come from the environment (KLAMM_LOG_RETENTION_HOURS=24) or the command line (--set log.retention.hours=24).
# The command line beats the environment, the environment beats this file, and what is set on brokers while they run beats all
# three. `klamm serve --check` tells what is wrong and which value comes from where.
#
# Lines without a blank after their # are keys: take the # away and change the value.
";

/// The text of `config/klamm.toml`.
pub fn default_toml() -> String {
    let mut text = HEADER.to_owned();
    for Area { title, keys, .. } in BROKER.areas {
        let _ = write!(text, "\n\n# {title} {}\n", "-".repeat(126 - title.len()));
        for key in *keys {
            let _ = write!(text, "\n{}", wrapped(&[key.doc(), &allowed_sentence(key)].join(" ")));
            let _ = match key.default {
                Some(default) => writeln!(text, "{}{}", if key.shown { "" } else { "#" }, assignment(key, default)),
                None => writeln!(text, "# Not set; an example: {}", assignment(key, key.example)),
            };
        }
    }
    text
}

/// The bounds of a key as a sentence; empty where there are none worth a word.
fn allowed_sentence(key: &Key) -> String {
    let allowed = key.allowed.to_string();
    match key.allowed {
        // The documentation shows the form.
        Allowed::Any | Allowed::Form(..) => String::new(),
        // That a number is not negative goes without saying.
        Allowed::Between(0 | 1, i64::MAX) => String::new(),
        _ => format!("Allowed: {allowed}."),
    }
}

/// Comment lines of at most 130 characters.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 130;
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Inputs, load};

    fn loaded(text: &str) -> Settings {
        load(Inputs { file: Some(("klamm.toml".into(), text.into())), ..Inputs::default() }).unwrap_or_else(|e| panic!("{e}"))
    }

    fn values(settings: &Settings) -> Vec<Option<&str>> {
        BROKER.keys().map(|key| settings.text(key)).collect()
    }

    #[test]
    fn every_value_is_read_back_as_it_was() {
        let defaults = Settings::default();
        let text: String = BROKER.keys().filter_map(|key| Some(assignment(key, key.default?) + "\n")).collect();
        assert_eq!(values(&loaded(&text)), values(&defaults));
        let text: String =
            BROKER.keys().filter(|key| key.default.is_none()).map(|key| assignment(key, key.example) + "\n").collect();
        let read = loaded(&text);
        for key in BROKER.keys().filter(|key| key.default.is_none()) {
            assert_eq!(read.text(key), Some(key.example), "{}", key.name);
        }
    }

    #[test]
    fn the_default_file_says_the_defaults_commented_or_not() {
        let text = default_toml();
        assert_eq!(values(&loaded(&text)), values(&Settings::default()));
        let uncommented: String = text
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line).to_owned() + "\n")
            .collect();
        let settings = loaded(&uncommented);
        assert_eq!(values(&settings), values(&Settings::default()));
        for key in BROKER.keys().filter(|key| key.default.is_some()) {
            assert!(settings.fixed(key).is_some(), "{} is missing", key.name);
        }
        assert!(text.lines().all(|line| line.chars().count() <= 200));
    }

    #[test]
    fn the_effective_configuration_is_a_configuration() {
        let settings = loaded("num.partitions = 7\nbroker.rack = 'a \"b\" \\ c'");
        let text = effective_toml(&settings);
        assert_eq!(values(&loaded(&text)), values(&settings));
        let line = text.lines().find(|line| line.starts_with("num.partitions")).unwrap();
        assert!(line.ends_with("# klamm.toml:1"), "{line}");
        assert!(text.contains("# log.retention.ms is not set"));
        assert!(text.contains("\"max.connections\" = 2147483647"));
    }
}
