//! Kafka's record batch format v2 as views over bytes. Pure: no clock, no files.

pub mod varint;
pub mod batch;
pub mod batches;
pub mod records;
pub mod compression;
pub mod owned;
pub mod builder;
pub mod control;
pub mod retain;
pub mod validate;

#[cfg(test)]
mod tests;
