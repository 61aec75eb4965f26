//! The broker's life as its controller sees it: registered, alive by heartbeats, fenced or not, at last shutting down.
//!
//! A node alone goes through the same states as one of many: `registered and fenced → caught up → unfenced → … → shut down`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest};
use kafka_protocol::protocol::StrBytes;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::Broker;
use crate::base::ErrorCode;
use crate::controller::ApiError;
use crate::metadata::features::SUPPORTED;

/// How long to wait before asking again when the controller cannot decide yet.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// What a broker registers with.
pub struct Registration {
    pub incarnation_id: Uuid,
    /// Listener name, host and port.
    pub listeners: Vec<(String, String, u16)>,
    pub rack: Option<String>,
    pub log_dirs: Vec<Uuid>,
    /// The epoch of the last life of this broker if that ended in order, or if at least its page cache survived; else −1, and the
    /// controller takes it out of all ISRs (KIP-966).
    pub previous_epoch: i64,
}

/// Registers, and heartbeats until unfenced. Gives the broker's epoch.
pub async fn join(broker: &Broker, registration: Registration) -> Result<i64, ApiError> {
    let epoch = loop {
        match broker.controller.register_local_broker(request(broker, &registration)).await {
            Ok(response) => match ErrorCode::try_from_code(response.error_code) {
                None => break response.broker_epoch,
                Some(code) if !code.is_retriable() => {
                    return Err(ApiError::new(code, "the controller refused to register this broker"));
                }
                Some(_) => {}
            },
            Err(error) if error.code != ErrorCode::NotController => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_AFTER).await;
    };
    broker.catch_up().await;
    loop {
        if let Ok(false) = heartbeat(broker, epoch, false).await.map(|beat| beat.is_fenced) {
            break;
        }
        broker.catch_up().await;
    }
    broker.catch_up().await;
    broker.joined.store(true, Ordering::Release);
    Ok(epoch)
}

/// Tells the controller that this broker lives, until `stop`.
pub async fn keep_alive(broker: Arc<Broker>, epoch: i64, stop: CancellationToken) {
    let mut fenced = false;
    loop {
        let interval = Duration::from_millis(broker.config().replication.broker_heartbeat_interval_ms.max(1) as u64);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        match heartbeat(&broker, epoch, false).await {
            Ok(beat) if beat.is_fenced && !fenced => {
                warn!("this broker is fenced: the controller had not heard of it for too long")
            }
            Ok(beat) if !beat.is_fenced && fenced => info!("this broker is unfenced again"),
            Ok(_) => {}
            Err(error) => warn!(error = ?error, "the controller did not take a heartbeat"),
        }
        fenced = broker.metadata.image().broker(broker.id).is_some_and(|b| b.fenced);
    }
}

struct Beat {
    is_fenced: bool,
}

async fn heartbeat(broker: &Broker, epoch: i64, want_shut_down: bool) -> Result<Beat, ApiError> {
    let request = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(broker.id))
        .with_broker_epoch(epoch)
        .with_current_metadata_offset(broker.metadata.image().offset())
        .with_want_fence(false)
        .with_want_shut_down(want_shut_down);
    let response = broker.controller.broker_heartbeat(request).await?;
    match ErrorCode::try_from_code(response.error_code) {
        None => Ok(Beat { is_fenced: response.is_fenced }),
        Some(code) => Err(ApiError::new(code, "the controller refused a heartbeat")),
    }
}

fn request(broker: &Broker, registration: &Registration) -> BrokerRegistrationRequest {
    let text = |t: &str| StrBytes::from_string(t.to_owned());
    let listeners = registration.listeners.iter().map(|(name, host, port)| {
        Listener::default().with_name(text(name)).with_host(text(host)).with_port(*port).with_security_protocol(0)
    });
    let features = SUPPORTED
        .iter()
        .map(|f| Feature::default().with_name(text(f.name)).with_min_supported_version(f.min).with_max_supported_version(f.max));
    BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(broker.id))
        .with_cluster_id(text(broker.replicas.logs.cluster_id()))
        .with_incarnation_id(registration.incarnation_id)
        .with_listeners(listeners.collect())
        .with_features(features.collect())
        .with_rack(registration.rack.as_deref().map(text))
        .with_log_dirs(registration.log_dirs.clone())
        .with_previous_broker_epoch(registration.previous_epoch)
}
