//! Finding the coordinator of a group.

use std::sync::Arc;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use super::cluster::{Client, Topics};
use super::connection::Connection;
use super::error::ClientError;
use crate::base::ids::BrokerId;

/// First version that asks for several keys at once (KIP-699).
const BATCHED: i16 = 4;

impl Client {
    /// A connection to the broker that coordinates `group`. A cluster that is making its internal topic is given time.
    pub async fn group_coordinator(&self, group: &str) -> Result<Arc<Connection>, ClientError> {
        let mut retry = self.retry();
        loop {
            match self.find_group_coordinator(group).await {
                Ok(connection) => return Ok(connection),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn find_group_coordinator(&self, group: &str) -> Result<Arc<Connection>, ClientError> {
        let connection = self.any().await?;
        let version = connection.version_of::<FindCoordinatorRequest>()?;
        let key = StrBytes::from_string(group.to_owned());
        let request = if version >= BATCHED {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![key])
        } else {
            FindCoordinatorRequest::default().with_key(key)
        };
        let response = connection.send_version(&request, version).await?;
        let (code, message, id) = match response.coordinators.first() {
            Some(found) => (found.error_code, &found.error_message, found.node_id.0),
            None => (response.error_code, &response.error_message, response.node_id.0),
        };
        if let Some(code) = code.err() {
            return Err(ClientError::refused_with(format!("coordinator of group {group}"), code, message.as_deref()));
        }
        self.joined_broker(id).await
    }

    /// The broker may have joined after the metadata that is known.
    async fn joined_broker(&self, id: BrokerId) -> Result<Arc<Connection>, ClientError> {
        match self.broker(id).await {
            Err(ClientError::UnknownBroker(_)) => {
                self.metadata(Topics::None, false).await?;
                self.broker(id).await
            }
            other => other,
        }
    }
}
