//! Consumer groups from the outside: committed offsets, and a member in the classic protocol (KIP-62, KIP-394).

pub mod admin;
pub mod assignor;
pub mod member;
pub mod offsets;
pub mod protocol;

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;

use super::cluster::Client;
use super::error::ClientError;
use crate::protocol::messages::ApiRequest;

/// A group's name as requests carry it.
pub fn group_id(group: &str) -> GroupId {
    StrBytes::from_string(group.to_owned()).into()
}

impl Client {
    /// Sends a request to the coordinator of `group`. `check` names the refusal in an answer; one that may pass, or says that the
    /// coordinator has moved, is tried again until the deadline of one operation.
    pub async fn ask_coordinator<R: ApiRequest>(
        &self,
        group: &str,
        most: i16,
        request: impl Fn(i16) -> R,
        check: impl Fn(&R::Response) -> Result<(), ClientError>,
    ) -> Result<R::Response, ClientError> {
        let mut retry = self.retry();
        loop {
            let connection = self.group_coordinator(group).await?;
            let version = connection.version_at_most::<R>(most)?;
            let answer = connection.send_version(&request(version), version).await;
            match answer.and_then(|response| check(&response).map(|()| response)) {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
        }
    }
}
