//! The effective configuration of this broker, as the code reads it, and the rules that hold between keys.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::def::BROKER;
use super::def::cleaner::CleanerConfig;
use super::def::group::GroupCoordinatorConfig;
use super::def::log::{LogDefaults, LogUpkeepConfig};
use super::def::network::NetworkConfig;
use super::def::node::NodeConfig;
use super::def::replication::ReplicationConfig;
use super::def::transaction::TransactionCoordinatorConfig;
use super::listeners::{self, AdvertisedListener, Listener};
use super::settings::Settings;

/// Everything one broker is configured with, by area. Cheap to make; made anew whenever a dynamic value changes.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    pub node: NodeConfig,
    pub network: NetworkConfig,
    /// Read [`TopicConfig`](super::topic::TopicConfig) for what holds for one topic; here are the defaults of new topics.
    pub log: LogDefaults,
    pub log_upkeep: LogUpkeepConfig,
    pub cleaner: CleanerConfig,
    pub replication: ReplicationConfig,
    pub group: GroupCoordinatorConfig,
    pub transaction: TransactionCoordinatorConfig,
}

/// Two values that cannot stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key to change.
    pub key: &'static str,
    /// The key it contradicts.
    pub with: &'static str,
    pub message: String,
}

impl BrokerConfig {
    pub fn of(settings: &Settings) -> Self {
        let text = |name: &'static str| -> Option<Cow<'_, str>> {
            let key = BROKER.find(name).expect("an area of the broker declares its keys");
            settings.text(key).map(Cow::Borrowed)
        };
        BrokerConfig {
            node: NodeConfig::read(text),
            network: NetworkConfig::read(text),
            log: LogDefaults::read(text),
            log_upkeep: LogUpkeepConfig::read(text),
            cleaner: CleanerConfig::read(text),
            replication: ReplicationConfig::read(text),
            group: GroupCoordinatorConfig::read(text),
            transaction: TransactionCoordinatorConfig::read(text),
        }
    }

    /// Values that are each allowed and together are not (`KafkaConfig.validateValues`, `GroupCoordinatorConfig`).
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut found = self.network.conflicts();
        let mut rule = |holds: bool, key: &'static str, relation: &str, with: &'static str, why: &str| {
            if !holds {
                found.push(Conflict { key, with, message: format!("{key} must {relation} {with}{why}") });
            }
        };
        let BrokerConfig { node, network, log, cleaner, replication, group, .. } = self;
        let http_is_taken =
            node.http_listener.as_ref().is_some_and(|at| network.listeners().iter().any(|one| one.takes_http(at)));
        rule(!http_is_taken, "http.listener", "have another port than", "listeners", "");
        rule(
            log.cleaner_min_compaction_lag_ms <= log.cleaner_max_compaction_lag_ms,
            "log.cleaner.min.compaction.lag.ms",
            "not be more than",
            "log.cleaner.max.compaction.lag.ms",
            "",
        );
        rule(
            cleaner.dedupe_buffer_size / i64::from(cleaner.threads) > 1024 * 1024,
            "log.cleaner.dedupe.buffer.size",
            "be more than 1 MiB for each of",
            "log.cleaner.threads",
            "",
        );
        rule(
            replication.broker_heartbeat_interval_ms < replication.broker_session_timeout_ms,
            "broker.heartbeat.interval.ms",
            "be less than",
            "broker.session.timeout.ms",
            ", or a living broker is taken for dead",
        );
        rule(
            group.group_min_session_timeout_ms <= group.group_max_session_timeout_ms,
            "group.min.session.timeout.ms",
            "not be more than",
            "group.max.session.timeout.ms",
            "",
        );
        found
    }
}

impl NodeConfig {
    /// The directories that hold data, at least one.
    pub fn data_dirs(&self) -> &[String] {
        self.log_dirs.as_ref().unwrap_or(&self.log_dir)
    }
}

impl NetworkConfig {
    /// Addresses to listen on, at least one.
    pub fn listeners(&self) -> Vec<Listener> {
        listeners::listeners(&self.listeners)
    }

    /// What to tell clients, in the order of [`listeners`](Self::listeners).
    pub fn advertised_listeners(&self) -> Vec<AdvertisedListener> {
        listeners::advertised(&self.listeners(), self.advertised_listeners.as_deref())
    }

    /// Bounds on connections by address, as written: an IP address or a host name.
    pub fn max_connections_per_ip_overrides(&self) -> BTreeMap<String, i32> {
        listeners::overrides(&self.max_connections_per_ip_overrides).unwrap_or_default()
    }

    fn conflicts(&self) -> Vec<Conflict> {
        let mut found = Vec::new();
        let listeners = self.listeners();
        let protocols = listeners::protocol_map(&self.listener_security_protocol_map).unwrap_or_default();
        for Listener { name, .. } in &listeners {
            let message = match protocols.get(name).copied() {
                Some("PLAINTEXT") => continue,
                Some(protocol) => format!("listeners names {name}, which speaks {protocol}; only PLAINTEXT can be used so far"),
                None => format!("listeners names {name}, for which listener.security.protocol.map has no protocol"),
            };
            found.push(Conflict { key: "listeners", with: "listener.security.protocol.map", message });
        }
        for Listener { name, .. } in listeners::listeners(self.advertised_listeners.as_deref().unwrap_or_default()) {
            if !listeners.iter().any(|listener| listener.name == name) {
                let message = format!("advertised.listeners names {name}, which is not one of listeners");
                found.push(Conflict { key: "advertised.listeners", with: "listeners", message });
            }
        }
        if self.queued_max_request_bytes >= 0 && self.queued_max_request_bytes < i64::from(self.socket_request_max_bytes) {
            let message = "queued.max.request.bytes must not be less than socket.request.max.bytes".to_owned();
            found.push(Conflict { key: "queued.max.request.bytes", with: "socket.request.max.bytes", message });
        }
        if self.max_connections_per_ip == 0 && self.max_connections_per_ip_overrides.is_empty() {
            let message = "max.connections.per.ip can be 0 only if max.connections.per.ip.overrides is set".to_owned();
            found.push(Conflict { key: "max.connections.per.ip", with: "max.connections.per.ip.overrides", message });
        }
        found
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        BrokerConfig::of(&Settings::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_stand_together() {
        let config = BrokerConfig::default();
        assert_eq!(config.conflicts(), []);
        assert_eq!(config.network.socket_request_max_bytes, 104_857_600);
        assert_eq!(config.node.data_dirs(), ["klamm-data"]);
        assert_eq!(config.network.listeners().len(), 1);
        assert_eq!(config.log.retention_ms, None);
    }

    #[test]
    fn values_that_contradict_each_other_are_told() {
        let keys = |change: fn(&mut BrokerConfig)| {
            let mut config = BrokerConfig::default();
            change(&mut config);
            config.conflicts().into_iter().map(|conflict| conflict.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(|c| c.network.listeners = vec!["SSL://:9093".into(), "OTHER://:1".into()]), ["listeners", "listeners"]);
        assert_eq!(keys(|c| c.network.advertised_listeners = Some(vec!["X://h:1".into()])), ["advertised.listeners"]);
        for (http, listener, taken) in [
            ("127.0.0.1:9092", "PLAINTEXT://127.0.0.1:9092", true),
            (":9092", "PLAINTEXT://127.0.0.1:9092", true),
            ("127.0.0.1:9092", "PLAINTEXT://0.0.0.0:9092", true),
            ("127.0.0.1:8080", "PLAINTEXT://127.0.0.1:9092", false),
            ("127.0.0.2:9092", "PLAINTEXT://127.0.0.1:9092", false),
            ("127.0.0.1:0", "PLAINTEXT://127.0.0.1:0", false),
        ] {
            let mut config = BrokerConfig::default();
            (config.node.http_listener, config.network.listeners) = (Some(http.into()), vec![listener.into()]);
            let told: Vec<_> = config.conflicts().into_iter().map(|conflict| conflict.message).collect();
            let expected = taken.then(|| "http.listener must have another port than listeners".to_owned());
            assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{http} {listener}");
        }
        assert_eq!(keys(|c| c.network.queued_max_request_bytes = 1000), ["queued.max.request.bytes"]);
        assert_eq!(keys(|c| c.network.max_connections_per_ip = 0), ["max.connections.per.ip"]);
        assert_eq!(keys(|c| c.cleaner.threads = 200), ["log.cleaner.dedupe.buffer.size"]);
        assert_eq!(keys(|c| c.log.cleaner_max_compaction_lag_ms = 0), [] as [&str; 0]);
        assert_eq!(keys(|c| c.log.cleaner_min_compaction_lag_ms = i64::MAX), [] as [&str; 0]);
        assert_eq!(keys(|c| c.replication.broker_session_timeout_ms = 2000), ["broker.heartbeat.interval.ms"]);
        assert_eq!(keys(|c| c.group.group_max_session_timeout_ms = 10), ["group.min.session.timeout.ms"]);
    }
}
