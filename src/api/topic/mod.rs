//! Topics and their partitions: created, grown, deleted, described; who leads them.

pub mod create_topics;
pub mod delete_topics;
