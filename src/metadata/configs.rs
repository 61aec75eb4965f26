//! Dynamic configuration: what was set by AlterConfigs, per resource. Static configuration and defaults are not here.

use std::fmt;
use std::sync::Arc;

use super::sorted_map::SortedMap;

/// What a configuration belongs to; the numbers are Kafka's (`ConfigResource.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ResourceType {
    Topic = 2,
    Broker = 4,
    /// Log levels of a running broker; never stored.
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ResourceType {
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::BrokerLogger, Self::ClientMetrics, Self::Group].into_iter().find(|t| *t as i8 == code)
    }
}

impl fmt::Display for ResourceType {
    /// In Kafka's spelling, as its error messages have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "TOPIC",
            Self::Broker => "BROKER",
            Self::BrokerLogger => "BROKER_LOGGER",
            Self::ClientMetrics => "CLIENT_METRICS",
            Self::Group => "GROUP",
        })
    }
}

/// One thing that can be configured. The broker resource with an empty name is the default of all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    pub kind: ResourceType,
    pub name: Arc<str>,
}

impl ConfigResource {
    pub fn new(kind: ResourceType, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }

    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self::new(ResourceType::Topic, name)
    }
}

/// Keys and values of one resource, sorted by key. Most have none or a few: a sorted vector takes a tenth of a tree's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMap(Vec<(Arc<str>, Arc<str>)>);

impl ConfigMap {
    pub const EMPTY: &'static ConfigMap = &ConfigMap(Vec::new());

    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).ok().map(|at| &*self.0[at].1)
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// In the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a key, or removes it.
    pub fn set(&mut self, key: &Arc<str>, value: Option<Arc<str>>) {
        match (self.find(key), value) {
            (Ok(at), Some(value)) => self.0[at].1 = value,
            (Ok(at), None) => {
                self.0.remove(at);
            }
            (Err(at), Some(value)) => self.0.insert(at, (key.clone(), value)),
            (Err(_), None) => {}
        }
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(k, _)| (**k).cmp(key))
    }
}

type ByName = SortedMap<Arc<str>, Arc<ConfigMap>>;

/// The configuration of every resource that has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigsImage {
    topics: ByName,
    brokers: ByName,
    client_metrics: ByName,
    groups: ByName,
}

impl ConfigsImage {
    /// What is set for a resource; empty if nothing is.
    pub fn get(&self, kind: ResourceType, name: &str) -> &ConfigMap {
        self.of(kind).and_then(|map| map.get(name)).map_or(ConfigMap::EMPTY, |c| c)
    }

    pub fn contains(&self, kind: ResourceType, name: &str) -> bool {
        self.of(kind).is_some_and(|map| map.contains_key(name))
    }

    /// Every resource of a type that has a configuration, in the order of names.
    pub fn of_type(&self, kind: ResourceType) -> impl Iterator<Item = (&Arc<str>, &ConfigMap)> {
        self.of(kind).into_iter().flat_map(|map| map.iter()).map(|(name, configs)| (name, &**configs))
    }

    /// Every resource that has a configuration.
    pub fn iter(&self) -> impl Iterator<Item = (ConfigResource, &ConfigMap)> {
        [ResourceType::Topic, ResourceType::Broker, ResourceType::ClientMetrics, ResourceType::Group]
            .into_iter()
            .flat_map(|kind| self.of_type(kind).map(move |(name, configs)| (ConfigResource::new(kind, name.clone()), configs)))
    }

    pub(crate) fn set(&mut self, resource: &ConfigResource, key: &Arc<str>, value: Option<Arc<str>>) {
        let Some(map) = self.of_mut(resource.kind) else { return };
        match map.get_mut(&*resource.name) {
            Some(configs) => {
                let configs = Arc::make_mut(configs);
                configs.set(key, value);
                if configs.is_empty() {
                    map.remove(&*resource.name);
                }
            }
            None if value.is_some() => {
                let mut configs = ConfigMap::default();
                configs.set(key, value);
                map.insert(resource.name.clone(), Arc::new(configs));
            }
            None => {}
        }
    }

    pub(crate) fn remove(&mut self, kind: ResourceType, name: &str) -> bool {
        self.of_mut(kind).is_some_and(|map| map.remove(name).is_some())
    }

    fn of(&self, kind: ResourceType) -> Option<&ByName> {
        match kind {
            ResourceType::Topic => Some(&self.topics),
            ResourceType::Broker => Some(&self.brokers),
            ResourceType::ClientMetrics => Some(&self.client_metrics),
            ResourceType::Group => Some(&self.groups),
            ResourceType::BrokerLogger => None,
        }
    }

    fn of_mut(&mut self, kind: ResourceType) -> Option<&mut ByName> {
        match kind {
            ResourceType::Topic => Some(&mut self.topics),
            ResourceType::Broker => Some(&mut self.brokers),
            ResourceType::ClientMetrics => Some(&mut self.client_metrics),
            ResourceType::Group => Some(&mut self.groups),
            ResourceType::BrokerLogger => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_without_keys_is_gone() {
        let mut image = ConfigsImage::default();
        let topic = ConfigResource::topic("t");
        let key: Arc<str> = "retention.ms".into();
        image.set(&topic, &key, Some("5".into()));
        let before = image.clone();
        image.set(&topic, &key, None);
        assert!(!image.contains(ResourceType::Topic, "t"));
        assert_eq!(before.get(ResourceType::Topic, "t").get("retention.ms"), Some("5"), "an older image keeps its contents");
        assert!(!before.contains(ResourceType::Broker, "t"));
    }

    #[test]
    fn codes_are_kafkas() {
        for (code, text) in [(2, "TOPIC"), (4, "BROKER"), (8, "BROKER_LOGGER"), (16, "CLIENT_METRICS"), (32, "GROUP")] {
            assert_eq!(ResourceType::from_code(code).unwrap().to_string(), text);
        }
        assert_eq!(ResourceType::from_code(0), None);
    }
}
