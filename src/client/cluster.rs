//! A cluster as a client sees it: the brokers it was pointed at, those they told of, and a connection to each that is needed.
//!
//! Invariants: at most one connection to an address is kept, and a broken one is replaced when it is next asked for. Nothing here holds a
//! lock across an await.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use parking_lot::Mutex;

use super::address::Address;
use super::connection::Connection;
use super::error::ClientError;
use super::metadata::{ClusterMetadata, Topic};
use super::retry::Retry;
use crate::base::ErrorCode;
use crate::base::ids::BrokerId;
use crate::protocol::messages::ApiRequest;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub client_id: String,
    /// How long a broker may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long a broker may take to answer one request.
    pub request_timeout: Duration,
    /// How long one operation may go on trying, leader elections and lost connections included.
    pub operation_timeout: Duration,
    /// Bytes that one response may have.
    pub max_response_bytes: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            client_id: "klamm".into(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            max_response_bytes: 256 << 20,
        }
    }
}

/// See the module.
pub struct Client {
    options: ClientOptions,
    bootstrap: Vec<Address>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: HashMap<Address, Arc<Connection>>,
    /// Where brokers listen, as the newest metadata has it.
    brokers: HashMap<BrokerId, Address>,
    controller: Option<BrokerId>,
    /// Addresses at which a broker has answered.
    reached: HashSet<Address>,
}

/// Which topics metadata is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Topics<'a> {
    All,
    /// Just the brokers.
    None,
    Named(&'a [&'a str]),
}

impl Client {
    /// A client that will ask these brokers first, in this order. Nothing is connected yet.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(bootstrap: Vec<Address>, options: ClientOptions) -> Self {
        assert!(!bootstrap.is_empty(), "a client is pointed at one broker at least");
        Self { options, bootstrap, state: Mutex::default() }
    }

    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// A number of attempts for one operation.
    pub fn retry(&self) -> Retry {
        Retry::new(self.options.operation_timeout)
    }

    /// A connection to any broker: one that is open, or else the first that can be opened.
    pub async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let (open, known) = {
            let state = self.state.lock();
            let open = state.connections.values().find(|connection| !connection.is_broken()).cloned();
            (open, state.brokers.values().cloned().collect::<Vec<_>>())
        };
        if let Some(connection) = open {
            return Ok(connection);
        }
        let mut tried = Vec::new();
        for address in self.bootstrap.iter().chain(known.iter().filter(|address| !self.bootstrap.contains(address))) {
            match self.open(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => tried.push(error),
            }
        }
        Err(if tried.len() == 1 { tried.remove(0) } else { ClientError::NoBroker(tried) })
    }

    /// A connection to one broker of the cluster.
    pub async fn broker(&self, id: BrokerId) -> Result<Arc<Connection>, ClientError> {
        if self.address_of(id).is_none() {
            self.metadata(Topics::None, false).await?;
        }
        let address = self.address_of(id).ok_or(ClientError::UnknownBroker(id))?;
        let advertised = |source: ClientError| ClientError::Advertised { id, address: address.clone(), source: Box::new(source) };
        self.open(&address).await.map_err(|error| match error {
            ClientError::Connect { .. } | ClientError::ConnectTimeout { .. } if !self.bootstrap.contains(&address) => {
                advertised(error)
            }
            other => other,
        })
    }

    /// A connection to the broker that takes administrative requests: the controller, or one that passes them on to it.
    pub async fn controller(&self) -> Result<Arc<Connection>, ClientError> {
        let known = self.state.lock().controller;
        let id = match known {
            Some(id) => Some(id),
            None => self.metadata(Topics::None, false).await?.controller,
        };
        match id {
            Some(id) => self.broker(id).await,
            None => self.any().await,
        }
    }

    /// Forgets who the controller is, so that it is looked for again.
    pub fn forget_controller(&self) {
        self.state.lock().controller = None;
    }

    /// Sends a request that any broker can answer.
    pub async fn send_any<R: ApiRequest>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.any().await?.send(request).await
    }

    /// Sends an administrative request.
    pub async fn send_controller<R: ApiRequest>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.controller().await?.send(request).await
    }

    /// Asks for metadata, and remembers where the brokers are.
    pub async fn metadata(&self, topics: Topics<'_>, auto_create: bool) -> Result<ClusterMetadata, ClientError> {
        let mut retry = self.retry();
        loop {
            match self.try_metadata(topics, auto_create).await {
                Ok(metadata) => return Ok(metadata),
                // A connection that broke may be one that was idle for too long; one that cannot be opened is told at once.
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// One topic with its partitions. A topic that is being made is given time.
    pub async fn topic(&self, name: &str, auto_create: bool) -> Result<Topic, ClientError> {
        let mut retry = self.retry();
        loop {
            match self.try_topic(name, auto_create).await {
                // Kafka calls a missing topic retriable, but nobody makes it while we wait.
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) && !auto_create => return Err(error),
                Err(error) => retry.after(error).await?,
                Ok(topic) => return Ok(topic),
            }
        }
    }

    /// The same with one attempt.
    pub async fn try_topic(&self, name: &str, auto_create: bool) -> Result<Topic, ClientError> {
        let mut metadata = self.try_metadata(Topics::Named(&[name]), auto_create).await?;
        let code = match metadata.topics.remove(name) {
            Some(Topic { error: Some(code), .. }) => code,
            Some(topic) if topic.partitions.is_empty() => ErrorCode::LeaderNotAvailable,
            Some(topic) => return Ok(topic),
            None => ErrorCode::UnknownTopicOrPartition,
        };
        Err(ClientError::refused(format!("topic {name}"), code))
    }

    async fn try_metadata(&self, topics: Topics<'_>, auto_create: bool) -> Result<ClusterMetadata, ClientError> {
        let connection = self.any().await?;
        let version = connection.version_of::<MetadataRequest>()?;
        let named = |names: &[&str]| {
            let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            Some(names.iter().map(topic).collect())
        };
        let wanted = match topics {
            // Before version 1 an empty list meant all topics.
            Topics::All if version == 0 => named(&[]),
            Topics::All => None,
            Topics::None => named(&[]),
            Topics::Named(names) => named(names),
        };
        let request = MetadataRequest::default().with_topics(wanted).with_allow_auto_topic_creation(auto_create || version < 4);
        let metadata = ClusterMetadata::new(connection.send_version(&request, version).await?);
        let mut state = self.state.lock();
        state.brokers = metadata.brokers.iter().map(|(&id, broker)| (id, broker.address.clone())).collect();
        state.controller = metadata.controller;
        Ok(metadata)
    }

    fn address_of(&self, id: BrokerId) -> Option<Address> {
        self.state.lock().brokers.get(&id).cloned()
    }

    async fn open(&self, address: &Address) -> Result<Arc<Connection>, ClientError> {
        let open = self.state.lock().connections.get(address).filter(|connection| !connection.is_broken()).cloned();
        if let Some(connection) = open {
            return Ok(connection);
        }
        let opened = Connection::open(address, &self.options).await;
        let mut state = self.state.lock();
        let connection = Arc::new(opened.map_err(|error| match error {
            ClientError::Connect { .. } | ClientError::ConnectTimeout { .. } if state.reached.contains(address) => {
                ClientError::Lost(Box::new(error))
            }
            other => other,
        })?);
        state.reached.insert(address.clone());
        // Two may have connected at the same time: the later one is kept, the other lives as long as its user.
        state.connections.insert(address.clone(), connection.clone());
        Ok(connection)
    }
}

/// A topic's name as requests carry it.
pub fn topic_name(name: &str) -> kafka_protocol::messages::TopicName {
    kafka_protocol::protocol::StrBytes::from_string(name.to_owned()).into()
}
