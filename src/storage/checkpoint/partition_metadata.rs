//! `partition.metadata`: which topic a partition's directory belongs to (KIP-516; Kafka's `PartitionMetadataFile`).
//!
//! ```text
//! version: 0
//! topic_id: <22 characters>
//! ```

use std::path::Path;

use super::{FileError, read_text, replace, uuid_text};
use crate::base::disk::Disk;
use crate::base::ids::TopicId;

pub const FILE_NAME: &str = "partition.metadata";

/// The topic id in a partition's directory; `None` if the file is not there.
pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<TopicId>, FileError> {
    let path = dir.join(FILE_NAME);
    let Some(text) = read_text(disk, &path)? else { return Ok(None) };
    let mut lines = text.lines();
    let mut field = |name: &str| lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let version = field("version").and_then(|v| v.parse::<i32>().ok());
    // A later version may add lines; the first two stay.
    if version.is_none_or(|version| version < 0) {
        return Err(FileError::damaged(&path, "no version in the first line"));
    }
    let id = field("topic_id").and_then(uuid_text::parse).filter(|id| !id.is_nil());
    id.map(Some).ok_or_else(|| FileError::damaged(&path, "no topic id in the second line"))
}

/// Replaces the file.
pub fn write(disk: &dyn Disk, dir: &Path, topic_id: TopicId) -> Result<(), FileError> {
    replace(disk, &dir.join(FILE_NAME), format!("version: 0\ntopic_id: {}", uuid_text::format(topic_id)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::RealDisk;

    #[test]
    fn the_topic_id_survives_in_kafkas_format() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), None);
        let id = uuid_text::parse("u1ybRdRYTgmTnXkmvuSULg").unwrap();
        write(&RealDisk, dir.path(), id).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(text, "version: 0\ntopic_id: u1ybRdRYTgmTnXkmvuSULg");
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), Some(id));
    }

    #[test]
    fn a_file_without_a_topic_id_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let nil = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA";
        for damaged in [
            "",
            "version: 0",
            "version: x\ntopic_id: u1ybRdRYTgmTnXkmvuSULg",
            "version: -1\ntopic_id: u1ybRdRYTgmTnXkmvuSULg",
            nil,
        ] {
            std::fs::write(dir.path().join(FILE_NAME), damaged).unwrap();
            assert!(matches!(read(&RealDisk, dir.path()), Err(FileError::Damaged { .. })), "{damaged:?}");
        }
        std::fs::write(dir.path().join(FILE_NAME), "version: 3\ntopic_id: u1ybRdRYTgmTnXkmvuSULg\nmore: 1").unwrap();
        assert!(read(&RealDisk, dir.path()).unwrap().is_some(), "a later version may add lines");
    }
}
