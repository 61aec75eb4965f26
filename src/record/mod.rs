//! Kafka's record batch format v2 as views over bytes. Pure: no clock, no files.

pub mod batch;
