//! Configuration of topics, brokers and groups: described, altered, listed.

pub mod alter_configs;
mod alteration;
mod broker_logger;
pub mod describe_configs;
pub mod incremental_alter_configs;
pub mod list_config_resources;
