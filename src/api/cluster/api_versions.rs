//! ApiVersions: v0–4. What this broker speaks, and which features are in force.
//!
//! v3 client software name and version (KIP-511), flexible, features (KIP-584) · v4 supported features may begin at 0.
//! A version this broker does not know is answered in version 0 with UNSUPPORTED_VERSION and the list, never by hanging up (KIP-511).
//! The response header is always version 0, whatever the version of the body.

use std::sync::Arc;

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::{ClientSoftware, Context, Session};
use crate::api::table::APIS;
use crate::api::{Handled, encode};
use crate::base::ErrorCode;
use crate::metadata::features::SUPPORTED;
use crate::protocol::header::RequestHeader;
use crate::protocol::outbox::Outbox;

pub fn handle(cx: &Context, request: ApiVersionsRequest) -> Reply<ApiVersionsResponse> {
    if cx.version() >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        if !is_software(name) || !is_software(version) {
            return Reply::Now(ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code()));
        }
        cx.session.set_software(ClientSoftware { name: name.to_string(), version: version.to_string() });
    }
    Reply::Now(response(cx.session, cx.version()))
}

/// The answer to a version of ApiVersions that is not known here.
pub fn unsupported_version(session: &Arc<Session>, header: &RequestHeader, outbox: &mut Outbox) -> Handled {
    let response = response(session, 0).with_error_code(ErrorCode::UnsupportedVersion.code());
    match encode(header.correlation_id, 0, &response, |_, _| {}, outbox) {
        Ok(()) => Handled::Done { error_code: response.error_code },
        Err(reason) => Handled::Close(reason),
    }
}

fn response(session: &Session, version: i16) -> ApiVersionsResponse {
    let keys = APIS
        .iter()
        .map(|api| ApiVersion::default().with_api_key(api.key).with_min_version(api.advertised_min).with_max_version(api.max));
    let response = ApiVersionsResponse::default().with_api_keys(keys.collect());
    if version < 3 {
        return response;
    }
    let image = session.broker.metadata.image();
    let name = |n: &str| StrBytes::from_string(n.to_owned());
    let finalized = image.features().filter(|(_, level)| *level > 0).map(|(feature, level)| {
        FinalizedFeatureKey::default().with_name(name(feature)).with_min_version_level(level).with_max_version_level(level)
    });
    // Before version 4 clients fail on a feature whose range begins at 0 (KAFKA-17492).
    let supported = SUPPORTED
        .iter()
        .filter(|f| version >= 4 || f.min > 0)
        .map(|f| SupportedFeatureKey::default().with_name(name(f.name)).with_min_version(f.min).with_max_version(f.max));
    response
        .with_finalized_features(finalized.collect())
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(image.offset())
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`, as `ApiVersionsRequest.isValid` wants it.
fn is_software(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_software;

    #[test]
    fn software_names_are_those_of_kip_511() {
        for good in ["a", "librdkafka", "apache-kafka-java", "3.7.0", "v1.2-rc.1"] {
            assert!(is_software(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä", "a/b", "."] {
            assert!(!is_software(bad), "{bad}");
        }
    }
}
