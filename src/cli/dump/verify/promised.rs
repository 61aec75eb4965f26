//! How far a partition is whole, as the data directory says: what a broker noted as durable, or as seen by consumers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::disk::RealDisk;
use crate::base::ids::{Offset, TopicPartition};
use crate::storage::checkpoint::offsets;
use crate::storage::names::LogDirName;

/// The checkpoints of the data directories that were asked for.
#[derive(Debug, Default)]
pub struct Promised {
    by_directory: BTreeMap<PathBuf, BTreeMap<TopicPartition, Offset>>,
}

impl Promised {
    /// The offset in front of which nothing may be missing from the log in `dir`; 0 where nothing is said. A checkpoint that cannot be read says
    /// nothing here: that it cannot is a finding of its own.
    pub fn end_of(&mut self, dir: &Path) -> Offset {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let (Some(parent), LogDirName::Log(partition)) = (dir.parent(), LogDirName::parse(&name)) else { return 0 };
        let known = self.by_directory.entry(parent.to_owned()).or_insert_with(|| {
            let mut ends = BTreeMap::new();
            for name in [offsets::RECOVERY_POINT, offsets::HIGH_WATERMARK] {
                for (partition, offset) in offsets::read(&RealDisk, &parent.join(name)).unwrap_or_default() {
                    let end: &mut Offset = ends.entry(partition).or_default();
                    *end = offset.max(*end);
                }
            }
            ends
        });
        known.get(&partition).copied().unwrap_or(0)
    }
}
