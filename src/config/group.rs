//! The effective configuration of one group, and its rules.

use super::broker::BrokerConfig;
use super::def::GROUP;
pub use super::def::consumer_group::GroupConfig;
use super::settings::{Overrides, Settings};

impl GroupConfig {
    /// What holds for a group on which `overrides` are set. Values outside the broker's bounds, which may have moved since they were
    /// set, are brought inside them.
    pub fn resolve(settings: &Settings, broker: &BrokerConfig, overrides: &Overrides) -> Self {
        let mut group = Self::declared(settings, overrides);
        let bounds = &broker.consumer_group;
        let session = &mut group.consumer_session_timeout_ms;
        *session = (*session).min(bounds.max_session_timeout_ms).max(bounds.min_session_timeout_ms);
        let heartbeat = &mut group.consumer_heartbeat_interval_ms;
        *heartbeat = (*heartbeat).min(bounds.max_heartbeat_interval_ms).max(bounds.min_heartbeat_interval_ms);
        group
    }

    /// The values as they are set, even if outside the broker's bounds.
    pub(super) fn declared(settings: &Settings, overrides: &Overrides) -> Self {
        Self::read(|name| {
            let key = GROUP.find(name).expect("the group declares its keys");
            settings.resource_text(key, overrides)
        })
    }

    /// What is wrong between keys that are each right (`GroupConfig.validateValues`), in Kafka's words.
    pub(super) fn conflict(&self, broker: &BrokerConfig) -> Option<String> {
        let bounds = &broker.consumer_group;
        let (session, heartbeat) = (self.consumer_session_timeout_ms, self.consumer_heartbeat_interval_ms);
        let rules = [
            (
                heartbeat >= bounds.min_heartbeat_interval_ms,
                "consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms",
            ),
            (
                heartbeat <= bounds.max_heartbeat_interval_ms,
                "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms",
            ),
            (
                session >= bounds.min_session_timeout_ms,
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                session <= bounds.max_session_timeout_ms,
                "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
            ),
            (session > heartbeat, "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, message)| message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(value: &str) -> GroupConfig {
        let overrides = Overrides::from([("consumer.session.timeout.ms".into(), value.into())]);
        GroupConfig::resolve(&Settings::default(), &BrokerConfig::default(), &overrides)
    }

    #[test]
    fn a_group_follows_the_broker_within_its_bounds() {
        assert_eq!(session("50000").consumer_session_timeout_ms, 50_000);
        assert_eq!(session("5").consumer_session_timeout_ms, 45_000);
        assert_eq!(session("999999").consumer_session_timeout_ms, 60_000);
        assert_eq!(session("x").consumer_session_timeout_ms, 45_000);
        assert_eq!(session("50000").consumer_heartbeat_interval_ms, 5_000);
    }

    #[test]
    fn values_outside_the_bounds_are_conflicts() {
        let overrides = Overrides::from([("consumer.session.timeout.ms".into(), "5".into())]);
        let group = GroupConfig::declared(&Settings::default(), &overrides);
        let told = group.conflict(&BrokerConfig::default()).unwrap();
        assert_eq!(told, "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms");
    }
}
