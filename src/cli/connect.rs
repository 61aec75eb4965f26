//! Which cluster a command talks to, and how long it tries.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::error::{CliError, Result};
use super::nearest::nearest;
use super::partitions::TopicPartitions;
use crate::base::ErrorCode;
use crate::base::ids::TopicPartition;
use crate::client::cluster::Topics;
use crate::client::metadata::Topic;
use crate::client::{Address, Client, ClientError, ClientOptions};

/// The broker that is asked where none is named.
pub const DEFAULT_BROKER: &str = "127.0.0.1:9092";

/// The variable that names another one.
pub const BOOTSTRAP_SERVER: &str = "KLAMM_BOOTSTRAP_SERVER";

/// Longest time a broker may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct Connect {
    /// Brokers to ask first; the others are found through them
    #[arg(
        long,
        short,
        global = true,
        value_name = "HOST:PORT",
        env = BOOTSTRAP_SERVER,
        hide_env_values = true,
        default_value = DEFAULT_BROKER,
        value_delimiter = ','
    )]
    pub bootstrap_server: Vec<Address>,

    /// Seconds that a request, and all its repetitions, may take
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
}

impl Connect {
    /// A client of the cluster. Nothing is connected yet.
    pub fn client(&self) -> Arc<Client> {
        let options = ClientOptions {
            client_id: "klamm-cli".into(),
            connect_timeout: self.timeout.min(CONNECT_TIMEOUT),
            request_timeout: self.timeout,
            operation_timeout: self.timeout,
            ..ClientOptions::default()
        };
        Arc::new(Client::new(self.bootstrap_server.clone(), options))
    }
}

/// A number of seconds, up to a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(86_400))
        .ok_or("expected more than 0 and up to 86400 seconds".to_owned())
}

/// A topic that must be there. If it is not, the error names the topic that was probably meant.
pub async fn existing_topic(client: &Client, name: &str) -> Result<Topic> {
    match client.topic(name, false).await {
        Err(ClientError::Refused { code: ErrorCode::UnknownTopicOrPartition, .. }) => Err(no_topic(client, name).await?),
        other => Ok(other?),
    }
}

/// The error for a topic that is not there.
pub async fn no_topic(client: &Client, name: &str) -> Result<CliError> {
    let all = client.metadata(Topics::All, false).await?;
    let nearest = nearest(name, all.topics.keys().map(String::as_str)).map(str::to_owned);
    Ok(CliError::NoTopic { name: name.to_owned(), nearest })
}

/// The partitions that are meant, all of which are there.
pub async fn meant_partitions(client: &Client, topics: &[TopicPartitions]) -> Result<Vec<TopicPartition>> {
    let mut all = Vec::new();
    for wanted in topics {
        let topic = existing_topic(client, &wanted.topic).await?;
        let present: Vec<i32> = topic.partitions.iter().map(|p| p.partition).collect();
        let selected = wanted.select(&present).map_err(|missing| {
            let last = present.len() as i32 - 1;
            CliError::failed(format!("topic {} has no partition {missing}; its partitions are 0 to {last}", topic.name))
        })?;
        all.extend(selected.into_iter().map(|partition| TopicPartition::new(topic.name.as_str(), partition)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_and_sane() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["0", "-1", "x", "1e9", "NaN"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
