//! DescribeConfigs and IncrementalAlterConfigs: the configuration of topics, brokers and groups, and the levels of brokers' logs.

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use super::cluster::Client;
use super::error::ClientError;
use crate::base::ids::BrokerId;

/// What has a configuration (`ConfigResource.Type`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    Topic(String),
    Broker(BrokerId),
    /// What holds for every broker that does not say otherwise.
    BrokerDefault,
    /// The levels of what a broker logs (KIP-412).
    BrokerLogger(BrokerId),
    Group(String),
}

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Unknown,
    Topic,
    Broker,
    BrokerDefault,
    StaticBroker,
    Default,
    BrokerLogger,
    ClientMetrics,
    Group,
}

/// One key of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` for secrets, and where Kafka says null.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub sensitive: bool,
    pub read_only: bool,
    /// Everything that could give the value, most important first.
    pub synonyms: Vec<Synonym>,
    /// What the key does, in the broker's words.
    pub documentation: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// What to do with one key (`AlterConfigOp`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    Set { name: String, value: String },
    Delete { name: String },
    Append { name: String, value: String },
    Subtract { name: String, value: String },
}

impl ConfigResource {
    fn wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.clone()),
            Self::Broker(id) => (4, id.to_string()),
            Self::BrokerDefault => (4, String::new()),
            Self::BrokerLogger(id) => (8, id.to_string()),
            Self::Group(name) => (32, name.clone()),
        }
    }

    /// As it is called in sentences.
    pub fn describe(&self) -> String {
        match self {
            Self::Topic(name) => format!("topic {name}"),
            Self::Broker(id) => format!("broker {id}"),
            Self::BrokerDefault => "the default of brokers".into(),
            Self::BrokerLogger(id) => format!("the log of broker {id}"),
            Self::Group(name) => format!("group {name}"),
        }
    }
}

impl ConfigSource {
    fn of(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::BrokerDefault,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::BrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            _ => Self::Unknown,
        }
    }

    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Topic => "DYNAMIC_TOPIC_CONFIG",
            Self::Broker => "DYNAMIC_BROKER_CONFIG",
            Self::BrokerDefault => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::BrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::Group => "DYNAMIC_GROUP_CONFIG",
        }
    }
}

impl ConfigEntry {
    fn new(row: DescribeConfigsResourceResult) -> Self {
        let text = |text: StrBytes| text.to_string();
        Self {
            name: row.name.to_string(),
            value: row.value.map(text),
            source: ConfigSource::of(row.config_source),
            sensitive: row.is_sensitive,
            read_only: row.read_only,
            synonyms: row
                .synonyms
                .into_iter()
                .map(|s| Synonym { name: s.name.to_string(), value: s.value.map(text), source: ConfigSource::of(s.source) })
                .collect(),
            documentation: row.documentation.map(text).filter(|text| !text.is_empty()),
        }
    }

    /// Whether somebody set it for this very resource, rather than for all or in a file.
    pub fn is_set_here(&self, resource: &ConfigResource) -> bool {
        self.source
            == match resource {
                ConfigResource::Topic(_) => ConfigSource::Topic,
                ConfigResource::Broker(_) => ConfigSource::Broker,
                ConfigResource::BrokerDefault => ConfigSource::BrokerDefault,
                ConfigResource::BrokerLogger(_) => ConfigSource::BrokerLogger,
                ConfigResource::Group(_) => ConfigSource::Group,
            }
    }
}

impl Client {
    /// Every key of one resource, in the broker's order.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
        documentation: bool,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let (resource_type, name) = resource.wire();
        let row = DescribeConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(StrBytes::from_string(name))
            .with_configuration_keys(None);
        // A broker knows its own configuration only.
        let connection = match resource {
            ConfigResource::Broker(id) | ConfigResource::BrokerLogger(id) => self.broker(*id).await?,
            _ => self.any().await?,
        };
        let version = connection.version_of::<DescribeConfigsRequest>()?;
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![row])
            .with_include_synonyms(true)
            .with_include_documentation(documentation && version >= 3);
        let response = connection.send_version(&request, version).await?;
        let missing =
            || ClientError::Incomplete { api: kafka_protocol::messages::ApiKey::DescribeConfigs, missing: resource.describe() };
        let result = response.results.into_iter().next().ok_or_else(missing)?;
        match result.error_code.err() {
            Some(code) => Err(ClientError::refused_with(resource.describe(), code, result.error_message.as_deref())),
            None => Ok(result.configs.into_iter().map(ConfigEntry::new).collect()),
        }
    }

    /// Changes some keys of one resource and leaves the others as they are.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let config = |change: &ConfigChange| {
            let (operation, name, value) = match change {
                ConfigChange::Set { name, value } => (0, name, Some(value)),
                ConfigChange::Delete { name } => (1, name, None),
                ConfigChange::Append { name, value } => (2, name, Some(value)),
                ConfigChange::Subtract { name, value } => (3, name, Some(value)),
            };
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_config_operation(operation)
                .with_value(value.map(|value| StrBytes::from_string(value.clone())))
        };
        let (resource_type, name) = resource.wire();
        let row = AlterConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(StrBytes::from_string(name))
            .with_configs(changes.iter().map(config).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![row]).with_validate_only(validate_only);
        let response = match resource {
            ConfigResource::Broker(id) | ConfigResource::BrokerLogger(id) => self.broker(*id).await?.send(&request).await?,
            _ => self.send_controller(&request).await?,
        };
        match response.responses.first().and_then(|row| row.error_code.err().map(|code| (code, row))) {
            Some((code, row)) => Err(ClientError::refused_with(resource.describe(), code, row.error_message.as_deref())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_numbered_as_kafka_numbers_them() {
        assert_eq!(ConfigSource::of(1).name(), "DYNAMIC_TOPIC_CONFIG");
        assert_eq!(ConfigSource::of(5).name(), "DEFAULT_CONFIG");
        assert_eq!(ConfigSource::of(8).name(), "DYNAMIC_GROUP_CONFIG");
        assert_eq!(ConfigSource::of(99), ConfigSource::Unknown);
    }

    #[test]
    fn a_value_is_set_here_only_by_its_own_resource() {
        let row = DescribeConfigsResourceResult::default().with_name("retention.ms".into()).with_config_source(1);
        let entry = ConfigEntry::new(row);
        assert!(entry.is_set_here(&ConfigResource::Topic("t".into())));
        assert!(!entry.is_set_here(&ConfigResource::BrokerDefault));
        assert_eq!(ConfigResource::Broker(3).wire(), (4, "3".into()));
        assert_eq!(ConfigResource::BrokerDefault.wire(), (4, String::new()));
        assert_eq!(ConfigResource::BrokerLogger(3).wire(), (8, "3".into()));
        assert_eq!(ConfigResource::Group("g".into()).wire(), (32, "g".into()));
    }
}
