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
        self.of_directory(parent).get(&partition).copied().unwrap_or(0)
    }

    /// The partitions that `data_dir` says something of and has no directory for, with their ends. One that was put aside to be deleted is not
    /// missing.
    pub fn missing_from(&mut self, data_dir: &Path) -> Vec<(TopicPartition, Offset)> {
        let names: Vec<String> = std::fs::read_dir(data_dir).into_iter().flatten().flatten().map(name_of).collect();
        let is_there = |partition: &TopicPartition| {
            let live = partition.to_string();
            names.iter().any(|name| name.strip_prefix(&live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        let promised = self.of_directory(data_dir).iter();
        promised.filter(|(name, end)| **end > 0 && !is_there(name)).map(|(name, end)| (name.clone(), *end)).collect()
    }

    fn of_directory(&mut self, data_dir: &Path) -> &BTreeMap<TopicPartition, Offset> {
        self.by_directory.entry(data_dir.to_owned()).or_insert_with(|| {
            let mut ends = BTreeMap::new();
            for name in [offsets::RECOVERY_POINT, offsets::HIGH_WATERMARK] {
                for (partition, offset) in offsets::read(&RealDisk, &data_dir.join(name)).unwrap_or_default() {
                    let end: &mut Offset = ends.entry(partition).or_default();
                    *end = offset.max(*end);
                }
            }
            ends
        })
    }
}

fn name_of(entry: std::fs::DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}
