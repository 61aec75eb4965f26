//! The text of `docs/configuration.md`, and the tests that hold the committed files to what the declarations say.
//!
//! After a change of the declarations, `KLAMM_REGENERATE=1 cargo test config::docs` writes `config/klamm.toml` and
//! `docs/configuration.md` anew.

use std::fmt::Write;

use super::def::{Area, BROKER, GROUP, Scope, TOPIC};
use super::foreign;
use super::key::{Key, Type, Unit, Update};
use super::parity;
use super::render;
use super::units;
use crate::base::committed::up_to_date;

const INTRODUCTION: &str = "\
# Configuration

This page is made from the declarations in `src/config/def` by `KLAMM_REGENERATE=1 cargo test config::docs`; a test keeps it true.

klamm needs no configuration: `klamm serve` listens on 127.0.0.1:9092 and keeps its data in `klamm-data`. What there is to configure has
the names, the types, the units and the meaning that Kafka gives it. [Where klamm differs](#where-klamm-differs-from-kafka) is said
below.

## Where values come from

From the strongest to the weakest:

1. what is set on a topic while the cluster runs (the keys of [topics](#topic));
2. what is set on one broker while it runs;
3. what is set on all brokers while they run;
4. the command line: `klamm serve --set log.retention.hours=24`, as often as needed;
5. the environment: `KLAMM_LOG_RETENTION_HOURS=24`, the key in capitals with `_` for each dot;
6. the file: `klamm serve --config klamm.toml`;
7. the default.

Where several keys say one thing in different units, the finest that is set anywhere counts: `log.retention.ms` before
`log.retention.minutes` before `log.retention.hours`.

`klamm serve --check` reads all this, tells what is wrong and where, and otherwise prints every value with its source, as TOML.

## The file

[`config/klamm.toml`](../config/klamm.toml) shows every key with its default. Kafka's dots are the dots of TOML, so these are the same:

```toml
log.retention.hours = 24
```

```toml
[log]
retention.hours = 24
```

A key that another one goes on from is quoted where both are set, because in TOML a name is a value or a table:
`\"max.connections\" = 1000` beside `max.connections.per.ip = 10`.

Sizes and durations are plain numbers in Kafka's unit, or have a unit of their own: `\"512KiB\"`, `\"1GiB\"` (powers of two), `\"10MB\"`
(powers of ten), `\"500ms\"`, `\"30s\"`, `\"1h30m\"`, `\"7d\"`, `\"2w\"`. Lists are arrays, or strings with commas. The environment and the
command line take the same forms; requests over the wire take Kafka's plain numbers only.

Everything wrong is told at once, with its place:

```text
error: unknown key `log.retention.hour`
  --> klamm.toml:12:1
   |
12 | log.retention.hour = 24
   | ^^^^^^^^^^^^^^^^^^
   = help: the nearest key is `log.retention.hours`
```

## Changing values while the cluster runs

Any Kafka client can: `kafka-configs.sh`, the admin clients, `klamm config`. Keys marked *cluster-wide* can be set on one broker or on
all (the broker with the empty name) and take effect at once; all keys of topics can be changed. `append` and `subtract`
work on lists. A request is taken whole or refused whole, and an unknown name is refused with the nearest known one.

## Coming from Kafka

`klamm config import server.properties` writes the same configuration as TOML, and says of every key that has no counterpart what
there is instead.

";

/// The text of `docs/configuration.md`.
fn configuration_md() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (scope, heading) in [(&BROKER, "Keys of a broker"), (&TOPIC, "Keys of topics"), (&GROUP, "Keys of groups")] {
        let _ = writeln!(text, "# {heading}\n");
        if scope.areas.is_empty() {
            text.push_str("None so far: Kafka's are about protocols of groups that klamm does not have yet.\n\n");
        }
        for area in scope.areas {
            let _ = writeln!(text, "## {}\n\n{}\n", area.title, area.doc());
            text.push_str(&table(scope, area));
            text.push('\n');
        }
    }
    text.push_str("# Where klamm differs from Kafka\n\n");
    text.push_str("Compared with Kafka 4.3.1. Everything not listed has the same type, default and meaning.\n\n| Key | Difference |\n|---|---|\n");
    for (name, why) in parity::DIFFERENCES {
        let _ = writeln!(text, "| `{name}` | {why} |");
    }
    text.push_str("\nKeys of Kafka that klamm does not have:\n\n| Key | Instead |\n|---|---|\n");
    for (pattern, why) in foreign::ABSENT {
        let rest = if pattern.ends_with('.') { "…" } else { "" };
        let _ = writeln!(text, "| `{pattern}{rest}` | {why} |");
    }
    text
}

fn table(scope: &Scope, area: &Area) -> String {
    let of_broker = std::ptr::eq(scope, &BROKER);
    let last = if of_broker { "Change" } else { "Default comes from" };
    let mut text = format!("| Key | Meaning | Type | Default | Allowed | {last} |\n|---|---|---|---|---|---|\n");
    for key in area.keys {
        let last = if of_broker { update(key).to_owned() } else { synonyms(key) };
        let default = default_for_people(key);
        let _ = writeln!(text, "| `{}` | {} | {} | {default} | {} | {last} |", key.name, key.doc(), kind(key), key.allowed);
    }
    text
}

/// A default for people: the plain text, and with a unit where that says more.
fn default_for_people(key: &Key) -> String {
    let Some(default) = key.default else { return "not set".into() };
    let number = default.parse::<i64>().ok();
    match number {
        Some(i64::MAX) => return "no bound".into(),
        Some(number) if number == i64::from(i32::MAX) && key.unit == Unit::Plain => return "no bound".into(),
        _ => {}
    }
    if key.value_type == Type::Double && default.contains("E308") {
        return "no bound".into();
    }
    match number.and_then(|number| units::short(key.unit, number)) {
        Some(short) => format!("`{default}` ({short})"),
        None if default.is_empty() => "empty".into(),
        None => format!("`{default}`"),
    }
}

fn kind(key: &Key) -> String {
    let kind = match key.value_type {
        Type::Boolean => "boolean",
        Type::String => "string",
        Type::Short => "short",
        Type::Int => "int",
        Type::Long => "long",
        Type::Double => "double",
        Type::List => "list",
    };
    if key.unit == Unit::Plain { kind.to_owned() } else { format!("{kind}, {}", key.unit.name()) }
}

fn update(key: &Key) -> &'static str {
    match key.update {
        Update::ReadOnly => "restart",
        Update::ClusterWide => "cluster-wide",
    }
}

fn synonyms(key: &Key) -> String {
    let names: Vec<String> = key.synonyms.iter().map(|synonym| format!("`{}`", synonym.name)).collect();
    names.join(", ")
}

#[test]
fn the_committed_example_is_up_to_date() {
    up_to_date("config/klamm.toml", &render::default_toml(), "config::docs");
}

#[test]
fn the_committed_reference_is_up_to_date() {
    up_to_date("docs/configuration.md", &configuration_md(), "config::docs");
}

#[test]
fn table_cells_hold_together() {
    for line in configuration_md().lines().filter(|line| line.starts_with('|')) {
        assert!(matches!(line.matches('|').count(), 3 | 7), "a cell contains a bar: {line}");
    }
}
