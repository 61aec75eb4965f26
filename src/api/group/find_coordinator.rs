//! FindCoordinator: v0–6. The broker that coordinates a group or a transactional id.
//!
//! v1 key type · v3 flexible · v4 several keys (KIP-699) · v6 share coordinators (KIP-932), which are refused: share groups are not there yet.
//! The topic of a coordinator is created when the first one is asked for, and the answer waits for it.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::{Context, Session};
use crate::base::ErrorCode;
use crate::base::ids::NO_LEADER;
use crate::broker::endpoints::Reachable;
use crate::broker::topics::{CONSUMER_OFFSETS, TRANSACTION_STATE};

const KEYS_SINCE: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// The topic that holds what coordinators of a type know.
fn topic_of(key_type: i8) -> Option<&'static str> {
    match key_type {
        GROUP => Some(CONSUMER_OFFSETS),
        TRANSACTION => Some(TRANSACTION_STATE),
        _ => None,
    }
}

pub fn handle(cx: &Context, request: FindCoordinatorRequest) -> Reply<FindCoordinatorResponse> {
    let version = cx.version();
    let keys = if version >= KEYS_SINCE { request.coordinator_keys } else { vec![request.key] };
    let key_type = request.key_type;
    let topic = topic_of(key_type);
    let missing = topic.filter(|topic| !keys.is_empty() && cx.broker().metadata.image().topic(topic).is_none());
    let Some(topic) = missing else { return Reply::Now(answer(cx.session, version, key_type, keys)) };
    let session = cx.session.clone();
    Reply::alone(async move {
        session.broker.create_missing_topics(vec![topic.into()]).await;
        answer(&session, version, key_type, keys)
    })
}

fn answer(session: &Session, version: i16, key_type: i8, keys: Vec<StrBytes>) -> FindCoordinatorResponse {
    let found = |key: &str| match topic_of(key_type) {
        Some(topic) => coordinator(session, topic, key).ok_or(ErrorCode::CoordinatorNotAvailable),
        None => Err(ErrorCode::InvalidRequest),
    };
    if version < KEYS_SINCE {
        let found = found(&keys[0]);
        let message = version >= 1;
        let response = FindCoordinatorResponse::default();
        return match found {
            Ok(broker) => response.with_node_id(BrokerId(broker.id)).with_host(broker.host).with_port(broker.port),
            Err(code) => {
                let response = response.with_error_code(code.code()).with_node_id(BrokerId(NO_LEADER)).with_port(-1);
                if message { response.with_error_message(Some(text(code))) } else { response }
            }
        };
    }
    let coordinators = keys.into_iter().map(|key| {
        let found = found(&key);
        let response = Coordinator::default().with_key(key);
        match found {
            Ok(broker) => response.with_node_id(BrokerId(broker.id)).with_host(broker.host).with_port(broker.port),
            Err(code) => response
                .with_error_code(code.code())
                .with_error_message(Some(text(code)))
                .with_node_id(BrokerId(NO_LEADER))
                .with_port(-1),
        }
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn coordinator(session: &Session, topic: &str, key: &str) -> Option<Reachable> {
    let broker = &session.broker;
    let image = broker.metadata.image();
    let number = match topic {
        TRANSACTION_STATE => broker.transactions.partition_for(key),
        _ => broker.groups.partition_for(key),
    };
    let partition = image.topic(topic)?.partition(number)?;
    broker.endpoints.of(&image, partition.leader, &session.listener, session.local)
}

fn text(code: ErrorCode) -> StrBytes {
    StrBytes::from_string(code.to_string())
}
