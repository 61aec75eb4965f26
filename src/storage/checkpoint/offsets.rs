//! Offsets of all partitions of a log directory in one file (Kafka's `OffsetCheckpointFile`): a line is `topic partition offset`.

use std::collections::BTreeMap;
use std::path::Path;

use super::{FileError, read_lines, write_lines};
use crate::base::disk::Disk;
use crate::base::ids::{Offset, TopicPartition};

/// Up to where a log needs no recovery after an unclean stop.
pub const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARK: &str = "replication-offset-checkpoint";
/// Where logs begin, for those that begin behind their first segment.
pub const LOG_START: &str = "log-start-offset-checkpoint";
/// Up to where logs have been compacted.
pub const CLEANER: &str = "cleaner-offset-checkpoint";

/// Offsets by partition; a partition named twice has the later one.
pub fn read(disk: &dyn Disk, path: &Path) -> Result<BTreeMap<TopicPartition, Offset>, FileError> {
    let entries = read_lines(disk, path, |line| {
        let mut words = line.split_ascii_whitespace();
        let partition = TopicPartition::new(words.next()?, words.next()?.parse().ok()?);
        let offset = words.next()?.parse().ok()?;
        words.next().is_none().then_some((partition, offset))
    })?;
    Ok(entries.into_iter().collect())
}

/// Replaces the file.
pub fn write(disk: &dyn Disk, path: &Path, offsets: &BTreeMap<TopicPartition, Offset>) -> Result<(), FileError> {
    write_lines(disk, path, offsets.iter().map(|(at, offset)| format!("{} {} {offset}", at.topic, at.partition)))
}
