//! Configuration of topics, brokers and groups: described, altered, listed.

pub mod alter_configs;
mod alteration;
pub mod describe_configs;
pub mod incremental_alter_configs;
pub mod list_config_resources;
