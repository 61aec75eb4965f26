//! Topics and their partitions: created, grown, deleted, described; who leads them.

pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub mod list_partition_reassignments;
