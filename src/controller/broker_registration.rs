//! BrokerRegistration and UnregisterBroker (`ClusterControlManager.registerBroker`).
//!
//! A broker registers once a start. A new incarnation gets a new epoch and starts fenced; whatever the last one still led is taken from it
//! first. The same incarnation may register again, which amends its endpoints and features and keeps the rest.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, UnregisterBrokerRequest, UnregisterBrokerResponse,
};

use super::Controller;
use super::decision::{ApiError, Decision, code_and_text};
use crate::base::ErrorCode;
use crate::base::ids::BrokerId;
use crate::base::time::Mono;
use crate::metadata::{BrokerRegistration, Endpoint, METADATA_VERSION, MetadataImage, MetadataRecord, VersionRange, uuid64};

/// From where a registration comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the broker in the controller's own process. It holds the lock of its directories, so an older incarnation is dead, whatever
    /// its session says: a node that was killed is back at once.
    SameProcess,
    /// Over the network. Another incarnation with a live session is taken for a second process with the same id.
    Network,
}

impl Controller {
    pub fn register_broker(
        &mut self,
        draft: &MetadataImage,
        now: Mono,
        request: &BrokerRegistrationRequest,
        origin: Origin,
    ) -> Decision<BrokerRegistrationResponse> {
        match self.try_register(draft, now, request, origin) {
            Ok(decision) => decision,
            Err(error) => {
                tracing::warn!(broker = request.broker_id.0, %error, "refused the registration of a broker");
                Decision::reply(BrokerRegistrationResponse::default().with_error_code(error.code.code()).with_broker_epoch(-1))
            }
        }
    }

    fn try_register(
        &mut self,
        draft: &MetadataImage,
        now: Mono,
        request: &BrokerRegistrationRequest,
        origin: Origin,
    ) -> Result<Decision<BrokerRegistrationResponse>, ApiError> {
        let id = request.broker_id.0;
        let cluster_id = draft.cluster().map_or("", |c| &c.cluster_id);
        if *cluster_id != *request.cluster_id {
            let message = format!("Expected cluster ID {cluster_id}, but got cluster ID {}", &*request.cluster_id);
            return Err(ApiError::new(ErrorCode::InconsistentClusterId, message));
        }
        let existing = draft.broker(id);
        let same_incarnation = existing.is_some_and(|b| b.incarnation_id == request.incarnation_id);
        if !same_incarnation && origin == Origin::Network && self.heartbeats.has_valid_session(id, now) {
            return Err(ApiError::new(
                ErrorCode::DuplicateBrokerRegistration,
                "Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the \
                 heartbeat manager expires the broker's session.",
            ));
        }
        if request.is_migrating_zk_broker {
            return Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, "Controller does not support registering ZK brokers."));
        }
        check_log_dirs(draft, id, request)?;
        let features = check_features(draft, &request.features)?;

        let mut broker = BrokerRegistration {
            id,
            epoch: draft.next_broker_epoch(),
            incarnation_id: request.incarnation_id,
            endpoints: request
                .listeners
                .iter()
                .map(|l| Endpoint {
                    name: (*l.name).into(),
                    host: (*l.host).into(),
                    port: l.port,
                    security_protocol: l.security_protocol,
                })
                .collect(),
            features,
            rack: request.rack.as_ref().map(|rack| (**rack).into()),
            log_dirs: request.log_dirs.clone(),
            fenced: true,
            in_controlled_shutdown: false,
            registered_at: -1,
        };
        let mut records = Vec::new();
        match existing {
            Some(existing) if same_incarnation => {
                broker.epoch = existing.epoch;
                broker.fenced = existing.fenced;
                broker.in_controlled_shutdown = existing.in_controlled_shutdown;
            }
            _ => {
                let clean = existing.is_some_and(|b| b.epoch == request.previous_broker_epoch);
                self.end_incarnation(draft, id, clean, &mut records);
                self.heartbeats.remove(id);
                tracing::info!(
                    broker = id,
                    epoch = broker.epoch,
                    clean,
                    changes = records.len(),
                    "registering a new incarnation"
                );
            }
        }
        let response = BrokerRegistrationResponse::default().with_broker_epoch(broker.epoch);
        records.push(MetadataRecord::RegisterBroker(Box::new(broker)));
        // Not atomic, unlike Kafka, which cannot register a broker that was in more than 10,000 ISRs: the registration itself comes last.
        Ok(Decision::divisible(records, response))
    }

    pub fn unregister_broker(
        &mut self,
        draft: &MetadataImage,
        request: &UnregisterBrokerRequest,
    ) -> Decision<UnregisterBrokerResponse> {
        let id = request.broker_id.0;
        let mut records = Vec::new();
        let outcome = match draft.broker(id) {
            Some(broker) => {
                self.end_incarnation(draft, id, false, &mut records);
                records.push(MetadataRecord::UnregisterBroker { broker_id: id, broker_epoch: broker.epoch });
                Ok(())
            }
            None => Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, format!("Broker ID {id} is not currently registered"))),
        };
        let (code, text) = code_and_text(&outcome);
        Decision::divisible(records, UnregisterBrokerResponse::default().with_error_code(code).with_error_message(text))
    }

    /// # Errors
    /// STALE_BROKER_EPOCH if the request comes from another incarnation than the registered one.
    pub(super) fn check_broker_epoch(
        draft: &MetadataImage,
        id: BrokerId,
        epoch: i64,
    ) -> Result<&Arc<BrokerRegistration>, ApiError> {
        match draft.broker(id) {
            Some(broker) if broker.epoch == epoch => Ok(broker),
            Some(broker) => Err(ApiError::new(
                ErrorCode::StaleBrokerEpoch,
                format!("Expected broker epoch {}, but got broker epoch {epoch}", broker.epoch),
            )),
            None => Err(ApiError::new(ErrorCode::StaleBrokerEpoch, format!("No broker registration found for broker id {id}"))),
        }
    }
}

fn check_log_dirs(draft: &MetadataImage, id: BrokerId, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidRegistration, message));
    let dirs = &request.log_dirs;
    if dirs.is_empty() {
        return refuse("No directories specified in request".into());
    }
    if dirs.iter().any(|dir| uuid64::is_reserved_directory(*dir)) {
        return refuse("Reserved directory ID in request".into());
    }
    if dirs.iter().collect::<HashSet<_>>().len() != dirs.len() {
        return refuse("Duplicate directory ID in request".into());
    }
    for other in draft.brokers().values().filter(|b| b.id != id) {
        if let Some(dir) = other.log_dirs.iter().find(|dir| dirs.contains(dir)) {
            return refuse(format!("Broker {} is already registered with directory {}", other.id, uuid64::to_string(*dir)));
        }
    }
    Ok(())
}

/// The broker must be able to work with every finalized feature; one it does not name, it does not know.
fn check_features(draft: &MetadataImage, offered: &[Feature]) -> Result<BTreeMap<Arc<str>, VersionRange>, ApiError> {
    let features: BTreeMap<Arc<str>, VersionRange> = offered
        .iter()
        .map(|f| ((*f.name).into(), VersionRange { min: f.min_supported_version, max: f.max_supported_version }))
        .collect();
    if !features.contains_key(METADATA_VERSION) {
        return Err(ApiError::new(ErrorCode::InvalidRegistration, "Request features do not contain 'metadata.version'"));
    }
    let known = features.iter().map(|(name, range)| (&**name, *range, draft.feature_level(name)));
    let unknown = draft.features().filter(|(name, _)| !features.contains_key(*name));
    for (name, range, finalized) in known.chain(unknown.map(|(name, level)| (name, VersionRange::DISABLED, level))) {
        if !range.contains(finalized) {
            let VersionRange { min, max } = range;
            let message = format!(
                "Unable to register because the broker does not support finalized version {finalized} of {name}. The broker wants a version \
                 between {min} and {max}, inclusive."
            );
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
        }
    }
    Ok(features)
}

#[cfg(test)]
mod tests;
