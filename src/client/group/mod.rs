//! Consumer groups from the outside: committed offsets, and a member in the classic protocol (KIP-62, KIP-394).

pub mod admin;
pub mod assignor;
pub mod member;
pub mod offsets;
pub mod protocol;

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;

/// A group's name as requests carry it.
pub fn group_id(group: &str) -> GroupId {
    StrBytes::from_string(group.to_owned()).into()
}
