//! The declarations: one a key, in the file of its area. Everything else is made from them: the typed structs that the code reads,
//! DescribeConfigs, the checks of AlterConfigs, `config/klamm.toml` and `docs/configuration.md`.
//!
//! A declaration reads
//!
//! ```text
//! /// What the key does.
//! "kafkas.name" = "default in plain text" => field: Type { bytes, at_least(1), cluster_wide }
//! ```
//!
//! where the braces hold methods of [`Key`] and a default of `null` is Kafka's null. A field is read by the code, or the key is not
//! declared.

use super::key::{Allowed, Key};

pub mod cleaner;
pub mod group;
pub mod log;
pub mod network;
pub mod node;
pub mod replication;
pub mod topic;
pub mod transaction;

/// Keys that belong together, under a heading.
pub struct Area {
    pub title: &'static str,
    doc: &'static str,
    pub keys: &'static [Key],
}

impl Area {
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }
}

/// All keys of one kind of resource.
pub struct Scope {
    /// The kind as error messages name it: `topic`, `broker`, `group`.
    pub name: &'static str,
    pub areas: &'static [&'static Area],
}

/// Keys of a broker: the ones of the configuration file, some of which may be changed while it runs.
pub static BROKER: Scope = Scope {
    name: "broker",
    areas: &[
        &node::NodeConfig::AREA,
        &network::NetworkConfig::AREA,
        &log::LogDefaults::AREA,
        &log::LogUpkeepConfig::AREA,
        &cleaner::CleanerConfig::AREA,
        &replication::ReplicationConfig::AREA,
        &group::GroupCoordinatorConfig::AREA,
        &transaction::TransactionCoordinatorConfig::AREA,
    ],
};

pub static TOPIC: Scope = Scope { name: "topic", areas: &[&topic::TopicKeys::AREA] };

/// Kafka's keys of a group are about its newer protocols, which klamm does not have.
pub static GROUP: Scope = Scope { name: "group", areas: &[] };

impl Scope {
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.areas.iter().flat_map(|area| area.keys)
    }

    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// The declared name that `name` was probably meant to be, if one is near enough to be worth saying. A key that takes one value only is
    /// nobody's meaning.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        let usable = || self.keys().filter(|key| !matches!(key.allowed, Allowed::Only(..)));
        // The name that the default of a topic's key has among the broker's keys.
        let of_default = usable().find(|key| key.synonyms.iter().any(|synonym| synonym.name == name));
        of_default.map(|key| key.name).or_else(|| nearest(name, usable().map(|key| key.name)))
    }
}

/// The candidate most like `name`. Names longer than any key are not compared, so that a peer cannot buy work by the kilobyte.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 128;
    const NEAR_ENOUGH: f64 = 0.7;
    if name.len() > LONGEST {
        return None;
    }
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Declares the keys of an area and the struct that holds their values.
macro_rules! keys {
    (
        $(#[doc = $area_doc:literal])+
        pub struct $name:ident $title:literal {
            $(
                $(#[doc = $doc:literal])+
                $key:literal = $default:tt => $field:ident: $type:ty $({ $($attribute:ident $(($($argument:expr),*))?),* })?
            )+
        }
    ) => {
        $(#[doc = $area_doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nKey: `", $key, "`.")]
                pub $field: $type,
            )+
        }

        impl $name {
            pub(in $crate::config) const AREA: $crate::config::def::Area = $crate::config::def::Area {
                title: $title,
                doc: concat!($($area_doc),+),
                keys: &[$(
                    $crate::config::key::Key::new(
                        $key,
                        <$type as $crate::config::value::Value>::TYPE,
                        $crate::config::def::keys!(@default $default),
                        concat!($($doc),+),
                    )
                    $($(.$attribute($($($argument),*)?))*)?,
                )+],
            };

            /// Reads every field from the plain text of its key.
            ///
            /// `text` answers only what [`Key::check`](crate::config::key::Key::check) let through, so reading cannot fail.
            pub(in $crate::config) fn read<'a>(text: impl Fn(&'static str) -> Option<std::borrow::Cow<'a, str>>) -> Self {
                $name {
                    $($field: <$type as $crate::config::value::Value>::read(text($key).as_deref())
                        .expect(concat!($key, " holds a checked value")),)+
                }
            }
        }
    };
    (@default null) => { None };
    (@default $text:literal) => { Some($text) };
}
pub(in crate::config) use keys;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_default_and_example_is_allowed_and_in_plain_form() {
        for key in BROKER.keys().chain(TOPIC.keys()).chain(GROUP.keys()) {
            let text = key.default.unwrap_or(key.example);
            assert_eq!(key.check(text).as_deref(), Ok(text), "{}", key.name);
        }
    }

    #[test]
    fn every_key_is_declared_once_and_explained() {
        for scope in [&BROKER, &TOPIC, &GROUP] {
            let mut names = HashSet::new();
            for key in scope.keys() {
                assert!(names.insert(key.name), "{} is declared twice", key.name);
                assert!(key.doc().ends_with('.') && key.doc().len() > 20, "{} needs a sentence", key.name);
                assert_eq!(scope.find(key.name).unwrap().name, key.name);
            }
        }
    }

    #[test]
    fn synonyms_are_broker_keys_of_the_same_kind() {
        for key in TOPIC.keys().chain(GROUP.keys()) {
            for synonym in key.synonyms {
                let broker =
                    BROKER.find(synonym.name).unwrap_or_else(|| panic!("{} has the unknown synonym {}", key.name, synonym.name));
                if synonym.factor == 1 {
                    assert_eq!(broker.value_type, key.value_type, "{}", key.name);
                    assert_eq!(broker.unit, key.unit, "{}", key.name);
                }
            }
        }
    }

    #[test]
    fn a_topic_default_is_the_default_of_its_broker_keys() {
        for key in TOPIC.keys().chain(GROUP.keys()).filter(|key| !key.synonyms.is_empty()) {
            let given = key.synonyms.iter().find_map(|s| BROKER.find(s.name).unwrap().default.map(|text| (text, s.factor)));
            let (text, factor) = given.unwrap_or_else(|| panic!("no synonym of {} has a default", key.name));
            let scaled = if factor == 1 { text.to_owned() } else { (text.parse::<i64>().unwrap() * factor).to_string() };
            assert_eq!(key.default, Some(scaled.as_str()), "{}", key.name);
        }
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_key() {
        for (typed, meant) in [
            ("log.retention.hour", Some("log.retention.hours")),
            ("log.retenton.ms", Some("log.retention.ms")),
            ("num.partition", Some("num.partitions")),
            ("advertised.listener", Some("advertised.listeners")),
            ("zookeeper.connect", None),
            ("", None),
        ] {
            assert_eq!(BROKER.nearest(typed), meant, "{typed}");
        }
        for (typed, meant) in [
            ("log.retention.ms", Some("retention.ms")),
            ("log.retention.hours", Some("retention.ms")),
            ("log.segment.bytes", Some("segment.bytes")),
            ("local.retention.m", None),
        ] {
            assert_eq!(TOPIC.nearest(typed), meant, "{typed}");
        }
        assert_eq!(BROKER.nearest(&"log.retention.hours".repeat(1000)), None);
    }
}
