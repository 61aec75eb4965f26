//! `klamm topic delete`.

use clap::Args;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use serde::Serialize;

use super::timeout_ms;
use crate::base::ErrorCode;
use crate::cli::connect::no_topic;
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::{Outcome, conclude};
use crate::cli::output::Format;
use crate::client::cluster::topic_name;
use crate::client::{Client, ClientError};

/// First version that deletes by id too, and names topics in another field.
const BY_STATE: i16 = 6;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm topic delete orders
  klamm topic delete orders payments --if-exists")]
pub struct Delete {
    /// Topics to delete, with all their records
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Do nothing about topics that are not there
    #[arg(long)]
    if_exists: bool,
    /// Delete the cluster's own topics, too, with what they know: all groups' offsets, or all transactions
    #[arg(long)]
    force: bool,
}

/// What is lost with a topic of the cluster's own. Brokers delete it like any other, and make it anew, empty.
fn lost_with(name: &str) -> Option<&'static str> {
    match name {
        "__consumer_offsets" => Some("every group would forget its offsets, and read from its end or its beginning"),
        "__transaction_state" => Some("open transactions would hang, and nobody would know how those under way were to end"),
        _ => None,
    }
}

#[derive(Serialize)]
struct Deleted {
    deleted: bool,
}

impl Delete {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let own = self.topics.iter().find_map(|name| Some((name, lost_with(name)?)));
        if let Some((name, lost)) = own.filter(|_| !self.force) {
            let message = format!("topic {name} is the cluster's own: without it {lost}");
            return Err(CliError::failed_with_tip(message, "nothing was deleted; --force does it all the same"));
        }
        let controller = client.controller().await?;
        let version = controller.version_of::<DeleteTopicsRequest>()?;
        let names = self.topics.iter().map(|name| topic_name(name));
        let request = DeleteTopicsRequest::default().with_timeout_ms(timeout_ms(client));
        let request = if version >= BY_STATE {
            request.with_topics(names.map(|name| DeleteTopicState::default().with_name(Some(name))).collect())
        } else {
            request.with_topic_names(names.collect())
        };
        let response = controller.send_version(&request, version).await?;
        let outcome = |row: &kafka_protocol::messages::delete_topics_response::DeletableTopicResult| {
            let name = row.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
            let result = match row.error_code.err() {
                None => Ok(Deleted { deleted: true }),
                Some(ErrorCode::UnknownTopicOrPartition) if self.if_exists => Ok(Deleted { deleted: false }),
                Some(code) => Err(ClientError::refused_with(format!("topic {name}"), code, row.error_message.as_deref())),
            };
            Outcome { name, result }
        };
        let outcomes = response.responses.iter().map(outcome).collect();
        let concluded = conclude(format, "topics", outcomes, |name, done| match done.deleted {
            true => format!("Deleted topic {name}."),
            false => format!("Topic {name} is not there."),
        });
        match concluded {
            Err(CliError::Client(error)) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                Err(no_topic(client, &self.topics[0]).await?)
            }
            other => other,
        }
    }
}
