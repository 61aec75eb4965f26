//! AlterConfigs and IncrementalAlterConfigs: from what a client asks to the records to write, or a refusal.
//!
//! A request is taken whole or not at all, resource by resource. Only what it changes is judged, so a value left behind by a node of
//! another version does not stand in the way. Deleting what is not set is no error, whatever its name. Rules and messages follow
//! `ConfigurationControlManager`, `ControllerConfigurationValidator` and `ConfigAdminManager`; unlike Kafka, an unknown broker key
//! is refused, not stored.

use std::collections::HashSet;

use super::broker::BrokerConfig;
use super::check::elements_of;
use super::foreign;
use super::key::{Key, Type, Update};
use super::resource::{Refused, Resource};
use super::settings::{Overrides, Settings};
use super::topic::TopicConfig;

/// `AlterConfigOp.OpType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Op {
    /// The operation of a number on the wire.
    pub fn of(number: i8) -> Result<Op, Refused> {
        match number {
            0 => Ok(Op::Set),
            1 => Ok(Op::Delete),
            2 => Ok(Op::Append),
            3 => Ok(Op::Subtract),
            _ => Err(Refused::request(format!("Unknown operations type {number}"))),
        }
    }
}

/// What a client asks of one key.
#[derive(Clone, Copy, Debug)]
pub struct Alteration<'a> {
    pub name: &'a str,
    pub op: Op,
    pub value: Option<&'a str>,
}

/// One record to write: the value as the client gave it, or its removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: String,
    pub value: Option<String>,
}

/// IncrementalAlterConfigs on a resource that has `current` set.
pub fn alter(
    resource: Resource,
    settings: &Settings,
    current: &Overrides,
    asked: &[Alteration<'_>],
) -> Result<Vec<Change>, Refused> {
    refuse_duplicates(asked.iter().map(|a| a.name))?;
    refuse_nulls(asked.iter().filter(|a| a.op != Op::Delete).map(|a| (a.name, a.value)))?;
    let mut changes = Vec::with_capacity(asked.len());
    for &Alteration { name, op, value } in asked {
        let value = value.unwrap_or_default();
        let value = match op {
            Op::Set => Some(value.to_owned()),
            Op::Delete => None,
            Op::Append | Op::Subtract => {
                let key = known(resource, name)?;
                if key.value_type != Type::List {
                    let op = if op == Op::Append { "APPEND" } else { "SUBTRACT" };
                    return Err(Refused::config(format!("Can't {op} to key {name} because its type is not LIST.")));
                }
                let list = current.get(name).map(String::as_str).or(key.default).unwrap_or_default();
                Some(if op == Op::Append { joined(list, value) } else { without(list, value) })
            }
        };
        changes.push(Change { name: name.to_owned(), value });
    }
    judge(resource, settings, current, &changes)?;
    Ok(effective(current, changes))
}

/// AlterConfigs, which removes whatever it does not name.
pub fn replace(
    resource: Resource,
    settings: &Settings,
    current: &Overrides,
    asked: &[(&str, Option<&str>)],
) -> Result<Vec<Change>, Refused> {
    refuse_duplicates(asked.iter().map(|(name, _)| *name))?;
    refuse_nulls(asked.iter().copied())?;
    let mut changes: Vec<Change> =
        asked.iter().map(|(name, value)| Change { name: (*name).to_owned(), value: value.map(str::to_owned) }).collect();
    let named: HashSet<&str> = asked.iter().map(|(name, _)| *name).collect();
    changes.extend(
        current.keys().filter(|name| !named.contains(name.as_str())).map(|name| Change { name: name.clone(), value: None }),
    );
    judge(resource, settings, current, &changes)?;
    Ok(effective(current, changes))
}

/// The configuration that CreateTopics gives a topic.
pub fn new_topic(settings: &Settings, asked: &[(&str, Option<&str>)]) -> Result<Overrides, Refused> {
    let nulls: Vec<&str> = asked.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    if !nulls.is_empty() {
        return Err(Refused::config(format!("Null value not supported for topic configs: {}", nulls.join(","))));
    }
    let none = Overrides::new();
    let changes = replace(Resource::Topic, settings, &none, asked)?;
    Ok(changes.into_iter().filter_map(|change| Some((change.name, change.value?))).collect())
}

fn refuse_duplicates<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Refused> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Refused::request("Error due to duplicate config keys"));
        }
    }
    Ok(())
}

fn refuse_nulls<'a>(pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<(), Refused> {
    let nulls: Vec<&str> = pairs.filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
    if nulls.is_empty() { Ok(()) } else { Err(Refused::request(format!("Null value not supported for : {}", nulls.join(", ")))) }
}

fn joined(list: &str, value: &str) -> String {
    let mut elements: Vec<&str> = elements_of(list).collect();
    for element in elements_of(value) {
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements.join(",")
}

fn without(list: &str, value: &str) -> String {
    elements_of(list).filter(|element| !elements_of(value).any(|gone| gone == *element)).collect::<Vec<_>>().join(",")
}

/// Drops changes that change nothing.
fn effective(current: &Overrides, changes: Vec<Change>) -> Vec<Change> {
    changes.into_iter().filter(|change| current.get(&change.name) != change.value.as_ref()).collect()
}

fn known(resource: Resource, name: &str) -> Result<&'static Key, Refused> {
    let scope = resource.scope();
    scope.find(name).ok_or_else(|| {
        let mut message = format!("Unknown {} config name: {name}", scope.name);
        if let Some(why) = foreign::why_absent(name) {
            message.push_str(&format!("; {why}"));
        } else if let Some(nearest) = scope.nearest(name) {
            message.push_str(&format!("; the nearest is {nearest}"));
        }
        Refused::config(message)
    })
}

/// Checks every value that is set, and that what comes out stands together.
fn judge(resource: Resource, settings: &Settings, current: &Overrides, changes: &[Change]) -> Result<(), Refused> {
    let of_broker = matches!(resource, Resource::Broker | Resource::BrokerDefault);
    let mut fixed = Vec::new();
    for Change { name, value } in changes {
        let Some(value) = value else { continue };
        let key = known(resource, name)?;
        if of_broker && key.update == Update::ReadOnly {
            fixed.push(key.name);
        }
        // Kafka answers INVALID_REQUEST here for brokers (KAFKA-13609), and clients have come to expect it.
        key.check(value).map_err(|error| match of_broker {
            true => Refused::request(error.to_string()),
            false => Refused::config(error.to_string()),
        })?;
    }
    if !fixed.is_empty() {
        return Err(Refused::request(format!("Cannot update these configs dynamically: [{}]", fixed.join(", "))));
    }

    let mut result = current.clone();
    for Change { name, value } in changes {
        match value {
            Some(value) => result.insert(name.clone(), value.clone()),
            None => result.remove(name),
        };
    }
    match resource {
        Resource::Topic => match TopicConfig::resolve(settings, &result).conflict() {
            Some(message) => Err(Refused::config(message)),
            None => Ok(()),
        },
        Resource::Group => Ok(()),
        Resource::Broker | Resource::BrokerDefault => {
            let before = BrokerConfig::of(settings).conflicts();
            let after = BrokerConfig::of(&settings.with_layer(resource, &result)).conflicts();
            match after.into_iter().find(|conflict| !before.contains(conflict)) {
                Some(conflict) => Err(Refused::request(conflict.message)),
                None => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
