//! Produce: v3–13. Appends record batches to partition leaders.
//!
//! v5 log start offset · v7 zstd · v8 record errors (KIP-467) · v9 flexible · v10 leader hints (KIP-951) · v13 topic ids (KIP-516).
//! v0–2 are advertised so that old librdkafka turns compression on (KAFKA-18659), but their message formats are gone since Kafka 4.
//!
//! Records of a transaction are verified first ([`verification`](super::verification)); nothing else of the connection is looked at meanwhile.
//! The walk: validate outside of any lock → append under the partition's lock → answer at once (acks=1), never (acks=0), or once every
//! append is committed (acks=all). What is appended is decided before the connection's next request is looked at.

use std::time::Duration;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;

use super::verification::{self, Place, Proofs};
use crate::api::reply::Reply;
use crate::api::session::{Context, Session};
use crate::base::ErrorCode;
use crate::base::ids::TimestampMs;
use crate::record::validate::{self, Refusal};
use crate::replica::acknowledgement::{AcknowledgementWait, Unacknowledged};
use crate::replica::manager::HostedTopic;
use crate::replica::partition::{Acks, Appended};
use crate::storage::producer_state::VerificationGuard;

/// Kafka's own admin client may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

pub fn handle(cx: &Context, request: ProduceRequest) -> Reply<ProduceResponse> {
    let acks = match request.acks {
        0 => Acks::None,
        1 => Acks::Leader,
        -1 => Acks::All,
        _ => return Reply::Now(refuse_all(request, ErrorCode::InvalidRequiredAcks)),
    };
    match verification::needed(cx, &request) {
        Ok(None) => append(cx, request, acks, &Proofs::new()),
        Ok(Some(_)) if acks == Acks::None => Reply::Close("a transaction cannot be produced with acks=0"),
        Ok(Some(unverified)) => {
            let (session, header) = (cx.session.clone(), cx.header.clone());
            Reply::alone(async move {
                let proofs = unverified.ask(&session.broker).await;
                match append(&Context { session: &session, header: &header }, request, acks, &proofs) {
                    Reply::Now(response) => response,
                    Reply::Later(waiting) | Reply::Alone(waiting) => waiting.await,
                    Reply::Silent | Reply::Close(_) => unreachable!("only acks=0 ends so"),
                }
            })
        }
        Err(code) => Reply::Now(refuse_all(request, code)),
    }
}

fn append(cx: &Context, request: ProduceRequest, acks: Acks, proofs: &Proofs) -> Reply<ProduceResponse> {
    let is_transactional = request.transactional_id.is_some();
    let now = cx.broker().clock.wall_ms();
    let mut walk = Walk { cx, acks, is_transactional, proofs, now, waiting: Vec::new(), failed: false };
    let topics = request.topic_data.into_iter().enumerate().map(|(place, topic)| walk.append_topic(place, topic)).collect();
    let Walk { waiting, failed, .. } = walk;
    let mut response = ProduceResponse::default().with_responses(topics);
    if acks == Acks::None {
        return match failed {
            false => Reply::Silent,
            true => Reply::Close("an acks=0 produce request failed; hanging up is how its producer learns of it"),
        };
    }
    if failed {
        add_leader_hints(&mut response, cx.session, cx.version());
    }
    if waiting.is_empty() {
        return Reply::Now(response);
    }
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let (session, version) = (cx.session.clone(), cx.version());
    let wait = AcknowledgementWait::new(waiting);
    Reply::later(async move {
        for ((topic, partition), code) in wait.acknowledged(timeout).await {
            refuse(&mut response.responses[topic].partition_responses[partition], code, None);
        }
        add_leader_hints(&mut response, &session, version);
        response
    })
}

struct Walk<'a> {
    cx: &'a Context<'a>,
    acks: Acks,
    /// Whether the request names a transactional id.
    is_transactional: bool,
    proofs: &'a Proofs,
    now: TimestampMs,
    /// Appends whose answer depends on more than this broker's memory.
    waiting: Vec<(Place, Unacknowledged)>,
    failed: bool,
}

impl Walk<'_> {
    fn append_topic(&mut self, place: usize, topic: TopicProduceData) -> TopicProduceResponse {
        let by_id = self.cx.version() >= 13;
        let replicas = &self.cx.broker().replicas;
        let hosted = if by_id { replicas.topic_by_id(topic.topic_id) } else { replicas.topic(&topic.name) };
        let partitions = topic.partition_data.into_iter().enumerate().map(|(at, data)| {
            let mut response = PartitionProduceResponse::default().with_index(data.index).with_base_offset(-1);
            match self.append((place, at), hosted.as_deref(), data) {
                Ok(appended) => {
                    response.base_offset = appended.first_offset;
                    response.log_append_time_ms = appended.log_append_time;
                    response.log_start_offset = appended.log_start_offset;
                }
                Err(refusal) => {
                    self.failed = true;
                    // What a batch of several records was refused for can only be told since version 8; older clients get the code.
                    refuse(&mut response, refusal.code, (self.cx.version() >= 8).then_some(refusal));
                }
            }
            response
        });
        let response = TopicProduceResponse::default().with_partition_responses(partitions.collect());
        if by_id { response.with_topic_id(topic.topic_id) } else { response.with_name(topic.name) }
    }

    fn append(&mut self, place: Place, topic: Option<&HostedTopic>, data: PartitionProduceData) -> Result<Appended, Refusal> {
        let size = data.records.as_ref().map_or(0, |records| records.len());
        let appended = self.append_to(place, topic, data);
        let metrics = topic.map_or_else(|| self.cx.broker().metrics.topics.unknown(), HostedTopic::metrics);
        match &appended {
            Ok((_, records)) => metrics.produced(*records, size as u64),
            Err(refusal) if refusal.code == ErrorCode::MessageTooLarge => metrics.produce_too_large(size as u64),
            Err(_) => metrics.produce_failed(),
        }
        appended.map(|(appended, _)| appended)
    }

    /// The proof that a batch belongs to its transaction; `None` if its transaction is open in its partition already.
    fn proof(&self, place: Place) -> Result<Option<VerificationGuard>, ErrorCode> {
        if !self.is_transactional {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        self.proofs.get(&place).copied().transpose()
    }

    /// The append and how many records it has.
    fn append_to(
        &mut self,
        place: Place,
        topic: Option<&HostedTopic>,
        data: PartitionProduceData,
    ) -> Result<(Appended, u64), Refusal> {
        let unknown = match self.cx.version() {
            13.. => ErrorCode::UnknownTopicId,
            _ => ErrorCode::UnknownTopicOrPartition,
        };
        let topic = topic.ok_or(unknown).map_err(Refusal::of)?;
        let partition = topic.partition_or_error(data.index).map_err(Refusal::of)?;
        if topic.is_internal() && self.cx.client_id() != ADMIN_CLIENT_ID {
            return Err(Refusal::of(ErrorCode::InvalidTopicException));
        }
        let batch = validate::validate(data.records.as_ref(), &topic.config(), self.cx.version(), self.now)?;
        let guard = if batch.header().is_transactional() { self.proof(place).map_err(Refusal::of)? } else { None };
        let appended = partition.append_as_leader(&batch, guard, self.acks, self.now).map_err(Refusal::of)?;
        if let Some(offset) = appended.commits_at {
            let leader_epoch = appended.leader_epoch;
            self.waiting.push((place, Unacknowledged { partition, acks: self.acks, leader_epoch, offset }));
        }
        Ok((appended, batch.header().record_count.max(0) as u64))
    }
}

fn refuse_all(request: ProduceRequest, code: ErrorCode) -> ProduceResponse {
    let topics = request.topic_data.into_iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|data| {
            let mut response = PartitionProduceResponse::default().with_index(data.index);
            refuse(&mut response, code, None);
            response
        });
        let partitions = partitions.collect();
        TopicProduceResponse::default().with_name(topic.name).with_topic_id(topic.topic_id).with_partition_responses(partitions)
    });
    ProduceResponse::default().with_responses(topics.collect())
}

/// Turns the response of a partition into a refusal (`ProduceResponse.PartitionResponse` with an error).
fn refuse(response: &mut PartitionProduceResponse, code: ErrorCode, refusal: Option<Refusal>) {
    response.error_code = code.code();
    response.base_offset = -1;
    response.log_append_time_ms = -1;
    response.log_start_offset = -1;
    let Some(refusal) = refusal else { return };
    let text = |message: std::borrow::Cow<'static, str>| Some(StrBytes::from_string(message.into_owned()));
    // Kafka says more than the code only where it names records (`RecordValidationException`).
    let names_records = !refusal.record_errors.is_empty();
    response.record_errors = refusal
        .record_errors
        .into_iter()
        .map(|e| {
            BatchIndexAndErrorMessage::default().with_batch_index(e.batch_index).with_batch_index_error_message(text(e.message))
        })
        .collect();
    response.error_message = text(refusal.message).filter(|t| names_records && !t.is_empty());
}

/// Tells clients that came to the wrong broker where the leader is, which saves them a Metadata request (KIP-951).
fn add_leader_hints(response: &mut ProduceResponse, session: &Session, version: i16) {
    if version < 10 {
        return;
    }
    let image = session.broker.metadata.image();
    let wrong = ErrorCode::NotLeaderOrFollower.code();
    let mut leaders = Vec::new();
    for topic in &mut response.responses {
        let found = if version >= 13 { image.topic_by_id(topic.topic_id) } else { image.topic(&topic.name) };
        for response in topic.partition_responses.iter_mut().filter(|p| p.error_code == wrong) {
            let Some(partition) = found.and_then(|t| t.partition(response.index)) else { continue };
            response.current_leader =
                LeaderIdAndEpoch::default().with_leader_id(BrokerId(partition.leader)).with_leader_epoch(partition.leader_epoch);
            leaders.push(partition.leader);
        }
    }
    response.node_endpoints = super::leaders(session, &image, leaders)
        .map(|leader| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(leader.id))
                .with_host(leader.host)
                .with_port(leader.port)
                .with_rack(leader.rack)
        })
        .collect();
}
