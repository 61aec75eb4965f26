//! Configuration as it is given on the command line: `--config retention.ms=7d`. Pure.
//!
//! Units may be written wherever klamm knows the key; what goes to the broker is the plain number, which is all that Kafka knows.

use std::str::FromStr;

use crate::config::def::{Scope, TOPIC};
use crate::config::key::Update;

/// A key and the value it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self { key: key.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err("expected KEY=VALUE".into()),
        }
    }
}

impl Setting {
    /// The value without units. An unknown key, or a value without units, is left for the broker to judge.
    pub fn plain(&self, scope: &Scope) -> Result<String, String> {
        match scope.find(&self.key) {
            Some(key) => key.unit.plain(&self.value).map_err(|why| format!("{}={}: {why}", self.key, self.value)),
            None => Ok(self.value.clone()),
        }
    }
}

/// Reads a setting of a topic, and turns units into plain numbers.
pub fn topic_setting(text: &str) -> Result<Setting, String> {
    let setting: Setting = text.parse()?;
    let value = setting.plain(&TOPIC)?;
    Ok(Setting { value, ..setting })
}

/// What an unknown key was probably meant to be, or which key can be changed in place of one that cannot.
pub fn meant(scope: &Scope, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Option<String> {
    let keys: Vec<_> = keys.into_iter().collect();
    match keys.iter().find(|key| scope.find(key.as_ref()).is_none()) {
        Some(unknown) => scope.nearest(unknown.as_ref()).map(|nearest| format!("did you mean {nearest}?")),
        None => keys.iter().find_map(|key| in_place_of(scope, key.as_ref())),
    }
}

/// Brokers have some times in milliseconds, in minutes and in hours, and only the first can be changed while they run.
fn in_place_of(scope: &Scope, name: &str) -> Option<String> {
    let stem = name.strip_suffix(".hours").or_else(|| name.strip_suffix(".minutes"))?;
    let millis = scope.find(&format!("{stem}.ms")).filter(|key| key.update == Update::ClusterWide)?;
    Some(format!("{name} needs a restart; {} can be changed while the broker runs", millis.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::def::BROKER;

    #[test]
    fn units_become_plain_numbers_where_the_key_is_known() {
        for (text, value) in [
            ("retention.ms=7d", "604800000"),
            ("retention.ms=-1", "-1"),
            ("segment.bytes=64MiB", "67108864"),
            ("cleanup.policy=compact,delete", "compact,delete"),
            ("somebody.elses.key=7d", "7d"),
            ("cleanup.policy=", ""),
        ] {
            assert_eq!(topic_setting(text).expect(text).value, value, "{text}");
        }
        for wrong in ["retention.ms", "=5", "retention.ms=7 fortnights"] {
            assert!(topic_setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mistyped_key_finds_the_one_meant() {
        assert_eq!(meant(&TOPIC, ["cleanup.policy", "retention.m"]).as_deref(), Some("did you mean retention.ms?"));
        assert_eq!(meant(&TOPIC, ["retention.ms"]), None);
        assert_eq!(meant(&TOPIC, ["log.retention.ms"]).as_deref(), Some("did you mean retention.ms?"));
    }

    #[test]
    fn a_key_that_needs_a_restart_has_one_beside_it_that_does_not() {
        for name in ["log.retention.hours", "log.retention.minutes"] {
            assert!(meant(&BROKER, [name]).is_some_and(|meant| meant.contains("log.retention.ms")), "{name}");
        }
        assert_eq!(meant(&BROKER, ["num.partitions"]), None);
    }
}
