//! Names of files and directories of a log, exactly Kafka's (`LogFileUtils`, `LocalLog`).
//!
//! ```text
//! topic-partition/  00000000000000000042.{log,index,timeindex,txnindex,snapshot}  leader-epoch-checkpoint  partition.metadata
//! suffixes          .N.deleted (going), .cleaned (being written by the cleaner), .swap (about to take its place)
//! directories       topic-partition.<32 hex digits>-delete, -stray, -future
//! ```

use crate::base::ids::{Offset, TopicPartition};

/// Longest name of a file that common file systems take, in bytes.
const NAME_MAX: usize = 255;

/// Kafka's metadata log, which lies beside the others; not klamm's to touch.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
}

impl FileKind {
    /// The files of a segment; the producer snapshot at its base offset goes with them.
    pub const ALL: [FileKind; 5] =
        [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex, FileKind::ProducerSnapshot];

    /// Those without the snapshot, in the order in which they are renamed.
    pub const OF_SEGMENT: [FileKind; 4] = [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex];

    pub fn extension(self) -> &'static str {
        match self {
            FileKind::Log => "log",
            FileKind::OffsetIndex => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::TransactionIndex => "txnindex",
            FileKind::ProducerSnapshot => "snapshot",
        }
    }
}

/// What a suffix says about a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    Live,
    Deleted,
    Cleaned,
    Swap,
}

impl FileState {
    pub const ALL: [FileState; 4] = [FileState::Live, FileState::Deleted, FileState::Cleaned, FileState::Swap];

    pub fn suffix(self) -> &'static str {
        match self {
            FileState::Live => "",
            FileState::Deleted => ".deleted",
            FileState::Cleaned => ".cleaned",
            FileState::Swap => ".swap",
        }
    }
}

/// A file of a segment, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    pub base_offset: Offset,
    pub kind: FileKind,
    pub state: FileState,
}

impl SegmentFile {
    pub fn name(&self) -> String {
        format!("{:020}.{}{}", self.base_offset, self.kind.extension(), self.state.suffix())
    }

    /// Name of a file that is going. `number` sets it apart: a segment that is cleaned twice within `file.delete.delay.ms` leaves two of its name, and
    /// each may have readers. Kafka, which has no number, goes by the suffix alone.
    pub fn removed_name(&self, number: u64) -> String {
        format!("{:020}.{}.{number}{}", self.base_offset, self.kind.extension(), FileState::Deleted.suffix())
    }

    /// `None` for what is not a segment's file.
    pub fn parse(name: &str) -> Option<Self> {
        let (name, state) = [FileState::Deleted, FileState::Cleaned, FileState::Swap]
            .into_iter()
            .find_map(|state| Some((name.strip_suffix(state.suffix())?, state)))
            .unwrap_or((name, FileState::Live));
        let (digits, extension) = name.split_once('.')?;
        let numbered = extension.split_once('.').filter(|(_, number)| number.bytes().all(|b| b.is_ascii_digit()));
        let extension = match numbered {
            Some((extension, _)) if state == FileState::Deleted => extension,
            _ => extension,
        };
        let kind = FileKind::ALL.into_iter().find(|kind| kind.extension() == extension)?;
        let is_number = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
        let base_offset = is_number.then(|| digits.parse().ok()).flatten()?;
        Some(Self { base_offset, kind, state })
    }
}

/// What a directory among the logs is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDirName {
    Log(TopicPartition),
    /// On its way out; the partition may exist anew beside it.
    Deleted,
    /// Put aside: a replica that the cluster does not know (`-stray`) or, by Kafka, one that was being moved here (`-future`).
    Aside,
    /// Not ours.
    Foreign,
}

impl LogDirName {
    pub fn parse(name: &str) -> Self {
        if ["-stray", "-future"].iter().any(|suffix| name.ends_with(suffix)) {
            return LogDirName::Aside;
        }
        if let Some(rest) = name.strip_suffix("-delete") {
            let is_ours = rest.rsplit_once('.').is_some_and(|(log, _)| parse_log_name(log).is_some());
            return if is_ours { LogDirName::Deleted } else { LogDirName::Foreign };
        }
        match parse_log_name(name) {
            Some(log) if &*log.topic != CLUSTER_METADATA_TOPIC => LogDirName::Log(log),
            _ => LogDirName::Foreign,
        }
    }
}

fn parse_log_name(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition: i32 = partition.parse().ok().filter(|n| *n >= 0)?;
    (!topic.is_empty()).then(|| TopicPartition::new(topic, partition))
}

/// Directory of a log, within a log directory.
pub fn log_dir_name(log: &TopicPartition) -> String {
    log.to_string()
}

/// Directory of a log that is going; `unique` keeps apart those of one partition. A long topic is cut, as Kafka cuts it.
pub fn delete_dir_name(log: &TopicPartition, unique: u128) -> String {
    unique_dir_name(log, unique, "delete")
}

/// Directory of a log that was put aside; likewise.
pub fn stray_dir_name(log: &TopicPartition, unique: u128) -> String {
    unique_dir_name(log, unique, "stray")
}

/// Number of the partition whose log was put aside in a directory of this name. The topic cannot be told from it: its name may have been cut.
pub fn partition_of_stray(name: &str) -> Option<i32> {
    let (log, _) = name.strip_suffix("-stray")?.rsplit_once('.')?;
    log.rsplit_once('-')?.1.parse().ok()
}

fn unique_dir_name(log: &TopicPartition, unique: u128, state: &str) -> String {
    let suffix = format!("-{}.{unique:032x}-{state}", log.partition);
    let topic = &log.topic[..log.topic.len().min(NAME_MAX - suffix.len())];
    format!("{topic}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segment_files_are_kafkas_and_are_read_back() {
        for kind in FileKind::ALL {
            for state in FileState::ALL {
                let file = SegmentFile { base_offset: 42, kind, state };
                assert_eq!(SegmentFile::parse(&file.name()), Some(file));
            }
        }
        let file = SegmentFile { base_offset: i64::MAX, kind: FileKind::TimeIndex, state: FileState::Deleted };
        assert_eq!(file.name(), "09223372036854775807.timeindex.deleted");
        assert_eq!(file.removed_name(12), "09223372036854775807.timeindex.12.deleted");
        assert_eq!(SegmentFile::parse(&file.removed_name(12)), Some(file));
        for foreign in
            ["42.log", "leader-epoch-checkpoint", "00000000000000000000.logs", "00000000000000000000.log.7", "x.log.swap"]
        {
            assert_eq!(SegmentFile::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn directories_are_told_apart() {
        let log = TopicPartition::new("my-topic.x", 7);
        assert_eq!(LogDirName::parse("my-topic.x-7"), LogDirName::Log(log.clone()));
        assert_eq!(LogDirName::parse(&delete_dir_name(&log, 5)), LogDirName::Deleted);
        assert_eq!(LogDirName::parse(&stray_dir_name(&log, 5)), LogDirName::Aside);
        assert_eq!(LogDirName::parse("t-0.0123456789abcdef0123456789abcdef-stray"), LogDirName::Aside);
        assert_eq!(LogDirName::parse("t-0.0123456789abcdef0123456789abcdef-future"), LogDirName::Aside);
        for foreign in ["__cluster_metadata-0", "remote-log-index-cache", "lost+found", "-1", "t-x", "my-delete"] {
            assert_eq!(LogDirName::parse(foreign), LogDirName::Foreign, "{foreign}");
        }
    }

    #[test]
    fn the_longest_topic_still_has_a_name_to_be_deleted_by() {
        let log = TopicPartition::new("t".repeat(249), i32::MAX);
        assert!(delete_dir_name(&log, u128::MAX).len() <= NAME_MAX);
        assert_eq!(LogDirName::parse(&delete_dir_name(&log, u128::MAX)), LogDirName::Deleted);
    }

    #[test]
    fn a_log_that_was_put_aside_tells_its_partition() {
        for topic in ["my-topic.x", "t", &"t".repeat(249)] {
            assert_eq!(partition_of_stray(&stray_dir_name(&TopicPartition::new(topic, 7), 5)), Some(7));
        }
        for other in ["t-7", "t-7.5-delete", "t-7-stray", "-stray"] {
            assert_eq!(partition_of_stray(other), None, "{other}");
        }
    }
}
