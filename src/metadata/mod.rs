//! What the cluster knows of itself: topics, partitions, brokers, configuration, features.
//!
//! Three pure things and the arrows between them: [`MetadataRecord`] (a fact, one line of the metadata log), [`MetadataImage`] (all facts
//! up to an offset, immutable and cheap to clone), [`MetadataDelta`] (what a run of records touched, so that a reader of two images need not
//! compare them). Only `replay` moves an image; nothing here reads a clock, a file or a socket.

mod batch;
mod broker;
mod configs;
mod delta;
pub mod features;
mod image;
mod partition;
mod record;
mod record_codec;
mod replay;
pub mod snapshot;
mod sorted_map;
#[cfg(test)]
pub(crate) mod testing;
mod topics;
pub mod uuid64;
mod wire;

pub use batch::{Applied, RecordBatch};
pub use broker::{BrokerRegistration, DIRECTORY_LOST, DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED, Endpoint, VersionRange};
pub use configs::{ConfigMap, ConfigResource, ConfigsImage, ResourceType};
pub use delta::{MetadataDelta, TopicDelta};
pub use features::{ELIGIBLE_LEADER_REPLICAS_VERSION, METADATA_VERSION, TRANSACTION_VERSION};
pub use image::{ClusterInfo, MetadataImage};
pub use partition::{Directories, PartitionChange, PartitionRegistration, Replicas};
pub use record::MetadataRecord;
pub use replay::ReplayError;
pub use topics::{TopicImage, TopicsImage, unify};
pub use wire::DecodeError;
pub(crate) use wire::{Reader as WireReader, Writer as WireWriter};
