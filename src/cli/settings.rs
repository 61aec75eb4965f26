//! Configuration as it is given on the command line: `--config retention.ms=7d`. Pure.
//!
//! Units may be written wherever klamm knows the key; what goes to the broker is the plain number, which is all that Kafka knows.

use std::str::FromStr;

use crate::config::def::{Scope, TOPIC};

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

/// What an unknown key was probably meant to be.
pub fn meant(scope: &Scope, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Option<String> {
    let unknown = keys.into_iter().find(|key| scope.find(key.as_ref()).is_none())?;
    scope.nearest(unknown.as_ref()).map(|nearest| format!("did you mean {nearest}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
