//! Tests of the record format as a whole.

mod kafka_vectors;
mod properties;
