//! What a measurement must ask a broker before and after: its versions, a topic, who leads. One blocking connection, one request at a
//! time, messages from kafka-protocol.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, BrokerId, CreateTopicsRequest, DeleteTopicsRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, ProducerId as WireProducerId, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request, StrBytes};

use super::error::{BenchError, Result};
use super::frame::{self, LENGTH_LEN, topic_name};
use crate::base::ids::{ProducerEpoch, ProducerId};

/// Kafka takes its time with thousands of partitions.
const TIMEOUT: Duration = Duration::from_secs(180);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_LEN_MAX: usize = 64 << 20;

/// Between two questions about something that is about to be so.
const POLL: Duration = Duration::from_millis(5);

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const INVALID_CONFIG: i16 = 40;

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: Vec<(String, String)>,
}

/// Where one partition is led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub partition: i32,
    pub address: String,
}

pub struct Admin {
    socket: TcpStream,
    address: String,
    versions: Vec<(i16, i16, i16)>,
}

impl Admin {
    /// Connects and learns which versions the broker serves.
    pub fn connect(address: &str) -> Result<Self> {
        let io = |operation| move |source| BenchError::Io { address: address.to_owned(), operation, source };
        let resolved: Vec<_> = address.to_socket_addrs().map_err(io("resolve"))?.collect();
        // A name may stand for an IPv6 address first that nobody listens on.
        let mut attempts = resolved.iter().map(|one| TcpStream::connect_timeout(one, CONNECT_TIMEOUT));
        let first = attempts.next().ok_or_else(|| BenchError::Usage(format!("{address} resolves to no address")))?;
        let socket = first.or_else(|error| attempts.find_map(Result::ok).ok_or(error)).map_err(io("connect"))?;
        socket.set_nodelay(true).map_err(io("set TCP_NODELAY"))?;
        socket.set_read_timeout(Some(TIMEOUT)).map_err(io("set a timeout"))?;
        let mut admin = Self { socket, address: address.to_owned(), versions: Vec::new() };
        let answer = admin.call_at(&ApiVersionsRequest::default(), 0)?;
        refused(ApiKey::ApiVersions, answer.error_code, None)?;
        admin.versions = answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        Ok(admin)
    }

    /// The highest version that both sides know, of those from `lowest` to `highest`.
    pub fn version(&self, api: ApiKey, lowest: i16, highest: i16) -> Result<i16> {
        let served = self.versions.iter().find(|(key, ..)| *key == api as i16);
        let version = served.map(|(_, min, max)| ((*max).min(highest), *min));
        match version {
            Some((version, min)) if version >= min.max(lowest) => Ok(version),
            _ => Err(BenchError::Version {
                address: self.address.clone(),
                api,
                served: served.map_or("not at all".to_owned(), |(_, min, max)| format!("{min}–{max}")),
                needed: format!("{lowest}–{highest}"),
            }),
        }
    }

    fn serves(&self, api: ApiKey) -> bool {
        self.versions.iter().any(|(key, ..)| *key == api as i16)
    }

    /// Asks at the highest version that both sides know, of those from `lowest` to `highest`.
    pub fn call<R: Request>(&mut self, request: &R, lowest: i16, highest: i16) -> Result<R::Response> {
        let api = ApiKey::try_from(R::KEY).expect("every request type of the crate has a key");
        let version = self.version(api, lowest, highest)?;
        self.call_at(request, version)
    }

    pub fn call_at<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.send::<R>(&frame::encode(request, version), version)
    }

    /// Sends a frame that holds an `R` at `version`, and reads the answer.
    pub fn send<R: Request>(&mut self, frame: &[u8], version: i16) -> Result<R::Response> {
        let api = ApiKey::try_from(R::KEY).expect("every request type of the crate has a key");
        let io = |operation, source| BenchError::Io { address: self.address.clone(), operation, source };
        let malformed = |what| BenchError::Malformed { api, what };
        self.socket.write_all(frame).map_err(|e| io("write", e))?;
        let mut length = [0; LENGTH_LEN];
        self.socket.read_exact(&mut length).map_err(|e| io("read", e))?;
        let length = i32::from_be_bytes(length) as usize;
        if length > ANSWER_LEN_MAX {
            return Err(malformed(format!("a frame of {length} bytes")));
        }
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).map_err(|e| io("read", e))?;
        let mut body = Bytes::from(body);
        ResponseHeader::decode(&mut body, R::Response::header_version(version)).map_err(|e| malformed(e.to_string()))?;
        let answer = R::Response::decode(&mut body, version).map_err(|e| malformed(e.to_string()))?;
        match body.remaining() {
            0 => Ok(answer),
            n => Err(malformed(format!("{n} bytes behind its end"))),
        }
    }

    /// Makes a topic. `Ok(false)` if the broker does not know one of its configs.
    pub fn create_topic(&mut self, topic: &NewTopic) -> Result<bool> {
        let string = |s: &str| StrBytes::from_string(s.to_owned());
        let config = |(k, v): &(String, String)| CreatableTopicConfig::default().with_name(string(k)).with_value(Some(string(v)));
        let wire = CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions)
            .with_replication_factor(topic.replication_factor)
            .with_configs(topic.configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![wire]).with_timeout_ms(TIMEOUT.as_millis() as i32);
        let answer = self.call(&request, 2, 7)?;
        for result in answer.topics {
            if result.error_code == INVALID_CONFIG {
                return Ok(false);
            }
            refused(ApiKey::CreateTopics, result.error_code, result.error_message.map(|m| m.to_string()))?;
        }
        Ok(true)
    }

    pub fn delete_topic(&mut self, name: &str) -> Result<()> {
        // Version 6 names topics in a structure, those before in a list (KIP-516).
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![DeleteTopicState::default().with_name(Some(topic_name(name)))])
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(TIMEOUT.as_millis() as i32);
        let request = match self.version(ApiKey::DeleteTopics, 1, 6)? {
            6 => request.with_topic_names(Vec::new()),
            _ => request.with_topics(Vec::new()),
        };
        for result in self.call(&request, 1, 6)?.responses {
            refused(ApiKey::DeleteTopics, result.error_code, result.error_message.map(|m| m.to_string()))?;
        }
        Ok(())
    }

    /// Leaders of a topic's partitions in their order; `None` as long as the topic or one of its leaders is missing.
    pub fn leaders(&mut self, topic: &str) -> Result<Option<Vec<Leader>>> {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(topic_name(topic)))]))
            .with_allow_auto_topic_creation(false);
        let answer = self.call(&request, 4, 12)?;
        let Some(found) = answer.topics.iter().find(|t| t.error_code == 0 && !t.partitions.is_empty()) else { return Ok(None) };
        let mut leaders = Vec::with_capacity(found.partitions.len());
        for partition in &found.partitions {
            let broker = answer.brokers.iter().find(|b| b.node_id == partition.leader_id);
            let (Some(broker), 0) = (broker, partition.error_code) else { return Ok(None) };
            leaders.push(Leader { partition: partition.partition_index, address: format!("{}:{}", broker.host, broker.port) });
        }
        leaders.sort_by_key(|leader| leader.partition);
        Ok(Some(leaders))
    }

    /// Whether every one of `partitions` partitions has a leader and that leader tells its end offset: it can be written and read. A
    /// broker that does not serve ListOffsets is believed its metadata.
    pub fn is_ready(&mut self, topic: &str, partitions: i32) -> Result<bool> {
        let Some(leaders) = self.leaders(topic)? else { return Ok(false) };
        if leaders.len() != partitions as usize {
            return Ok(false);
        }
        if !self.serves(ApiKey::ListOffsets) {
            return Ok(true);
        }
        let latest = |p| ListOffsetsPartition::default().with_partition_index(p).with_timestamp(-1);
        let wire =
            ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions((0..partitions).map(latest).collect());
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wire]);
        let answer = self.call(&request, 1, 7)?;
        Ok(answer.topics.iter().flat_map(|t| &t.partitions).filter(|p| p.error_code == 0).count() == partitions as usize)
    }

    /// Waits until [`Admin::is_ready`], asking again and again; gives the leaders.
    pub fn wait_until_ready(&mut self, topic: &str, partitions: i32) -> Result<Vec<Leader>> {
        let start = Instant::now();
        while !self.is_ready(topic, partitions)? {
            if start.elapsed() > TIMEOUT {
                return Err(BenchError::Timeout {
                    what: format!("a leader for all {partitions} partitions of {topic}"),
                    waited: TIMEOUT,
                });
            }
            std::thread::sleep(POLL);
        }
        self.leaders(topic)?.ok_or_else(|| BenchError::Usage(format!("topic {topic} lost a leader while it was measured")))
    }

    /// An id for an idempotent producer.
    pub fn init_producer_id(&mut self) -> Result<(ProducerId, ProducerEpoch)> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(WireProducerId(-1))
            .with_producer_epoch(-1);
        let start = Instant::now();
        loop {
            let answer = self.call(&request, 0, 4)?;
            // A broker that has just started fetches its first block of ids.
            if answer.error_code == COORDINATOR_LOAD_IN_PROGRESS && start.elapsed() < TIMEOUT {
                std::thread::sleep(POLL);
                continue;
            }
            refused(ApiKey::InitProducerId, answer.error_code, None)?;
            return Ok((answer.producer_id.0, answer.producer_epoch));
        }
    }

    /// Names of all topics that begin with `prefix`, and how many partitions they have.
    pub fn topics_beginning_with(&mut self, prefix: &str) -> Result<Vec<(String, i32)>> {
        let answer = self.call(&MetadataRequest::default().with_topics(None), 4, 12)?;
        let named = answer.topics.iter().filter_map(|t| Some((t.name.as_ref()?.to_string(), t.partitions.len() as i32)));
        Ok(named.filter(|(name, _)| name.starts_with(prefix)).collect())
    }
}

pub fn refused(api: ApiKey, code: i16, detail: Option<String>) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(BenchError::Refused { api, code, detail }) }
}
