//! Fetch: v4–18. Reads records for consumers.
//!
//! v4 isolation level, last stable offset, aborted transactions (KIP-98) · v5 log start offset · v7 sessions (KIP-227) · v9 leader epoch
//! (KIP-320) · v10 zstd · v11 rack and preferred replica (KIP-392) · v12 flexible, last fetched epoch and divergence (KIP-595) · v13 topic
//! ids (KIP-516) · v15 replica state (KIP-903) · v16 leader hints (KIP-951) · v17, v18 fields of followers.
//! Followers of other brokers are refused: this broker has no replicas elsewhere.
//!
//! The walk: resolve the session → read; enough, an error, or no wish to wait: answer → else register with every partition and wait →
//! read again → answer. Records that are not in memory are loaded on the pool for blocking work before they are touched.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::{Context, Session};
use crate::base::ErrorCode;
use crate::base::ids::TopicId;
use crate::config::topic::CompressionType;
use crate::protocol::outbox::Outbox;
use crate::replica::fetch::{self, FetchLimits, Isolation, PartitionFetch};
use crate::replica::fetch_session::{FetchPartition, FetchPlan, FetchTopic, Outcome, SessionRequest};

/// First version that may be given zstd (KIP-110).
const ZSTD_SINCE: i16 = 10;
const TOPIC_IDS_SINCE: i16 = 13;

pub fn handle(cx: &Context, request: FetchRequest) -> Reply<FetchResponse> {
    let version = cx.version();
    let broker = cx.broker();
    let replica_id = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    let from_follower = replica_id.0 >= 0;
    let limits = FetchLimits {
        isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        min_bytes: request.min_bytes.clamp(0, broker.config().network.fetch_max_bytes) as usize,
        max_bytes: request.max_bytes.clamp(0, broker.config().network.fetch_max_bytes) as usize,
    };
    let max_wait = Duration::from_millis(request.max_wait_ms.max(0) as u64);
    let planned = broker.fetch_sessions.lock().plan(broker.clock.mono(), session_request(cx, request, from_follower));
    let plan = match planned {
        Ok(plan) => plan,
        Err(code) => return Reply::Now(FetchResponse::default().with_error_code(code.code())),
    };
    let fetch = Fetch { session: cx.session.clone(), version, from_follower, plan };
    if from_follower {
        let refused = fetch.plan.partitions.iter().map(|_| PartitionFetch::Failed(ErrorCode::NotLeaderOrFollower)).collect();
        return Reply::Now(fetch.respond(refused, limits.isolation));
    }
    let fetched = fetch::read(&broker.replicas, &fetch.plan, limits);
    let enough = max_wait.is_zero() || fetch::is_enough(&fetched, limits);
    if enough && fetch::is_resident(&fetched) {
        return Reply::Now(fetch.respond(fetched, limits.isolation));
    }
    Reply::later(async move {
        let fetched = match enough {
            true => fetched,
            false => fetch::wait(&fetch.session.broker.replicas, &fetch.plan, limits, max_wait).await,
        };
        fetch.respond(fetch::load(fetched, limits.isolation).await, limits.isolation)
    })
}

/// Tells the outbox which slices of the log the response holds, in the order it will meet them.
pub fn announce(response: &FetchResponse, outbox: &mut Outbox) {
    for records in response.responses.iter().flat_map(|t| &t.partitions).filter_map(|p| p.records.as_ref()) {
        outbox.expect(records);
    }
}

fn session_request(cx: &Context, request: FetchRequest, from_follower: bool) -> SessionRequest {
    let uses_topic_ids = cx.version() >= TOPIC_IDS_SINCE;
    let name_of = |name: &TopicName| match cx.broker().replicas.topic(name) {
        Some(topic) => topic.name().clone(),
        None => Arc::from(name.as_str()),
    };
    let topic = |name: &TopicName, id: TopicId| match uses_topic_ids {
        true => FetchTopic { id, name: None },
        false => FetchTopic { id: TopicId::nil(), name: Some(name_of(name)) },
    };
    let mut partitions = Vec::with_capacity(request.topics.iter().map(|t| t.partitions.len()).sum());
    for wanted in &request.topics {
        let topic = topic(&wanted.topic, wanted.topic_id);
        partitions.extend(wanted.partitions.iter().map(|p| FetchPartition {
            topic: topic.clone(),
            partition: p.partition,
            current_leader_epoch: p.current_leader_epoch,
            fetch_offset: p.fetch_offset,
            last_fetched_epoch: p.last_fetched_epoch,
            log_start_offset: p.log_start_offset,
            max_bytes: p.partition_max_bytes,
        }));
    }
    let mut forgotten = Vec::new();
    for gone in &request.forgotten_topics_data {
        let topic = topic(&gone.topic, gone.topic_id);
        forgotten.extend(gone.partitions.iter().map(|p| (topic.clone(), *p)));
    }
    let (session_id, epoch) = match cx.version() {
        7.. => (request.session_id, request.session_epoch),
        _ => (0, -1),
    };
    SessionRequest { session_id, epoch, uses_topic_ids, from_follower, partitions, forgotten }
}

/// A fetch whose partitions are known.
struct Fetch {
    session: Arc<Session>,
    version: i16,
    from_follower: bool,
    plan: FetchPlan,
}

impl Fetch {
    fn respond(&self, fetched: Vec<PartitionFetch>, isolation: Isolation) -> FetchResponse {
        let broker = &self.session.broker;
        let fetched: Vec<PartitionFetch> =
            fetched.into_iter().zip(&self.plan.partitions).map(|(f, p)| self.refuse_zstd(f, p)).collect();
        fetched.iter().zip(&self.plan.partitions).for_each(|(f, p)| self.count(f, p));
        let outcomes: Vec<Outcome> = fetched.iter().map(outcome).collect();
        let selected = broker.fetch_sessions.lock().select(broker.clock.mono(), &self.plan, &outcomes, || broker.random_i32());
        let selection = match selected {
            Ok(selection) => selection,
            Err(code) => return FetchResponse::default().with_error_code(code.code()),
        };
        let mut topics: Vec<FetchableTopicResponse> = Vec::new();
        for index in selection.included {
            let wanted = &self.plan.partitions[index];
            let data = self.partition_data(wanted, &fetched[index], isolation);
            match topics.last_mut().filter(|t| same_topic(t, &wanted.topic)) {
                Some(topic) => topic.partitions.push(data),
                None => topics.push(self.topic_response(&wanted.topic, data)),
            }
        }
        let mut response = FetchResponse::default().with_session_id(selection.session_id).with_responses(topics);
        if self.version >= 16 {
            self.add_leader_hints(&mut response);
        }
        response
    }

    fn count(&self, fetch: &PartitionFetch, wanted: &FetchPartition) {
        let replicas = &self.session.broker.replicas;
        match fetch {
            PartitionFetch::Read(read) => read.partition.metrics().fetched(read.len as u64),
            PartitionFetch::Failed(_) => match wanted
                .topic
                .name
                .as_deref()
                .map_or_else(|| replicas.topic_by_id(wanted.topic.id), |name| replicas.topic(name))
            {
                Some(topic) => topic.metrics().fetch_failed(),
                None => self.session.broker.metrics.topics.unknown().fetch_failed(),
            },
        }
    }

    /// A client too old for zstd gets an error where the topic's codec is zstd (KIP-110).
    fn refuse_zstd(&self, fetch: PartitionFetch, wanted: &FetchPartition) -> PartitionFetch {
        if self.version >= ZSTD_SINCE || self.from_follower || fetch.is_empty() {
            return fetch;
        }
        let topic = wanted.topic.name.as_deref().and_then(|n| self.session.broker.replicas.topic(n));
        match topic.is_some_and(|t| matches!(t.config().compression, CompressionType::Zstd { .. })) {
            true => PartitionFetch::Failed(ErrorCode::UnsupportedCompressionType),
            false => fetch,
        }
    }

    fn topic_response(&self, topic: &FetchTopic, first: PartitionData) -> FetchableTopicResponse {
        let response = FetchableTopicResponse::default().with_partitions(vec![first]);
        match &topic.name {
            Some(name) if topic.id.is_nil() => response.with_topic(TopicName(StrBytes::from_string(name.to_string()))),
            _ => response.with_topic_id(topic.id),
        }
    }

    fn partition_data(&self, wanted: &FetchPartition, fetch: &PartitionFetch, isolation: Isolation) -> PartitionData {
        let data = PartitionData::default().with_partition_index(wanted.partition).with_aborted_transactions(None);
        let read = match fetch {
            PartitionFetch::Failed(code) => {
                let old = self.version <= 5 && *code == ErrorCode::KafkaStorageError;
                let code = if old { ErrorCode::NotLeaderOrFollower } else { *code };
                return data
                    .with_error_code(code.code())
                    .with_high_watermark(-1)
                    .with_last_stable_offset(-1)
                    .with_log_start_offset(-1)
                    .with_records(Some(bytes::Bytes::new()));
            }
            PartitionFetch::Read(read) => read,
        };
        let mut data = data
            .with_high_watermark(read.high_watermark)
            .with_last_stable_offset(read.last_stable_offset)
            .with_log_start_offset(read.log_start_offset)
            .with_records(Some(read.records.clone()));
        if let Some(end) = read.diverging {
            data.diverging_epoch = EpochEndOffset::default().with_epoch(end.epoch).with_end_offset(end.end_offset);
        }
        if isolation == Isolation::ReadCommitted {
            let aborted = read.aborted.iter().map(|txn| {
                AbortedTransaction::default().with_producer_id(ProducerId(txn.producer_id)).with_first_offset(txn.first_offset)
            });
            data.aborted_transactions = Some(aborted.collect());
        }
        data
    }

    /// Tells clients that came to the wrong broker where the leader is (KIP-951).
    fn add_leader_hints(&self, response: &mut FetchResponse) {
        let hinted = [ErrorCode::NotLeaderOrFollower.code(), ErrorCode::FencedLeaderEpoch.code()];
        let image = self.session.broker.metadata.image();
        let mut leaders = Vec::new();
        for topic in &mut response.responses {
            for data in topic.partitions.iter_mut().filter(|p| hinted.contains(&p.error_code)) {
                let Some(partition) = image.topic_by_id(topic.topic_id).and_then(|t| t.partition(data.partition_index)) else {
                    continue;
                };
                data.current_leader = LeaderIdAndEpoch::default()
                    .with_leader_id(BrokerId(partition.leader))
                    .with_leader_epoch(partition.leader_epoch);
                leaders.push(partition.leader);
            }
        }
        let endpoints = super::leaders(&self.session, &image, leaders).map(|leader| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(leader.id))
                .with_host(leader.host)
                .with_port(leader.port)
                .with_rack(leader.rack)
        });
        response.node_endpoints = endpoints.collect();
    }
}

fn same_topic(response: &FetchableTopicResponse, topic: &FetchTopic) -> bool {
    match topic.id.is_nil() {
        false => response.topic_id == topic.id,
        true => topic.name.as_deref() == Some(response.topic.as_str()),
    }
}

fn outcome(fetch: &PartitionFetch) -> Outcome {
    match fetch {
        PartitionFetch::Failed(_) => {
            Outcome { high_watermark: -1, log_start_offset: -1, has_records: false, has_error: true, has_direction: false }
        }
        PartitionFetch::Read(read) => Outcome {
            high_watermark: read.high_watermark,
            log_start_offset: read.log_start_offset,
            has_records: !fetch.is_empty(),
            has_error: false,
            has_direction: read.diverging.is_some(),
        },
    }
}
