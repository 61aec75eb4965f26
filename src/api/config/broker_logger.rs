//! The levels of the log as configuration of the resource BROKER_LOGGER (KIP-412; Kafka's `RuntimeLoggerManager`).
//!
//! Levels belong to this process and are gone with it: nothing of this reaches the controller.

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::base::ids::BrokerId;
use crate::base::logging::LevelError;
use crate::broker::Broker;
use crate::config::alter::Op;
use crate::controller::ApiError;

/// `ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG`.
const SOURCE: i8 = 6;

/// Loggers with the level in force for each; `name` has to be this broker's id.
pub fn describe(
    broker: &Broker,
    name: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<DescribeConfigsResourceResult>, ApiError> {
    match name.parse::<BrokerId>() {
        _ if name.is_empty() => return Err(refused("Broker id must not be empty")),
        Err(_) => return Err(refused(format!("Broker id must be an integer, but it is: {name}"))),
        Ok(id) if id != broker.id => {
            return Err(refused(format!("Unexpected broker id, expected {} but received {name}", broker.id)));
        }
        Ok(_) => {}
    }
    let loggers = broker.logging.as_ref().map_or_else(Vec::new, |logging| logging.loggers());
    let told = loggers.into_iter().filter(|(logger, _)| wanted(logger)).map(|(logger, level)| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(logger))
            .with_value(Some(StrBytes::from_static_str(level.name())))
            .with_config_source(SOURCE)
    });
    Ok(told.collect())
}

/// Sets and takes back levels: all of them, or none if one is refused.
pub fn alter(broker: &Broker, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ApiError> {
    match resource.resource_name.parse::<BrokerId>() {
        Err(_) => return Err(refused(format!("Node id must be an integer, but it is: {}", resource.resource_name))),
        Ok(id) if id != broker.id => {
            return Err(refused(format!("Unexpected node id. Expected {}, but received {id}", broker.id)));
        }
        Ok(_) => {}
    }
    let mut changes = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        match Op::of(config.config_operation) {
            Ok(Op::Set) => changes.push((&*config.name, Some(config.value.as_deref().unwrap_or_default()))),
            Ok(Op::Delete) => changes.push((&*config.name, None)),
            Ok(Op::Append) => return Err(refused("APPEND operation is not allowed for the BROKER_LOGGER resource")),
            Ok(Op::Subtract) => return Err(refused("SUBTRACT operation is not allowed for the BROKER_LOGGER resource")),
            Err(_) => {
                let number = config.config_operation;
                return Err(refused(format!("Unknown operation type {number} is not allowed for the BROKER_LOGGER resource")));
            }
        }
    }
    let Some(logging) = &broker.logging else {
        return Err(ApiError::new(ErrorCode::InvalidConfig, "this broker does not write the log of its process"));
    };
    logging.alter(changes, validate_only).map_err(|error| match error {
        LevelError::NoSuchLogger(_) | LevelError::NoSuchLevel { .. } => {
            ApiError::new(ErrorCode::InvalidConfig, error.to_string())
        }
        LevelError::RootNeedsLevel => refused(error.to_string()),
    })
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}
