//! The values of one broker, layer over layer.
//!
//! Precedence, highest first: the broker's own dynamic value, the dynamic default of all brokers, what the node was started with
//! (command line, environment, file), the declared default. A topic or group value stands above all of them. Where several broker
//! keys stand behind one topic key (`log.retention.ms`, `.minutes`, `.hours`), the first that has a value in any layer counts.
//!
//! Invariant: every text in a layer went through [`Key::check`] of its key, so it is in plain form and reads as the key's type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::broker::BrokerConfig;
use super::def::BROKER;
use super::key::{Key, Synonym, Update};
use super::problem::{Place, Problem};
use super::resource::Resource;

/// Values set on one resource, by name, as the metadata log keeps them: what the client sent, not yet in plain form.
pub type Overrides = BTreeMap<String, String>;

/// Where a value comes from, with the number DescribeConfigs sends (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    Group = 8,
}

/// A value the node was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    pub value: String,
    pub place: Place,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    fixed: BTreeMap<&'static str, Fixed>,
    dynamic_default: BTreeMap<&'static str, String>,
    dynamic_own: BTreeMap<&'static str, String>,
}

impl Settings {
    /// Settings of a node that is starting; `fixed` holds checked values.
    pub(super) fn started_with(fixed: BTreeMap<&'static str, Fixed>) -> Self {
        Settings { fixed, ..Settings::default() }
    }

    /// These settings with other dynamic values: `default` of the resource BROKER with an empty name, `own` of the one with this
    /// node's id. Values that cannot be used here are left out and told, as they may come from a node of another version.
    pub fn with_dynamic(&self, default: &Overrides, own: &Overrides) -> (Settings, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut settings = Settings {
            fixed: self.fixed.clone(),
            dynamic_default: usable(default, &mut problems),
            dynamic_own: usable(own, &mut problems),
        };
        // Taking one value away may leave another that contradicts the layer below.
        while let Some((key, message)) = settings.dynamic_conflict() {
            let layer =
                if settings.dynamic_own.contains_key(key) { &mut settings.dynamic_own } else { &mut settings.dynamic_default };
            layer.remove(key);
            problems.push(Problem::new(format!("ignoring the dynamic value of {key}: {message}"), None));
        }
        (settings, problems)
    }

    /// These settings with one dynamic layer replaced; values that cannot be used are left out.
    pub(super) fn with_layer(&self, resource: Resource, overrides: &Overrides) -> Settings {
        let mut settings = self.clone();
        let layer = usable(overrides, &mut Vec::new());
        match resource {
            Resource::BrokerDefault => settings.dynamic_default = layer,
            _ => settings.dynamic_own = layer,
        }
        settings
    }

    /// The value in force of a broker key, in plain form; `None` is null.
    pub fn text(&self, key: &Key) -> Option<&str> {
        self.dynamic(key).or_else(|| self.fixed.get(key.name).map(|fixed| fixed.value.as_str())).or(key.default)
    }

    /// A key with a dynamic value that contradicts another key, and how.
    fn dynamic_conflict(&self) -> Option<(&'static str, String)> {
        let dynamic = |key: &&str| self.dynamic_own.contains_key(key) || self.dynamic_default.contains_key(key);
        let conflicts = BrokerConfig::of(self).conflicts();
        conflicts.into_iter().find_map(|c| [c.key, c.with].into_iter().find(dynamic).map(|key| (key, c.message)))
    }

    fn dynamic(&self, key: &Key) -> Option<&str> {
        self.dynamic_own.get(key.name).or_else(|| self.dynamic_default.get(key.name)).map(String::as_str)
    }

    /// The value that the node was started with, if it was.
    pub fn fixed(&self, key: &Key) -> Option<&Fixed> {
        self.fixed.get(key.name)
    }

    /// What each layer says of a broker key, highest first.
    pub(super) fn layers(&self, name: &str) -> impl Iterator<Item = (Source, &str)> {
        let own = self.dynamic_own.get(name).map(|text| (Source::DynamicBroker, text.as_str()));
        let default = self.dynamic_default.get(name).map(|text| (Source::DynamicDefaultBroker, text.as_str()));
        let fixed = self.fixed.get(name).map(|fixed| (Source::StaticBroker, fixed.value.as_str()));
        let declared = BROKER.find(name).and_then(|key| key.default).map(|text| (Source::Default, text));
        [own, default, fixed, declared].into_iter().flatten()
    }

    /// The value in force of a topic or group key, given what is set on the resource. An override that the key does not take (from
    /// a node of another version) counts as absent.
    pub(super) fn resource_text(&self, key: &Key, overrides: &Overrides) -> Option<Cow<'_, str>> {
        if let Some(checked) = overrides.get(key.name).and_then(|text| key.check(text).ok()) {
            return Some(checked.into());
        }
        self.inherited(key)
    }

    /// What a topic or group key is where nothing is set on the resource.
    pub(super) fn inherited(&self, key: &Key) -> Option<Cow<'_, str>> {
        key.synonyms
            .iter()
            .find_map(|synonym| {
                let broker = BROKER.find(synonym.name).expect("a synonym is a broker key");
                self.text(broker).map(|text| scaled(text, synonym))
            })
            .or(key.default.map(Cow::Borrowed))
    }
}

/// A broker's text in the units of the topic key behind which it stands; −1 stays −1.
fn scaled<'a>(text: &'a str, synonym: &Synonym) -> Cow<'a, str> {
    match text.parse::<i64>() {
        Ok(number) if synonym.factor != 1 && number >= 0 => number.saturating_mul(synonym.factor).to_string().into(),
        _ => text.into(),
    }
}

/// The dynamic values that name a key which may be changed, in plain form.
fn usable(overrides: &Overrides, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, String> {
    let mut usable = BTreeMap::new();
    for (name, text) in overrides {
        let refused = match BROKER.find(name) {
            None => Some("there is no such key".to_owned()),
            Some(key) if key.update == Update::ReadOnly => Some("the key cannot be changed while the broker runs".to_owned()),
            Some(key) => match key.check(text) {
                Ok(plain) => {
                    usable.insert(key.name, plain);
                    None
                }
                Err(error) => Some(error.to_string()),
            },
        };
        if let Some(why) = refused {
            problems.push(Problem::new(format!("ignoring the dynamic value of {name}: {why}"), None));
        }
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::def::TOPIC;

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn started(pairs: &[(&'static str, &str)]) -> Settings {
        let place = || Place::CommandLine { argument: String::new() };
        Settings::started_with(
            pairs.iter().map(|(name, value)| (*name, Fixed { value: value.to_string(), place: place() })).collect(),
        )
    }

    fn retention(settings: &Settings, topic: &[(&str, &str)]) -> String {
        settings.resource_text(TOPIC.find("retention.ms").unwrap(), &overrides(topic)).unwrap().into_owned()
    }

    #[test]
    fn the_finer_unit_and_the_higher_layer_win() {
        let hours = started(&[("log.retention.hours", "2")]);
        assert_eq!(retention(&Settings::default(), &[]), "604800000");
        assert_eq!(retention(&hours, &[]), "7200000");
        assert_eq!(retention(&started(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]), &[]), "180000");
        assert_eq!(retention(&started(&[("log.retention.ms", "5"), ("log.retention.minutes", "3")]), &[]), "5");
        assert_eq!(retention(&started(&[("log.retention.hours", "-1")]), &[]), "-1");
        let (dynamic, problems) = hours.with_dynamic(&overrides(&[("log.retention.ms", "7")]), &Overrides::new());
        assert_eq!((retention(&dynamic, &[]), problems), ("7".into(), vec![]));
        let (own, _) = hours.with_dynamic(&overrides(&[("log.retention.ms", "7")]), &overrides(&[("log.retention.ms", "8")]));
        assert_eq!(retention(&own, &[]), "8");
        assert_eq!(retention(&own, &[("retention.ms", " 9 ")]), "9");
        let (back, _) = own.with_dynamic(&Overrides::new(), &Overrides::new());
        assert_eq!(back, hours);
    }

    #[test]
    fn dynamic_values_that_cannot_be_used_are_left_out_and_told() {
        let bad = overrides(&[("log.retention.ms", "soon"), ("node.id", "5"), ("no.such.key", "1"), ("message.max.bytes", "9")]);
        let (settings, problems) = Settings::default().with_dynamic(&bad, &Overrides::new());
        assert_eq!(settings.text(BROKER.find("message.max.bytes").unwrap()), Some("9"));
        assert_eq!(settings.text(BROKER.find("node.id").unwrap()), Some("1"));
        let told: Vec<&str> = problems.iter().map(|p| p.message.split(':').next().unwrap()).collect();
        let ignoring = |name| format!("ignoring the dynamic value of {name}");
        assert_eq!(told, [ignoring("log.retention.ms"), ignoring("no.such.key"), ignoring("node.id")]);
    }

    #[test]
    fn dynamic_values_that_contradict_others_are_left_out_and_told() {
        let lag = |own: &str, default: &str| {
            let name = "log.cleaner.max.compaction.lag.ms";
            let fixed = started(&[("log.cleaner.min.compaction.lag.ms", "50")]);
            let (settings, problems) = fixed.with_dynamic(&overrides(&[(name, default)]), &overrides(&[(name, own)]));
            (settings.text(BROKER.find(name).unwrap()).unwrap().to_owned(), problems.len())
        };
        assert_eq!(lag("60", "70"), ("60".into(), 0));
        assert_eq!(lag("10", "70"), ("70".into(), 1));
        assert_eq!(lag("10", "20"), (i64::MAX.to_string(), 2));
    }

    #[test]
    fn an_override_that_the_key_does_not_take_counts_as_absent() {
        assert_eq!(retention(&Settings::default(), &[("retention.ms", "-7")]), "604800000");
    }
}
