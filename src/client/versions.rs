//! Which version of an API two sides have in common. Pure.
//!
//! A broker says what it can in its answer to ApiVersions; a request type knows what klamm can write and read.

use std::collections::BTreeMap;

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::VersionRange;

use crate::protocol::messages::{ApiMessage, ApiRequest};

/// A feature that a cluster has agreed on, or that one broker could do (KIP-584).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    pub min: i16,
    pub max: i16,
}

/// What a broker can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerVersions {
    apis: BTreeMap<i16, (i16, i16)>,
    /// Features the broker could do.
    pub supported_features: BTreeMap<String, Levels>,
    /// Features that the cluster has agreed on.
    pub finalized_features: BTreeMap<String, Levels>,
    /// Epoch of the agreement; −1 if there is none.
    pub finalized_features_epoch: i64,
}

/// The versions of an API that klamm can both ask in and read the answer of.
pub fn ours<R: ApiRequest>() -> VersionRange {
    R::VERSIONS.intersect(&<R::Response as ApiMessage>::VERSIONS)
}

impl ServerVersions {
    pub fn new(response: &ApiVersionsResponse) -> Self {
        let levels = |min, max| Levels { min, max };
        Self {
            apis: response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect(),
            supported_features: response
                .supported_features
                .iter()
                .map(|f| (f.name.to_string(), levels(f.min_version, f.max_version)))
                .collect(),
            finalized_features: response
                .finalized_features
                .iter()
                .map(|f| (f.name.to_string(), levels(f.min_version_level, f.max_version_level)))
                .collect(),
            finalized_features_epoch: response.finalized_features_epoch,
        }
    }

    /// Every API the broker advertises: key, least and highest version.
    pub fn apis(&self) -> impl Iterator<Item = (i16, i16, i16)> {
        self.apis.iter().map(|(&key, &(min, max))| (key, min, max))
    }

    /// What the broker advertises of one API.
    pub fn range(&self, key: i16) -> Option<(i16, i16)> {
        self.apis.get(&key).copied()
    }

    /// The highest version of `R` that both sides know, and that is not above `most`.
    pub fn choose<R: ApiRequest>(&self, most: i16) -> Option<i16> {
        let (min, max) = self.range(R::KEY)?;
        let common = ours::<R>().intersect(&VersionRange { min, max: max.min(most) });
        (!common.is_empty()).then_some(common.max)
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::api_versions_response::ApiVersion;
    use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, OffsetFetchRequest, ProduceRequest};

    use super::*;

    fn server(rows: &[(i16, i16, i16)]) -> ServerVersions {
        let row = |&(key, min, max): &(i16, i16, i16)| {
            ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
        };
        ServerVersions::new(&ApiVersionsResponse::default().with_api_keys(rows.iter().map(row).collect()))
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        let server = server(&[(0, 0, 9), (1, 4, 30), (2, 0, 0), (9, 1, 10)]);
        assert_eq!(server.choose::<ProduceRequest>(i16::MAX), Some(9));
        assert_eq!(server.choose::<FetchRequest>(i16::MAX), Some(ours::<FetchRequest>().max));
        assert_eq!(server.choose::<ListOffsetsRequest>(i16::MAX), None, "the ranges do not meet");
        assert_eq!(server.choose::<OffsetFetchRequest>(9), Some(9), "the caller does not want more");
        assert_eq!(server.choose::<OffsetFetchRequest>(0), None);
        assert_eq!(self::server(&[]).choose::<FetchRequest>(i16::MAX), None, "an API that is not there");
    }
}
