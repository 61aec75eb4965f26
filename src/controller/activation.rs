//! What a controller writes when it takes over (`ActivationRecordsGenerator`): its claim, and at the very first start the cluster's id and
//! features.

use crate::base::ids::{BrokerId, TimestampMs};
use crate::metadata::features::SUPPORTED;
use crate::metadata::{ConfigResource, MetadataImage, MetadataRecord, RecordBatch, ResourceType, uuid64};

/// Feature levels of a new cluster: the highest that are supported.
fn bootstrap_features() -> impl Iterator<Item = (&'static str, i16)> {
    SUPPORTED.iter().map(|f| (f.name, f.max))
}

/// The first batch of a new controller. `cluster_id` is taken if there is no cluster yet.
pub(super) fn activation_batch(
    image: &MetadataImage,
    controller_id: BrokerId,
    cluster_id: uuid::Uuid,
    min_insync_replicas: i32,
    wall_ms: TimestampMs,
) -> RecordBatch {
    let epoch = image.claim_epoch() + 1;
    let mut records = vec![MetadataRecord::ClaimController { epoch, controller_id }];
    if image.cluster().is_none() {
        records.push(MetadataRecord::ClusterInit { cluster_id: uuid64::to_string(cluster_id).into(), created_ms: wall_ms });
        records.extend(bootstrap_features().map(|(name, level)| MetadataRecord::FeatureLevel { name: name.into(), level }));
        // With ELR every node must go by the same number, so it is written down once for the cluster (KIP-966).
        records.push(MetadataRecord::Config {
            resource: ConfigResource::new(ResourceType::Broker, ""),
            key: "min.insync.replicas".into(),
            value: Some(min_insync_replicas.to_string().into()),
        });
    }
    RecordBatch { claim_epoch: epoch, seq: 0, records }
}
