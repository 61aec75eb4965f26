//! The configuration file: TOML whose keys are Kafka's names.
//!
//! Kafka's dots are TOML's dots: `log.retention.hours = 168`, or `[log]` and then `retention.hours = 168`; the nested tables are
//! flattened back into names. A name that is the beginning of another (`max.connections`) cannot be both a value and a table in
//! TOML, so where both are set the shorter one is quoted: `"max.connections" = 100`. Lists may be arrays, sizes and durations
//! may have units.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::def::{BROKER, TOPIC};
use super::foreign;
use super::key::{Key, Type, Unit};
use super::problem::{Place, Problem, SourceFile};
use super::settings::Fixed;

/// Reads what a file sets, and adds what is wrong with it to `problems`.
pub(super) fn read(file: &Arc<SourceFile>, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Fixed> {
    let place = |span: Range<usize>| Place::File { file: file.clone(), span };
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    for error in &errors {
        let problem = Problem::new(error.message(), error.span().map(place));
        const QUOTE: &str = "a key that begins another key must be quoted, like \"max.connections\"";
        problems.push(match error.message() {
            "duplicate key" => {
                problem.with_help(QUOTE).with_help("a table that dotted keys have begun cannot be opened again in brackets")
            }
            message if message.contains("dotted key") => problem.with_help(QUOTE),
            _ => problem,
        });
    }
    if !errors.is_empty() {
        // What a broken file seems to say is not worth judging.
        return BTreeMap::new();
    }

    let mut entries = Vec::new();
    flatten(String::new(), table.get_ref(), &mut entries);
    entries.sort_by_key(|entry| entry.key_end);
    let mut set: BTreeMap<&'static str, Fixed> = BTreeMap::new();
    for Entry { name, key_end, value } in entries {
        let key_place = place(key_span(&file.text, key_end));
        let Some(key) = BROKER.find(&name) else {
            problems.push(unknown(&name, key_place));
            continue;
        };
        if set.contains_key(key.name) {
            problems.push(Problem::new(format!("{name} is set twice"), Some(key_place)));
            continue;
        }
        match text_of(key, value).and_then(|text| human(key, &text)) {
            Ok(value_text) => {
                set.insert(key.name, Fixed { value: value_text, place: place(value.span()) });
            }
            Err(why) => problems.push(refused(key, &why, place(value.span()))),
        }
    }
    set
}

/// A key that nobody declared, with what is probably meant.
pub(super) fn unknown(name: &str, place: Place) -> Problem {
    let problem = Problem::new(format!("unknown key `{name}`"), Some(place));
    if let Some(why) = foreign::why_absent(name) {
        return problem.with_help(why);
    }
    let of_topics = TOPIC.find(name).and_then(|key| key.synonyms.first());
    if let Some(broker) = of_topics {
        return problem.with_help(format!("it is a key of topics; the default of all topics is `{}`", broker.name));
    }
    let mut tails = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
    if let Some(key) = tails.find_map(|tail| BROKER.find(tail)) {
        let help = format!("`{}` is a key, but here it belongs to the table above it; write it before the first table", key.name);
        return problem.with_help(help);
    }
    match BROKER.nearest(name) {
        Some(nearest) => problem.with_help(format!("the nearest key is `{nearest}`")),
        None => problem.with_help("docs/configuration.md lists all keys"),
    }
}

/// A value that a key does not take.
pub(super) fn refused(key: &Key, why: &str, place: Place) -> Problem {
    let problem = Problem::new(format!("{}: {why}", key.name), Some(place));
    let allowed = key.allowed.to_string();
    if allowed.is_empty() { problem } else { problem.with_help(format!("{} takes {allowed}", key.name)) }
}

/// A text with units in the plain form of a key; the error says what is wrong.
pub(super) fn human(key: &Key, text: &str) -> Result<String, String> {
    let plain = key.unit.plain(text)?;
    key.check(&plain).map_err(|error| match error.why.strip_prefix("Not a number of type ") {
        Some(_) => format!("`{}` is not {}", error.value, wanted(key)),
        None => format!("`{}` is not allowed: {}", error.value, lower_first(&error.why)),
    })
}

/// What a key's values are, for a sentence.
fn wanted(key: &Key) -> String {
    match (key.value_type, key.unit) {
        (Type::Double, _) => "a number".into(),
        (Type::Boolean, _) => "true or false".into(),
        (Type::String, _) => "a string".into(),
        (Type::List, _) => "a list of strings".into(),
        (Type::Int | Type::Short | Type::Long, Unit::Plain) => format!("a whole number of {} bits", bits(key.value_type)),
        (Type::Int | Type::Short | Type::Long, unit) => {
            format!("a whole number of {}, of {} bits", unit.name(), bits(key.value_type))
        }
    }
}

fn bits(value_type: Type) -> u32 {
    match value_type {
        Type::Short => 16,
        Type::Int => 32,
        _ => 64,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

struct Entry<'t, 'i> {
    name: String,
    /// Where the last part of the key ends in the file.
    key_end: usize,
    value: &'t Spanned<DeValue<'i>>,
}

fn flatten<'t, 'i>(prefix: String, table: &'t DeTable<'i>, entries: &mut Vec<Entry<'t, 'i>>) {
    for (key, value) in table.iter() {
        let part = key.get_ref();
        let name = if prefix.is_empty() { part.to_string() } else { format!("{prefix}.{part}") };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(name, inner, entries),
            _ => entries.push(Entry { name, key_end: key.span().end, value }),
        }
    }
}

/// The whole of a dotted key that ends at `end`, as far back as its line holds it.
fn key_span(text: &str, end: usize) -> Range<usize> {
    let line = text[..end].rfind(['\n', '{', ',', '[']).map_or(0, |at| at + 1);
    let indent = text[line..end].len() - text[line..end].trim_start().len();
    line + indent..end
}

/// What a TOML value says, as text; the error says what was expected.
fn text_of(key: &Key, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    let other = |found: &str| Err(format!("expected {}, found {found}", wanted(key)));
    let numeric = !matches!(key.value_type, Type::Boolean | Type::String | Type::List);
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if numeric => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| format!("`{number}` is not {}", wanted(key))),
        DeValue::Float(number) if key.value_type == Type::Double => Ok(number.as_str().to_owned()),
        DeValue::Boolean(yes) if key.value_type == Type::Boolean => Ok(yes.to_string()),
        DeValue::Array(elements) if key.value_type == Type::List => {
            let mut texts = Vec::new();
            for element in elements.iter() {
                match element.get_ref() {
                    DeValue::String(text) if text.contains(',') => return Err(format!("the element `{text}` contains a comma")),
                    DeValue::String(text) => texts.push(text.as_ref()),
                    unfit => return other(&format!("{} in the list", with_article(unfit.type_str()))),
                }
            }
            Ok(texts.join(","))
        }
        unfit => other(&with_article(unfit.type_str())),
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
