//! Which feature levels this version of klamm can work with. A level stands here only when everything it promises is built.

use crate::metadata::{ELIGIBLE_LEADER_REPLICAS_VERSION, METADATA_VERSION, VersionRange};

/// Features and their levels, as brokers and controllers of this version register them and ApiVersions shows them. What is absent is not
/// supported: `group.version`, `transaction.version`, `share.version`, `streams.version` and `kraft.version` come with what they name.
pub fn supported_features() -> &'static [(&'static str, VersionRange)] {
    &[
        // Kafka 4.3 supports 7 (3.3-IV3) to 30 (4.3-IV0).
        (METADATA_VERSION, VersionRange { min: 7, max: 30 }),
        (ELIGIBLE_LEADER_REPLICAS_VERSION, VersionRange { min: 0, max: 1 }),
    ]
}
