//! `klamm config`: the configuration of topics, brokers, groups and logs while they run.

mod alter;
mod describe;
mod import;
mod keys;

use clap::{Args, Subcommand};

use super::connect::Connect;
use super::error::Result;
use super::output::Format;
use super::runtime;
use crate::base::ids::BrokerId;
use crate::client::configs::ConfigResource;
use crate::config::def::{BROKER, GROUP, Scope, TOPIC};

#[derive(Args)]
#[command(after_help = "Examples:
  klamm config describe --topic orders --all
  klamm config alter --topic orders --add-config retention.ms=7d
  klamm config keys retention
  klamm config import server.properties > klamm.toml")]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Show what is configured, and where each value comes from
    Describe(describe::Describe),
    /// Set keys, or set them back to their defaults
    Alter(alter::Alter),
    /// List the keys that klamm has, and what each does; asks no broker
    Keys(keys::Keys),
    /// Turn a server.properties of Kafka into a configuration file of klamm
    Import(import::Import),
}

pub fn run(args: ConfigArgs) -> Result {
    let (client, format) = (args.connect.client(), args.format);
    match args.command {
        ConfigCommand::Describe(command) => runtime::run(command.run(&client, format)),
        ConfigCommand::Alter(command) => runtime::run(command.run(&client, format)),
        ConfigCommand::Keys(command) => command.run(format),
        ConfigCommand::Import(command) => command.run(format),
    }
}

/// Whose configuration is meant.
#[derive(Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "Whose configuration")]
struct Entity {
    /// Of a topic
    #[arg(long, short, value_name = "NAME")]
    topic: Option<String>,
    /// Of a broker
    #[arg(long, value_name = "ID")]
    broker: Option<BrokerId>,
    /// What holds for every broker that does not say otherwise
    #[arg(long)]
    broker_defaults: bool,
    /// Levels of what a broker logs, by module; until it is started again
    #[arg(long, value_name = "ID")]
    broker_logger: Option<BrokerId>,
    /// Of a group
    #[arg(long, short, value_name = "NAME")]
    group: Option<String>,
}

impl Entity {
    fn resource(&self) -> ConfigResource {
        match self {
            Entity { topic: Some(topic), .. } => ConfigResource::Topic(topic.clone()),
            Entity { broker: Some(id), .. } => ConfigResource::Broker(*id),
            Entity { broker_logger: Some(id), .. } => ConfigResource::BrokerLogger(*id),
            Entity { group: Some(group), .. } => ConfigResource::Group(group.clone()),
            Entity { broker_defaults, .. } => {
                assert!(*broker_defaults, "clap lets one of the five through");
                ConfigResource::BrokerDefault
            }
        }
    }
}

/// The keys that klamm declares for a resource; another Kafka may have more.
fn scope(resource: &ConfigResource) -> &'static Scope {
    match resource {
        ConfigResource::Topic(_) => &TOPIC,
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => &BROKER,
        ConfigResource::BrokerLogger(_) => &LOGGERS,
        ConfigResource::Group(_) => &GROUP,
    }
}

/// Loggers are a broker's modules: there is no list of them here.
static LOGGERS: Scope = Scope { name: "logger", areas: &[] };
