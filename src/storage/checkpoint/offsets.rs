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
/// Bytes of each log's active segment when its broker stopped in order. Klamm's own; Kafka does not look at it.
pub const ACTIVE_SIZE: &str = "active-size-checkpoint";

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::RealDisk;

    #[test]
    fn offsets_survive_and_stand_in_kafkas_format() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINT);
        assert!(read(&RealDisk, &path).unwrap().is_empty(), "an absent file is empty");
        let offsets = BTreeMap::from([(TopicPartition::new("foo", 5), 10), (TopicPartition::new("bar-baz.1", 0), i64::MAX)]);
        write(&RealDisk, &path, &offsets).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n2\nbar-baz.1 0 9223372036854775807\nfoo 5 10\n");
        assert_eq!(read(&RealDisk, &path).unwrap(), offsets);
        write(&RealDisk, &path, &BTreeMap::new()).unwrap();
        assert!(read(&RealDisk, &path).unwrap().is_empty());
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(HIGH_WATERMARK);
        for damaged in ["1\n0\n", "\n", "0\n1\n", "0\n0\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 1 2\n", "0\n1\na x 1\n", "0\n-1\n"] {
            std::fs::write(&path, damaged).unwrap();
            let error = read(&RealDisk, &path).expect_err(damaged);
            assert!(error.to_string().contains(HIGH_WATERMARK), "{error}");
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read(&RealDisk, &path), Err(FileError::Damaged { .. })));
    }
}
