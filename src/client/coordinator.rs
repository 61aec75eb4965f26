//! Finding the coordinator of a group or of a transactional id, and asking it.

use std::fmt;
use std::sync::Arc;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use super::cluster::{Client, Topics};
use super::connection::Connection;
use super::error::ClientError;
use crate::base::ids::BrokerId;
use crate::protocol::messages::ApiRequest;

/// First version that asks for several keys at once (KIP-699).
const BATCHED: i16 = 4;

/// What has a coordinator (`FindCoordinatorRequest.CoordinatorType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinated<'a> {
    Group(&'a str),
    TransactionalId(&'a str),
}

impl Coordinated<'_> {
    fn key(self) -> (i8, StrBytes) {
        match self {
            Self::Group(group) => (0, StrBytes::from_string(group.to_owned())),
            Self::TransactionalId(id) => (1, StrBytes::from_string(id.to_owned())),
        }
    }
}

impl fmt::Display for Coordinated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "group {group}"),
            Self::TransactionalId(id) => write!(f, "transactional id {id}"),
        }
    }
}

impl Client {
    /// A connection to the broker that coordinates `what`. A cluster that is making its internal topic is given time.
    pub async fn coordinator(&self, what: Coordinated<'_>) -> Result<Arc<Connection>, ClientError> {
        let mut retry = self.retry();
        loop {
            match self.find_coordinator(what).await {
                Ok(connection) => return Ok(connection),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Sends a request to the coordinator of `what`. `check` names the refusal in an answer; one that may pass, or says that the
    /// coordinator has moved, is tried again until the deadline of one operation.
    pub async fn ask_coordinator<R: ApiRequest>(
        &self,
        what: Coordinated<'_>,
        most: i16,
        request: impl Fn(i16) -> R,
        check: impl Fn(&R::Response) -> Result<(), ClientError>,
    ) -> Result<R::Response, ClientError> {
        let mut retry = self.retry();
        loop {
            let attempt = async {
                let connection = self.find_coordinator(what).await?;
                let version = connection.version_at_most::<R>(most)?;
                let response = connection.send_version(&request(version), version).await?;
                check(&response).map(|()| response)
            };
            match attempt.await {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn find_coordinator(&self, what: Coordinated<'_>) -> Result<Arc<Connection>, ClientError> {
        let connection = self.any().await?;
        let version = connection.version_of::<FindCoordinatorRequest>()?;
        let (key_type, key) = what.key();
        let request = FindCoordinatorRequest::default().with_key_type(key_type);
        let request = if version >= BATCHED { request.with_coordinator_keys(vec![key]) } else { request.with_key(key) };
        let response = connection.send_version(&request, version).await?;
        let (code, message, id) = match response.coordinators.first() {
            Some(found) => (found.error_code, &found.error_message, found.node_id.0),
            None => (response.error_code, &response.error_message, response.node_id.0),
        };
        if let Some(code) = code.err() {
            return Err(ClientError::refused_with(format!("coordinator of {what}"), code, message.as_deref()));
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
