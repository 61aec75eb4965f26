//! What a file of a data directory is, by its name and the directory it lies in. Pure.

use std::path::Path;

use crate::base::ids::Offset;
use crate::storage::checkpoint::{meta_properties, offsets, partition_metadata};
use crate::storage::leader_epochs;
use crate::storage::names::{CLUSTER_METADATA_TOPIC, FileKind, SegmentFile};

/// Name of the directory of klamm's metadata within the first data directory.
pub const METADATA_DIR: &str = "metadata";
/// Topic of committed offsets.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Topic of transactional ids.
const TRANSACTIONS_TOPIC: &str = "__transaction_state";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A log of record batches, and what its records are.
    Log {
        base_offset: Offset,
        records: Records,
    },
    OffsetIndex {
        base_offset: Offset,
    },
    TimeIndex {
        base_offset: Offset,
    },
    TransactionIndex {
        base_offset: Offset,
    },
    ProducerSnapshot,
    /// Epochs and where they began.
    LeaderEpochs,
    /// Offsets by partition.
    OffsetCheckpoint,
    PartitionMetadata,
    MetaProperties,
    /// klamm's metadata: its log, a snapshot of it, and the small files beside it.
    QuorumLog {
        first_index: u64,
    },
    QuorumSnapshot,
    QuorumState,
}

/// What the records of a log mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Bytes of somebody else.
    Plain,
    /// Commits and groups of `__consumer_offsets`.
    Offsets,
    /// Transactional ids of `__transaction_state`.
    Transactions,
    /// Kafka's metadata, of which only the types are known.
    KafkaMetadata,
}

/// `None` for files that are not klamm's nor Kafka's.
pub fn of(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    let dir = path.parent().and_then(Path::file_name).and_then(|dir| dir.to_str()).unwrap_or_default();
    let is_metadata = dir == METADATA_DIR;
    if let Some(file) = SegmentFile::parse(name) {
        let base_offset = file.base_offset;
        return Some(match file.kind {
            FileKind::Log if is_metadata => Kind::QuorumLog { first_index: base_offset as u64 },
            FileKind::ProducerSnapshot if is_metadata => Kind::QuorumSnapshot,
            FileKind::Log => Kind::Log { base_offset, records: records_in(dir) },
            FileKind::OffsetIndex => Kind::OffsetIndex { base_offset },
            FileKind::TimeIndex => Kind::TimeIndex { base_offset },
            FileKind::TransactionIndex => Kind::TransactionIndex { base_offset },
            FileKind::ProducerSnapshot => Kind::ProducerSnapshot,
        });
    }
    Some(match name {
        leader_epochs::FILE_NAME => Kind::LeaderEpochs,
        partition_metadata::FILE_NAME => Kind::PartitionMetadata,
        meta_properties::FILE_NAME => Kind::MetaProperties,
        offsets::RECOVERY_POINT | offsets::HIGH_WATERMARK | offsets::LOG_START | offsets::CLEANER | offsets::ACTIVE_SIZE => {
            Kind::OffsetCheckpoint
        }
        "voter" | "committed" if is_metadata => Kind::QuorumState,
        // A snapshot of Kafka's metadata: `<end offset>-<epoch>.checkpoint`.
        _ if name.ends_with(".checkpoint") => Kind::Log { base_offset: 0, records: Records::KafkaMetadata },
        _ => return None,
    })
}

fn records_in(dir: &str) -> Records {
    match dir.rsplit_once('-').map(|(topic, _)| topic) {
        Some(OFFSETS_TOPIC) => Records::Offsets,
        Some(TRANSACTIONS_TOPIC) => Records::Transactions,
        Some(CLUSTER_METADATA_TOPIC) => Records::KafkaMetadata,
        _ => Records::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_and_place() {
        let log = |base_offset, records| Some(Kind::Log { base_offset, records });
        for (path, kind) in [
            ("d/orders-0/00000000000000000042.log", log(42, Records::Plain)),
            ("d/__consumer_offsets-49/00000000000000000000.log", log(0, Records::Offsets)),
            ("d/__transaction_state-7/00000000000000000000.log", log(0, Records::Transactions)),
            ("d/__cluster_metadata-0/00000000000000000000.log", log(0, Records::KafkaMetadata)),
            ("d/__cluster_metadata-0/00000000000000000120-0000000001.checkpoint", log(0, Records::KafkaMetadata)),
            ("00000000000000000042.log", log(42, Records::Plain)),
            ("d/orders-0/00000000000000000042.index", Some(Kind::OffsetIndex { base_offset: 42 })),
            ("d/orders-0/00000000000000000042.timeindex.deleted", Some(Kind::TimeIndex { base_offset: 42 })),
            ("d/orders-0/00000000000000000042.snapshot", Some(Kind::ProducerSnapshot)),
            ("d/metadata/00000000000000000042.snapshot", Some(Kind::QuorumSnapshot)),
            ("d/metadata/00000000000000000042.log", Some(Kind::QuorumLog { first_index: 42 })),
            ("d/metadata/voter", Some(Kind::QuorumState)),
            ("d/vote", None),
            ("d/orders-0/leader-epoch-checkpoint", Some(Kind::LeaderEpochs)),
            ("d/recovery-point-offset-checkpoint", Some(Kind::OffsetCheckpoint)),
            ("d/meta.properties", Some(Kind::MetaProperties)),
            ("d/orders-0/notes.txt", None),
        ] {
            assert_eq!(of(Path::new(path)), kind, "{path}");
        }
    }
}
