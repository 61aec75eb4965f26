//! DescribeConfigs: every key of a resource with its value, where the value comes from, and what would hold without it
//! (`ConfigHelper`).
//!
//! One difference from Kafka, on purpose: a topic key that follows a broker key in another unit names that key as its source.
//! Kafka says `DEFAULT_CONFIG` of a `retention.ms` that `log.retention.hours` sets.

use super::def::{BROKER, TOPIC};
use super::key::{Key, Type, Update};
use super::resource::Resource;
use super::settings::{Overrides, Settings, Source};

/// One key as DescribeConfigs tells it. No key is sensitive.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub name: &'static str,
    /// In plain form; `None` is null.
    pub value: Option<String>,
    pub source: Source,
    /// Whether AlterConfigs on this resource refuses the key.
    pub read_only: bool,
    /// Every place that sets a value, the one in force first.
    pub synonyms: Vec<SynonymValue>,
    pub value_type: Type,
    pub documentation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynonymValue {
    pub name: &'static str,
    pub value: String,
    pub source: Source,
}

/// The keys of a resource that `wanted` picks, in the order of their declaration.
///
/// `overrides` is what is set on a topic or group; what is set on brokers stands in the settings. Of the default of all brokers
/// only what is set is told.
pub fn describe(resource: Resource, settings: &Settings, overrides: &Overrides, wanted: impl Fn(&str) -> bool) -> Vec<Described> {
    let keys = resource.scope().keys().filter(|key| wanted(key.name));
    match resource {
        Resource::Topic => keys.map(|key| of_resource(key, settings, overrides, Source::Topic)).collect(),
        Resource::Group => keys.map(|key| of_resource(key, settings, overrides, Source::Group)).collect(),
        Resource::Broker => keys.map(|key| of_broker(key, settings)).collect(),
        Resource::BrokerDefault => keys.filter_map(|key| of_broker_default(key, settings)).collect(),
    }
}

fn of_resource(key: &'static Key, settings: &Settings, overrides: &Overrides, own: Source) -> Described {
    let set = overrides.get(key.name).and_then(|text| key.check(text).ok());
    let set = set.map(|value| SynonymValue { name: key.name, value, source: own });
    let names: Vec<&'static str> = key.synonyms.iter().map(|synonym| synonym.name).collect();
    let mut synonyms: Vec<SynonymValue> = set.into_iter().chain(in_layers(settings, &names)).collect();
    // A group key without a broker key shows its default as its own, as Kafka does.
    if synonyms.is_empty()
        && own == Source::Group
        && let Some(default) = key.default
    {
        synonyms.push(SynonymValue { name: key.name, value: default.to_owned(), source: Source::Default });
    }
    described(key, settings.resource_text(key, overrides).map(Into::into), synonyms, false)
}

fn of_broker(key: &'static Key, settings: &Settings) -> Described {
    let family = family_of(key);
    // What stands above the key itself belongs to its finer units.
    let synonyms = in_layers(settings, &family).skip_while(|synonym| synonym.name != key.name).collect();
    described(key, settings.text(key).map(str::to_owned), synonyms, key.update == Update::ReadOnly)
}

fn of_broker_default(key: &'static Key, settings: &Settings) -> Option<Described> {
    let (source, value) = settings.layers(key.name).find(|(source, _)| *source == Source::DynamicDefaultBroker)?;
    let synonym = SynonymValue { name: key.name, value: value.to_owned(), source };
    Some(described(key, Some(value.to_owned()), vec![synonym], key.update == Update::ReadOnly))
}

fn described(key: &'static Key, value: Option<String>, synonyms: Vec<SynonymValue>, read_only: bool) -> Described {
    let source = synonyms.first().map_or(Source::Default, |synonym| synonym.source);
    Described { name: key.name, value, source, read_only, synonyms, value_type: key.value_type, documentation: key.doc() }
}

/// The values of `names` layer by layer, within a layer in the order of the names.
fn in_layers(settings: &Settings, names: &[&'static str]) -> impl Iterator<Item = SynonymValue> {
    let mut values: Vec<SynonymValue> = names
        .iter()
        .flat_map(|name| settings.layers(name).map(|(source, value)| SynonymValue { name, value: value.to_owned(), source }))
        .collect();
    values.sort_by_key(|value| value.source as i8);
    values.into_iter()
}

/// A broker key with the keys that say the same in other units, most important first.
fn family_of(key: &'static Key) -> Vec<&'static str> {
    let topic = TOPIC.keys().find(|topic| topic.synonyms.iter().any(|synonym| synonym.name == key.name));
    let names = topic.into_iter().flat_map(|topic| topic.synonyms).map(|synonym| synonym.name);
    if topic.is_some() { names.collect() } else { vec![key.name] }
}

/// The effective configuration of a node, for people: the key, its value in force and where that comes from.
pub fn effective(settings: &Settings) -> impl Iterator<Item = (&'static Key, Option<&str>, String)> {
    BROKER.keys().map(|key| {
        let source = match settings.layers(key.name).next() {
            Some((Source::StaticBroker, _)) => settings.fixed(key).map_or_else(String::new, |fixed| fixed.place.to_string()),
            Some((Source::DynamicBroker, _)) => "set on this broker".to_owned(),
            Some((Source::DynamicDefaultBroker, _)) => "set on all brokers".to_owned(),
            _ => "default".to_owned(),
        };
        (key, settings.text(key), source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Inputs, load};

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn settings(file: &str, default: &[(&str, &str)], own: &[(&str, &str)]) -> Settings {
        let file = Some(("klamm.toml".to_owned(), file.to_owned()));
        let (settings, problems) =
            load(Inputs { file, ..Inputs::default() }).unwrap().with_dynamic(&overrides(default), &overrides(own));
        assert_eq!(problems, []);
        settings
    }

    /// One key of a resource as `value source: synonym=value@source, …`.
    fn told(resource: Resource, settings: &Settings, set: &[(&str, &str)], name: &str) -> String {
        let all = describe(resource, settings, &overrides(set), |n| n == name);
        let [one] = &all[..] else { return "absent".into() };
        let synonyms: Vec<String> = one.synonyms.iter().map(|s| format!("{}={}@{}", s.name, s.value, s.source as i8)).collect();
        let value = one.value.as_deref().unwrap_or("null");
        format!("{value} {}{}: {}", one.source as i8, if one.read_only { " ro" } else { "" }, synonyms.join(", "))
    }

    #[test]
    fn every_key_is_told_with_its_type_and_documentation() {
        for resource in [Resource::Topic, Resource::Broker, Resource::Group] {
            let all = describe(resource, &Settings::default(), &Overrides::new(), |_| true);
            assert_eq!(all.len(), resource.scope().keys().count());
            assert!(all.iter().all(|one| one.source == Source::Default && !one.documentation.is_empty()));
        }
        assert_eq!(describe(Resource::BrokerDefault, &Settings::default(), &Overrides::new(), |_| true), []);
    }

    #[test]
    fn synonyms_stand_in_the_order_of_their_precedence() {
        let s = settings("log.retention.hours = 2", &[("log.retention.ms", " 99")], &[("log.retention.ms", "88")]);
        for (resource, set, name, expected) in [
            (
                Resource::Topic,
                &[("retention.ms", " 77 ")] as &[(&str, &str)],
                "retention.ms",
                "77 1: retention.ms=77@1, log.retention.ms=88@2, log.retention.ms=99@3, log.retention.hours=2@4, log.retention.hours=168@5",
            ),
            (
                Resource::Topic,
                &[],
                "retention.ms",
                "88 2: log.retention.ms=88@2, log.retention.ms=99@3, log.retention.hours=2@4, log.retention.hours=168@5",
            ),
            (
                Resource::Broker,
                &[],
                "log.retention.ms",
                "88 2: log.retention.ms=88@2, log.retention.ms=99@3, log.retention.hours=2@4, log.retention.hours=168@5",
            ),
            (Resource::Broker, &[], "log.retention.hours", "2 4 ro: log.retention.hours=2@4, log.retention.hours=168@5"),
            (Resource::Broker, &[], "log.retention.minutes", "null 5 ro: "),
            (Resource::BrokerDefault, &[], "log.retention.ms", "99 3: log.retention.ms=99@3"),
            (Resource::BrokerDefault, &[], "log.retention.hours", "absent"),
            (Resource::Topic, &[], "max.message.bytes", "1048588 5: message.max.bytes=1048588@5"),
            (Resource::Topic, &[], "remote.storage.enable", "false 5: "),
        ] {
            assert_eq!(told(resource, &s, set, name), expected, "{resource:?} {name}");
        }
    }

    #[test]
    fn a_value_in_other_units_is_the_source_of_the_topic_key() {
        let s = settings("log.retention.hours = 2", &[], &[]);
        let expected = "7200000 4: log.retention.hours=2@4, log.retention.hours=168@5";
        assert_eq!(told(Resource::Topic, &s, &[], "retention.ms"), expected);
    }

    #[test]
    fn the_effective_configuration_says_where_values_come_from() {
        let s = settings("log.retention.hours = 2", &[("log.segment.bytes", "2097152")], &[("log.roll.ms", "88")]);
        let of =
            |name| effective(&s).find(|(key, ..)| key.name == name).map(|(_, value, source)| (value.map(str::to_owned), source));
        let row = |value: &str, source: &str| Some((Some(value.to_owned()), source.to_owned()));
        assert_eq!(of("log.retention.hours"), row("2", "klamm.toml:1"));
        assert_eq!(of("log.segment.bytes"), row("2097152", "set on all brokers"));
        assert_eq!(of("log.roll.ms"), row("88", "set on this broker"));
        assert_eq!(of("num.partitions"), row("1", "default"));
        assert_eq!(of("broker.rack"), Some((None, "default".to_owned())));
    }
}
