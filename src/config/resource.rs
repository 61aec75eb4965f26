//! The resources that configuration can be asked of and set on.

use super::def::{BROKER, GROUP, Scope, TOPIC};
use crate::base::ErrorCode;
use crate::base::ids::BrokerId;

/// Kinds of resources, with this broker and the defaults of all brokers told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Topic,
    Group,
    /// The broker that answers.
    Broker,
    /// What holds for every broker that does not say otherwise: BROKER with an empty name.
    BrokerDefault,
}

/// Why a request about configuration is refused: an error code and a message for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: ErrorCode,
    pub message: String,
}

impl Refused {
    pub(super) fn request(message: impl Into<String>) -> Self {
        Refused { code: ErrorCode::InvalidRequest, message: message.into() }
    }

    pub(super) fn config(message: impl Into<String>) -> Self {
        Refused { code: ErrorCode::InvalidConfig, message: message.into() }
    }
}

impl Resource {
    /// Reads the type (`ConfigResource.Type`) and the name that a request gives, as seen by broker `node`.
    ///
    /// That a topic exists is for the caller to know.
    pub fn of(resource_type: i8, name: &str, node: BrokerId) -> Result<Resource, Refused> {
        match (resource_type, name) {
            (2, "") => Err(Refused::request("Default topic resources are not allowed.")),
            (2, _) => Ok(Resource::Topic),
            (4, "") => Ok(Resource::BrokerDefault),
            (4, _) => match name.parse::<BrokerId>() {
                Ok(id) if id == node => Ok(Resource::Broker),
                Ok(_) => {
                    Err(Refused::request(format!("Unexpected broker id, expected {node} or empty string, but received {name}")))
                }
                Err(_) => Err(Refused::request(format!("Broker id must be an integer, but it is: {name}"))),
            },
            (32, "") => Err(Refused::request("Default group resources are not allowed.")),
            (32, _) => Ok(Resource::Group),
            _ => Err(Refused::request(format!("Unknown resource type {resource_type}"))),
        }
    }

    /// The keys that the resource has.
    pub fn scope(self) -> &'static Scope {
        match self {
            Resource::Topic => &TOPIC,
            Resource::Group => &GROUP,
            Resource::Broker | Resource::BrokerDefault => &BROKER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_told_by_type_and_name() {
        assert_eq!(Resource::of(2, "t", 1), Ok(Resource::Topic));
        assert_eq!(Resource::of(4, "", 1), Ok(Resource::BrokerDefault));
        assert_eq!(Resource::of(4, "1", 1), Ok(Resource::Broker));
        assert_eq!(Resource::of(32, "g", 1), Ok(Resource::Group));
        for (resource_type, name, message) in [
            (4, "2", "Unexpected broker id, expected 1 or empty string, but received 2"),
            (4, "x", "Broker id must be an integer, but it is: x"),
            (2, "", "Default topic resources are not allowed."),
            (32, "", "Default group resources are not allowed."),
            (99, "x", "Unknown resource type 99"),
        ] {
            assert_eq!(Resource::of(resource_type, name, 1), Err(Refused::request(message)));
        }
    }
}
