//! Which feature levels this version of klamm can work with (KIP-584).
//!
//! A level stands here only when everything it promises is built. What is absent is not supported: `group.version`, `share.version`,
//! `streams.version` and `kraft.version` come with what they name.

use super::VersionRange;

/// Finalized feature whose level tells which metadata records exist (KIP-778).
pub const METADATA_VERSION: &str = "metadata.version";
/// Finalized feature that turns eligible leader replicas on (KIP-966).
pub const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";

/// Finalized feature that turns on transactions whose every end bumps the producer's epoch (2, KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";

/// A feature with the levels that are supported, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
}

/// What brokers and controllers of this version register, and ApiVersions shows.
pub const SUPPORTED: &[SupportedFeature] = &[
    // Kafka 4.3 supports 7 (3.3-IV3) to 30 (4.3-IV0).
    SupportedFeature { name: METADATA_VERSION, min: 7, max: 30 },
    SupportedFeature { name: ELIGIBLE_LEADER_REPLICAS_VERSION, min: 0, max: 1 },
    SupportedFeature { name: TRANSACTION_VERSION, min: 0, max: 2 },
];

/// The levels of a feature that are supported; of an unknown one, only "off".
pub fn supported(name: &str) -> VersionRange {
    SUPPORTED.iter().find(|f| f.name == name).map_or(VersionRange::DISABLED, |f| VersionRange { min: f.min, max: f.max })
}
