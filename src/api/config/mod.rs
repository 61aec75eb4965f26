//! Configuration of topics, brokers and groups: described, altered, listed.

mod alteration;
pub mod describe_configs;
pub mod incremental_alter_configs;
